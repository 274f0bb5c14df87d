"""`manage.py after_restore`: bring a database that was restored from a backup to where a person can decide.

See docs/operations.md, "Backup and restore". Run it before the dialer worker is started: beside one it refuses.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dialer import numbers
from dialer.lease import LeaseLost
from dialer.services import restoring
from esl_bridge import resync
from esl_bridge.framing import FramingError
from orchestrator.doctor import Switch, switches


class Command(BaseCommand):
    help = (
        "After restoring a backup: pauses every campaign, settles open attempts by asking the switch, sets agents "
        "offline, clears what Redis knows of the later record, and says what it did. Nothing is dialled until you "
        "start a campaign."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        words = (
            "numbers dialled since the backup, one a line (of the carrier's or the switch's own records): each gets an "
            "attempt more and a day's rest"
        )
        parser.add_argument("--dialled", metavar="FILE", help=words)
        parser.add_argument("--no-switch", action="store_true", help="the switch has been restarted and has no calls")

    def handle(self, *args: Any, **options: Any) -> None:
        dialled = set(self._numbers(Path(options["dialled"]))) if options["dialled"] else set()
        try:
            done, unknown = self._settle(dialled, ask=not options["no_switch"])
            restoring.forget()
        except LeaseLost as error:
            raise CommandError(f"Stop the dialer worker first: {error}") from error
        except redis.RedisError as error:
            words = f"Redis does not answer ({type(error).__name__}); start it and run this again."
            raise CommandError(words) from error
        except (OSError, EOFError, FramingError, resync.BadListing) as error:
            raise CommandError(
                f"The switch cannot be asked ({error}); nothing was changed. Where it has been restarted and has no "
                "calls, say --no-switch."
            ) from error
        self._tell(done, unknown, with_numbers=bool(dialled))

    def _tell(self, done: restoring.Settled, unknown: int, *, with_numbers: bool) -> None:
        say = self.stdout.write
        say(f"Campaigns paused: {', '.join(done.campaigns) or 'none was active'}")
        say(f"Attempts ended, whose legs the switch does not have: {done.calls_ended}; going on: {done.calls_going_on}")
        say(f"Softphones' and other legs ended: {done.legs_ended}; agents set offline: {done.agents_offline}")
        say(f"Orders that were waiting and are dropped: {done.orders_dropped}")
        if with_numbers:
            say(f"Contacts dialled since the backup, with a day's rest now: {done.dialled_since}")
        if unknown:
            say(f"Legs at the switch that this record does not know: {unknown}. Calls among them go on and end by")
            say("themselves; agents hang up their softphones and come back.")
        say("Redis: queues, orders and the floor's frames cleared; live legs and the journal kept.")
        say("")
        say(
            "Whoever was dialled after the backup was taken looks as if they had not been. Before you start a campaign,"
        )
        say("give their numbers to `after_restore --dialled FILE`, or accept that they may be dialled again.")

    def _settle(self, dialled: set[str], *, ask: bool) -> tuple[restoring.Settled, int]:
        """What was done, and how many legs of the switch nobody knows."""
        if not ask:
            return restoring.settle(lambda leg: False, dialled), 0
        with ExitStack() as open_ones:
            talks = [open_ones.enter_context(Switch(host, port)) for host, port in switches()]
            if not all(talk.log_in(settings.FREESWITCH_ESL_PASSWORD) for talk in talks):
                raise OSError("it refuses the password")
            listed = frozenset().union(*(resync.channels_in(talk.api("show channels as json")) for talk in talks))
            asked: set[str] = set()
            done = restoring.settle(_asking(talks, asked), dialled)
        return done, len(listed - asked)

    def _numbers(self, path: Path) -> Iterator[str]:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path}: {error}") from error
        for place, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield numbers.normalise(line.strip(), settings.DEFAULT_REGION)
            except ValueError:
                self.stderr.write(f"line {place} is no number and is passed over")


def _asking(talks: list[Switch], asked: set[str]) -> Callable[[str], bool]:
    """Asks every node's `uuid_exists` for a leg and notes that it did. Raises OSError when an answer is none."""

    def exists(leg: str) -> bool:
        asked.add(leg)
        answers = [resync.leg_exists(talk.api(f"uuid_exists {leg}")) for talk in talks]
        if None in answers:
            raise OSError("it does not answer uuid_exists")
        return any(answers)

    return exists

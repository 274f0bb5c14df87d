"""One run: a floor at work, faults for so many minutes, then quiet, and all that is left as evidence."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.crew import Crew
from tests.faults.floor import Made, Size, make, unwatch_writes, watch_writes
from tests.faults.history import Evidence, History, Stop
from tests.faults.load import Load
from tests.faults.nemesis import Broken, Nemesis
from tests.faults.servers import patient
from tests.faults.switch import Truth
from tests.faults.witness import Witness

WORKING_SECONDS = 90.0
DRAIN_SECONDS = 120.0
SETTLED_SECONDS = 90.0
# As people run it: with DEBUG on Django keeps each statement's text.
IN_PRODUCTION = {
    "DEBUG": "0", "SECRET_KEY": secrets.token_urlsafe(50), "BEHIND_TLS": "0", "SWITCH": "simulator",
    "CALLER_ID_NUMBER": "+12125550100",
}  # fmt: skip
# Numbers that are forbidden while the floor dials, one at a time.
FORBID_SECONDS = (1.0, 3.0)


@dataclass
class Place:
    """Where a run happens. environment: the settings of its servers."""

    folder: Path
    environment: Mapping[str, str]
    broken: Broken


class GivenUpError(RuntimeError):
    """The floor did not come to work, or does not come to rest: there is nothing to check."""


@contextmanager
def nothing_left() -> Any:
    watch_writes()
    try:
        yield
    finally:
        patient(unwatch_writes)


def run(place: Place, size: Size, seeds: list[int], counts: Mapping[str, int]) -> tuple[History, Evidence]:
    """Faults by each of the seeds, one after another on the same floor; all of it is checked together at the end."""
    made = make(size, f"{place.folder}/messages")
    simulator = [
        "--agents", size.extensions, "--seed", str(seeds[0]), "--answer-rate", "0.55", "--machine-rate", "0",
        "--busy-rate", "0.34", "--ring-mean", str(size.ring), "--talk-mean", str(size.talk),
        "--patience-mean", "30", "--sessions-per-second", "500",
    ]  # fmt: skip
    environment = {
        **place.environment, "MESSAGES_DIR": f"{place.folder}/messages", "DIAL_ALLOWED_PREFIXES": "+1",
        "FREESWITCH_ESL_PASSWORD": "faults-only", "VAR_DIR": str(place.folder), **IN_PRODUCTION,
    }  # fmt: skip
    history = History(seeds[0], boards=size.boards)
    with nothing_left(), Crew(place.folder, simulator, environment) as crew:
        truth = _until(lambda: _truth(crew), "the switch listens")
        with (
            Load(size, made, history, crew.run.web_port) as load,
            Witness(history, truth, place.environment["REDIS_URL"]) as witness,
        ):
            _until(lambda: _at_work(load), "the agents are at work", WORKING_SECONDS)
            history.began_at = time.time()
            load.commanding.set()
            for seed in seeds:
                history.seed = seed
                _fault(place, size, crew, load, witness, counts)
            history.ended_at = time.time()
            _rest(load)
            _compare_boards(load, crew, made, history)
        truth.close()
        crew.stop_switch()
        evidence = patient(lambda: gather(crew.run.invites))
    return history, evidence


def _fault(place: Place, size: Size, crew: Crew, load: Load, witness: Witness, counts: Mapping[str, int]) -> None:
    nemesis = Nemesis(crew, load.history, place.broken, place.environment, counts, size.minutes * 60)
    forbidding = threading.Thread(target=_forbid, args=(load.history, nemesis.ended), name="forbid")
    forbidding.start()
    try:
        nemesis.run(lambda when: witness.level(when, load.check))
    finally:
        nemesis.ended.set()
        forbidding.join()


def _forbid(history: History, ended: threading.Event) -> None:
    """Enter numbers that are about to be dialled, and some that may be under way, as an administrator does."""
    from django.db import DatabaseError, InterfaceError, connections

    from dialer.models import CallLog, Contact, DoNotCall

    chance = random.Random(f"forbid {history.seed}")
    while not ended.wait(chance.uniform(*FORBID_SECONDS)):
        try:
            if chance.random() < 0.3:
                rows = CallLog.objects.filter(status="initiated").order_by("-id")
                number = rows.values_list("to_number", flat=True).first()
            else:
                ready = Contact.objects.filter(status="ready", target_list=chance.randint(1, 100))
                due = ready or Contact.objects.filter(status="ready")
                number = due.order_by("id").values_list("number", flat=True).first()
            if number and not DoNotCall.objects.filter(number=number).exists():
                DoNotCall.objects.create(number=number)
                history.stops.append(Stop(number, time.time()))
        except (DatabaseError, InterfaceError):
            connections.close_all()
    connections.close_all()


def _rest(load: Load) -> None:
    """Nobody asks for anything new, nobody is dialled, and the last customer has gone."""
    from dialer.models import CallLog

    load.commanding.clear()
    load.call(load.pause_all)
    _until(lambda: load.check() or not load.busy, "every command is answered", SETTLED_SECONDS, told=load.history)
    drained = lambda: not patient(lambda: CallLog.objects.filter(ended_at=None).exists())  # noqa: E731
    _until(drained, "every call has ended", DRAIN_SECONDS, told=load.history)


def _compare_boards(load: Load, crew: Crew, made: Made, history: History) -> None:
    """Each board's state, kept through everything, beside a snapshot that was asked for now."""
    from tests.fakes.console import Socket

    def differing() -> list[str]:
        headers = {"Authorization": f"Bearer {made.board_keys[0]}"}
        with Socket(f"ws://127.0.0.1:{crew.run.web_port}/ws/v1/floor/", additional_headers=headers) as fresh:
            newest = fresh.until_floor(lambda floor: bool(floor.epoch))
            rows = {kind: dict(getattr(newest, kind)) for kind in ("agents", "calls", "campaigns")}
        found = []
        for board in load.boards:
            for kind, wanted in rows.items():
                shown = dict(getattr(board.floor, kind))
                keys = [key for key in shown.keys() | wanted.keys() if shown.get(key) != wanted.get(key)]
                if keys:
                    found.append(f"{board.name} has {len(keys)} {kind} wrong at the end: {keys[0]}")
        return found

    last: list[str] = ["not compared"]

    def equal() -> bool:
        nonlocal last
        last = differing()
        return not last

    try:
        _until(equal, "the boards", 20.0)
    except GivenUpError:
        history.boards_differ += last


def gather(invites: Path) -> Evidence:
    from django.db import connection
    from django.db.models import F

    from dialer.models import AppliedCommand, CallLog, Order, QueuedCommand

    legs: dict[str, dict[str, Any]] = {}
    twice = []
    for line in invites.read_text().splitlines():
        record = json.loads(line)
        if record["event"] == "invite" and record["uuid"] in legs:
            twice.append(legs[record["uuid"]])
        legs[record["uuid"]] = record
    fields = ("ended_at", "answered_at", "bridged_at", "abandoned", "status", "outcome")
    calls = CallLog.objects.values(
        *fields, leg=F("freeswitch_uuid"), number=F("to_number"), campaign_key=F("campaign__campaign_id")
    )
    ended_by_us = Order.objects.filter(kind__in=["hangup", "play_message"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT at, wrote, holder, token, place FROM fault_old_tokens")
        old = [f"{at}: {wrote} wrote {table} under {holder} ({token})" for at, wrote, holder, token, table in cursor]
        cursor.execute("SELECT last_value FROM fault_fenced_writes")
        fenced = int(cursor.fetchone()[0])
    return Evidence(
        legs=[*legs.values(), *twice],
        calls=[{**row, "campaign_id": str(row["campaign_key"])} for row in calls],
        applied={str(key): status for key, status in AppliedCommand.objects.values_list("command_id", "status")},
        queued={str(key) for key in QueuedCommand.objects.values_list("command_id", flat=True)},
        asked_hangups={str(leg) for leg in ended_by_us.exclude(command_id=None).values_list("leg_uuid", flat=True)},
        old_token_writes=old,
        fenced_writes=fenced,
        orders=list(Order.objects.order_by("id").values_list("id", "fencing_token")),
    )


# --- waiting ----------------------------------------------------------------------------------------------------------


def _until(condition: Callable[[], Any], what: str, seconds: float = 60.0, *, told: History | None = None) -> Any:
    """told: what is late is the checker's to judge; the run goes on."""
    until = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > until:
            if told is not None:
                return None
            raise GivenUpError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


def _truth(crew: Crew) -> Truth | None:
    try:
        return Truth(crew.run.switch_port, "faults-only")
    except OSError:
        return None


def _at_work(load: Load) -> bool:
    from dialer.models import Agent, CallLog

    load.check()
    ready = Agent.objects.filter(softphone="open").count() >= len(load.made.agents) * 0.9
    return ready and CallLog.objects.filter(answered_at__isnull=False).exists()

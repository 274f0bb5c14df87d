"""Commands that wait for their replies, and how a reply shows that it is another command's.

FreeSWITCH answers in order and says with few replies what they are to. So each is held against all that is known of the
command it would go to, and a question whose answer is known beforehand, an *echo*, shows whether one was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from esl_bridge.handlers import SwitchEvent

# FreeSWITCH says back what `echo` is told. No other reply begins like this.
_ECHO: Final = "orchestrator-"


def _nobody(_: Exception) -> None:
    """Who asked learns of a lost link in another way."""


class Command(NamedTuple):
    """Its lines, and who is told its reply, or that the link went down before it came; neither may wait."""

    lines: tuple[str, ...]
    replied: Callable[[SwitchEvent], None]
    failed: Callable[[Exception], None] = _nobody


class Sent(NamedTuple):
    """`job`: the Job-UUID that its reply must have, None: of the switch's choice; `echo`: the text that its reply must
    be, when that is known; `at`: monotonic."""

    command: Command
    is_api: bool
    job: str | None
    echo: str
    at: float

    def may_have(self, reply: SwitchEvent) -> bool:
        """Whether it may be this command's reply."""
        if reply.headers.get("Content-Type") == "api/response":
            said = str(reply.data)
            return self.is_api and (said == self.echo if self.echo else not said.startswith(_ECHO))
        if "Job-UUID" in reply.headers:
            return self.job is None or reply.headers["Job-UUID"] == self.job
        return not self.echo


def echo(number: int) -> tuple[str, ...]:
    """The lines of a question whose answer is known; a number of its own for each."""
    return (f"api echo {_ECHO}{number}",)


def expecting(command: Command, at: float) -> Sent:
    """For a command that is sent now."""
    lines = command.lines
    first, job = lines[0], ""
    if first.startswith("bgapi"):
        named = (line.removeprefix("Job-UUID: ") for line in lines if line.startswith("Job-UUID: "))
        job = next(named, None)
    known = first.removeprefix("api echo ") if first.startswith(f"api echo {_ECHO}") else ""
    return Sent(command, first.startswith("api "), job, known, at)

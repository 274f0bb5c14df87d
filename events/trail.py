"""What a line of the log is about: ids bound where work on a call or a command begins, and the stations of its way.

    with trail.about(command_id=...):
        log.warning("...")                              # this line, and all below it, carry the id
        trail.note("command accepted", agent_id=...)    # a station

One call's or command's way through all processes is what `grep ID` finds. Bound by context variables: a thread, an
asyncio task and a greenlet each have their own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

# Every id that a line may carry, in the order in which they are shown.
FIELDS: Final = (
    "call_id", "leg", "command_id", "order_id", "campaign_id", "agent_id", "task_id", "node",
)  # fmt: skip
_KNOWN: Final = frozenset(FIELDS)
# The stations have a logger of their own: in production they go where everything goes, in development to the file only.
_stations = logging.getLogger("trail")
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))
_process: dict[str, str] = {}


def of_process(**ids: object) -> None:
    """What every line of this process is about (the bridge's node)."""
    _process.update(_said(ids))


def bound() -> dict[str, str]:
    """The ids that a line written here and now carries."""
    return {**_process, **_about.get()}


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Bind ids until the end of the block; empty ones leave what is bound."""
    token = _about.set({**_about.get(), **_said(ids)})
    try:
        yield
    finally:
        _about.reset(token)


def note(message: str, **ids: object) -> None:
    """A station on the way of a call or a command."""
    if _stations.isEnabledFor(logging.INFO):
        # Not by `info`, which looks through the stack for who calls: a busy floor notes hundreds a second.
        extra = {"about": _said(ids)}
        _stations.handle(_stations.makeRecord("trail", logging.INFO, __file__, 0, message, (), None, extra=extra))


def _said(ids: Mapping[str, object]) -> dict[str, str]:
    assert ids.keys() <= _KNOWN, ids.keys() - _KNOWN
    return {name: str(value) for name, value in ids.items() if value}

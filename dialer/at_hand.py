"""The task that the sequential worker has at hand: a thread beside it looks whether it ever ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_task: tuple[str, str, float] | None = None


@contextmanager
def doing(name: str, tag: str) -> Iterator[None]:
    """tag: the broker's, of the message that asked for it."""
    global _task
    _task = name, tag, time.monotonic()
    try:
        yield
    finally:
        _task = None


def task() -> tuple[str, str]:
    """Name and tag, both empty when there is none."""
    held = _task
    return held[:2] if held else ("", "")


def seconds() -> float:
    """How long it has been at hand; 0 without one."""
    held = _task
    return time.monotonic() - held[2] if held else 0.0

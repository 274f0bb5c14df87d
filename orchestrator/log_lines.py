"""How a line of the log looks: one JSON object for programs (LOG_FORMAT=json), or text for people, both with what the
line is about (events/trail.py). Messages have passed orchestrator.logs.Private before."""

from __future__ import annotations

import logging
import re
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import orjson
from celery import Task, signals

from events import trail
from events.privacy import clean

FORMATS: Final = ("json", "text")
# Ids are ours and plain; what is not goes through the same cleaning as a message.
_PLAIN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z|(?!\d{7})[A-Za-z0-9_.:@-]{1,64}\Z")
_COMMANDS: Final = {"run_esl_bridge": "bridge", "run_event_ingest": "ingest", "run_floor_publisher": "floor",
                    "run_switch_simulator": "simulator"}  # fmt: skip
_QUEUES: Final = {"dialer_queue": "dialer"}


def component(arguments: list[str]) -> str:
    """The part of the orchestrator that a command line starts, by its name on the board."""
    # `python -m daphne` shows as .../daphne/__main__.py
    program = Path(arguments[0] if arguments else "python")
    names = {program.name, program.parent.name}
    if "daphne" in names:
        return "web"
    if "celery" in names:
        queue = next((after for name, after in pairwise(arguments) if name == "-Q"), "celery")
        return _QUEUES.get(queue, queue)
    if program.name == "manage.py" and len(arguments) > 1:
        return _COMMANDS.get(arguments[1], arguments[1])
    return program.name


class _WithIds(logging.Formatter):
    def ids(self, record: logging.LogRecord) -> dict[str, str]:
        """What the line is about, in the order of trail.FIELDS."""
        found = {**trail.bound(), **getattr(record, "about", {})}
        return {name: _plain(found[name]) for name in trail.FIELDS if name in found}

    def trouble(self, record: logging.LogRecord) -> str:
        """The traceback, if there is one."""
        text = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        return clean(text)


class JsonLine(_WithIds):
    """{time, level, component, logger, message, pid}, the ids that are known, and `exception`: one line, whatever is in
    it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._component = component(sys.argv)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            **self.ids(record),
        }
        if trouble := self.trouble(record):
            line["exception"] = trouble
        return orjson.dumps(line, default=str).decode()


class TextLine(_WithIds):
    """A line for people, with the ids behind it in brackets."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in self.ids(record).items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")

    def formatException(self, ei: Any) -> str:
        return clean(super().formatException(ei))


def _plain(value: str) -> str:
    return value if _PLAIN.match(value) else clean(value)[:100]


# --- tasks: what they are about, from their arguments -----------------------------------------------------------------

_bound: dict[str, Any] = {}


@signals.task_prerun.connect
def _task_begins(task_id: str, task: Task, kwargs: dict[str, Any] | None = None, **_: Any) -> None:
    command = (kwargs or {}).get("command")
    known = {name: command.get(name) for name in trail.FIELDS} if isinstance(command, dict) else {}
    block = trail.about(**{**known, "task_id": task_id})
    block.__enter__()
    _bound[task_id] = block


@signals.task_postrun.connect
def _task_ends(task_id: str, **_: Any) -> None:
    block = _bound.pop(task_id, None)
    if block is not None:
        block.__exit__(None, None, None)

"""A line of the log says what it is about, in one line, and is bound to nobody else's work."""

import asyncio
import json
import logging
import sys
import threading

import gevent
import pytest

from events import trail
from orchestrator.log_lines import JsonLine, TextLine, component
from orchestrator.logs import Private, SharedRotatingFileHandler

CALL, COMMAND = "4c024dda-2909-493a-a447-15a6414fc251", "5d024dda-2909-493a-a447-15a6414fc252"


def record(message: str, **extra):
    made = logging.getLogger("test").makeRecord("test", logging.WARNING, "f.py", 1, message, (), None, extra=extra)
    assert Private().filter(made)
    return made


def test_a_line_is_one_json_object_with_the_ids_that_are_bound():
    with trail.about(call_id=CALL, command_id=""), trail.about(command_id=COMMAND):
        line = JsonLine().format(record("to +12125551234\nforged", about={"node": "east"}))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["call_id"]) == ("warning", "test", CALL)
    assert (found["command_id"], found["node"]) == (COMMAND, "east")
    assert found["message"] == "to +1212***34\\nforged"
    assert not trail.bound()


def test_an_error_is_told_in_the_same_line_without_the_number_that_it_names():
    try:
        raise ValueError("cannot call +12125551234")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    for text in (JsonLine().format(made), TextLine("{message}", style="{").format(made)):
        assert "ValueError" in text and "+1212***34" in text and "12125551234" not in text
    assert "Traceback" in json.loads(JsonLine().format(made))["exception"]


def test_an_id_that_looks_like_a_number_is_masked():
    assert json.loads(JsonLine().format(record("x", about={"agent_id": "12125551234"})))["agent_id"] == "12125***34"


def test_people_read_the_ids_behind_the_words():
    with trail.about(call_id=CALL):
        assert TextLine("{levelname} {message}", style="{").format(record("lost")) == f"WARNING lost [call_id={CALL}]"


def test_threads_greenlets_and_tasks_never_see_each_others_ids():
    seen: list[dict[str, str]] = []

    def other() -> None:
        seen.append(trail.bound())
        with trail.about(call_id="other"):
            gevent.sleep(0)

    async def tasks() -> None:
        with trail.about(call_id=CALL):
            inner = asyncio.create_task(asyncio.sleep(0))
        await inner
        seen.append(trail.bound())

    with trail.about(call_id=CALL):
        greenlet = gevent.spawn(other)
        thread = threading.Thread(target=lambda: seen.append(trail.bound()))
        thread.start()
        thread.join()
        greenlet.join()
        assert trail.bound() == {"call_id": CALL}, "what another greenlet bound is its own"
    asyncio.run(tasks())
    assert seen[0] == seen[2] == {}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["manage.py", "run_esl_bridge"], "bridge"),
        (["/app/manage.py", "run_event_ingest"], "ingest"),
        (["manage.py", "run_floor_publisher"], "floor"),
        (["/opt/venv/bin/celery", "-A", "orchestrator", "worker", "-Q", "dialer_queue", "-c", "1"], "dialer"),
        (["/x/celery/__main__.py", "-A", "orchestrator", "worker", "-Q", "default"], "default"),
        (["/x/daphne/__main__.py", "orchestrator.asgi:application"], "web"),
        (["/opt/venv/bin/daphne", "orchestrator.asgi:application"], "web"),
        (["manage.py", "retention"], "retention"),
    ],
)
def test_each_process_is_called_as_the_board_calls_it(arguments, name):
    assert component(arguments) == name


def test_two_processes_share_a_file_that_rotates_and_lose_no_line(tmp_path):
    path = tmp_path / "shared.log"
    two = [SharedRotatingFileHandler(path, maxBytes=500, backupCount=50) for _ in range(2)]
    for n in range(100):
        for which, handler in enumerate(two):
            handler.emit(record(f"{which} line {n}"))
    for handler in two:
        handler.close()
    lines = [line for file in tmp_path.glob("shared.log*") for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{which} line {n}" for which in range(2) for n in range(100))
    assert len(list(tmp_path.glob("shared.log.*"))) > 3

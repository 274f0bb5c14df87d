"""The example clients that integrators begin with, against the real thing."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from console.models import ApiToken
from tests.conftest import PATIENCE, wait_until
from tests.fakes.console import announce_agent, make_team, make_user, publishing, set_status, wait_published
from tests.fakes.floor import make_agents, make_campaign, reason_code
from tests.fakes.processes import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]
CLIENT = Path(settings.BASE_DIR) / "docs" / "examples" / "floor_client.py"


class Running:
    """The client as a process of its own; what it has printed, line by line."""

    def __init__(self, url: str, token: str, *args: str) -> None:
        env = {**os.environ, "FLOOR_TOKEN": token}
        self.process = subprocess.Popen(
            [sys.executable, str(CLIENT), url, *args],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def last(self, kind: str) -> dict[str, Any] | None:
        return next((line for line in reversed(self.lines) if line.get("type") == kind), None)

    def ended(self) -> tuple[int, str]:
        code = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def running(*args: str) -> Iterator[Running]:
    client = Running(*args)
    try:
        yield client
    finally:
        client.stop()


def secret(user: Any) -> str:
    return ApiToken.issue(user)[1]


def test_the_python_client_follows_the_floor_and_its_subscription(door, supervisor):
    agents = make_agents(4)
    make_team("north", agents[:2])
    make_campaign(agents)
    other, part = secret(supervisor), ("--team", "north", "--kind", "agents")
    with publishing(), running(door.url(), secret(supervisor)) as whole, running(door.url(), other, *part) as north:
        wait_until(lambda: (found := whole.last("snapshot")) and found["agents"] == 4, "the whole floor")
        wait_until(lambda: (found := north.last("snapshot")) and found["agents"] == 2, "the team")
        assert north.last("snapshot")["campaigns"] == 0 and whole.last("snapshot")["campaigns"] == 1
        agents[0].refresh_from_db()
        agents[0].team, agents[0].version = None, agents[0].version + 1
        agents[0].save()
        announce_agent(agents[0])
        wait_until(lambda: (found := north.last("frame")) and found["agents"] == 1, "one agent has left the team")
        frames = [line["seq"] for line in north.lines if line["type"] == "frame"]
        assert frames == list(range(frames[0], frames[0] + len(frames)))


def test_the_python_client_resumes_where_it_was(tmp_path, supervisor):
    [agent] = make_agents(1)
    with Processes(tmp_path) as run, publishing():
        run.web()
        url = f"ws://127.0.0.1:{run.web_port}/ws/v1/floor/"
        with running(url, secret(supervisor)) as client:
            wait_until(lambda: client.last("frame"), "frames")
            run.kill("web")
            seen = len(client.lines)
            set_status(agent, "break")
            wait_published(lambda f: f.agents[agent.agent_id].status == "break", "the change")
            run.web()
            wait_until(lambda: len(client.lines) > seen + 2, "it is back")
            kinds = [line["type"] for line in client.lines]
            seqs = [line["seq"] for line in client.lines]
            assert kinds.count("snapshot") == 1 and seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_the_python_client_commands_and_prints_the_result(door, supervisor, worker):
    [agent] = make_agents(1)
    reason_code("break", "lunch")
    with publishing():
        for reason, status in (("lunch", "applied"), ("nonsense", "rejected")):
            with running(door.url(), secret(supervisor), "--break", agent.agent_id, "--reason", reason) as client:
                assert client.ended()[0] == 0
                wait_until(lambda client=client: client.last("result"), "the result")
                assert client.last("result")["status"] == status
    agent.refresh_from_db()
    assert agent.status == "break"


def test_the_python_client_says_why_it_gives_up(door):
    with running(door.url(), secret(make_user("bob"))) as client:
        code, words = client.ended()
        assert code == 1 and "may not see the floor" in words

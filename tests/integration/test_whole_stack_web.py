"""The whole stack with its web process: a client that is cut off while calls flow misses nothing, and commands act."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from websockets.sync.client import ClientConnection, connect

from console.floor_state import FloorState, apply_frame
from console.models import ApiToken
from console.protocol import Frame, Snapshot, read_server
from dialer.models import Agent, CallLog
from events import streams
from tests.conftest import wait_until
from tests.fakes.floor import ask_all_to_work, make_working_floor, reason_code
from tests.fakes.kept import unexpected
from tests.fakes.processes import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
    pytest.mark.slow,
]

AGENTS = 10
# A worker and a web process on a loaded machine need a while to start.
START_SECONDS = 60.0
AWAY_SECONDS = 10.0


def answers(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def log_lines(folder: Path) -> list[dict[str, Any]]:
    """Every process's lines: each one a JSON object."""
    return [json.loads(line) for line in (folder / "logs" / "voice_orchestrator.log").read_text().splitlines()]


def components_of(folder: Path, wanted: str) -> set[str]:
    """The processes whose lines hold an id."""
    return {line["component"] for line in log_lines(folder) if wanted in line.values()}


class Client:
    """A websocket client that follows the floor as docs/protocol.md tells it to."""

    def __init__(self, port: int, secret: str) -> None:
        self.url = f"ws://127.0.0.1:{port}/ws/v1/floor/"
        self.headers = {"Authorization": f"Bearer {secret}"}
        self.socket: ClientConnection
        self.state = FloorState()
        self.snapshots = 0
        self.results: dict[str, dict[str, Any]] = {}

    @contextmanager
    def connected(self, *, resume: bool) -> Iterator[None]:
        with connect(self.url, additional_headers=self.headers, max_size=None, open_timeout=20) as self.socket:
            if resume:
                self.send({"type": "resume", "epoch": self.state.epoch, "seq": self.state.seq})
            yield

    def send(self, message: dict[str, Any]) -> None:
        self.socket.send(json.dumps(message))

    def follow(self, seconds: float, until: Any = None) -> None:
        """Apply what comes, for so long or until the condition holds; a gap in seq fails in apply_frame."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (until and until()):
            try:
                text = self.socket.recv(timeout=left)
            except TimeoutError:
                return
            kind = json.loads(text)["type"]
            if kind == "snapshot":
                message = read_server(text)
                assert isinstance(message, Snapshot)
                self.snapshots += 1
                self.state = FloorState.of(message)
            elif kind == "frame":
                message = read_server(text)
                assert isinstance(message, Frame)
                apply_frame(self.state, message)
            elif kind in {"ack", "result", "error"}:
                found = json.loads(text)
                self.results[f"{kind}:{found['id']}"] = found

    def rows(self) -> tuple[Any, Any, Any]:
        return self.state.agents, self.state.calls, self.state.campaigns


def hang_up_one(client: Client) -> tuple[str, str]:
    """The call that a command has ended, and the command's id. One that is over by itself meanwhile is refused."""
    for n in range(10):
        client.follow(20, until=lambda: any(call.bridged_at for call in client.state.calls.values()))
        youngest = max(client.state.calls.values(), key=lambda call: call.bridged_at or 0)
        client.send({"type": "call_control", "id": f"h{n}", "call_id": youngest.id, "action": "hangup"})
        client.follow(30, until=lambda: client.results.keys() & {f"result:h{n}", f"error:h{n}"})  # noqa: B023
        if client.results.get(f"result:h{n}", {}).get("status") == "applied":
            return youngest.id, client.results[f"result:h{n}"]["command_id"]
    raise AssertionError(client.results)


@pytest.mark.timeout(300)
def test_a_client_cut_off_for_ten_seconds_resumes_without_a_gap_and_equals_a_fresh_snapshot(tmp_path):
    campaign = make_working_floor([f"+1646555{n:04d}" for n in range(2000)], AGENTS)
    reason_code("break", "lunch")
    ask_all_to_work(campaign)
    user = get_user_model().objects.create_superuser("integrator")
    _, secret = ApiToken.issue(user, "test")
    with Processes(tmp_path, LOG_FORMAT="json") as run:
        run.backend("--speed", "4", "--seed", "7")
        run.manage("floor", "run_floor_publisher")
        run.web()
        wait_until(lambda: answers(run.web_port, "/readyz")[0] == 200, "everything ready", START_SECONDS)
        report = json.loads(answers(run.web_port, "/readyz")[1])
        assert all(part["ok"] for part in report.get("components", report).values() if isinstance(part, dict)), report

        client = Client(run.web_port, secret)
        with client.connected(resume=False):
            client.follow(START_SECONDS, until=lambda: any(call.bridged_at for call in client.state.calls.values()))
        epoch, seq, snapshots = client.state.epoch, client.state.seq, client.snapshots
        before = CallLog.objects.count()
        assert epoch and seq

        # Cut off while calls flow: at least so many seconds, and until the floor has really changed.
        away = time.monotonic()
        wait_until(
            lambda: time.monotonic() - away > AWAY_SECONDS and CallLog.objects.count() > before + 5,
            "calls flow while the client is away",
            START_SECONDS,
        )
        with client.connected(resume=True):
            client.follow(20, until=lambda: client.state.seq > seq + 20)
            assert client.state.epoch == epoch and client.state.seq > seq + 20
            assert client.snapshots == snapshots, "resumed frame by frame, without a snapshot"

            # One of the calls is ended by command: its way is looked for in the logs below.
            ended, hung_up_by = hang_up_one(client)

            # Pause by command, let the floor come to rest, and compare with someone who has just come.
            client.send(
                {"type": "campaign_control", "id": "p1", "campaign_id": str(campaign.campaign_id), "action": "pause"}
            )
            client.follow(30, until=lambda: "result:p1" in client.results)
            assert client.results["ack:p1"] and client.results["result:p1"]["status"] == "applied"
            client.follow(60, until=lambda: not client.state.calls)
            dialled = CallLog.objects.count()
            client.follow(2.5)
            assert CallLog.objects.count() == dialled, "a paused campaign dials nobody"
            newcomer = Client(run.web_port, secret)
            with newcomer.connected(resume=False):
                newcomer.follow(20, until=lambda: newcomer.snapshots)
                client.follow(20, until=lambda: client.state.seq >= newcomer.state.seq)
                newcomer.follow(20, until=lambda: newcomer.state.seq >= client.state.seq)
                assert newcomer.state.seq == client.state.seq
                assert newcomer.rows() == client.rows()

            # The same command id again: the same answer, no second effect.
            again = {
                "type": "set_agent_state", "id": "s1", "agent_id": "agent_1", "state": "break", "reason": "lunch",
            }  # fmt: skip
            for _ in range(2):
                client.results.clear()
                client.send(again)
                client.follow(30, until=lambda: "result:s1" in client.results)
                assert client.results["result:s1"]["status"] == "applied"
            assert Agent.objects.get(agent_id="agent_1").states.filter(reason="lunch").count() == 1
            client.send({"type": "set_agent_state", "id": "s2", "agent_id": "nobody", "state": "break"})
            client.follow(30, until=lambda: client.results.keys() & {"result:s2", "error:s2"})
            refusal = client.results.get("error:s2") or client.results["result:s2"]
            assert refusal.get("message") or refusal["status"] == "rejected"
        wait_until(
            lambda: "default" in components_of(tmp_path, ended), "the switch's record of the call stored", START_SECONDS
        )
        for keys in (streams.shared().keys(), streams.connect(settings.CACHE_URL).keys()):
            assert keys and unexpected(keys) == [], "every key has its bound in docs/kept.md"
    lines = log_lines(tmp_path)
    assert {line["component"] for line in lines} >= {"web", "bridge", "ingest", "dialer", "default", "floor"}
    for line in lines:
        assert {"time", "level", "component", "logger", "message", "pid"} <= line.keys()
    # What somebody sees who looks for the call, and for the command.
    assert components_of(tmp_path, ended) == {"dialer", "bridge", "ingest", "default", "floor", "web"}
    assert components_of(tmp_path, hung_up_by) == {"web", "dialer", "bridge"}

"""docker/healthcheck.py: a part is called dead only by a /readyz that says so; a web that is away kills nobody."""

import http.server
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator.servers import BASE_DIR
from tests.fakes.processes import free_port

_spec = importlib.util.spec_from_file_location("healthcheck", BASE_DIR / "docker" / "healthcheck.py")
assert _spec and _spec.loader
healthcheck = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(healthcheck)


@contextmanager
def web(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes) -> Iterator[list[str]]:
    """A web service that gives this answer; the paths it was asked for."""
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("HEALTH_URL", f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join(10)


def readyz(**parts: bool) -> bytes:
    told = dict.fromkeys(("database", "redis", *healthcheck.BEATING), True) | parts
    return json.dumps({"components": {name: {"ok": ok, "detail": ""} for name, ok in told.items()}}).encode()


def test_a_part_that_readyz_calls_well_is_well_although_another_is_not(monkeypatch):
    with web(monkeypatch, 503, readyz(bridge=False)) as asked:
        assert [healthcheck.main([part]) for part in healthcheck.BEATING] == [1, 0, 0, 0, 0]
    assert set(asked) == {"/readyz"}


def test_when_nobody_can_be_asked_no_part_is_dead(monkeypatch, capsys):
    monkeypatch.setenv("HEALTH_URL", f"http://127.0.0.1:{free_port()}")
    assert healthcheck.main(["bridge"]) == 0
    assert "cannot be asked about bridge" in capsys.readouterr().err


@pytest.mark.parametrize(
    "body", [b"<html>502 Bad Gateway</html>", b"[]", b'{"components": {"redis": {"ok": true}}}', b"\xff"]
)
def test_what_is_no_answer_of_readyz_kills_nobody(body, monkeypatch, capsys):
    with web(monkeypatch, 502, body):
        assert healthcheck.main(["dialer"]) == 0
    assert "cannot be asked about dialer" in capsys.readouterr().err


def test_without_redis_nothing_is_known_of_a_part(monkeypatch, capsys):
    with web(monkeypatch, 503, readyz(redis=False, **dict.fromkeys(healthcheck.BEATING, False))):
        assert healthcheck.main(["floor"]) == 0
    assert "Redis does not answer" in capsys.readouterr().err


def test_the_webs_own_check_and_a_wrong_name_stay_strict(monkeypatch, capsys):
    def refused(address: str) -> tuple[int, bytes]:
        raise ConnectionRefusedError(address)

    monkeypatch.setattr(healthcheck, "fetch", refused)
    assert healthcheck.main(["web"]) == 1
    assert healthcheck.main(["brigde"]) == 1 and "no such service" in capsys.readouterr().err

"""The stack with real processes: it starts what is needed, others find it, and it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from orchestrator import servers
from orchestrator.stack.instance import Instance, Known
from tests.fakes.processes import free_port
from tests.fakes.stack import LIMIT, STACK, clean_environ, eventually, open_folder

pytestmark = [pytest.mark.stack]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    yield from open_folder()


# A command for `stack servers`: tells everything it finds and, if asked to, stays until its input ends.
TELL = textwrap.dedent("""
    import json, os, psutil, sys, threading
    stack = psutil.Process(os.getppid())
    known = [stack, *stack.children(recursive=True)]
    from orchestrator import servers
    ours = ("DB_", "CELERY_", "CACHE_")
    told = {
        "environment": {name: value for name, value in os.environ.items() if name.startswith(ours)},
        "var": os.environ["VAR_DIR"],
        "processes": [[process.name(), process.pid, servers.process_started(process.pid)] for process in known],
        "commands": [" ".join(process.cmdline()) for process in known],
    }
    with open(sys.argv[1] + ".part", "w") as file:
        json.dump(told, file)
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    sys.stdin.read()
    sys.exit(int(sys.argv[2]))
""")


class Stack:
    """`python -m orchestrator.stack servers` with a command that stays until told to end."""

    def __init__(self, folder: Path, told: Path, code: int = 0) -> None:
        command = [
            *STACK,
            "servers",
            "--data",
            str(folder / "data"),
            "--",
            sys.executable,
            "-c",
            TELL,
            str(told),
            str(code),
        ]
        environ = clean_environ(folder)
        self.process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        eventually(lambda: told.exists() or self.process.poll() is not None)
        assert told.exists(), self.process.communicate(timeout=LIMIT)[0]
        self.told = json.loads(told.read_text())
        self.environment: dict[str, str] = self.told["environment"]
        self.known = [Known(*row) for row in self.told["processes"]]

    def alive(self) -> list[Known]:
        return [item for item in self.known if item.lives()]

    def finish(self) -> int:
        self.process.communicate(timeout=LIMIT)
        return self.process.returncode

    def connect(self, **changes: str) -> "psycopg2.extensions.connection":
        values = {name.removeprefix("DB_").lower(): value for name, value in self.environment.items() if "DB_" in name}
        values["dbname"] = "postgres"
        values.pop("name")
        return psycopg2.connect(**values | changes, connect_timeout=5)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    started = Stack(tmp_path, tmp_path / "told.json", code=7)
    yield started
    started.process.kill()
    started.process.communicate(timeout=LIMIT)
    eventually(lambda: not started.alive())


def test_a_command_gets_working_servers_and_its_exit_code_is_ours(stack: Stack) -> None:
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('listen_addresses')")
        version, addresses = cursor.fetchone()
    connection.close()
    assert version >= 150000 and addresses == "127.0.0.1"
    client = redis.Redis.from_url(stack.environment["CELERY_BROKER_URL"])
    assert client.set("key", "value") and client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    client.close()
    assert {"postgres", "redis-server"} <= {item.name for item in stack.known}
    assert stack.finish() == 7
    assert not stack.alive()


def test_the_servers_refuse_who_has_no_password_and_show_it_on_no_command_line(stack: Stack) -> None:
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        stack.connect(password="postgres")
    client = redis.Redis(
        port=redis.Redis.from_url(stack.environment["CELERY_BROKER_URL"]).get_connection_kwargs()["port"]
    )
    with pytest.raises(redis.AuthenticationError):
        client.ping()
    client.close()
    secret = stack.environment["DB_PASSWORD"]
    assert secret not in "".join(stack.told["commands"])
    var = Path(stack.told["var"])
    logs = [path for path in var.rglob("*.log") if path.is_file()]
    assert logs and not any(secret in path.read_text(errors="replace") for path in logs)


def test_no_postgres_runs_as_root(stack: Stack) -> None:
    pid = next(item.pid for item in stack.known if item.name == "postgres")
    assert os.stat(f"/proc/{pid}").st_uid != 0


def test_a_second_run_beside_the_first_gets_servers_of_its_own(stack: Stack, tmp_path: Path) -> None:
    second = Stack(tmp_path, tmp_path / "second.json")
    assert second.told["var"] != stack.told["var"]
    assert second.environment["DB_PORT"] != stack.environment["DB_PORT"]
    assert second.finish() == 0
    assert not second.alive()
    assert len(stack.alive()) == len(stack.known)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_and_the_servers(stack: Stack, signum: signal.Signals) -> None:
    stack.process.send_signal(signum)
    # Its input stays open: the signal alone ends the command.
    assert stack.process.wait(timeout=LIMIT) not in {0, 7}
    assert not stack.alive()


def test_a_stack_that_is_killed_takes_all_its_processes_with_it(stack: Stack) -> None:
    stack.process.kill()
    stack.process.wait(timeout=LIMIT)
    eventually(lambda: not stack.alive())


def test_after_a_kill_the_next_run_starts_clean(stack: Stack, tmp_path: Path) -> None:
    stack.process.kill()
    stack.process.wait(timeout=LIMIT)
    next_one = Stack(tmp_path, tmp_path / "next.json")
    next_one.connect().close()
    assert next_one.finish() == 0
    assert not stack.alive() and not next_one.alive()


def test_a_process_left_over_from_a_killed_run_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as left_over, subprocess.Popen(["sleep", "600"]) as stranger:
        with Instance(tmp_path) as instance:
            # A number that was given to another process since must not be harmed.
            known = [Known.of("bridge", left_over.pid), Known("ingest", stranger.pid, "1")]
            instance.record(known)
        try:
            with Instance(tmp_path) as instance:
                assert instance.end_orphans() == ["bridge"]
            assert not known[0].lives()
            assert stranger.poll() is None
        finally:
            stranger.kill()
            left_over.kill()


def refused(arguments: list[str], environ: dict[str, str]) -> str:
    """The one line of a command that must fail."""
    done = subprocess.run([*STACK, *arguments], env=environ, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(["run", "--port", port], clean_environ(tmp_path))
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert not servers.servers_file(tmp_path).exists()


def test_a_second_run_in_one_folder_is_one_clear_line(tmp_path: Path) -> None:
    with Instance(tmp_path) as instance:
        instance.announce("http://127.0.0.1:8000/")
        said = refused(["run", "--port", str(free_port())], clean_environ(tmp_path))
    assert f"already running (process {os.getpid()}, http://127.0.0.1:8000/)" in said


def test_an_unwritable_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refused(["run", "--port", str(free_port())], clean_environ(tmp_path / "file" / "var"))
    assert "cannot write to" in said and "VAR_DIR" in said


def test_a_real_switch_without_its_settings_is_one_clear_line(tmp_path: Path) -> None:
    said = refused(["run", "--switch", "freeswitch", "--port", str(free_port())], clean_environ(tmp_path))
    assert "SWITCH=freeswitch needs FREESWITCH_ESL_HOST" in said


def test_a_database_that_does_not_answer_is_one_clear_line_after_a_clean_stop(tmp_path: Path) -> None:
    environ = clean_environ(tmp_path) | {"DB_HOST": "127.0.0.1", "DB_PORT": str(free_port())}
    done = subprocess.run(
        [*STACK, "run", "--port", str(free_port())], env=environ, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot use PostgreSQL at 127.0.0.1:") and done.stderr.count("\n") == 1
    assert done.stdout.splitlines()[-1] == "stack     | stopped"


def test_a_command_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    said = refused(["servers", "--data", str(tmp_path / "data"), "--", "no-such-program"], clean_environ(tmp_path))
    assert "cannot run no-such-program" in said


def test_data_that_postgres_may_not_reach_goes_elsewhere_and_does_not_stay_there(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root PostgreSQL runs as ourselves")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = set(Path(tempfile.gettempdir()).glob("voice-orchestrator-*"))
    stack = Stack(closed, tmp_path / "told.json")
    stack.connect().close()
    assert stack.finish() == 0
    left = set(Path(tempfile.gettempdir()).glob("voice-orchestrator-*")) - before
    assert not [path for path in left if "programs" not in path.name]

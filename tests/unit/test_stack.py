"""The parts of the stack that decide: waiting times, lines of the log, what is started, whose settings win."""

import io
import json
import random
import signal
import socket
import threading
from pathlib import Path

import pytest

from orchestrator import servers
from orchestrator.stack import plan, preflight, secrets_store
from orchestrator.stack.backoff import LONGEST_SECONDS, STEADY_SECONDS, Backoff
from orchestrator.stack.errors import StackError
from orchestrator.stack.output import LONGEST_LINE, Lines, Output
from orchestrator.stack.redis_server import Redis
from orchestrator.stack.supervisor import describe

BASE = Path("/srv/floor")


def options(switch: str = "simulator", host: str = "127.0.0.1") -> plan.Options:
    return plan.Options(host, 8000, switch, BASE / "var")


def test_the_wait_after_a_crash_doubles_up_to_a_limit_and_never_ends_in_giving_up() -> None:
    backoff = Backoff(random.Random(1))
    waits = [backoff.after(0) for _ in range(2000)]
    for number, wait in enumerate(waits[:6]):
        assert 0.25 * 2**number <= wait <= 0.5 * 2**number
    assert all(LONGEST_SECONDS / 2 <= wait <= LONGEST_SECONDS for wait in waits[7:])
    assert len(set(waits[7:])) > 1


def test_a_process_that_ran_well_for_a_while_is_started_again_at_once() -> None:
    backoff = Backoff(random.Random(1), failures=10)
    assert backoff.after(STEADY_SECONDS) <= 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_the_bytes_arrive(size: int) -> None:
    data = "first\nsecond ünd\r\n\nlast".encode()
    lines = Lines()
    found = [line for start in range(0, len(data), size) for line in lines.feed(data[start : start + size])]
    assert [*found, *lines.end()] == ["first", "second ünd", "", "last"]


def test_a_process_that_never_ends_its_line_does_not_fill_the_memory() -> None:
    lines = Lines()
    found = [line for _ in range(100) for line in lines.feed(b"x" * LONGEST_LINE)]
    assert len(found) == 99
    assert len(lines.end()[0]) == LONGEST_LINE


def test_a_line_of_the_log_shows_its_process_but_no_secret_and_no_escape_sequence() -> None:
    stream = io.StringIO()
    output = Output(stream, ["s3cret-s3cret"])
    output.line("web", "redis://:s3cret-s3cret@localhost \x1b[2J\x9b1m\rgone\u2028new")
    assert stream.getvalue() == "web       | redis://:***@localhost �[2J�1m�gone�new\n"


def test_when_nobody_reads_the_log_any_more_the_stack_is_told_once() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    told: list[int] = []
    output = Output(Closed())
    output.on_closed = lambda: told.append(1)
    output.say("one")
    output.say("two")
    assert told == [1]


def test_the_processes_of_a_run_are_the_documented_ones() -> None:
    started = {service.name: " ".join(service.command[1:]) for service in plan.services(options(), {}, "python", BASE)}
    assert list(started) == ["simulator", "bridge", "ingest", "floor", "default", "dialer", "web"]
    assert "-Q dialer_queue -c 1 " in started["dialer"]
    assert "-e tcp:port=8000:interface=127.0.0.1:backlog=1024 " in started["web"]
    assert plan.endpoint("::1", 80).startswith(r"tcp:port=80:interface=\:\:1:")
    assert set(started) < set(plan.STOP_ORDER)


def test_beside_a_real_switch_there_is_no_simulator_no_demo_and_none_of_its_data() -> None:
    real = options("freeswitch")
    assert "simulator" not in {service.name for service in plan.services(real, {}, "python", BASE)}
    assert [service.name for service, _ in plan.preparations(real, {}, "python", BASE)] == ["migrate"]
    assert plan.database_name(real) != plan.database_name(options())


def test_no_password_is_on_a_command_line() -> None:
    environ = {"DB_PASSWORD": "pw-database", "FREESWITCH_ESL_PASSWORD": "pw-switch", "CELERY_BROKER_URL": "pw-redis"}
    redis = Redis(BASE, Path("/bin/redis-server"), 6379, "pw-redis")
    every = [
        *plan.services(options(), environ, "python", BASE),
        *(service for service, _ in plan.preparations(options(), environ, "python", BASE)),
        redis.service(),
    ]
    assert not [service for service in every if "pw-" in " ".join(service.command)]


def test_a_real_switch_is_not_dialled_with_default_settings() -> None:
    with pytest.raises(StackError, match="FREESWITCH_ESL_HOST, FREESWITCH_ESL_PORT, .*, DIAL_ALLOWED_PREFIXES"):
        plan.check(options("freeswitch"), {})
    with pytest.raises(StackError, match="SWITCH must be"):
        plan.check(options("asterisk"), {})


def test_a_server_named_in_the_environment_wins() -> None:
    assert plan.embeds_postgres({}) and plan.embeds_redis({})
    assert not plan.embeds_postgres({"DB_HOST": "db"}) and not plan.embeds_postgres({"DB_PORT": "5432"})
    assert not plan.embeds_redis({"CELERY_BROKER_URL": "redis://queue/0"})


def test_the_banner_names_the_logins_of_the_demo_only() -> None:
    demo = "\n".join(plan.banner(options(), {}, True))
    real = "\n".join(plan.banner(options("freeswitch", "0.0.0.0"), {"DIAL_ALLOWED_PREFIXES": "+49"}, False))
    assert "http://localhost:8000/" in demo and "supervisor-demo" in demo
    assert "-demo" not in real and "+49" in real and "ALLOWED_HOSTS" in real


def test_recorded_servers_fill_in_what_the_environment_leaves_out() -> None:
    recorded = {"DB_HOST": "127.0.0.1", "DB_PORT": "5433", "DB_PASSWORD": "ours", "CACHE_URL": "redis://ours/1"}
    assert servers.merge({"DB_NAME": "other"}, recorded) == {**recorded, "DB_NAME": "other"}


@pytest.mark.parametrize("own", [{"DB_HOST": "db.example"}, {"DB_PORT": "5432"}])
def test_our_password_is_never_sent_to_a_server_that_the_environment_names(own: dict[str, str]) -> None:
    recorded = {"DB_HOST": "127.0.0.1", "DB_PORT": "5433", "DB_PASSWORD": "ours", "SECRET_KEY": "key"}
    assert servers.merge(own, recorded) == {**own, "SECRET_KEY": "key"}


def test_the_record_of_servers_is_private_and_read_back_while_its_stack_lives(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    servers.write(tmp_path, {"DB_HOST": "127.0.0.1", "SECRET_KEY": "key"})
    assert servers.servers_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert servers.environment({"VAR_DIR": str(tmp_path)})["SECRET_KEY"] == "key"
    servers.remove(tmp_path)
    assert servers.read(tmp_path) == {}


def test_after_its_stack_died_a_record_holds_for_servers_that_still_answer(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as database:
        port = str(database.getsockname()[1])
        values = {"DB_HOST": "127.0.0.1", "DB_PORT": port, "FREESWITCH_ESL_PORT": port, "SECRET_KEY": "key"}
        servers.write(tmp_path, values)
        path = servers.servers_file(tmp_path)
        record = json.loads(path.read_text())
        record["owner"]["started"] = "1"  # The number of a dead process that a later one was given.
        path.write_text(json.dumps(record))
        assert servers.read(tmp_path) == {"DB_HOST": "127.0.0.1", "DB_PORT": port}
    assert servers.read(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"owner": 1}', '{"owner": {"pid": "x"}, "environment": {}}', "\0"])
def test_a_damaged_record_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    servers.servers_file(tmp_path).write_text(text)
    assert servers.read(tmp_path) == {}


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    assert servers.process_started(1) != ""
    assert servers.process_started(2**22 + 1) == ""


def test_secrets_are_made_once_and_stay_private(tmp_path: Path) -> None:
    first, new = secrets_store.load(tmp_path)
    again, still_new = secrets_store.load(tmp_path)
    assert (first, new, still_new) == (again, True, False)
    assert len(set(first.all())) == 4
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert not any(secret in repr(first) for secret in first.all())


def test_redis_listens_on_loopback_with_a_password_and_keeps_what_it_is_given() -> None:
    text = Redis(BASE, Path("/bin/redis-server"), 6390, "secret").configuration()
    for line in ("bind 127.0.0.1", "requirepass secret", "appendonly yes", "maxmemory-policy noeviction"):
        assert line in text.splitlines()


def test_too_little_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"^the disk of .* is nearly full: \d+ MB are free, \d+ MB are needed$"):
        preflight.enough_disk(tmp_path, needed=2**60)


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot write to .*VAR_DIR"):
        preflight.prepare(tmp_path / "file" / "var")


def test_a_taken_port_is_refused_and_a_preferred_free_one_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"cannot listen on 127.0.0.1:{port} .*make run PORT="):
            preflight.port_is_free("127.0.0.1", port)
        assert preflight.choose_port(port) != port
    free = preflight.choose_port()
    assert preflight.choose_port(free) == free


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"Content-Type: auth/request\n\n", ""),
        (b"Content-Type: text/rude-rejection\n", "refuses this machine"),
        (b"SSH-2.0-x", "not a FreeSWITCH"),
    ],
)
def test_what_listens_on_the_event_socket_port_is_recognised(greeting: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            link, _ = listener.accept()
            with link:
                link.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        found = preflight.switch_answers("127.0.0.1", listener.getsockname()[1])
        thread.join(timeout=5)
    assert said in found and bool(said) == bool(found)


def test_how_a_process_ended_is_said_in_words() -> None:
    assert describe(3) == "exit code 3"
    assert describe(-signal.SIGKILL) == "signal SIGKILL"

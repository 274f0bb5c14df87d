"""manage.py doctor names what is wrong with a deployment and what to do, and changes nothing."""

import json
import socket
import time
from io import StringIO

import pytest
from django.core.management import call_command

from dialer import lease
from dialer.models import CampaignStatus, DialerCampaign, DialingMode, Message
from events import streams
from orchestrator import doctor
from tests.conftest import wait_until
from tests.fakes.processes import Processes, free_port

pytestmark = pytest.mark.django_db


def findings(*, strict: bool = False):
    out = StringIO()
    code = 0
    try:
        call_command("doctor", json=True, strict=strict, stdout=out)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def about(subject, found):
    return [row for row in found if row["subject"] == subject]


def all_well():
    for name in doctor.health.BEATS:
        value = json.dumps({"at": time.time(), "link": "up", "lag_ms": 20, "depth": 0})
        streams.shared().set(f"{streams.HEARTBEAT_PREFIX}{name}", value)


def test_servers_that_answer_are_well(redis_empty):
    _, found = findings()
    assert [row["level"] for row in about("migrations", found)] == ["ok"]
    assert about("PostgreSQL", found)[0]["level"] == "ok"
    assert about("Redis", found)[0]["level"] == "ok"


def test_a_floor_whose_parts_are_all_at_work_has_none_to_mend(redis_empty):
    all_well()
    _, found = findings()
    parts = {row["subject"]: row["level"] for row in found if row["subject"] in doctor.health.PARTS.values()}
    assert parts == dict.fromkeys(doctor.health.PARTS.values(), "ok")


def test_processes_that_do_not_run_are_named_with_their_command(redis_empty):
    all_well()
    streams.shared().delete(f"{streams.HEARTBEAT_PREFIX}ingest")
    code, found = findings()
    assert code == 1
    assert about("Event ingest", found) == [
        {
            "subject": "Event ingest",
            "level": "fault",
            "detail": "not running",
            "mend": "Start it, or read its log: manage.py run_event_ingest",
        }
    ]
    assert about("Switch link", found)[0]["level"] == "ok"


def test_a_lease_that_its_last_holder_gave_up_is_held_by_nobody(redis_empty):
    held = lease.acquire("a worker")
    assert not about("Dialer lease", findings()[1])
    lease.release(held)
    (row,) = about("Dialer lease", findings()[1])
    assert row["level"] == "fault" and "nothing is dialled" in row["detail"] and "dialer_queue" in row["mend"]


def test_a_lease_that_ran_out_is_held_by_nobody(redis_empty):
    lease.acquire("a worker that died", seconds=-1)
    assert about("Dialer lease", findings()[1])


def test_static_files_of_the_release_before_are_named(redis_empty, settings, tmp_path):
    settings.DEBUG, settings.STATIC_ROOT = False, tmp_path / "static"
    (row,) = about("static files", findings()[1])
    assert row["level"] == "fault" and "not collected" in row["detail"] and "collectstatic" in row["mend"]
    collect()
    assert about("static files", findings()[1]) == []
    changed, missing = tmp_path / "static" / "console" / "base.css", tmp_path / "static" / "console" / "board.css"
    was = changed.read_bytes()
    changed.write_bytes(was[::-1])  # of the same size, and younger than its source
    missing.unlink()
    (row,) = about("static files", findings()[1])
    assert row["level"] == "fault" and "2 not as this release" in row["detail"]
    assert "console/base.css, console/board.css" in row["detail"]
    collect(clear=True)
    assert about("static files", findings()[1]) == [] and changed.read_bytes() == was


def collect(**options):
    call_command("collectstatic", interactive=False, verbosity=0, **options)


def test_a_switch_that_nobody_answers_for_is_told_by_its_address(redis_empty, settings):
    settings.FREESWITCH_ESL_HOST, settings.FREESWITCH_ESL_PORT = "127.0.0.1", free_port()
    code, found = findings()
    (row,) = about("FreeSWITCH", found)
    assert code == 1
    assert row["level"] == "fault"
    assert str(settings.FREESWITCH_ESL_PORT) in row["detail"]


def test_a_wrong_password_is_told_without_telling_it(redis_empty, settings):
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.FREESWITCH_ESL_HOST, settings.FREESWITCH_ESL_PORT = "127.0.0.1", server.getsockname()[1]
        settings.FREESWITCH_ESL_PASSWORD = "wrong-one"
        import threading

        def refuse():
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"Content-Type: auth/request\n\n")
                assert b"auth wrong-one\n\n" in peer.recv(1000)
                peer.sendall(b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        _, found = findings()
        thread.join(10)
    (row,) = about("FreeSWITCH", found)
    assert "refuses the password" in row["detail"]
    assert "wrong-one" not in json.dumps(found)


def test_a_switch_that_plays_nothing_to_who_is_on_hold_is_named(redis_empty, settings, tmp_path):
    with Processes(tmp_path) as run:
        run.simulator("--register", "0")
        wait_until(lambda: "simulated FreeSWITCH on" in run.log("simulator"), "the simulator")
        settings.FREESWITCH_ESL_HOST, settings.FREESWITCH_ESL_PORT = "127.0.0.1", run.switch_port
        said = [row["level"] for row in about("FreeSWITCH", findings()[1])]
        assert said == ["ok"]
        with doctor.Switch("127.0.0.1", run.switch_port) as switch:
            switch.log_in(settings.FREESWITCH_ESL_PASSWORD)
            switch.api("global_setvar hold_music=")
        (_, row) = about("FreeSWITCH", findings()[1])
        assert "customers on hold hear nothing" in row["detail"] and "vars.xml" in row["mend"]


def test_a_campaign_that_cannot_dial_as_it_is_told_to_is_named(redis_empty):
    DialerCampaign.objects.create(name="Ahead", status=CampaignStatus.ACTIVE, mode=DialingMode.PREDICTIVE)
    _, found = findings()
    words = " ".join(row["detail"] for row in about("campaign", found))
    assert "Ahead dials ahead and has no message" in words
    assert "Ahead is active without agents" in words


def test_a_message_that_the_switch_would_not_find_is_named(redis_empty, settings, tmp_path):
    settings.MESSAGES_DIR = str(tmp_path)
    here, elsewhere = (Message(name=name, text="This was Example Ltd, ...") for name in ("Here", "Elsewhere"))
    here.file, elsewhere.file = f"{here.message_id}.wav", f"{elsewhere.message_id}_Y3pGUy2.wav"
    for message in (here, elsewhere):
        (tmp_path / message.file.name).write_bytes(b"RIFF")
        (tmp_path / f"{message.message_id}.wav").write_bytes(b"RIFF")
        message.save()
    (row,) = about("message", findings()[1])
    assert "Elsewhere" in row["detail"] and "once more" in row["mend"]


def test_unsafe_settings_are_told_one_by_one(redis_empty, settings):
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["*"]
    code, found = findings()
    assert code == 1
    assert any("ALLOWED_HOSTS" in row["detail"] and row["level"] == "fault" for row in about("settings", found))


def test_without_a_database_everything_else_is_still_looked_at(redis_empty, monkeypatch):
    from django.db import OperationalError

    def away():
        raise OperationalError("could not connect to server")
        yield

    away.__name__ = "_postgresql"
    monkeypatch.setattr(doctor, "CHECKS", (away, *doctor.CHECKS[2:3]))
    code, found = findings()
    assert code == 1
    assert about("postgresql", found)[0]["detail"] == "could not connect to server"
    assert about("Redis", found)[0]["level"] == "ok"


def test_strict_counts_warnings(redis_empty, monkeypatch):
    warning = doctor.Finding("metrics", "warning", "x", "y")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([warning]),))
    assert findings()[0] == 0
    assert findings(strict=True)[0] == 1

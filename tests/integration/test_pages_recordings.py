"""Recordings: who may hear them, in which parts they are sent, and that nothing but recordings is."""

import uuid

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone

from console import pages_recordings
from dialer.models import AuditEntry, CallLog
from tests.fakes.console import make_team, make_user
from tests.fakes.floor import make_agents
from tests.fakes.pages import made, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
SOUND = bytes(range(256)) * 1000


@pytest.fixture
def folder(tmp_path, settings):
    settings.RECORDINGS_DIR = str(tmp_path / "recordings")
    (tmp_path / "recordings").mkdir()
    return tmp_path / "recordings"


@pytest.fixture
def call(folder) -> CallLog:
    call = made(recording_stored=True, recording_url="/etc/passwd")
    (folder / f"{call.call_id}.wav").write_bytes(SOUND)
    return call


def address(call: CallLog) -> str:
    return f"/console/calls/{call.call_id}/recording.wav"


def heard(answer) -> bytes:
    async def whole() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(whole)()


def test_a_recording_is_played_from_the_page_and_kept_by_no_cache(browser, call):
    assert f'<audio id="recording" controls preload="metadata" src="{address(call)}"' in text_of(
        browser.get(f"/console/calls/{call.call_id}/")
    )
    answer = browser.get(address(call))
    assert (answer.status_code, heard(answer)) == (200, SOUND)
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "audio/wav" and answer.headers["Content-Length"] == str(len(SOUND))
    assert "media-src 'self'" in answer.headers["Content-Security-Policy"]
    assert AuditEntry.objects.filter(action="recording_played", actor="sup", target=str(call.call_id)).count() == 1
    head = browser.head(address(call))
    assert head.status_code == 200 and head.headers["Content-Length"] == str(len(SOUND))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, 255_999),
        ("bytes=0-99", 0, 99),
        ("bytes=65530-65545", 65_530, 65_545),
        ("bytes=255990-9999999", 255_990, 255_999),
        ("bytes=-10", 255_990, 255_999),
        ("bytes=-9999999", 0, 255_999),
    ],
)
def test_a_player_gets_the_part_it_asks_for(browser, call, asked, first, last):
    answer = browser.get(address(call), headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(SOUND)}"
    assert heard(answer) == SOUND[first : last + 1]
    assert answer.headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=256000-", 416), ("bytes=-0", 416), ("bytes=9-3", 200), ("bytes=-", 200), ("seconds=1-2", 200),
     ("bytes=0-1,5-6", 200), ("bytes=0-" + "9" * 30, 200)],
)  # fmt: skip
def test_a_part_that_is_none_is_refused_or_ignored(browser, call, asked, status):
    answer = browser.get(address(call), headers={"Range": asked})
    assert answer.status_code == status and answer.headers["Cache-Control"] == "no-store"


def test_recordings_are_for_those_who_may_hear_them(call):
    client = Client()
    assert client.get(address(call)).status_code == 302
    for user in (make_user("view", group="viewer"), make_user("nobody")):
        client.force_login(user)
        assert client.get(address(call)).status_code == 403
    theirs, others = make_agents(2)
    boss = make_user("boss")
    make_team("sales", [theirs], [boss])
    client.force_login(boss)
    for agent, status in ((theirs, 200), (others, 404)):
        CallLog.objects.filter(pk=call.pk).update(agent=agent)
        assert client.get(address(call)).status_code == status


def test_only_a_plain_file_of_the_folder_is_ever_sent(browser, folder, tmp_path):
    """Named by the call's own id; not by what the record says the path is, and not through a link."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"secret")
    linked, directory, absent = (made(to_number=f"+1212555000{n}") for n in range(3))
    (folder / f"{linked.call_id}.wav").symlink_to(secret)
    (folder / f"{directory.call_id}.wav").mkdir()
    CallLog.objects.filter(pk=absent.pk).update(recording_url=str(secret), recording_stored=True)
    stray = uuid.uuid4()
    (folder / f"{stray}.wav").write_bytes(SOUND)
    for key in (linked.call_id, directory.call_id, absent.call_id, stray):
        assert browser.get(f"/console/calls/{key}/recording.wav").status_code == 404
    for path in ("..%2f..%2fetc%2fpasswd", "../secret", f"{stray}.wav/.."):
        assert browser.get(f"/console/calls/{path}/recording.wav").status_code == 404


def test_a_missing_file_says_so(browser, folder):
    call = made(recording_stored=True, recording_url="/var/lib/x.wav")
    shown = text_of(browser.get(f"/console/calls/{call.call_id}/"))
    assert "its file is not here" in shown and "<audio" not in shown
    made_now = made(recording="on", status="answered", ended_at=None, at=timezone.now(), to_number="+12125551111")
    assert "It is being recorded" in text_of(browser.get(f"/console/calls/{made_now.call_id}/"))


def test_a_folder_that_cannot_be_looked_into_takes_no_page_away(browser, call, settings):
    settings.RECORDINGS_DIR = "/" + "x" * 300  # of no file system: as one that may not be entered, not merely missing
    page = browser.get(f"/console/calls/{call.call_id}/")
    assert page.status_code == 200 and "its file is not here" in text_of(page)


def test_an_open_file_is_closed_though_nobody_read_it(browser, call, monkeypatch):
    closed = []
    monkeypatch.setattr(
        pages_recordings.os, "close", lambda file, close=pages_recordings.os.close: closed.append(close(file))
    )
    browser.get(address(call)).close()
    assert len(closed) == 1

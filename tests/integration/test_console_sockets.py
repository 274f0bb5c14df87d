"""The JSON websockets through a real daphne: who gets in, what they see, how they resume, what limits hold."""

import http.client
import json
import re
import time

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from console import codes, protocol
from console.floor_state import FloorState
from console.models import ApiToken
from console.transport import HARD_MESSAGE_BYTES
from dialer.models import Agent, CallLog
from dialer.services import panels
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import (
    Socket,
    announce_call,
    make_user,
    publishing,
    same,
    session_cookie,
    set_status,
    wait_published,
)
from tests.fakes.console_web import closed_with, refused
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]


# --- who gets in ---


def test_without_anything_nobody_gets_in(door):
    for path in ("/ws/v1/floor/", "/ws/v1/agent/", "/ws/console/agent/", "/ws/nowhere/"):
        assert refused(lambda path=path: Socket(door.url(path))) == 403


def test_a_session_gets_in_from_our_own_pages_only(door, supervisor):
    with door.cookie(supervisor) as client:
        assert client.next().protocol == 1
    port = door.web.web_port
    for origin in (
        None,
        "null",
        "http://evil.test",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1",
        f"http://localhost:{port}",
    ):
        assert refused(lambda origin=origin: door.cookie(supervisor, origin=origin)) == 403


def test_a_token_needs_no_origin_and_dies_when_it_expires_or_is_revoked(door, supervisor):
    token, secret = ApiToken.issue(supervisor)
    assert secret not in ApiToken.objects.values_list("digest", flat=True)
    with door.bearer(secret) as client:
        assert client.next().protocol == 1
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert refused(lambda: door.bearer(secret + "x")) == 403
    assert refused(lambda: door.bearer("")) == 403
    ApiToken.objects.update(expires_at=timezone.now())
    assert refused(lambda: door.bearer(secret)) == 403
    ApiToken.objects.update(expires_at=None, revoked_at=timezone.now())
    assert refused(lambda: door.bearer(secret)) == 403


def test_a_wrong_authorization_is_not_saved_by_a_good_cookie(door, supervisor):
    headers = {"Authorization": "Bearer nonsense", "Cookie": session_cookie(supervisor)}
    assert refused(lambda: Socket(door.url(), additional_headers=headers, origin=door.own)) == 403


def test_agents_see_their_panel_but_not_the_floor_and_others_see_nothing(door):
    agent = make_agents(1)[0]
    ann, bob = make_user("ann", agent=agent), make_user("bob")
    assert refused(lambda: door.token(ann)) == 403
    assert refused(lambda: door.token(bob)) == 403
    assert refused(lambda: door.token(bob, "/ws/v1/agent/")) == 403
    with door.token(ann, "/ws/v1/agent/") as client:
        client.until(protocol.Hello)
    bob.is_active = False
    bob.save()


def test_whoever_signs_out_loses_the_socket_within_seconds(door, supervisor):
    with door.cookie(supervisor) as client:
        client.until(protocol.Hello)
        Session.objects.all().delete()
        assert closed_with(client) == codes.CLOSE_SIGNED_OUT


def test_another_password_closes_the_sockets_that_were_opened_with_the_old_one(door, supervisor):
    """Whoever has a copy of the cookie opens no page any more, and shall not listen on by a socket either."""
    with door.cookie(supervisor) as client, door.token(supervisor) as program:
        client.until(protocol.Hello)
        supervisor.set_password("another-1")
        supervisor.save()
        assert closed_with(client) == codes.CLOSE_SIGNED_OUT
        program.say(protocol.Ping())
        assert program.until(protocol.Pong).server_time > 0, "a token is no password"


def test_whoever_loses_the_right_loses_the_socket_within_seconds(door, supervisor):
    with door.token(supervisor) as client:
        client.until(protocol.Hello)
        supervisor.groups.clear()
        assert closed_with(client) == codes.CLOSE_FORBIDDEN


def test_a_revoked_token_closes_its_socket(door, supervisor):
    with door.token(supervisor) as client:
        client.until(protocol.Hello)
        ApiToken.objects.update(revoked_at=timezone.now())
        assert closed_with(client) == codes.CLOSE_SIGNED_OUT


def test_the_eleventh_socket_of_a_user_is_told_why_it_is_closed(door, supervisor):
    _, secret = ApiToken.issue(supervisor)
    clients = [door.bearer(secret) for _ in range(protocol.SOCKETS_PER_USER)]
    for client in clients:
        client.until(protocol.Hello)
    with door.bearer(secret) as late:
        assert late.until(protocol.Error).code == codes.RATE_LIMITED
        assert closed_with(late) == codes.CLOSE_TOO_MANY
    for client in clients:
        client.connection.close()


# --- what they see ---


def test_hello_then_a_snapshot_then_frames_that_add_up(door, supervisor):
    agents = make_agents(5)
    make_campaign(agents)
    with publishing(), door.token(supervisor) as client:
        assert isinstance(client.next(), protocol.Hello)
        client.until_current()
        for agent in agents:
            set_status(agent, "break")
        client.until_floor(lambda f: all(row.status == "break" for row in f.agents.values()))
        with door.token(supervisor) as late:
            late.say(protocol.Subscribe())
            late.until_current()
            client.until_floor(lambda f: f.seq >= late.floor.seq)
            late.until_floor(lambda f: f.seq >= client.floor.seq)
        assert same(client.floor, late.floor)
    seqs = [frame.seq for frame in client.frames]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def versions(floor: FloorState) -> int:
    return sum(row.version for row in floor.agents.values())


def test_resume_gives_every_missed_frame(door, supervisor):
    agents = make_agents(3)
    with publishing():
        with door.token(supervisor) as client:
            client.until_current()
            client.until(protocol.Frame)
            kept, epoch, seq = client.floor, client.floor.epoch, client.floor.seq
        for n in range(30):
            set_status(agents[n % 3], "break" if n % 2 else "available", "lunch" if n % 2 else "")
            wait_published(
                lambda f, n=n: sum(row.version for row in f.agents.values()) == n + 1, "each change in a frame"
            )
        with door.token(supervisor) as again:
            again.floor = kept
            again.say(protocol.Resume(epoch=epoch, seq=seq))
            again.until_floor(lambda f: versions(f) == 30)
            assert not [message for message in again.seen if isinstance(message, protocol.Snapshot)]
            seqs = [frame.seq for frame in again.frames]
            assert seqs == list(range(seq + 1, seq + 1 + len(seqs))) and len(seqs) >= 30
            with door.token(supervisor) as fresh:
                fresh.until_current()
                again.until_floor(lambda f: f.seq >= fresh.floor.seq)
                fresh.until_floor(lambda f: f.seq >= again.floor.seq)
            assert same(again.floor, fresh.floor)


def test_resume_across_an_epoch_is_a_fresh_snapshot(door, supervisor):
    make_agents(1)
    with publishing(), door.token(supervisor) as client:
        client.until_current()
        client.until(protocol.Frame)
        epoch, seq = client.floor.epoch, client.floor.seq
    with publishing(), door.token(supervisor) as again:
        again.say(protocol.Resume(epoch=epoch, seq=seq))
        snapshot = again.until_floor(lambda f: f.epoch not in ("", epoch))
        assert snapshot.epoch != epoch
        assert not [frame for frame in again.frames if frame.epoch == epoch and frame.seq > seq + 5]


def test_a_resume_that_comes_after_a_snapshot_that_came_by_itself_is_answered_with_another(door, supervisor):
    """Never with frames: they would follow the place before it, and perhaps those of another part."""
    agents = make_agents(2)
    campaign = str(make_campaign(agents).campaign_id)
    with publishing():
        with door.token(supervisor) as client:
            client.say(protocol.Subscribe(campaigns=(campaign,)))
            client.until_current()
            client.until(protocol.Frame)
            epoch, seq = client.floor.epoch, client.floor.seq
        with door.token(supervisor) as late:
            assert late.until(protocol.Snapshot).epoch != epoch  # of everything
            late.until(protocol.Frame)
            late.frames.clear()
            late.say(protocol.Resume(epoch=epoch, seq=seq, campaigns=(campaign,)))
            assert late.until(protocol.Snapshot).epoch == epoch
            assert not [frame for frame in late.frames if frame.epoch == epoch]
            before = late.floor.seq
            assert late.until(protocol.Frame).seq == before + 1


@pytest.mark.parametrize("seq", [0, 10**9])
def test_resume_from_a_place_that_is_not_at_hand_is_a_fresh_snapshot(door, supervisor, seq):
    with publishing():
        floor = wait_published(lambda f: f.seq >= 2, "frames")
        with door.token(supervisor) as client:
            client.until_current()
            client.say(protocol.Resume(epoch=floor.epoch if seq else "0.0", seq=seq))
            client.until(protocol.Snapshot)


def test_a_socket_that_stays_gets_the_next_epochs_snapshot_by_itself(door, supervisor):
    agents = make_agents(2)
    with door.token(supervisor) as client:
        with publishing():
            first = client.until_current()
            epoch = first.epoch
        with publishing():
            second = client.until_floor(lambda f: f.epoch not in ("", epoch))
            assert set(second.agents) == {agent.agent_id for agent in agents}
            set_status(agents[0], "break")
            client.until_floor(lambda f: f.agents[agents[0].agent_id].status == "break")


def test_a_flushed_redis_brings_every_socket_a_new_epoch(door, supervisor):
    make_agents(2)
    with publishing(lease_seconds=1.0), door.token(supervisor) as client:
        epoch = client.until_current().epoch
        client.until(protocol.Frame)
        streams.shared().flushdb()
        after = client.until_floor(lambda f: f.epoch not in ("", epoch))
        assert len(after.agents) == 2
        client.until(protocol.Frame)


def test_subscribe_narrows_to_campaigns_and_rows_that_leave_are_gone(door, supervisor):
    agents = make_agents(4)
    spring = make_campaign(agents[:2], name="Spring")
    make_campaign(agents[2:], name="Autumn", offset=100)
    with publishing(), door.token(supervisor) as client:
        client.until_current()
        client.say(protocol.Subscribe(campaigns=(str(spring.campaign_id),)))
        client.until(protocol.Snapshot)
        client.frames.clear()
        assert set(client.floor.agents) == {agent.agent_id for agent in agents[:2]}
        assert set(client.floor.campaigns) == {str(spring.campaign_id)}
        spring.assigned_agents.remove(agents[0])
        set_status(agents[0], "break")
        set_status(agents[3], "break")
        client.until_floor(lambda f: set(f.agents) == {agents[1].agent_id})
        seqs = [frame.seq for frame in client.frames]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_an_agents_socket_shows_that_agent_and_their_call_only(door):
    agents = make_agents(3)
    make_campaign(agents)
    ann = make_user("ann", agent=agents[0])
    mine, other = (
        CallLog.objects.create(
            to_number=f"+1212555010{n}", freeswitch_uuid=str(n), agent=agent, initiated_at=timezone.now()
        )
        for n, agent in enumerate(agents[:2])
    )
    with publishing(), door.token(ann, "/ws/v1/agent/") as client:
        floor = client.until_current()
        assert set(floor.agents) == {agents[0].agent_id}
        assert set(floor.calls) == {str(mine.call_id)}
        assert floor.kpis is None and floor.campaigns == {}
        set_status(agents[1], "break")
        for call in (mine, other):
            call.ended_at, call.status = timezone.now(), "completed"
            call.save()
            announce_call(call)
        set_status(agents[0], "break")
        client.until_floor(lambda f: f.agents[agents[0].agent_id].status == "break" and not f.calls)
        shown = {row.id for frame in client.frames for row in frame.agents}
        assert shown == {agents[0].agent_id}
        assert {key for frame in client.frames for key in frame.gone.calls} <= {str(mine.call_id)}
        assert all(frame.kpis is None for frame in client.frames)
        client.say(protocol.Subscribe())
        assert client.until(protocol.Error).code == codes.FORBIDDEN


def test_several_tabs_of_an_agent_are_one_presence_until_the_last_is_closed(door):
    [agent] = make_agents(1)
    ann = make_user("ann", agent=agent)

    def present() -> bool:
        return panels.present() == {agent.agent_id}

    with door.token(ann, "/ws/v1/agent/"):
        with door.token(ann, "/ws/v1/agent/"):
            wait_until(present, "the panel is there")
        assert len(streams.shared().zrange(streams.PANELS, 0, -1)) == 1
        time.sleep(1.5)  # longer than a closed panel takes to be noticed
        assert present()
    wait_until(lambda: panels.present() == set(), "the last panel is gone")


def test_a_panels_round_trip_is_on_the_board_and_a_supervisors_is_nobodys(door, supervisor):
    [agent] = make_agents(1)
    with publishing():
        with door.token(make_user("ann", agent=agent), "/ws/v1/agent/") as panel, door.token(supervisor) as board:
            board.say(protocol.Ping(round_trip_ms=999))
            board.until(protocol.Pong)
            panel.say(protocol.Ping(round_trip_ms=85))
            panel.until(protocol.Pong)
            board.until_floor(lambda f: f.agents and f.agents[agent.agent_id].round_trip_ms == 85)
            panel.until_floor(lambda f: f.agents and f.agents[agent.agent_id].round_trip_ms == 85)
        assert streams.shared().hkeys(streams.ROUND_TRIPS) == [agent.agent_id.encode()]


def test_the_snapshot_of_a_large_floor_is_sent_though_what_clients_send_is_limited(door, supervisor):
    Agent.objects.bulk_create(
        Agent(agent_id=f"agent_{n}", name="x" * 120, extension=str(10_000 + n)) for n in range(400)
    )
    with publishing(), door.token(supervisor) as client:
        floor = client.until_current()
        assert len(floor.agents) == 400
        assert len(protocol.text(floor.snapshot())) > HARD_MESSAGE_BYTES


# --- what the logs tell ---

NUMBER, SECRET = "+12125559876", "s3cret-of-a-client"


def hold_to_silence(log):
    assert SECRET not in log
    told = [line for line in log.splitlines() if NUMBER[2:] in re.sub(r"%..|\D", "", line)]
    assert not told, f"{len(told)} lines tell a number: {told[0][:300]}"


def test_the_access_lines_tell_who_asked_for_what_without_a_number_or_a_secret(door, supervisor):
    own = {"Cookie": session_cookie(supervisor)}
    pages = [
        *(f"/console/{page}?q={written}&page=2" for page in ("calls/", "search") for written in (
            NUMBER, "%2B12125559876", "12125559876", "%2B1%20(212)%20555-9876", "1-212-555-9876",
        )),
        f"/metrics?token={SECRET}", f"/login/?next=/console/%3Ftoken%3D{SECRET}", f"/console/?{SECRET}",
        f"/nowhere/%2B12125559876/password={SECRET}", "/nowhere/%252B12125559876",
    ]  # fmt: skip
    client = http.client.HTTPConnection("127.0.0.1", door.web.web_port, timeout=45)
    for page in pages:
        client.request("GET", page, headers=own)
        client.getresponse().read()
    with Socket(door.url(f"/ws/v1/floor/?token={SECRET}&q={NUMBER}"), additional_headers=own, origin=door.own) as open_:
        open_.until(protocol.Hello)
    for path in (f"/ws/v1/floor/?token={SECRET}", "/ws/v1/12125559876/", f"/ws/token={SECRET}/%2B12125559876/"):
        assert refused(lambda path=path: Socket(door.url(path))) == 403
    client.request("GET", "/the-last-one/")
    client.getresponse().read()
    wait_until(lambda: "/the-last-one/" in door.web.log("web"), "the last line")
    log = door.web.log("web")
    hold_to_silence(log)
    assert log.count('"GET /console/calls/?q=***&page=2" 200') == 5
    for line in ("WSCONNECT /ws/v1/floor/", "WSREJECT /ws/v1/12125***76/", "GET /nowhere/+1212***76/password=***"):
        assert f'"{line}"' in log


def test_the_floor_publishers_log_tells_what_it_could_not_read_without_a_number_or_a_secret(door, monkeypatch):
    [agent] = make_agents(1)
    Agent.objects.filter(pk=agent.pk).update(name=f"{NUMBER} token={SECRET}")
    redis = streams.shared()
    redis.hset(streams.LIVE_LEGS, NUMBER, json.dumps({"leg": NUMBER, "state": 5, "number": NUMBER}))
    redis.hset(streams.LIVE_LEGS, "other", f"no leg {NUMBER}")
    monkeypatch.setitem(door.web.environment, "LOG_LEVEL", "DEBUG")
    door.web.manage("floor", "run_floor_publisher")
    try:
        wait_published(lambda floor: agent.agent_id in floor.agents, "the floor")
        lame = {"id": NUMBER, "version": f"password={SECRET}", "name": NUMBER}
        said = [
            f"no change {NUMBER} token={SECRET}", json.dumps({"id": NUMBER}), json.dumps(NUMBER),
            *(json.dumps({"kind": kind, "id": NUMBER, "data": lame}) for kind in ("agent", "call", "leg", NUMBER)),
        ]  # fmt: skip
        for change in said:
            redis.xadd(streams.CHANGES, {streams.CHANGES_FIELD: change})
        redis.xadd(streams.CHANGES, {NUMBER: SECRET})
        set_status(agent, "break")
        wait_published(lambda floor: floor.agents[agent.agent_id].status == "break", "what came after it")
    finally:
        door.web.stop("floor")
    log = door.web.log("floor")
    hold_to_silence(log)
    assert log.count("a change could not be read") == len(said) + 1 and "not on the board: leg" in log

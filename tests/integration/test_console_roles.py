"""Roles over the real websocket: what each sees and may do, and how fast a right that is taken away is gone."""

import pytest
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from console import codes, protocol
from console.models import Right
from console.permissions import Permission, Reach, Role, actor
from dialer.models import Agent, AuditEntry, CallLog, Contact
from tests.conftest import wait_until
from tests.fakes.console import (
    Socket,
    announce_call,
    make_team,
    make_user,
    publishing,
    same,
    session_cookie,
    set_status,
)  # fmt: skip
from tests.fakes.console_web import closed_with, refused
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]


class Floor:
    """Four agents in two teams, three campaigns: one of the north alone, one of both, one of the south alone."""

    def __init__(self) -> None:
        self.agents = make_agents(4)
        self.tom = make_user("tom")
        self.north = make_team("north", self.agents[:2], [self.tom])
        self.south = make_team("south", self.agents[2:])
        self.own = make_campaign(self.agents[:2], name="Own")
        self.both = make_campaign(self.agents, name="Both", offset=100)
        self.other = make_campaign(self.agents[2:], name="Other", offset=200)
        self.calls = {
            name: CallLog.objects.create(
                to_number=f"+121255501{n:02}", freeswitch_uuid=f"leg{n}", agent=agent, campaign=campaign,
                initiated_at=timezone.now(),
            )
            for n, (name, agent, campaign) in enumerate(
                [
                    ("own agent", self.agents[0], self.both), ("own campaign", None, self.own),
                    ("shared, waiting", None, self.both), ("elsewhere", self.agents[3], self.other),
                ]
            )
        }  # fmt: skip

    def ids(self, *names: str) -> set[str]:
        return {str(self.calls[name].call_id) for name in names}


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_a_team_supervisor_is_who_is_named_and_supervises_what_only_their_teams_work_for(floor):
    tom = actor(floor.tom.pk)
    assert tom.roles == {Role.TEAM_SUPERVISOR} and tom.teams == {"north"}
    assert tom.campaigns == {str(floor.own.campaign_id)}
    floor.both.supervisors.add(floor.tom)
    assert actor(floor.tom.pk).campaigns == {str(floor.own.campaign_id), str(floor.both.campaign_id)}
    floor.own.assigned_agents.add(floor.agents[3])  # somebody of another team works for it now
    assert actor(floor.tom.pk).campaigns == {str(floor.both.campaign_id)}
    floor.north.supervisors.clear()
    floor.both.supervisors.clear()
    assert actor(floor.tom.pk).roles == frozenset()


def test_rights_are_read_in_few_queries_however_many_people(floor, django_assert_max_num_queries):
    people = [floor.tom, *(make_user(f"u{n}", supervisor=bool(n % 2)) for n in range(20))]
    from console import permissions

    with django_assert_max_num_queries(6):
        assert len(permissions.actors([user.pk for user in people])) == 21


def test_a_users_own_row_beats_their_groups_and_taking_beats_giving(floor):
    sup = make_user("sup", supervisor=True)
    group = sup.groups.get()
    Right.objects.create(group=group, permission="listen", given=False)
    assert not actor(sup.pk).may(Permission.LISTEN) and actor(sup.pk).may(Permission.BARGE)
    Right.objects.create(user=sup, permission="listen", given=True)
    assert actor(sup.pk).reach(Permission.LISTEN) is Reach.ALL
    other = make_user("other", supervisor=True, group="viewer")
    other.groups.add(group)
    Right.objects.create(group=other.groups.get(name="viewer"), permission="listen", given=True)
    assert not actor(other.pk).may(Permission.LISTEN)


def test_a_team_supervisor_sees_their_agents_campaigns_and_the_calls_of_either_with_figures_of_the_part(door, floor):
    floor.own.supervisors.add(floor.tom)
    with publishing(), door.token(floor.tom) as client, door.token(make_user("sup", supervisor=True)) as whole:
        whole.until_current()
        seen = client.until_current()
        assert set(seen.agents) == {agent.agent_id for agent in floor.agents[:2]}
        assert set(seen.campaigns) == {str(floor.own.campaign_id)}
        assert set(seen.calls) == floor.ids("own agent", "own campaign")
        assert (seen.kpis.agents.total, seen.kpis.calls.total) == (2, 2)
        assert (whole.floor.kpis.agents.total, whole.floor.kpis.calls.total) == (4, 4)
        # An agent who changes to another team leaves, and so does their call.
        client.frames.clear()
        Agent.objects.filter(pk=floor.agents[0].pk).update(team=floor.south)
        set_status(floor.agents[0], "break")
        announce_call(floor.calls["own agent"])
        client.until_floor(lambda f: len(f.agents) == 1 and len(f.calls) == 1 and f.kpis.agents.total == 1)
        seqs = [frame.seq for frame in client.frames]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert floor.agents[0].agent_id in {key for frame in client.frames for key in frame.gone.agents}
        shown = {row.id for frame in client.frames for row in frame.agents}
        assert shown <= {agent.agent_id for agent in floor.agents[:2]}
        with door.token(floor.tom) as late:
            late.until_current()
            client.until_floor(lambda f: f.seq >= late.floor.seq)
            late.until_floor(lambda f: f.seq >= client.floor.seq)
        assert same(client.floor, late.floor)


def test_a_subscription_is_never_wider_than_the_users_part_and_resume_keeps_it(door, floor):
    with publishing(), door.token(floor.tom) as client:
        client.until_current()
        every = tuple(str(one.campaign_id) for one in (floor.own, floor.both, floor.other))
        client.say(protocol.Subscribe(campaigns=every, teams=("north", "south")))
        client.until(protocol.Snapshot)
        assert set(client.floor.agents) == {agent.agent_id for agent in floor.agents[:2]}
        assert set(client.floor.calls) == floor.ids("own agent")
        assert set(client.floor.campaigns) == {str(floor.own.campaign_id)}
        client.say(protocol.Subscribe(campaigns=every[1:2], kinds=("agents",)))
        client.until(protocol.Snapshot)
        assert client.floor.kpis is None and not client.floor.calls and len(client.floor.agents) == 2
        place, kept = (client.floor.epoch, client.floor.seq), client.floor
        with door.token(floor.tom) as again:
            again.floor = kept
            again.say(protocol.Resume(epoch=place[0], seq=place[1], campaigns=every[1:2], kinds=("agents",)))
            set_status(floor.agents[0], "break")
            again.until_floor(lambda f: f.agents[floor.agents[0].agent_id].status == "break")
            assert not [message for message in again.seen if isinstance(message, protocol.Snapshot)]
            assert not again.floor.calls and not again.floor.campaigns


def test_a_place_in_one_part_is_not_resumed_in_another(door, floor):
    sup = make_user("sup", supervisor=True)
    with publishing():
        with door.token(sup) as client:
            client.until_current()
            epoch, seq, kept = client.floor.epoch, client.floor.seq, client.floor
        sup.groups.clear()
        floor.north.supervisors.add(sup)
        with door.token(sup) as again:
            again.floor = kept
            again.say(protocol.Resume(epoch=epoch, seq=seq))
            again.until(protocol.Snapshot)
            assert set(again.floor.agents) == {agent.agent_id for agent in floor.agents[:2]}


# --- rights that are taken away -----------------------------------------------------------------------------------


def test_a_right_that_is_taken_narrows_the_open_socket_by_itself(door, floor):
    sup = make_user("sup", supervisor=True)
    floor.north.supervisors.add(sup)
    with publishing(), door.token(sup) as client:
        assert len(client.until_current().agents) == 4
        sup.groups.clear()
        client.until_floor(lambda f: len(f.agents) == 2)
        assert isinstance(client.seen[-1], protocol.Snapshot)
        # From then on, nothing of the others.
        client.frames.clear()
        set_status(floor.agents[3], "break")
        set_status(floor.agents[0], "break")
        client.until_floor(lambda f: f.agents[floor.agents[0].agent_id].status == "break")
        assert {row.id for frame in client.frames for row in frame.agents} == {floor.agents[0].agent_id}
        floor.north.supervisors.clear()
        assert closed_with(client) == codes.CLOSE_FORBIDDEN


def test_a_subscription_outlives_a_narrowing(door, floor):
    sup = make_user("sup", supervisor=True)
    floor.both.supervisors.add(sup)
    with publishing(), door.token(sup) as client:
        client.until_current()
        client.say(protocol.Subscribe(kinds=("calls",), campaigns=(str(floor.both.campaign_id),)))
        client.until(protocol.Snapshot)
        assert set(client.floor.calls) == floor.ids("own agent", "shared, waiting")
        sup.groups.clear()
        client.until(protocol.Snapshot)
        assert set(client.floor.calls) == floor.ids("own agent", "shared, waiting") and not client.floor.agents


# --- commands -----------------------------------------------------------------------------------------------------


def said(client: Socket, intent: protocol.Intent) -> str:
    """The code of the error, or '' when it was put on the queue."""
    client.say(intent)
    while True:
        message = client.next()
        if isinstance(message, protocol.Ack) and message.id == intent.id:
            return ""
        if isinstance(message, protocol.Error) and message.id == intent.id:
            return message.code


def test_a_sample_of_the_table_over_the_websocket(door, floor):
    viewer, sup = make_user("vic", group="viewer"), make_user("sup", supervisor=True)
    Right.objects.create(user=sup, permission="listen", given=False)
    ids = iter(range(1000))

    def state(agent: Agent) -> protocol.Intent:
        return protocol.SetAgentState(id=str(next(ids)), agent_id=agent.agent_id, state="break")

    def call(name: str, action: str = "hangup") -> protocol.Intent:
        key = str(floor.calls[name].call_id)
        return protocol.CallControl(id=str(next(ids)), call_id=key, action=action, extension="1001")

    def campaign(one, action: str = "pause") -> protocol.Intent:
        return protocol.CampaignControl(id=str(next(ids)), campaign_id=str(one.campaign_id), action=action)

    def message(**to: tuple[str, ...]) -> protocol.Intent:
        return protocol.SendMessage(id=str(next(ids)), text="hello", **to)

    no = codes.FORBIDDEN
    with door.token(floor.tom) as tom:
        assert [said(tom, one) for one in (state(floor.agents[0]), state(floor.agents[3]))] == ["", no]
        names = ("own agent", "own campaign", "shared, waiting", "elsewhere")
        assert [said(tom, call(name)) for name in names] == ["", "", no, no]
        assert [said(tom, call(name, "listen")) for name in names] == ["", "", no, no]
        assert [said(tom, campaign(one)) for one in (floor.own, floor.both, floor.other)] == ["", no, no]
        mixed = (floor.agents[0].agent_id, floor.agents[3].agent_id)
        assert said(tom, message(teams=("north",))) == said(tom, message(agents=mixed[:1])) == ""
        assert said(tom, message(teams=("south",))) == said(tom, message(agents=mixed)) == no
        assert said(tom, state(Agent(agent_id="nobody"))) == no  # not even whether they exist
    with door.token(viewer) as vic:
        every = (state(floor.agents[0]), call("own agent"), campaign(floor.own), message(teams=("north",)))
        assert {said(vic, one) for one in every} == {no}
    with door.token(sup) as client:
        assert said(client, call("elsewhere", "listen")) == no and said(client, call("elsewhere", "barge")) == ""
        assert said(client, call("elsewhere", "whisper")) == said(client, campaign(floor.other, "stop")) == ""
        Right.objects.create(user=sup, permission="barge", given=False)
        assert said(client, call("elsewhere", "barge")) == no
    refusals = AuditEntry.objects.filter(result="refused")
    assert refusals.filter(actor="vic").count() == 4
    # Written as the answer is sent.
    row = wait_until(lambda: refusals.filter(actor="sup", action="call_control.barge").first(), "the refusal's entry")
    assert row.target == str(floor.calls["elsewhere"].call_id)
    assert row.page == "/ws/v1/floor/" and row.via.startswith("token vo_") and row.address == "127.0.0.1"


def test_what_is_sent_above_the_limits_is_one_row_however_much(door, floor):
    sup = make_user("sup", supervisor=True)
    with door.token(sup) as client:
        try:
            for _ in range(3 * protocol.MESSAGES_PER_MINUTE):
                client.say(protocol.Ping())
        except ConnectionClosed:
            pass
        assert closed_with(client) == codes.CLOSE_RATE
    [row] = wait_until(lambda: AuditEntry.objects.filter(action="rate_limited"), "the row")
    assert row.actor == "sup" and row.details["messages"] >= protocol.MESSAGES_PER_MINUTE


def test_the_agents_socket_is_closed_when_the_user_becomes_another_agent(door, floor):
    ann = make_user("ann", agent=floor.agents[0])
    with publishing(), door.token(ann, "/ws/v1/agent/") as client:
        client.until_current()
        Agent.objects.filter(pk=floor.agents[0].pk).update(user=None)
        Agent.objects.filter(pk=floor.agents[1].pk).update(user=ann)
        assert closed_with(client) == codes.CLOSE_FORBIDDEN
    assert refused(lambda: door.token(ann)) == 403


# --- pages --------------------------------------------------------------------------------------------------------


def test_a_team_supervisors_pages_hold_their_part_only(client, floor):
    client.force_login(floor.tom)
    for name, status in (("own agent", 200), ("own campaign", 200), ("shared, waiting", 404), ("elsewhere", 404)):
        assert client.get(f"/console/calls/{floor.calls[name].call_id}/").status_code == status, name
    for agent, status in ((floor.agents[0], 200), (floor.agents[3], 404)):
        assert client.get(f"/console/agents/{agent.agent_id}/").status_code == status
    for campaign, status in ((floor.own, 200), (floor.other, 404)):
        contact = Contact.objects.filter(target_list=campaign.target_list).first()
        assert client.get(f"/console/contacts/{contact.pk}/").status_code == status
        asked = {"campaign": str(campaign.campaign_id)}
        assert client.get("/console/decisions/", asked).status_code == status
    text = client.get("/console/calls/").content.decode()
    assert "Own" in text and "Other" not in text
    for whole in ("/console/why/", "/console/what-if/", "/console/audit/"):
        assert client.get(whole).status_code == 403
    assert client.get("/console/").status_code == 200


def test_the_board_is_told_which_rights_there_are(client, floor):
    for user, there, absent in (
        (floor.tom, "listen", "audit"),
        (make_user("vic", group="viewer"), "see_floor", "listen"),
        (make_user("sup", supervisor=True), "audit", "configure"),
    ):
        client.force_login(user)
        text = client.get("/console/").content.decode()
        assert f'"{there}"' in text and f'"{absent}"' not in text
    assert session_cookie(floor.tom)


def test_three_hundred_agents_and_calls_are_one_snapshot(door):
    """Above the limit for what clients send: once, none of it was ever sent."""
    agents = [
        Agent(agent_id=f"agent_{n}", name=f"Agent with a name of some length {n}", extension=str(2000 + n))
        for n in range(300)
    ]
    Agent.objects.bulk_create(agents)
    now = timezone.now()
    CallLog.objects.bulk_create(
        CallLog(to_number=f"+1212555{n:04}", freeswitch_uuid=f"leg{n}", agent=agents[n], initiated_at=now)
        for n in range(300)
    )
    sup = make_user("sup", supervisor=True)
    with publishing(), door.token(sup) as client:
        seen = client.until_current()
        assert (len(seen.agents), len(seen.calls)) == (300, 300)
        assert len(protocol.text(seen.snapshot())) > 4 * protocol.MESSAGE_BYTES
        set_status(agents[299], "break")
        client.until_floor(lambda f: f.agents["agent_299"].status == "break")


def test_the_admin_shows_what_a_user_may_do_now(client, floor):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    Right.objects.create(user=floor.tom, permission="listen", given=False)
    text = client.get(f"/admin/auth/user/{floor.tom.pk}/change/").content.decode()
    assert "team supervisor" in text and "<dd>north</dd>" in text and "<dd>Own</dd>" in text
    assert "For their part" in text and "barge into a call" in text.partition("For their part")[2]
    assert "listen to a call" not in text.partition("For their part")[2].partition("</dl>")[0]
    assert "team supervisor" in client.get("/admin/auth/user/").content.decode()
    assert "tom" in client.get("/admin/dialer/team/").content.decode()

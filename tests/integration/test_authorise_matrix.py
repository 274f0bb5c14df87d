"""The table of rights once more, through the authorisation that commands really pass: users, teams, campaigns and calls
of the database, every command of the protocol, every role, every target."""

import itertools
import typing
import uuid

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from console import codes, intents, permissions, targets
from console.auth import Identity
from console.models import Alert
from console.protocol import Intent
from console.roles import Role
from dialer.models import CallLog
from tests.fakes.console import make_team, make_user, signed_in
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.rights import COMMANDS, expected

pytestmark = pytest.mark.django_db(transaction=True)


ABOUT_AGENTS = {"set_agent_state", "preview_control", "manual_dial", "send_message", "read_message"}


class Floor:
    """Ann of no team, Bob of Tom's team, Cid of another. Tom supervises a team, and by name a campaign."""

    def __init__(self) -> None:
        self.ann, self.bob, self.cid = agents = make_agents(3)
        users: dict[Role, User] = {
            Role.VIEWER: make_user("vic", group="viewer"),
            Role.AGENT: make_user("ann", agent=self.ann),
            Role.TEAM_SUPERVISOR: make_user("tom"),
            Role.FLOOR_SUPERVISOR: make_user("sup", supervisor=True),
            Role.ADMINISTRATOR: make_user("root", is_superuser=True),
        }
        self.users = users
        self.sessions = {role: signed_in(user) for role, user in users.items()}
        make_team("north", [self.bob], [users[Role.TEAM_SUPERVISOR]])
        make_team("south", [self.cid])
        for agent in agents:
            agent.refresh_from_db()
        self.toms = make_campaign(agents, name="Tom's")
        self.toms.supervisors.add(users[Role.TEAM_SUPERVISOR])
        self.other = make_campaign(agents, name="Other", offset=100)
        # Where a target of test_roles is: (agent, campaign).
        self.places = {
            "own agent": (self.ann, self.other),
            "own team": (self.bob, self.other),
            "own campaign": (self.cid, self.toms),
            "elsewhere": (self.cid, self.other),
        }
        self.calls = {
            name: CallLog.objects.create(
                to_number=f"+1212555000{n}", freeswitch_uuid=str(uuid.UUID(int=n + 1)), agent=agent, campaign=campaign,
                status="completed", initiated_at=timezone.now(), ended_at=timezone.now(),
            )
            for n, (name, (agent, campaign)) in enumerate(self.places.items())
        }  # fmt: skip
        self.alerts = {
            name: Alert.objects.create(
                name="Long break", measure="agent_state", level="warning", subject_kind="agent",
                subject_id=agent.agent_id, team=agent.team.code if agent.team else "",
                campaign=str(campaign.campaign_id), text="on break for long", raised_at=timezone.now(),
            )
            for name, (agent, campaign) in self.places.items()
        }  # fmt: skip

    def aimed(self, intent: Intent, where: str) -> Intent:
        """The command at this target; at nothing that exists for any other."""
        agent, campaign = self.places.get(where, (None, None))
        call, alert = self.calls.get(where), self.alerts.get(where)
        values = {
            "call_id": str(call.call_id if call else uuid.uuid4()),
            "agent_id": agent.agent_id if agent else "nobody",
            "campaign_id": str(campaign.campaign_id if campaign else uuid.uuid4()),
            "agents": (agent.agent_id if agent else "nobody",),
            "alert_id": str(alert.pk if alert else 0),
        }
        known = {name: value for name, value in values.items() if name in intent.__struct_fields__}
        if "campaigns" in known:
            known["campaigns"] = ()
        return type(intent)(**{**{name: getattr(intent, name) for name in intent.__struct_fields__}, **known})


@pytest.fixture
def floor() -> Floor:
    return Floor()


def told(identity: Identity, intent: Intent) -> bool:
    """Whether the authorisation lets it through; what is wrong with the command itself comes only after that."""
    try:
        intents._authorise(identity, intent)  # without the thread that sockets need
    except intents.Refused as refused:
        return refused.code != codes.FORBIDDEN
    return True


def by_the_table(role: Role, name: str, intent: Intent, where: str) -> bool:
    """A command about an agent is of their team, whatever they work for; one about a campaign is of no agent."""
    kind = name.split()[0]
    if kind == "campaign_control" and where in ("own agent", "own team"):
        where = "elsewhere"
    if kind in ABOUT_AGENTS and where == "own campaign":
        where = "elsewhere"
    return expected(role, name, where)


def test_every_command_by_every_role_on_every_target_of_the_database_is_as_the_table_says(floor):
    wrong, tried = [], 0
    for (name, intent), where, role in itertools.product(COMMANDS, [*floor.places, "does not exist"], Role):
        answer = told(floor.sessions[role], floor.aimed(intent, where))
        if answer != by_the_table(role, name, intent, where):
            wrong.append((str(role), name, where, answer))
        tried += 1
    assert not wrong, wrong
    assert tried == len(COMMANDS) * 5 * len(Role)


def test_every_command_of_the_protocol_is_in_the_matrix_and_aimed_at_what_is_there(floor):
    assert {type(intent) for _, intent in COMMANDS} == set(typing.get_args(Intent))
    who = permissions.actor(floor.users[Role.VIEWER].pk)
    for name, intent in COMMANDS:
        aims = [tuple(targets.of(who, floor.aimed(intent, where))) for where in floor.places]
        assert all(aim and None not in aim for aim in aims), name
        assert len(set(aims)) >= 2, f"{name} is about the same, wherever it is aimed"


def test_somebody_who_was_switched_off_may_do_nothing_from_one_command_to_the_next(floor):
    boss = floor.sessions[Role.ADMINISTRATOR]
    assert all(told(boss, floor.aimed(intent, "elsewhere")) for name, intent in COMMANDS if name != "read_message")
    User.objects.filter(pk=boss.actor.user_id).update(is_active=False)
    assert not any(told(boss, floor.aimed(intent, "elsewhere")) for _, intent in COMMANDS)


def test_a_session_of_an_old_password_may_do_nothing_from_one_command_to_the_next(floor):
    boss = floor.sessions[Role.ADMINISTRATOR]
    User.objects.filter(pk=boss.actor.user_id).update(password="another")
    assert not any(told(boss, floor.aimed(intent, "elsewhere")) for _, intent in COMMANDS)
    again = signed_in(User.objects.get(pk=boss.actor.user_id))
    assert all(told(again, floor.aimed(intent, "elsewhere")) for name, intent in COMMANDS if name != "read_message")

"""A click becomes a command, a command a committed change: through daphne, Celery and the sequential worker."""

import time
import uuid
from typing import Any

import pytest
from django.utils import timezone

from console import codes, intents, protocol
from dialer import inbox
from dialer.models import Agent, AgentState, AppliedCommand, CallLog, DialerCampaign
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import make_user, publishing
from tests.fakes.floor import make_agents, make_campaign, reason_code

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]


def answer(client: Any, command: Any) -> Any:
    """Say it and give what came of it: the result, or the error."""
    client.say(command)
    while True:
        message = client.until((protocol.Ack, protocol.Result, protocol.Error))
        if message.id == command.id and not isinstance(message, protocol.Ack):
            return message


def test_a_supervisors_click_is_acked_then_applied_and_then_on_the_board(door, supervisor, worker):
    agent = make_agents(1)[0]
    reason_code("break", "lunch")
    with publishing(), door.token(supervisor) as client:
        client.until_current()
        client.say(protocol.SetAgentState(id="first", agent_id=agent.agent_id, state="break", reason="lunch"))
        ack = client.until(protocol.Ack)
        assert (ack.id, ack.command_id) == ("first", intents.command_id(supervisor.pk, "first"))
        result = client.until(protocol.Result, 40)
        assert (result.id, result.command_id, result.status) == ("first", ack.command_id, "applied")
        client.until_floor(lambda f: f.agents[agent.agent_id].status == "break")
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "lunch")


def test_a_refusal_is_an_answer_with_a_reason(door, supervisor, worker):
    campaign = DialerCampaign.objects.create(name="Without a contact list")
    with door.token(supervisor) as client:
        result = answer(client, protocol.CampaignControl(id="1", campaign_id=str(campaign.campaign_id), action="start"))
        assert (result.status, "contact list" in result.reason) == ("rejected", True)


def test_the_same_id_twice_has_one_effect_and_the_same_answer(door, supervisor, worker):
    agent = make_agents(1)[0]
    reason_code("break", "lunch")
    command = protocol.SetAgentState(id="twice", agent_id=agent.agent_id, state="break", reason="lunch")
    with door.token(supervisor) as one, door.token(supervisor) as other:
        first = answer(one, command)
        assert answer(one, command) == first
        assert answer(other, command) == first
    assert AppliedCommand.objects.count() == 1
    assert AgentState.objects.filter(agent=agent, state="break").count() == 1


def test_the_same_id_of_two_users_is_two_commands(door, supervisor, worker):
    agents = make_agents(2)
    ann = make_user("ann", agent=agents[0])
    with door.token(supervisor) as one, door.token(ann, "/ws/v1/agent/") as other:
        answer(one, protocol.SetAgentState(id="x", agent_id=agents[1].agent_id, state="break"))
        answer(other, protocol.SetAgentState(id="x", agent_id=agents[0].agent_id, state="break"))
    assert AppliedCommand.objects.count() == 2
    assert set(AppliedCommand.objects.values_list("actor", flat=True)) == {"sup", "ann"}


def test_an_agent_changes_only_their_own_state_and_controls_only_their_own_call(door):
    agents = make_agents(2)
    ann = make_user("ann", agent=agents[0])
    calls = [
        CallLog.objects.create(
            to_number=f"+1212555010{n}", freeswitch_uuid=str(uuid.uuid4()), agent=agent, initiated_at=timezone.now()
        )
        for n, agent in enumerate(agents)
    ]
    campaign = make_campaign(agents)
    forbidden = [
        protocol.SetAgentState(id="1", agent_id=agents[1].agent_id, state="offline"),
        protocol.SetAgentState(id="2", agent_id="nobody", state="offline"),
        protocol.CallControl(id="3", call_id=str(calls[1].call_id), action="hangup"),
        protocol.CallControl(id="4", call_id=str(uuid.uuid4()), action="hangup"),
        protocol.CallControl(id="5", call_id="no-uuid", action="hangup"),
        protocol.CallControl(id="6", call_id=str(calls[0].call_id), action="listen"),
        protocol.CampaignControl(id="7", campaign_id=str(campaign.campaign_id), action="pause"),
        protocol.PreviewControl(id="7a", agent_id=agents[1].agent_id, action="dial"),
        protocol.ManualDial(
            id="7b", agent_id=agents[1].agent_id, campaign_id=str(campaign.campaign_id), number="+12125550100"
        ),
        protocol.DisposeCall(id="11", call_id=str(calls[1].call_id), code="sale"),
        protocol.DisposeCall(id="12", call_id="no-uuid", code="sale"),
    ]
    with door.token(ann, "/ws/v1/agent/") as client:
        for command in forbidden:
            assert answer(client, command).code == codes.FORBIDDEN
        assert queued() == 0
        for command in (
            protocol.SetAgentState(id="8", agent_id=agents[0].agent_id, state="break"),
            protocol.CallControl(id="9", call_id=str(calls[0].call_id), action="hangup"),
            protocol.PreviewControl(id="10", agent_id=agents[0].agent_id, action="skip"),
            protocol.ManualDial(
                id="11", agent_id=agents[0].agent_id, campaign_id=str(campaign.campaign_id), number="+12125550100"
            ),
        ):
            client.say(command)
            assert client.until(protocol.Ack).id == command.id
        assert queued() == 4


def queued() -> int:
    return int(streams.shared().llen(inbox.QUEUE))


def test_rights_are_read_again_for_every_command(door, supervisor):
    agent = make_agents(1)[0]
    with door.token(supervisor) as client:
        client.say(protocol.SetAgentState(id="1", agent_id=agent.agent_id, state="break"))
        assert client.until(protocol.Ack).queue_position == 1
        supervisor.groups.clear()
        assert (
            answer(client, protocol.SetAgentState(id="2", agent_id=agent.agent_id, state="break")).code
            == codes.FORBIDDEN
        )
    assert queued() == 1


def test_a_stale_click_is_refused_and_not_enqueued(door, supervisor):
    agent = make_agents(1)[0]
    now = int(time.time() * 1000)
    with door.token(supervisor) as client:
        old = protocol.SetAgentState(id="1", agent_id=agent.agent_id, state="break", sent_at=now - 60_000)
        assert answer(client, old).code == codes.STALE_COMMAND
        assert queued() == 0


@pytest.mark.parametrize(
    "command",
    [
        protocol.SetAgentState(id="1", agent_id="nobody", state="break"),
        protocol.CallControl(id="1", call_id=str(uuid.UUID(int=5)), action="hangup"),
        protocol.CallControl(id="1", call_id="no-uuid", action="hangup"),
        protocol.CampaignControl(id="1", campaign_id="no-uuid", action="pause"),
        protocol.PreviewControl(id="1", agent_id="nobody", action="dial"),
        protocol.ManualDial(id="1", agent_id="nobody", campaign_id="no-uuid", number="1"),
    ],
)
def test_what_does_not_exist_is_not_found(door, supervisor, command):
    with door.token(supervisor) as client:
        assert answer(client, command).code == codes.NOT_FOUND
    assert queued() == 0


def test_a_state_change_without_a_state_is_refused(door, supervisor):
    agent = make_agents(1)[0]
    with door.token(supervisor) as client:
        assert answer(client, protocol.SetAgentState(id="1", agent_id=agent.agent_id)).code == codes.INVALID_MESSAGE


def test_listening_calls_the_supervisors_own_softphone_or_the_one_named(door, supervisor):
    call = CallLog.objects.create(to_number="+12125550101", freeswitch_uuid="x", initiated_at=timezone.now())
    with door.token(supervisor) as client:
        command = protocol.CallControl(id="1", call_id=str(call.call_id), action="listen")
        assert answer(client, command).code == codes.INVALID_MESSAGE
        Agent.objects.create(agent_id="sup", extension="1999", user=supervisor)
        client.say(protocol.CallControl(id="2", call_id=str(call.call_id), action="listen"))
        assert client.until(protocol.Ack).id == "2"


def test_a_result_that_was_never_published_is_looked_up(door, supervisor):
    agent = make_agents(1)[0]
    with door.token(supervisor) as client:
        client.say(protocol.SetAgentState(id="1", agent_id=agent.agent_id, state="break"))
        ack = client.until(protocol.Ack)
        AppliedCommand.objects.create(
            command_id=ack.command_id,
            kind="set_agent_state",
            status="rejected",
            reason="because",
            applied_at=timezone.now(),
        )
        result = client.until(protocol.Result)
        assert (result.status, result.reason) == ("rejected", "because")


def test_what_the_switch_said_is_looked_up_too_when_its_publication_was_lost(door, supervisor):
    call = CallLog.objects.create(to_number="+12125550101", freeswitch_uuid="x", initiated_at=timezone.now())
    with door.token(supervisor) as client:
        client.say(protocol.CallControl(id="1", call_id=str(call.call_id), action="hangup"))
        ack = client.until(protocol.Ack)
        row = AppliedCommand.objects.create(
            command_id=ack.command_id, kind="call_control", status="applied", confirmation="waiting",
            applied_at=timezone.now(),
        )  # fmt: skip
        assert client.until(protocol.Result).awaits
        row.confirmation, row.confirmation_reason = "failed", "no such leg"
        row.save()
        confirmed = client.until(protocol.Confirmed)
        assert (confirmed.id, confirmed.status, confirmed.reason) == ("1", "failed", "no such leg")


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_command_that_nobody_answers_says_so(door, supervisor):
    agent = make_agents(1)[0]
    with door.token(supervisor) as client:
        client.say(protocol.SetAgentState(id="1", agent_id=agent.agent_id, state="break"))
        client.until(protocol.Ack)
        assert client.until(protocol.Error, 40).code == codes.NO_ANSWER


def test_the_agents_page_gets_the_same_answers_as_lines_of_html(door, worker):
    agent = make_agents(1)[0]
    ann = make_user("ann", agent=agent)
    agent.name = "<b>Ann</b>"
    agent.save()
    with publishing(), door.cookie(ann, "/ws/console/agent/") as client:
        client.say(protocol.SetAgentState(id="abc", agent_id=agent.agent_id, state="break"))
        texts = []
        wait_until(lambda: texts.append(client.connection.recv(timeout=40)) or "applied" in texts[-1], "the result")
    lines = [text for text in texts if "cmd-abc" in text]
    assert "queued" in lines[0] and "applied" in lines[-1]
    assert "&lt;b&gt;Ann&lt;/b&gt;" in lines[0] and "<b>Ann" not in lines[0]
    assert any('id="me"' in text for text in texts)

"""A bundle of commands is so many commands: each allowed or not, counted and answered by itself."""

import time
import uuid
from typing import Any

import pytest

from console import codes, protocol
from dialer import inbox
from events import streams
from tests.fakes.console import make_user
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]


def answers(client: Any, ids: set[str]) -> dict[str, Any]:
    """The first answer to each of these commands: its ack, or its error."""
    found: dict[str, Any] = {}
    while set(found) != ids:
        message = client.until((protocol.Ack, protocol.Error), 60)
        assert message.id not in found
        found[message.id] = message
    return found


def states(agent_ids: list[str], **fields: Any) -> tuple[protocol.SetAgentState, ...]:
    return tuple(
        protocol.SetAgentState(id=f"{n}-{uuid.uuid4().hex[:8]}", agent_id=agent, state="busy", **fields)
        for n, agent in enumerate(agent_ids)
    )


def test_each_command_of_a_bundle_is_answered_by_itself(door, supervisor):
    agents = [agent.agent_id for agent in make_agents(3)]
    good = states([*agents, "ghost"])
    stale = states(agents[:1], sent_at=int(time.time() * 1000) - 60_000)
    with door.token(supervisor) as client:
        client.say(protocol.Bulk(commands=(*good, *stale)))
        found = answers(client, {command.id for command in (*good, *stale)})
    assert [type(found[command.id]) for command in good[:3]] == [protocol.Ack] * 3
    assert found[good[3].id].code == codes.NOT_FOUND
    assert found[stale[0].id].code == codes.STALE_COMMAND
    assert streams.shared().llen(inbox.QUEUE) == 3


def test_two_hundred_commands_fit_a_bundle_however_long_they_take_and_one_more_does_not(door, supervisor):
    agents = [agent.agent_id for agent in make_agents(2)]
    whole = states(agents * 100, sent_at=int(time.time() * 1000))
    with door.token(supervisor) as client:
        client.say(protocol.Bulk(commands=whole))
        found = answers(client, {command.id for command in whole})
        assert {type(answer) for answer in found.values()} == {protocol.Ack}, "the last one has not become stale"
        client.say(protocol.Bulk(commands=states(agents * 101)))
        assert client.until(protocol.Error).code == codes.INVALID_MESSAGE
    assert streams.shared().llen(inbox.QUEUE) == 200


def test_a_bundle_counts_as_one_message_and_its_commands_against_the_commands_of_a_minute(door, supervisor):
    # Unknown agents: refused after they were counted, and quicker than the bucket fills again.
    with door.token(supervisor) as client:
        limited, sent = [], 0
        # A slow machine fills the bucket while it works: it needs more bundles to empty it.
        while not limited and sent < 4_000:
            bundle = states(["ghost"] * 200)
            client.say(protocol.Bulk(commands=bundle))
            found = answers(client, {command.id for command in bundle})
            limited = [answer for answer in found.values() if answer.code == codes.RATE_LIMITED]
            sent += len(bundle)
        assert 0 < len(limited) <= sent - protocol.COMMANDS_PER_MINUTE
        assert {answer.message for answer in limited} == {"Too many commands; wait a moment."}
        client.say(protocol.Ping())
        assert client.until(protocol.Pong), "and the socket stays open"


def test_a_right_is_asked_for_each_command_of_a_bundle(door):
    agents = make_agents(2)
    campaign = make_campaign(agents)
    ann = make_user("ann", agent=agents[0])
    own, other = states([agents[0].agent_id]), states([agents[1].agent_id])
    more = (
        protocol.SendMessage(id="m", agents=(agents[0].agent_id,), text="Hello"),
        protocol.CampaignControl(id="l", campaign_id=str(campaign.campaign_id), action="set_limits", max_lines=1),
    )
    with door.token(ann, "/ws/v1/agent/") as client:
        client.say(protocol.Bulk(commands=(*own, *other, *more)))
        found = answers(client, {own[0].id, other[0].id, "m", "l"})
    assert isinstance(found[own[0].id], protocol.Ack)
    assert {found[key].code for key in (other[0].id, "m", "l")} == {codes.FORBIDDEN}
    assert streams.shared().llen(inbox.QUEUE) == 1


def test_what_lacks_a_part_is_refused_before_it_is_queued(door, supervisor):
    campaign = make_campaign(make_agents(1))
    key = str(campaign.campaign_id)
    with door.token(supervisor) as client:
        for command, words in (
            (protocol.CampaignControl(id="1", campaign_id=key, action="set_limits"), "Which limit?"),
            (protocol.SendMessage(id="2", text="Hello"), "To whom?"),
        ):
            client.say(command)
            error = client.until(protocol.Error)
            assert (error.id, error.code) == (command.id, codes.INVALID_MESSAGE) and words in error.message
        client.say_raw('{"type": "send_message", "id": "3", "agents": ["agent_101"], "text": "a\\u0000b"}')
        assert client.until(protocol.Error).code == codes.INVALID_MESSAGE
    assert streams.shared().llen(inbox.QUEUE) == 0

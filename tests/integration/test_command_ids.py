"""One command id, however often said, on however many sockets, whatever dies meanwhile: one effect, one answer."""

import socket
import typing
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from console import protocol
from console.models import Alert, AlertEvent, AlertThreshold, ApiToken
from dialer import inbox, tasks
from dialer.models import (
    Agent,
    AgentMessage,
    AgentState,
    AppliedCommand,
    CallLog,
    ContactReservation,
    DialerCampaign,
    Disposition,
    DispositionChange,
    Order,
    QueuedCommand,
)
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import Socket
from tests.fakes.console_web import Door, answers
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.stage import Stage

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]
DIALLED = "+12125550190"


@pytest.fixture
def stage() -> Stage:
    """One call going on; nothing is dialled but by hand."""
    stage = Stage()
    stage.talking()
    DialerCampaign.objects.update(mode="manual")
    return stage


class Asked:
    """A command of each kind that has an effect, and how often that has come about."""

    def __init__(self, stage: Stage, user: Any) -> None:
        call = CallLog.objects.get()
        self.agent = make_agents(1, first=501)[0]
        self.paused = make_campaign([], name="Autumn", offset=200, mode="manual")
        idle = next(agent for agent in stage.agents if agent != call.agent)
        Disposition.objects.create(code="sale", label="Sale", is_complete=True)
        rule = AlertThreshold.objects.create(name="Long wait", measure="agent_state", state="break", warning=10)
        alert = Alert.objects.create(
            threshold=rule, name=rule.name, measure=rule.measure, level="warning", subject_kind="agent",
            subject_id=self.agent.agent_id, text="on break for long", raised_at=timezone.now(),
        )  # fmt: skip
        offer = offered(stage)
        # Only their own are anybody's to read: who says all of this is an agent, too.
        [reader] = make_agents(1, first=503)
        Agent.objects.filter(pk=reader.pk).update(user=user)
        unread, _ = (
            AgentMessage.objects.create(agent=reader, sender="boss", text=text, at=timezone.now())
            for text in ("first", "second")
        )
        agent, campaign = self.agent.agent_id, str(stage.campaign.campaign_id)
        self.commands: list[tuple[protocol.Intent, Callable[[], int]]] = [
            (
                protocol.SetAgentState(id="state", agent_id=agent, state="break"),
                AgentState.objects.filter(agent=self.agent, state="break").count,
            ),
            (
                protocol.CampaignControl(id="pause", campaign_id=str(self.paused.campaign_id), action="pause"),
                lambda: DialerCampaign.objects.get(pk=self.paused.pk).version - self.paused.version,
            ),
            (
                protocol.DisposeCall(id="dispose", call_id=str(call.call_id), code="sale", notes="said once"),
                DispositionChange.objects.filter(call=call).count,
            ),
            (
                protocol.SendMessage(id="message", agents=(agent,), text="lunch is later"),
                AgentMessage.objects.filter(agent=self.agent).count,
            ),
            (
                protocol.ReadMessage(id="read", agent_id=reader.agent_id, message_id=str(unread.message_id)),
                AgentMessage.objects.exclude(read_at=None).count,
            ),
            (
                protocol.ManualDial(id="dial", agent_id=idle.agent_id, campaign_id=campaign, number=DIALLED),
                CallLog.objects.filter(to_number=DIALLED).count,
            ),
            (
                protocol.PreviewControl(id="preview", agent_id=offer.agent.agent_id, action="dial"),
                CallLog.objects.filter(campaign=offer.campaign).count,
            ),
            (
                protocol.AlertControl(id="alert", alert_id=str(alert.pk), action="acknowledge"),
                AlertEvent.objects.filter(alert=alert, kind="acknowledged").count,
            ),
            (
                protocol.CallControl(id="hangup", call_id=str(call.call_id), action="hangup"),
                Order.objects.filter(call=call, kind="hangup").count,
            ),
        ]


def offered(stage: Stage) -> ContactReservation:
    """A contact before an agent of another campaign, which has a second one for whoever would dial twice."""
    [looker] = make_agents(1, first=502)
    campaign = make_campaign([looker], contacts=2, name="Winter", offset=300, mode="preview", preview_seconds=900)
    tasks.handle_agent_state({"actor": "sup", "agent_id": looker.agent_id, "state": "available"})
    stage.softphone_answers(looker)
    # The worker beside us may have offered it already.
    tasks.execute_dial(str(campaign.campaign_id))
    return ContactReservation.objects.select_related("agent", "campaign").get(campaign=campaign, state="offered")


def say(sockets: list[Socket], commands: list[protocol.Intent], times: int) -> None:
    for _ in range(times):
        for command in commands:
            for one in sockets:
                one.say(command)


def results(sockets: list[Socket], count: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """So many answers of each socket: (the command's id, what was answered)."""
    for one in sockets:
        for _ in range(count):
            found = one.until((protocol.Result, protocol.Error), 60)
            assert isinstance(found, protocol.Result), found
            yield found.id, (found.command_id, found.status, found.reason, found.awaits)


def opened(stack: ExitStack, door: Door, secret: str) -> list[Socket]:
    sockets = [stack.enter_context(door.bearer(secret)) for _ in range(protocol.SOCKETS_PER_USER)]
    for one in sockets:
        one.until(protocol.Hello)
        # What the floor does is of no interest here: only answers, and little to read.
        one.say(protocol.Subscribe(kinds=("alerts",)))
    return sockets


@pytest.mark.slow
def test_an_id_said_a_hundred_times_on_ten_sockets_has_one_effect_and_one_answer(door, supervisor, worker, stage):
    """Half of it while the sequential worker is killed, the rest after the web process was."""
    asked, before = Asked(stage, supervisor), AppliedCommand.objects.count()
    commands = [command for command, _ in asked.commands]
    _, secret = ApiToken.issue(supervisor)
    answered: dict[str, list[tuple[Any, ...]]] = {command.id: [] for command in commands}
    with ExitStack() as stack:
        sockets = opened(stack, door, secret)
        say(sockets, commands, 5)
        wait_until(lambda: AppliedCommand.objects.count() >= before + 2, "the first effects")
        door.web.kill("dialer_queue")
        door.web.worker("dialer_queue")
        for id_, answer in results(sockets, 5 * len(commands)):
            answered[id_].append(answer)
    effects = {command.id: count() for command, count in asked.commands}
    assert effects == dict.fromkeys(answered, 1)
    door.web.kill("web")
    door.web.web()
    wait_until(lambda: answers(door.web.web_port), "daphne")
    with ExitStack() as stack:
        sockets = opened(stack, door, secret)
        # What has been undone by another command stays undone, whoever repeats the first one.
        undo = protocol.CampaignControl(id="undo", campaign_id=str(asked.paused.campaign_id), action="start")
        say(sockets[:1], [undo], 1)
        assert next(results(sockets[:1], 1))[1][1] == "applied"
        say(sockets, commands, 5)
        for id_, answer in results(sockets, 5 * len(commands)):
            answered[id_].append(answer)
    assert {id_: len(found) for id_, found in answered.items()} == dict.fromkeys(answered, 100)
    assert {id_: set(found) for id_, found in answered.items()} == {id_: {found[0]} for id_, found in answered.items()}
    assert {found[0][1] for found in answered.values()} == {"applied"}
    assert DialerCampaign.objects.get(pk=asked.paused.pk).status == "active"
    after = {command.id: count() for command, count in asked.commands}
    assert after == {**effects, "pause": 2}  # paused once, and started again
    applied = AppliedCommand.objects.filter(command_id__in=[found[0][0] for found in answered.values()])
    assert applied.count() == len(commands)


def test_no_command_of_the_protocol_is_missing_here(stage, supervisor):
    said = {type(command) for command, _ in Asked(stage, supervisor).commands}
    assert said == set(typing.get_args(protocol.Intent))


def test_a_socket_lost_between_ack_and_result_has_the_answer_again_by_the_same_id(door, supervisor):
    [agent] = make_agents(1)
    command = protocol.SetAgentState(id="lost", agent_id=agent.agent_id, state="break")
    with door.token(supervisor) as client:
        client.say(command)
        client.until(protocol.Ack)
        client.connection.socket.shutdown(socket.SHUT_RDWR)
    door.web.worker("dialer_queue")
    wait_until(AppliedCommand.objects.exists, "the effect")
    with door.token(supervisor) as again:
        again.say(command)
        assert again.until(protocol.Result, 60).status == "applied"
    door.web.kill("dialer_queue")
    assert AgentState.objects.filter(agent=agent, state="break").count() == 1


def test_a_command_that_is_written_down_and_crossed_out_beside_us_is_no_error():
    """Between our looking and our writing another socket's saying of it was accepted, and carried out."""
    command_id = uuid.uuid4()
    command = {"command_id": str(command_id), "actor": "sup", "agent_id": "x", "state": "break"}

    def beside() -> QueuedCommand:
        return QueuedCommand.objects.create(command_id=command_id, task="x", payload={}, queued_at=timezone.now())

    def meanwhile(execute: Any, sql: str, *rest: Any) -> Any:
        if not sql.startswith("INSERT"):
            return execute(sql, *rest)
        with ThreadPoolExecutor(1) as other:
            row = other.submit(beside).result()
            try:
                return execute(sql, *rest)
            finally:
                other.submit(row.delete).result()
                other.submit(connections.close_all).result()

    with connection.execute_wrapper(meanwhile):
        inbox.submit(inbox.AGENT_STATE, command)
    assert streams.shared().llen(inbox.QUEUE) == 1
    assert not QueuedCommand.objects.exists()

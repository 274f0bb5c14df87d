"""Every action on live calls through all processes of the product and a switch: the simulator's always, and a real
FreeSWITCH's when one is named (CONTRACT_SWITCH=host:port:password, see tests/data/esl/README.md)."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.files.base import ContentFile

from dialer import demo, orders
from dialer.limits import ORDER_SECONDS
from dialer.models import Agent, AppliedCommand, CallLog, Contact, DialerCampaign, Message, SideLeg
from events import nodes, streams
from tests.conftest import wait_until
from tests.contract.client import Client
from tests.fakes.floor import ask_all_to_work, make_working_floor
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]

_REAL = os.environ.get("CONTRACT_SWITCH", "")
SUPERVISOR, COLLEAGUE, BUSY = "1010", "1002", "1044"


class Desk:
    """One agent with patient customers, people who act, and the switch's own word on who is joined to whom."""

    def __init__(self, switch: Client) -> None:
        self.switch = switch
        self.seen: set[str] = set()

    def next_call(self) -> None:
        self.call = wait_until(
            lambda: CallLog.objects.filter(ended_at=None, bridged_at__isnull=False, agent__isnull=False).first(),
            "a call", 60,
        )  # fmt: skip
        self.customer, self.agent_leg = self.call.freeswitch_uuid, str(self.call.agent_leg.leg_uuid)
        self.seen.add(self.customer)
        self.joined(self.customer, self.agent_leg)

    def ask(self, action: str, **more: str) -> tuple[str, str]:
        """What the worker said, or what the switch said after it."""
        command_id = str(uuid.uuid4())
        command = {"command_id": command_id, "actor": "ann", "kind": "call_control", "action": action}
        command |= {"call_id": str(self.call.call_id), **more}
        current_app.send_task("dialer.tasks.handle_command", kwargs={"command": command})

        def answered() -> AppliedCommand | None:
            row = AppliedCommand.objects.filter(command_id=command_id).first()
            return row if row is not None and row.confirmation != "waiting" else None

        row = wait_until(answered, f"the switch's word on {action}", 60)
        self.call.refresh_from_db()
        self.seen |= {str(leg) for leg in self.call.side_legs.values_list("leg_uuid", flat=True)}
        return (row.confirmation, row.confirmation_reason) if row.confirmation else (row.status, row.reason)

    def does(self, action: str, **more: str) -> None:
        assert self.ask(action, **more) == ("confirmed", "")

    def side(self) -> str:
        return str(self.call.side_legs.order_by("-id")[0].leg_uuid)

    # The switch's truth.

    def bridged_to(self, leg: str) -> str:
        return self.switch.api(f"uuid_getvar {leg} bridge_to").strip()

    def joined(self, leg: str, peer: str) -> None:
        wait_until(lambda: (self.bridged_to(leg), self.bridged_to(peer)) == (peer, leg), f"{leg} joined to {peer}", 10)

    def alone(self, leg: str) -> None:
        wait_until(lambda: self.bridged_to(leg) in {"_undef_", ""}, f"{leg} is joined to nobody", 10)
        assert self.exists(leg)

    def exists(self, leg: str) -> bool:
        return self.switch.api(f"uuid_exists {leg}") == "true"

    def gone(self, *legs: str) -> None:
        for leg in legs:
            wait_until(lambda leg=leg: not self.exists(leg), f"{leg} has gone", 10)

    def agent(self) -> tuple[str, str]:
        return Agent.objects.values_list("status", "status_reason").get()


@pytest.fixture
def campaign() -> DialerCampaign:
    """One agent, and customers who are patient (see tests/data/esl/README.md); nobody works yet."""
    return make_working_floor([f"+1212559{n}" for n in range(1001, 1009)], 1)


@pytest.fixture(params=["simulator", *([pytest.param("freeswitch", marks=pytest.mark.freeswitch)] if _REAL else [])])
def desk(
    request: pytest.FixtureRequest, campaign: DialerCampaign, redis_empty: object, tmp_path: object
) -> Iterator[Desk]:
    real = request.param == "freeswitch"
    host, port, password = _REAL.split(":", 2) if real else ("127.0.0.1", "0", "ClueCon")
    folder = {"RECORDINGS_DIR": str(tmp_path), "MESSAGES_DIR": str(tmp_path)}
    named = {"FREESWITCH_ESL_HOST": host, "FREESWITCH_ESL_PORT": port, "FREESWITCH_ESL_PASSWORD": password}
    with Processes(tmp_path, **folder, **(named if real else {})) as run:
        if not real:
            run.simulator("--speed", "4")
        run.manage("bridge", "run_esl_bridge")
        run.manage("ingest", "run_event_ingest")
        run.worker("default", 1)
        run.worker("dialer_queue")
        ask_all_to_work(campaign)
        at = int(port) or run.switch_port
        wait_until(lambda: Agent.objects.filter(softphone="open").exists(), "the softphone is open", 60)
        with Client(host, at, password) as client:
            client.login()
            yield Desk(client)
            DialerCampaign.objects.update(status="paused")
            left = CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", flat=True)
            for leg in (*left, *map(str, Agent.objects.get().legs.values_list("leg_uuid", flat=True))):
                client.api(f"uuid_kill {leg}")


def test_every_action_does_what_it_says_on_the_switch(desk: Desk, redis_empty: object) -> None:
    desk.next_call()
    customer, agent_leg = desk.customer, desk.agent_leg

    # Hold and mute.
    for action in ("hold", "unhold", "mute", "unmute"):
        desk.does(action)
        assert (desk.call.held_at is not None, desk.call.muted) == (action == "hold", action == "mute")
    desk.joined(customer, agent_leg)

    # Park: the customer waits, the agent's leg stays.
    desk.does("park")
    desk.alone(customer)
    desk.alone(agent_leg)
    assert desk.agent()[0] == "on_call" and desk.call.parked_at
    desk.does("unpark")
    desk.joined(customer, agent_leg)

    # A supervisor listens, on one leg, in every mode.
    desk.does("listen", extension=SUPERVISOR)
    listener = desk.side()
    for mode in ("whisper", "barge", "listen"):
        desk.does(mode, extension=SUPERVISOR)
        assert SideLeg.objects.get(leg_uuid=listener).mode == mode
    assert desk.exists(listener)
    desk.does("stop_listening")
    desk.gone(listener)
    desk.joined(customer, agent_leg)

    # Consultations that come to nothing lead back to the customer.
    assert desk.ask("consult", extension=BUSY) == ("failed", "the extension is busy")
    desk.joined(customer, agent_leg)
    wait_until(lambda: not CallLog.objects.get(pk=desk.call.pk).operation, "back", 10)
    desk.does("consult", extension=COLLEAGUE)
    colleague = desk.side()
    desk.joined(agent_leg, colleague)
    desk.alone(customer)
    desk.does("consult_cancel")
    desk.joined(customer, agent_leg)
    desk.gone(colleague)
    desk.does("consult", extension=COLLEAGUE)
    colleague = desk.side()
    desk.joined(agent_leg, colleague)
    desk.switch.api(f"uuid_kill {colleague}")
    desk.joined(customer, agent_leg)
    wait_until(lambda: not CallLog.objects.get(pk=desk.call.pk).operation, "back", 10)

    # A supervisor who does not come changes nothing; one who comes takes the customer over.
    assert desk.ask("take_over", extension=BUSY) == ("failed", "the extension is busy")
    desk.joined(customer, agent_leg)
    assert desk.agent()[0] == "on_call"
    desk.does("take_over", extension=SUPERVISOR)
    supervisor = desk.side()
    desk.joined(customer, supervisor)
    desk.alone(agent_leg)
    assert desk.agent()[0] != "on_call" and desk.call.taken_over_by == "ann" and desk.call.ended_at is None
    desk.does("hangup")
    desk.gone(customer, supervisor)

    # A consultation is completed: the two are joined and the agent is free for the next.
    desk.next_call()
    desk.does("consult", extension=COLLEAGUE)
    colleague = desk.side()
    desk.does("consult_complete")
    desk.joined(desk.customer, colleague)
    assert desk.call.agent is None and desk.call.ended_at is None
    completed = desk.customer

    # Whoever listens already takes over on that very leg.
    desk.next_call()
    assert desk.agent_leg == agent_leg, "the agent's leg has outlived it all"
    desk.does("barge", extension=SUPERVISOR)
    listener = desk.side()
    desk.does("take_over", extension=SUPERVISOR)
    desk.joined(desk.customer, listener)
    desk.switch.api(f"uuid_kill {listener}")
    desk.gone(desk.customer)

    # A blind transfer frees the agent; the record stays open until the customer leaves.
    desk.next_call()
    desk.does("transfer", extension=COLLEAGUE)
    assert desk.call.agent is None and desk.call.ended_at is None
    wait_until(lambda: desk.bridged_to(desk.customer) not in {"_undef_", "", agent_leg}, "somebody else talks", 10)
    transferred = desk.call
    desk.switch.api(f"uuid_kill {desk.customer}")
    wait_until(lambda: CallLog.objects.get(pk=transferred.pk).ended_at, "the end is known", 10)
    desk.switch.api(f"uuid_kill {completed}")

    # A customer who leaves in the middle of a consultation takes everybody along but the agent.
    desk.next_call()
    desk.does("listen", extension=SUPERVISOR)
    desk.does("consult", extension=COLLEAGUE)
    desk.switch.api(f"uuid_kill {desk.customer}")
    wait_until(lambda: CallLog.objects.get(pk=desk.call.pk).ended_at, "the end is known", 10)
    desk.gone(*desk.seen)
    wait_until(lambda: not SideLeg.objects.filter(ended_at=None).exists(), "no side leg is open", 10)
    assert desk.exists(agent_leg)
    assert streams.shared().hexists(streams.LIVE_LEGS, agent_leg)


def test_a_customer_whose_joining_and_whose_parting_are_ordered_together_stays_joined(desk: Desk) -> None:
    """A bridge that was away finds both: the joining, and the end decided on because that had not come."""
    desk.next_call()
    desk.does("park")
    desk.alone(desk.customer)
    desk.alone(desk.agent_leg)
    stream = streams.orders_of(nodes.names()[0])
    until = time.time() + ORDER_SECONDS
    both = (
        orders.Bridge(order_id=str(uuid.uuid4()), expires_at=until, leg=desk.customer, peer=desk.agent_leg),
        orders.Hangup(order_id=str(uuid.uuid4()), expires_at=until, leg=desk.customer, unless_joined=True),
    )
    with streams.shared().pipeline() as pipe:
        for order in both:
            pipe.xadd(stream, {streams.ORDERS_FIELD: orders.encode(order)})
        read = pipe.execute()[-1]

    def settled() -> bool:
        group = streams.shared().xinfo_groups(stream)[0]
        return group["last-delivered-id"] >= read and not group["pending"]

    wait_until(settled, "both orders settled", 10)
    desk.joined(desk.customer, desk.agent_leg)
    assert desk.exists(desk.customer)


def test_a_customer_whom_somebody_at_the_switch_sends_away_holds_no_agent(desk: Desk) -> None:
    """As a softphone does by its own transfer, or a person at the switch's console: no order of ours is about it."""

    def freed() -> bool:
        call = CallLog.objects.get(pk=desk.call.pk)
        return call.agent is None and call.ended_at is None and desk.agent()[0] != "on_call"

    desk.next_call()
    desk.switch.api(f"uuid_transfer {desk.customer} {COLLEAGUE} XML default")
    desk.alone(desk.agent_leg)
    wait_until(freed, "the agent is free whose leg has parked", 10)
    desk.switch.api(f"uuid_kill {desk.customer}")

    desk.next_call()
    desk.switch.api(f"uuid_transfer {desk.customer} echo inline")
    wait_until(freed, "the agent is free although the customer is joined to nobody", 10)
    desk.switch.api(f"uuid_kill {desk.customer}")

    desk.next_call()
    desk.switch.api(f"uuid_setvar {desk.agent_leg} park_after_bridge false")
    desk.switch.api(f"uuid_transfer {desk.customer} {COLLEAGUE} XML default")
    desk.gone(desk.agent_leg)
    wait_until(freed, "the agent is free whose leg was hung up", 10)
    desk.switch.api(f"uuid_kill {desk.customer}")
    desk.next_call()


@pytest.fixture
def machines(campaign: DialerCampaign) -> None:
    """The same campaign with numbers at which machines answer, which are hung up."""
    DialerCampaign.objects.update(machine_action="hang_up")
    for n, contact in enumerate(Contact.objects.order_by("pk")):
        Contact.objects.filter(pk=contact.pk).update(number=f"+121255{n:05}")


@pytest.mark.usefixtures("machines")
def test_a_machine_that_the_switch_hears_is_hung_up_and_counts_as_one(desk: Desk) -> None:
    """Joined to the agent as any answer is, and heard while they are."""
    if desk.switch.api("module_exists mod_avmd") != "true":
        pytest.skip("this switch has no mod_avmd")
    desk.next_call()
    desk.gone(desk.customer)
    call = wait_until(lambda: CallLog.objects.filter(ended_at__isnull=False).first(), "the call's end", 30)
    assert (call.machine, call.outcome) == (True, "machine")
    assert desk.exists(desk.agent_leg), "its agent's leg stays"
    assert call.orders.filter(kind="detect_machine", status="done").exists()
    assert call.orders.filter(kind="hangup").exists(), "we hung up, the machine did not"


@pytest.fixture
def spoken(machines: None, tmp_path: Path, settings: Any) -> None:
    """To these machines a message of three seconds is left."""
    settings.MESSAGES_DIR = str(tmp_path)
    said = Message.objects.create(name="x", text="x", file=ContentFile(demo.message_sound(), "x.wav"))
    DialerCampaign.objects.update(machine_action="leave_message", machine_message=said)


@pytest.mark.usefixtures("spoken")
def test_a_machine_is_left_the_message_and_its_agent_takes_the_next_call_meanwhile(desk: Desk) -> None:
    if desk.switch.api("module_exists mod_avmd") != "true":
        pytest.skip("this switch has no mod_avmd")
    desk.next_call()
    machine, agent_leg = desk.customer, desk.agent_leg
    desk.alone(agent_leg)
    playing = desk.switch.api(f"uuid_getvar {machine} current_application")
    assert playing == "playback" and desk.exists(machine), "it hears the message to its end"
    desk.gone(machine)
    ended = CallLog.objects.filter(freeswitch_uuid=machine, ended_at__isnull=False)
    call = wait_until(ended.first, "its end", 30)
    assert (call.machine, call.outcome) == (True, "machine")
    assert desk.exists(agent_leg)

"""Answering machines: mod_avmd hears their beep, where it is loaded and its application was started on the leg.

The real switch of the captures had no mod_avmd; one that has it is held to these as well (the numbering plan says how
its machines beep).
"""

from collections.abc import Callable

import pytest

from tests.contract.client import Client
from tests.contract.conftest import Switch

HEARD_WITHIN = 6.0


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    client = connect()
    if client.api("module_exists mod_avmd").strip() != "true":
        pytest.skip("this switch has no mod_avmd")
    return client


def dialled(client: Client, number: str, variables: str = "") -> str:
    reply = client.job(f"originate {{ignore_early_media=true{variables}}}sofia/gateway/carrier/{number} &park()")
    return reply.split()[1]


def listens(client: Client, leg: str) -> None:
    assert client.api(f"uuid_broadcast {leg} avmd_start:: aleg") == "+OK Message sent\n"


def beeps(client: Client) -> list[str]:
    return [event.uuid for event in client.events if event.get("Event-Subclass") == "avmd::beep"]


def test_a_machines_beep_is_an_event_and_a_variable_of_the_end(client: Client, switch: Switch) -> None:
    machine, person = dialled(client, "01234"), dialled(client, "91234")
    for leg in (machine, person):
        listens(client, leg)
    beep = client.wait(lambda event: event.get("Event-Subclass") == "avmd::beep")
    assert (beep.uuid, beep["Beep-Status"]) == (machine, "DETECTED")
    client.quiet(0.3)
    # The module says it, and a leg that is parked once more: under the same number.
    said = [event["Event-Sequence"] for event in client.events if event.get("Event-Subclass") == "avmd::beep"]
    assert len(said) == 2 and len(set(said)) == 1
    client.api(f"uuid_kill {machine}")
    assert client.wait_for("CHANNEL_HANGUP_COMPLETE", machine)["variable_avmd_detect"] == "TRUE"
    client.api(f"uuid_kill {person}")
    assert client.wait_for("CHANNEL_HANGUP_COMPLETE", person).get("variable_avmd_detect") is None
    assert set(beeps(client)) == {machine}


def test_it_is_heard_while_the_machine_talks_to_an_agent(client: Client) -> None:
    agent = client.job("originate {park_after_bridge=true,hangup_after_bridge=false}user/1001 &park()").split()[1]
    machine = dialled(client, "01235", ",hangup_after_bridge=true")
    client.api(f"uuid_bridge {machine} {agent}")
    listens(client, machine)
    beep = client.wait(lambda event: event.get("Event-Subclass") == "avmd::beep")
    assert beep.uuid == machine
    assert client.api(f"uuid_getvar {machine} bridge_to").strip() == agent, "and they go on"


def test_on_a_leg_that_hears_music_it_begins_when_the_music_is_over(client: Client) -> None:
    agent = client.job("originate {park_after_bridge=true,hangup_after_bridge=false}user/1001 &park()").split()[1]
    machine = dialled(client, "01236", ",hangup_after_bridge=true")
    client.api(f"uuid_broadcast {machine} tone_stream://%(60000,0,440) aleg")
    client.wait_for("PLAYBACK_START", machine)
    listens(client, machine)
    client.quiet(0.3)
    assert [event["Application"] for event in client.leg(machine) if event.name == "CHANNEL_EXECUTE"][-1] == "playback"
    client.api(f"uuid_bridge {machine} {agent}")
    assert client.wait(lambda event: event.get("Event-Subclass") == "avmd::beep").uuid == machine


def test_started_by_its_command_it_says_so_and_hears_nothing(client: Client, switch: Switch) -> None:
    machine = dialled(client, "01237")
    assert client.api(f"avmd {machine} start") == f"+OK\n [{machine}] [{_name(client, machine)}] started!\n\n"
    assert client.api(f"avmd {machine} start").startswith("-ERR")
    client.quiet(HEARD_WITHIN / switch.speed)
    assert beeps(client) == []
    assert client.api(f"avmd {machine} stop").startswith("+OK")
    assert client.api(f"avmd {machine} stop").startswith("+ERR")


def _name(client: Client, leg: str) -> str:
    return client.api(f"uuid_getvar {leg} channel_name").strip()


def test_without_the_module_its_application_ends_the_leg(simulated: Callable[..., Switch]) -> None:
    """Seen on 1.10.12 with the module unloaded: why it is asked after first."""
    with simulated(machine_detection=False).connect() as client:
        assert client.login().api("avmd x start") == "-ERR avmd Command not found!\n"
        assert client.api("module_exists mod_avmd").strip() == "false"
        client.subscribe("json ALL")
        person = dialled(client, "91234")
        client.api(f"uuid_broadcast {person} avmd_start:: aleg")
        assert client.wait_for("CHANNEL_HANGUP", person)["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"

"""Answering machines: mod_avmd hears their beep where it is loaded, and is no command where it is not. Simulator only:
the real switch of the captures had no mod_avmd; command, variable and event are those of its source."""

from collections.abc import Callable

from tests.contract.client import Client
from tests.contract.conftest import Switch


def dialled(client: Client, number: str) -> str:
    reply = client.job(f"originate {{ignore_early_media=true}}sofia/gateway/carrier/{number} &park()")
    return reply.split()[1]


def test_a_machines_beep_is_an_event_and_a_variable_of_the_end(simulated: Callable[..., Switch]) -> None:
    with simulated(speed=8.0).connect() as client:
        client.login().subscribe("json CUSTOM avmd::beep")
        client.subscribe("json BACKGROUND_JOB CHANNEL_HANGUP_COMPLETE")
        machine, person = dialled(client, "01234"), dialled(client, "91234")
        for leg in (machine, person):
            assert client.api(f"avmd {leg} start").startswith("+OK")
        assert client.api(f"avmd {machine} start").startswith("-ERR")
        beep = client.wait(lambda event: event.get("Event-Subclass") == "avmd::beep")
        assert (beep.uuid, beep["Beep-Status"]) == (machine, "DETECTED")
        ended = client.wait_for("CHANNEL_HANGUP_COMPLETE", machine)
        assert ended["variable_avmd_detect"] == "TRUE"
        client.api(f"uuid_kill {person}")
        assert client.wait_for("CHANNEL_HANGUP_COMPLETE", person).get("variable_avmd_detect") is None


def test_without_the_module_there_is_no_such_command(simulated: Callable[..., Switch]) -> None:
    with simulated(machine_detection=False).connect() as client:
        assert client.login().api("avmd x start") == "-ERR avmd Command not found!\n"

"""The switches the contract is held against: always the simulator; a real FreeSWITCH if one is named.

CONTRACT_SWITCH=host:port:password adds the real one. It must follow the test numbering plan
(see tests/data/esl/README.md).
"""

from __future__ import annotations

import os
import uuid as uuids
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from esl_bridge.simulator import Config, SimulatorThread
from tests.contract.client import Client

SPEED = 4.0
"""How much faster than life the shared simulator rings and talks."""
SILENCE = "silence_stream://20"
_REAL = os.environ.get("CONTRACT_SWITCH", "")


@dataclass(frozen=True)
class Switch:
    """Where a switch listens, and whether it is the simulator."""

    host: str
    port: int
    password: str
    simulated: bool
    speed: float

    def connect(self) -> Client:
        """A connection that has not logged in."""
        return Client(self.host, self.port, self.password)


@pytest.fixture(
    scope="session",
    params=["simulator", *([pytest.param("freeswitch", marks=pytest.mark.freeswitch)] if _REAL else [])],
)
def switch(request: pytest.FixtureRequest) -> Iterator[Switch]:
    """Each switch under the contract, in turn."""
    if request.param == "freeswitch":
        host, port, password = _REAL.split(":", 2)
        yield Switch(host, int(port), password, simulated=False, speed=1.0)
        return
    with SimulatorThread(Config(port=0, speed=SPEED)) as simulator:
        yield Switch("127.0.0.1", simulator.port, "ClueCon", simulated=True, speed=SPEED)


@pytest.fixture
def connect(switch: Switch) -> Iterator[Callable[..., Client]]:
    """Open logged-in connections, subscribed to all events; they are closed after the test.

    Legs the test leaves behind are hung up.
    """
    with ExitStack() as stack:
        clients: list[Client] = []

        def open_client(events: str = "json ALL") -> Client:
            client = stack.enter_context(switch.connect()).login()
            if events:
                client.subscribe(events)
            clients.append(client)
            return client

        yield open_client
        legs = {event.uuid for client in clients for event in client.events if event.uuid}
        with switch.connect() as cleaner:
            cleaner.login()
            for leg in legs:
                cleaner.api(f"uuid_kill {leg}")


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    """One logged-in connection with all events as JSON."""
    return connect()


@pytest.fixture
def simulated() -> Iterator[Callable[..., Switch]]:
    """Start simulators of the test's own, with any Config; they end with the test."""
    with ExitStack() as stack:

        def start(**options: object) -> Switch:
            config = Config(port=0, **options)  # type: ignore[arg-type]
            simulator = stack.enter_context(SimulatorThread(config))
            return Switch("127.0.0.1", simulator.port, config.password, True, config.speed)

        yield start


class Calls:
    """What most tests do: place customers and agents."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def customer(self, number: str, variables: str = "", app: str = "&park()") -> tuple[str, str]:
        """Start an originate through the trunk; returns the leg's uuid and the job's."""
        return self._start(f"sofia/gateway/carrier/{number}", "ignore_early_media=true" + _more(variables), app)

    def agent(self, extension: str, variables: str = "", app: str = "&park()") -> tuple[str, str]:
        """Start an originate of an agent's telephone."""
        return self._start(f"user/{extension}", variables, app)

    def parked(self, *, variables: str = "", agent_variables: str = "") -> tuple[str, str]:
        """A patient customer and an agent, both answered and parked."""
        c, job_c = self.customer("91234", variables)
        a, job_a = self.agent("1001", agent_variables)
        return self.answered((c, job_c)), self.answered((a, job_a))

    def answered(self, started: tuple[str, str]) -> str:
        """The leg, once it has answered and parked."""
        uuid, job = started
        assert self.client.job_done(job) == f"+OK {uuid}\n"
        self.client.wait_for("CHANNEL_PARK", uuid)
        return uuid

    def bridged(self, *, variables: str = "", agent_variables: str = "") -> tuple[str, str]:
        """A customer talking to an agent."""
        c, a = self.parked(variables=variables, agent_variables=agent_variables)
        assert self.client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
        self.client.wait_for("CHANNEL_BRIDGE", c)
        self.client.wait(lambda e: e.name == "CALL_UPDATE" and e.uuid == a and e.get("Bridged-To") == c, "the bridge")
        self.client.wait(lambda e: e.name == "CALL_UPDATE" and e.uuid == c and e.get("Bridged-To") == a, "the bridge")
        return c, a

    def settled(self, *, variables: str = "", agent_variables: str = "") -> tuple[str, str]:
        """A customer and an agent who have talked long enough to be played to.

        In the first ten frames of a bridge nothing is played; silence played to both proves them over.
        """
        c, a = self.bridged(variables=variables, agent_variables=agent_variables)
        assert self.client.api(f"uuid_broadcast {c} {SILENCE} both") == "+OK Message sent\n"
        for leg in (c, a):
            self.client.wait_for("PRIVATE_COMMAND", leg)
        return c, a

    def _start(self, url: str, variables: str, app: str) -> tuple[str, str]:
        uuid = str(uuids.uuid4())
        given = f"{{origination_uuid={uuid},originate_timeout=20{_more(variables)}}}"
        return uuid, self.client.bgapi(f"originate {given}{url} {app}")


def _more(variables: str) -> str:
    return f",{variables}" if variables else ""


@pytest.fixture
def calls(client: Client) -> Calls:
    """Calls on the test's own connection."""
    return Calls(client)

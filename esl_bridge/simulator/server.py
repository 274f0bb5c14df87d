"""The listening event socket: its clients, the heartbeat, and the way of an event to who wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from esl_bridge.simulator import commands
from esl_bridge.simulator.config import Config
from esl_bridge.simulator.core import Switch
from esl_bridge.simulator.faults import Faults
from esl_bridge.simulator.listener import Client
from esl_bridge.simulator.protocol import Event, Value
from esl_bridge.simulator.shutdown import Shutdown


class Server:
    """One listening event socket and the switch behind it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clients: set[Client] = set()
        self._wanted: set[str] = set()
        self._everything = False
        self._listener: asyncio.Server | None = None
        self._heart: asyncio.TimerHandle | None = None
        self._telephones: asyncio.TimerHandle | None = None
        self.port = config.port
        self.frozen = 0
        """How many reasons there are not to send anything to anybody."""

    async def start(self) -> None:
        """Listen, and begin the heartbeat. `port` then holds the real port."""
        self.loop = asyncio.get_running_loop()
        self.switch = Switch(self.config, self.loop, self)
        self.faults = Faults(self)
        self.shutdown = Shutdown(self)
        self.stopped = asyncio.Event()
        await self.listen()
        self._beat(first=True)
        self._register(first=True)

    async def listen(self) -> None:
        """Accept clients (again)."""
        self._listener = await self.loop.create_server(
            lambda: Client(self),
            self.config.host,
            self.port,
            reuse_address=True,
            backlog=64,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def reopen(self) -> None:
        """Listen again after a restart."""
        self._opening = self.loop.create_task(self.listen())

    def deafen(self) -> None:
        """Refuse new connections."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def stop(self) -> None:
        """Close everything and the log."""
        self.deafen()
        for timer in (self._heart, self._telephones):
            if timer is not None:
                timer.cancel()
        for client in list(self.clients):
            client.abort()
        for leg in list(self.switch.legs.values()):
            leg.cancel_timers()
        self.switch.log.close()
        self.stopped.set()

    def _beat(self, *, first: bool = False) -> None:
        if not first and not self.switch.shutting_down:
            self.switch.heartbeat()
        self._heart = self.loop.call_later(self.config.heartbeat, self._beat)

    def _register(self, *, first: bool = False) -> None:
        if not first and not self.switch.shutting_down:
            self.switch.registrations.again()
        if self.config.register > 0:
            self._telephones = self.loop.call_later(self.config.register, self._register)

    # Listeners of the switch

    def wants(self, name: str) -> bool:
        """Whether any client subscribed to an event of this name."""
        return self._everything or name in self._wanted

    def publish(self, event: Event) -> None:
        """Queue an event for every client that wants it."""
        for client in list(self.clients):
            if client.wants(event):
                client.enqueue(event)

    def subscriptions_changed(self) -> None:
        """Recompute what anybody wants."""
        self._wanted = set().union(*(client.events for client in self.clients))
        self._everything = "ALL" in self._wanted

    def freeze(self) -> None:
        """Send nothing until thawed as often as frozen."""
        self.frozen += 1

    def thaw(self) -> None:
        """Take back one freeze."""
        self.frozen -= 1
        if self.frozen == 0:
            for client in list(self.clients):
                client.resume()

    # Commands

    def run_api(self, name: str, argument: str, done: Callable[[str], None]) -> None:
        """Run an api command. Its API event is created now and fired when it is done."""
        first: dict[str, Value] = {"API-Command": name}
        if argument:
            first["API-Command-Argument"] = argument
        event = self.switch.reserve("API", first)

        def answer(text: str) -> None:
            if event is not None:
                self.switch.fire(event)
            done(text)

        if name == "simulator":
            self.faults.run(argument, answer)
        elif name == "fsctl" and argument.split()[:1] in (["shutdown"], ["crash"]):
            self.shutdown.run(argument.split()[1:], answer)
        else:
            commands.run(self.switch, name, argument, answer)

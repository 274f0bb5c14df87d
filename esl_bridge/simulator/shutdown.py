"""`fsctl shutdown` in its flavours, and the restart after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esl_bridge.simulator import hangup
from esl_bridge.simulator.core import Switch
from esl_bridge.simulator.protocol import SHUTTING_DOWN, disconnect_notice
from esl_bridge.simulator.tables import MODULES

if TYPE_CHECKING:
    from esl_bridge.simulator.server import Server

Done = Callable[[str], None]
UNLOAD_SECONDS = 1.7
"""From the command to the end of file; 1.7 to 2.6 s were measured."""
POLL_SECONDS = 0.1


class Shutdown:
    """Ends the switch, and starts it again if told so."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._done: Done | None = None

    @property
    def _switch(self) -> Switch:
        return self._server.switch

    def run(self, words: list[str], done: Done) -> None:
        """Run `fsctl shutdown WORDS`. An unknown word shuts down at once, as on the real one."""
        restart = "restart" in words
        if "cancel" in words:
            self._switch.shutdown_pending = False
            done("+OK\n")
        elif "now" in words:
            self._vanish(restart)
        elif "elegant" in words or "asap" in words:
            self._switch.shutdown_pending = True
            if "asap" in words:
                self._switch.paused = True
            self._switch.emit("SHUTDOWN_REQUESTED", first={"Event-Info": "Shutdown Requested"})
            self._wait(restart, done)
        else:
            done("+OK\n")
            self._server.loop.call_soon(self._hang_up_everything, restart)

    def _wait(self, restart: bool, done: Done) -> None:
        """Elegance: wait until the last call has ended. The asking connection is blocked."""
        switch = self._switch
        if not switch.shutdown_pending:
            switch.paused = False
            done("+OK\n")
        elif switch.legs:
            self._server.loop.call_later(POLL_SECONDS, self._wait, restart, done)
        else:
            done("+OK\n")
            self._server.loop.call_soon(self._hang_up_everything, restart)

    def _hang_up_everything(self, restart: bool) -> None:
        switch = self._switch
        switch.shutting_down = True
        switch.emit("SHUTDOWN", first={"Event-Info": "System Shutting Down"})
        for leg in list(switch.legs.values()):
            hangup.hangup(switch, leg, "SYSTEM_SHUTDOWN")
        for number in range(210):
            module = MODULES[number % len(MODULES)]
            switch.emit("MODULE_UNLOAD", first={"type": "api", "name": f"{module}_{number}"})
        delay = UNLOAD_SECONDS / self._server.config.speed
        self._server.loop.call_later(delay, self._end, restart)

    def _end(self, restart: bool) -> None:
        server = self._server
        server.deafen()
        for client in list(server.clients):
            client.send(disconnect_notice(SHUTTING_DOWN))
            client.close()
        self._afterwards(restart)

    def _vanish(self, restart: bool) -> None:
        """`shutdown now`: a bare end of file, no reply, no notice, no events."""
        self._server.faults.drop_everything()
        self._afterwards(restart)

    def _afterwards(self, restart: bool) -> None:
        server = self._server
        if restart:
            delay = server.config.restart_after / server.config.speed
            server.loop.call_later(delay, self._boot)
        else:
            server.stopped.set()

    def _boot(self) -> None:
        self._server.switch.boot()
        self._server.reopen()

"""Hooks for fault tests, behind the api command `simulator`. The real switch has no such command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from esl_bridge.simulator.originate import far_end_hangs_up

if TYPE_CHECKING:
    from esl_bridge.simulator.server import Server

Done = Callable[[str], None]
USAGE = (
    "-USAGE: simulator legs|live|drop_links|cut <seconds>|freeze <seconds>|crash [<seconds>]|customer_hangup <uuid>|"
    "agent_hangup <extension>|unregister <extension>|register <extension>|reject_jobs on|off\n"
)


class Faults:
    """Breaks things on request, and tells the truth about the legs."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, argument: str, done: Done) -> None:
        """Run one hook."""
        switch = self._server.switch
        match argument.split():
            case ["legs"]:
                done(orjson.dumps(switch.log.as_list()).decode() + "\n")
            case ["live"]:
                done(orjson.dumps(switch.log.live()).decode() + "\n")
            case ["drop_links"]:
                done("+OK\n")
                self._server.loop.call_soon(self._drop_links)
            case ["cut", seconds]:
                self._server.loop.call_soon(self._cut, float(seconds))
            case ["freeze", seconds]:
                done("+OK\n")
                self._server.loop.call_soon(self._freeze, float(seconds))
            case ["crash"]:
                self._crash(0.0)
            case ["crash", seconds]:
                self._crash(float(seconds))
            case ["customer_hangup", uuid] if uuid in switch.legs:
                far_end_hangs_up(switch, switch.legs[uuid])
                done("+OK\n")
            case ["customer_hangup", _]:
                done("-ERR No such channel!\n")
            case ["agent_hangup", extension]:
                legs = [
                    leg for leg in switch.legs.values() if leg.is_agent and leg.number == extension and leg.answered
                ]
                for leg in legs:
                    far_end_hangs_up(switch, leg)
                done("+OK\n" if legs else "-ERR No such channel!\n")
            case ["unregister", extension]:
                done("+OK\n" if switch.registrations.unregister(extension) else "-ERR Not registered!\n")
            case ["register", extension]:
                switch.registrations.register(extension)
                done("+OK\n")
            case ["reject_jobs", ("on" | "off") as mode]:
                switch.reject_jobs = mode == "on"
                done("+OK\n")
            case _:
                done(USAGE)

    def _crash(self, seconds: float) -> None:
        """As kill -9: no answer, no notice, no events; a new process listens after some seconds."""
        self.drop_everything()
        self._server.switch.boot()
        if seconds > 0:
            self._server.deafen()
            self._server.loop.call_later(seconds, self._server.reopen)

    def drop_everything(self) -> None:
        """Every client sees a bare end of file, and every leg is gone without a word."""
        switch = self._server.switch
        for client in list(self._server.clients):
            client.abort()
        for leg in list(switch.legs.values()):
            leg.on_outcome = None
            leg.hangup_cause = "CRASH"
            switch.remove(leg)

    def _drop_links(self) -> None:
        for client in list(self._server.clients):
            client.abort(reset=True)

    def _cut(self, seconds: float) -> None:
        """The network between us and everybody is gone for a while; the calls go on."""
        self._drop_links()
        self._server.deafen()
        self._server.loop.call_later(seconds, self._server.reopen)

    def _freeze(self, seconds: float) -> None:
        self._server.freeze()
        self._server.loop.call_later(seconds, self._server.thaw)

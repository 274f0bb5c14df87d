"""The agents' telephones register with the switch, again and again; one may leave, be thrown out or lose its way."""

from __future__ import annotations

import uuid as uuids
from typing import TYPE_CHECKING

from esl_bridge.simulator.behaviour import registered
from esl_bridge.simulator.legs import SERVER
from esl_bridge.simulator.protocol import Block, Value

if TYPE_CHECKING:
    from esl_bridge.simulator.core import Switch

_AGENT = "FreeSWITCH-mod_sofia/1.10.12-release~64bit"
EXPIRES = 600


class Registrations:
    """Who is registered: SIP user -> Call-ID of the registration. Everybody of the numbering plan is, to begin with."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.plan = registered(switch.config)
        self.known = {user: str(uuids.uuid4()) for user in self.plan}
        self.off: set[str] = set()
        """Telephones that are switched off: they do not register again by themselves."""

    def missing(self, user: str) -> bool:
        """Whether this telephone of the plan has no registration now."""
        return user in self.plan and user not in self.known

    def again(self) -> None:
        """Every telephone that is on registers again, as it does before its registration expires."""
        for user in self.plan:
            if user not in self.off:
                self.register(user)

    def register(self, user: str) -> None:
        self.off.discard(user)
        call_id = self.known.setdefault(user, str(uuids.uuid4()))
        self._fire(
            "sofia::register",
            {
                "profile-name": "internal",
                "from-user": user,
                "from-host": self._switch.config.domain,
                "presence-hosts": "n/a",
                "contact": _contact(user),
                "call-id": call_id,
                "rpid": "unknown",
                "status": "Registered(UDP)",
                "expires": str(EXPIRES),
                "to-user": user,
                "to-host": self._switch.config.domain,
                "network-ip": SERVER,
                "network-port": "5090",
                "username": user,
                "realm": self._switch.config.domain,
                "user-agent": _AGENT,
            },
        )

    def unregister(self, user: str) -> bool:
        """The telephone says goodbye and stays away; False when it was not registered."""
        call_id = self.known.pop(user, None)
        if call_id is None:
            return False
        self.off.add(user)
        self._fire(
            "sofia::unregister",
            {
                "profile-name": "internal",
                "from-user": user,
                "from-host": self._switch.config.domain,
                "contact": _contact(user),
                "call-id": call_id,
                "rpid": "unknown",
                "expires": "0",
            },
        )
        return True

    def expire(self, user: str) -> bool:
        """The registration runs out or is flushed; a telephone that is on comes back with its next one."""
        call_id = self.known.pop(user, None)
        if call_id is None:
            return False
        # Other names than its sisters': so mod_sofia writes it.
        self._fire(
            "sofia::expire",
            {
                "profile-name": "internal",
                "call-id": call_id,
                "user": user,
                "host": self._switch.config.domain,
                "contact": _contact(user),
                "expires": str(EXPIRES),
                "user-agent": _AGENT,
            },
        )
        return True

    def _fire(self, subclass: str, headers: dict[str, Value]) -> None:
        event = self._switch.make("CUSTOM", last=headers, subclass=subclass, fired_at=subclass)
        event.blocks.insert(0, Block({"Event-Subclass": subclass}))
        self._switch.fire(event)


def _contact(user: str) -> str:
    return f'"" <sip:{user}@{SERVER}:5090;transport=udp;gw={user}>'

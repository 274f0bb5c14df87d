"""The floor in two languages: JSON for programs, HTML fragments for pages. Each text is made once per process."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from django.conf import settings

from console import protocol, render
from console.hub import Entry, Hub
from console.scopes import Scope
from console.transport import framed

_Rows = TypeVar("_Rows", protocol.Snapshot, protocol.Frame)


def _told(scope: Scope, message: _Rows) -> _Rows:
    """Who listens to an agent is not told to the agent where a setting says so."""
    if not scope.agent or settings.MONITORING_VISIBLE_TO_AGENTS:
        return message
    return msgspec.structs.replace(
        message,
        agents=tuple(msgspec.structs.replace(row, listeners=()) for row in message.agents),
        calls=tuple(msgspec.structs.replace(row, listeners=()) for row in message.calls),
    )


class Json:
    def snapshot(self, hub: Hub, scope: Scope) -> str:
        return hub.snapshot_text(("json", scope), lambda: protocol.text(_told(scope, scope.snapshot(hub.state))))

    def frame(self, hub: Hub, entry: Entry, scope: Scope) -> str:
        if scope.everything:
            return entry.text("json", entry.raw.decode)
        delta = entry.delta
        assert delta is not None
        if scope.agent:
            return protocol.text(_told(scope, scope.frame(delta, lambda: None)))
        return entry.text(("json", scope), lambda: protocol.text(scope.frame(delta, lambda: hub.figures(scope))))

    def packed(self, hub: Hub, entry: Entry, scope: Scope) -> bytes | None:
        """The frame as it goes over the wire, one for all who see the same part; None for a part of one alone."""
        if scope.agent:
            return None
        return framed(self.frame(hub, entry, scope).encode())

    def control(self, message: protocol.FromServer, about: str) -> str:
        return protocol.text(message)


class Panel:
    """An agent's own page."""

    def snapshot(self, hub: Hub, scope: Scope) -> str:
        return hub.snapshot_text(("panel", scope.agent), lambda: render.panel_snapshot(hub.state, scope.agent))

    def frame(self, hub: Hub, entry: Entry, scope: Scope) -> str:
        delta = entry.delta
        if delta is None:
            return self.snapshot(hub, scope)
        # Not kept: hardly anyone has two panels open.
        return render.panel_frame(hub.state, delta, scope.agent)

    def packed(self, hub: Hub, entry: Entry, scope: Scope) -> bytes | None:
        return None

    def control(self, message: protocol.FromServer, about: str) -> str:
        return render.command_line(message, about)

"""The floor in two languages: JSON for programs, HTML fragments for pages. Each text is made once per process."""

from __future__ import annotations

from console import protocol, render
from console.hub import Entry, Hub
from console.scopes import Scope


class Json:
    def snapshot(self, hub: Hub, scope: Scope) -> str:
        return hub.snapshot_text(("json", scope), lambda: protocol.text(scope.snapshot(hub.state)))

    def frame(self, hub: Hub, entry: Entry, scope: Scope) -> str:
        if scope.everything:
            return entry.text("json", entry.raw.decode)
        delta = entry.delta
        assert delta is not None
        if scope.agent:
            return protocol.text(scope.frame(delta))
        return entry.text(("json", scope), lambda: protocol.text(scope.frame(delta)))

    def control(self, message: protocol.FromServer, about: str) -> str:
        return protocol.text(message)


class Board:
    """The supervisor's page. It never resumes: a page that reconnects gets its parts whole."""

    def snapshot(self, hub: Hub, scope: Scope) -> str:
        return hub.snapshot_text("board", lambda: render.board_snapshot(hub.state))

    def frame(self, hub: Hub, entry: Entry, scope: Scope) -> str:
        delta = entry.delta
        if delta is None:
            return self.snapshot(hub, scope)
        return entry.text("board", lambda: render.board_frame(hub.state, delta))

    def control(self, message: protocol.FromServer, about: str) -> str:
        return render.command_line(message, about)


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

    def control(self, message: protocol.FromServer, about: str) -> str:
        return render.command_line(message, about)

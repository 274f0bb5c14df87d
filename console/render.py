"""HTML of the live parts: for the first page, for snapshots and for frames, from the same templates.

A fragment replaces the element with its id. New rows come with the place they belong to, so lists keep their order.
No database is asked here: everything is in the floor's state.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.template.loader import get_template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console import health, panel_words, protocol, words
from console.floor_state import Delta, FloorState, call_order, campaign_order
from console.kpis import WRAP_UP, agent_kind
from console.rows import AgentRow, CallRow, CampaignRow, Gone, Kpis
from console.scopes import Scope

# Without these the board shows the floor as it was: it must say so.
SWITCH_PATH = ("bridge", "ingest", "floor")


def partial(name: str, **context: Any) -> SafeString:
    return get_template(f"console/live/{name}.html").render(context)  # type: ignore[no-any-return]


def beat(epoch: str, seq: int, at: int, kpis: Kpis | None) -> SafeString:
    """What the page needs to know how old it is, and whether the way from the switch to here is whole."""
    behind = kpis.behind_ms if kpis else None
    broken = [
        f"{health.LABELS[key]}: {part.detail}"
        for key, part in (kpis.health if kpis else {}).items()
        if key in SWITCH_PATH and not part.ok
    ]
    return format_html(
        '<i id="beat" hidden data-epoch="{}" data-seq="{}" data-at="{}" data-behind="{}" data-broken="{}"></i>',
        epoch,
        seq,
        at,
        "" if behind is None else behind,
        "; ".join(broken),
    )


# --- the agent's panel ---


def panel_parts(state: FloorState, agent_id: str) -> dict[str, SafeString]:
    row = state.agents.get(agent_id)
    view = words.agent(row, state) if row else None
    shown = _call_of(state, row, agent_id)
    bad = [
        f"{health.LABELS[key]}: {part.detail}"
        for key, part in (state.kpis.health if state.kpis else {}).items()
        if not part.ok and key in health.LABELS
    ]
    return {
        "me": partial(
            "me",
            a=view,
            agent_id=agent_id,
            phone=panel_words.softphone(row, shown) if row else None,
            day=panel_words.day(row.today) if row else (),
        ),
        "mycall": _my_call(state, row, shown, view),
        "mystate": partial(
            "mystate",
            a=view,
            kind=agent_kind(row) if row else "",
            record=_record_of(row, shown),
            phone=panel_words.phone_trouble(row) if row else "",
        ),
        "mynote": partial("mynote", note=row.note if row else None, agent_id=agent_id),
        "mymanual": partial("mymanual", campaigns=_manual_campaigns(state, row)),
        "trouble": format_html('<i id="trouble" hidden data-text="{}"></i>', "; ".join(bad)),
        "beat": beat(state.epoch, state.seq, state.at, state.kpis),
    }


def _call_of(state: FloorState, row: AgentRow | None, agent_id: str) -> CallRow | None:
    """The agent's open call; the newest, should there be several for a moment."""
    if row is not None and row.call_id in state.calls:
        return state.calls[row.call_id]
    mine = [call for call in state.calls.values() if call.agent_id == agent_id]
    return max(mine, key=call_order) if mine else None


def _record_of(row: AgentRow | None, shown: CallRow | None) -> str:
    """The call whose customer the panel shows: the open one, then that of the wrap-up."""
    if shown is not None:
        return shown.id if shown.source == "call" else ""
    wraps_up = row is not None and agent_kind(row) == WRAP_UP
    return row.last_call.id if row is not None and wraps_up and row.last_call is not None else ""


def _my_call(
    state: FloorState, row: AgentRow | None, shown: CallRow | None, view: words.AgentView | None
) -> SafeString:
    if shown is None:
        return partial("mycall", c=None, a=view, comes=_comes(state, row), no_transfer=panel_words.no_transfer(None))
    call = words.call(shown, state)
    word, icon, tone = panel_words.call_state(shown)
    listeners = (shown.listeners or (row.listeners if row else ())) if settings.MONITORING_VISIBLE_TO_AGENTS else ()
    return partial(
        "mycall",
        c=call,
        a=view,
        word=word,
        icon=icon,
        tone=tone,
        held=shown.since if shown.state == "held" or shown.parked or shown.consulting else None,
        recording=panel_words.RECORDINGS[shown.recording],
        buttons=panel_words.buttons(shown, call.who),
        no_transfer=panel_words.no_transfer(shown),
        no_join=panel_words.not_yet_joined(shown),
        consulting=panel_words.consulting(shown),
        listening=panel_words.listening(listeners),
    )


def _comes(state: FloorState, row: AgentRow | None) -> bool:
    """Whether a campaign of the agent's may call for them: in manual mode none comes by itself."""
    modes = {state.campaigns[key].mode for key in (row.campaigns if row else ()) if key in state.campaigns}
    return modes != {"manual"}


def _manual_campaigns(state: FloorState, row: AgentRow | None) -> list[CampaignRow]:
    """The agent's campaigns in which they may dial by hand now."""
    mine = [state.campaigns[key] for key in (row.campaigns if row else ()) if key in state.campaigns]
    return sorted((campaign for campaign in mine if campaign.manual_dial), key=campaign_order)


def panel_snapshot(state: FloorState, agent_id: str) -> str:
    return "".join(panel_parts(state, agent_id).values())


def panel_frame(state: FloorState, delta: Delta, agent_id: str) -> str:
    frame = delta.frame
    mine = Scope(agent=agent_id).frame(delta, lambda: None)
    troubles = [health.troubles(kpis.health if kpis else {}) for kpis in (frame.kpis, delta.kpis)]
    health_changed = frame.kpis is not None and troubles[0] != troubles[1]
    row = state.agents.get(agent_id)
    manual_changed = row is not None and any(_manual_changed(delta, row, campaign) for campaign in frame.campaigns)
    if mine.agents or mine.calls or mine.gone != Gone() or health_changed or manual_changed:
        parts = panel_parts(state, agent_id)
        del parts["beat"]
        body = "".join(parts.values())
    else:
        body = ""
    return body + beat(frame.epoch, frame.seq, frame.at, frame.kpis or state.kpis)


def _manual_changed(delta: Delta, row: AgentRow, campaign: CampaignRow) -> bool:
    before = delta.campaigns.get(campaign.id)
    return campaign.id in row.campaigns and campaign.manual_dial != (before is not None and before.manual_dial)


# --- answers to commands ---


def _status(message: protocol.FromServer) -> str:
    """queued, then applied, rejected, failed or error; asked (applied, the switch has been asked) is followed by
    confirmed or failed."""
    match message:
        case protocol.Result(status="applied", awaits=True):
            return "asked"
        case protocol.Ack():
            return "queued"
        case protocol.Result(status=status) | protocol.Confirmed(status=status):
            return status
        case _:
            return "error"


def command_line(message: protocol.FromServer, about: str) -> str:
    """One line of the command log: queued, then what became of it."""
    match message:
        case protocol.Ack():
            ahead = max(0, message.queue_position - 1)
            text = "queued" if not ahead else f"queued, {ahead} ahead"
            key, tone, icon = message.id, "quiet", "wait"
        case protocol.Result(status="applied", awaits=True):
            key, tone, icon = message.id, "quiet", "wait"
            text = f"applied: {message.reason}" if message.reason else "applied, the switch has been asked"
        case protocol.Result(status="applied"):
            key, tone, icon, text = message.id, "available", "done", message.reason or "applied"
        case protocol.Result():
            word = "refused" if message.status == "rejected" else "failed"
            key, tone, icon = message.id, "trouble", "alert"
            text = f"{word}: {message.reason}" if message.reason else word
        case protocol.Confirmed(status="confirmed"):
            key, tone, icon, text = message.id, "available", "done", message.reason or "confirmed by the switch"
        case protocol.Confirmed():
            key, tone, icon = message.id, "trouble", "alert"
            text = f"the switch refused: {message.reason}" if message.reason else "the switch refused"
        case protocol.Pong():
            return format_html('<i id="pong" hidden data-at="{}"></i>', message.server_time)
        case protocol.Error():
            key, tone, icon, text = message.id or f"e{time.monotonic_ns()}", "trouble", "alert", message.message
        case _:
            return ""
    status = _status(message)
    settled = status not in ("queued", "asked")
    line = partial(
        "command",
        dom=words.dom_id("cmd", key),
        tone=tone,
        icon=icon,
        text=text,
        about=about,
        settled=settled,
        status=status,
        code=getattr(message, "code", ""),
        at=int(time.time() * 1000),
    )
    if getattr(message, "id", ""):
        return line  # the page has put a line with this id there when it sent the command
    return format_html('<div hx-swap-oob="beforeend:#commands">{}</div>', line)

"""HTML of the live parts: for the first page, for snapshots and for frames, from the same templates.

A fragment replaces the element with its id. New rows come with the place they belong to, so lists keep their order.
No database is asked here: everything is in the floor's state.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from django.template.loader import get_template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from console import health, protocol, words
from console.floor_state import Delta, FloorState, agent_order, call_order, campaign_order
from console.kpis import agent_kind
from console.rows import AgentRow, CallRow, CampaignRow, Gone, Kpis
from console.scopes import Scope

# Without these the board shows the floor as it was: it must say so.
SWITCH_PATH = ("bridge", "ingest")


def partial(name: str, **context: Any) -> SafeString:
    return get_template(f"console/live/{name}.html").render(context)  # type: ignore[no-any-return]


# --- rows ---


def agent_card(row: AgentRow, state: FloorState) -> SafeString:
    return partial("agent", a=words.agent(row, state))


def call_line(row: CallRow, state: FloorState) -> SafeString:
    return partial("call", c=words.call(row, state), limit=words.WAIT_LIMIT_MS)


def campaign_line(row: CampaignRow) -> SafeString:
    return partial("campaign", c=words.campaign(row))


def kpis_strip(kpis: Kpis) -> SafeString:
    return partial(
        "kpis",
        k=kpis,
        agents=words.agent_tiles(kpis),
        calls=words.call_tiles(kpis),
        answer=words.ratio(kpis.answer_rate),
        abandon=words.ratio(kpis.abandon_rate),
        limit=words.WAIT_LIMIT_MS,
    )


def health_strip(kpis: Kpis) -> SafeString:
    parts = [{"label": label, "key": key, "health": kpis.health.get(key)} for key, label in health.LABELS.items()]
    return partial("health", parts=parts, bad=[part for part in parts if part["health"] and not part["health"].ok])


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


# --- the supervisor's board ---


def board_parts(state: FloorState) -> dict[str, SafeString]:
    """Every live part of the board, whole."""
    whole = state.snapshot()
    return {
        "agents": _list("agents", "ul", (agent_card(row, state) for row in whole.agents), "No agents yet."),
        "calls": _list("calls", "ol", (call_line(row, state) for row in whole.calls), "No live calls."),
        "campaigns": _list("campaigns", "ul", (campaign_line(row) for row in whole.campaigns), "No campaigns yet."),
        "kpis": kpis_strip(state.kpis) if state.kpis else mark_safe('<section id="kpis" class="kpis"></section>'),
        "health": health_strip(state.kpis) if state.kpis else mark_safe('<footer id="health" class="health"></footer>'),
        "beat": beat(state.epoch, state.seq, state.at, state.kpis),
    }


def _list(name: str, tag: str, rows: Iterable[SafeString], empty: str) -> SafeString:
    return format_html(
        '<{0} id="{1}" class="{1}" data-empty="{2}">{3}</{0}>',
        mark_safe(tag),  # noqa: S308 - a constant of ours
        name,
        empty,
        format_html_join("", "{}", ((row,) for row in rows)),
    )


def board_snapshot(state: FloorState) -> str:
    return "".join(board_parts(state).values())


def board_frame(state: FloorState, delta: Delta) -> str:
    """Fragments for what the frame changed. `state`: as of this frame or later; names are looked up in it."""
    frame = delta.frame
    parts: list[str] = []
    changed_calls = [row for row in [*frame.calls, *delta.calls.values()] if row is not None]
    # An agent's card shows their customer, so it changes with the call.
    touched = {row.agent_id for row in changed_calls if row.agent_id} - set(frame.gone.agents)
    cards = {row.id: row for row in frame.agents}
    cards |= {key: state.agents[key] for key in touched if key in state.agents and key not in cards}
    for row in sorted(cards.values(), key=agent_order):
        new = row.id in delta.agents and delta.agents[row.id] is None
        parts.append(_place(agent_card(row, state), "agents", "agent", row.id, new, state.agents, agent_order))
    for call in frame.calls:
        new = delta.calls[call.id] is None
        parts.append(_place(call_line(call, state), "calls", "call", call.id, new, state.calls, call_order))
    for campaign in frame.campaigns:
        new = delta.campaigns[campaign.id] is None
        parts.append(
            _place(campaign_line(campaign), "campaigns", "campaign", campaign.id, new, state.campaigns, campaign_order)
        )
    gone = frame.gone
    for kind, keys in (("agent", gone.agents), ("call", gone.calls), ("campaign", gone.campaigns)):
        parts += [_removed(kind, key) for key in keys]
    if frame.kpis is not None:
        if _figures(frame.kpis) != _figures(delta.kpis):
            parts.append(kpis_strip(frame.kpis))
        if delta.kpis is None or frame.kpis.health != delta.kpis.health:
            parts.append(health_strip(frame.kpis))
    parts.append(beat(frame.epoch, frame.seq, frame.at, frame.kpis or state.kpis))
    return "".join(parts)


def _figures(kpis: Kpis | None) -> Any:
    return kpis and (kpis.agents, kpis.calls, kpis.waiting, kpis.today, kpis.answer_rate, kpis.abandon_rate)


def _place(
    html: SafeString, container: str, prefix: str, key: str, new: bool, rows: dict[str, Any], order: Any
) -> SafeString:
    """A changed row replaces itself; a new one goes to the end of its list, and the page sorts it in by
    `data-order`."""
    if not new:
        return html
    return format_html('<div hx-swap-oob="beforeend:#{}">{}</div>', container, html)


def _removed(kind: str, key: str) -> SafeString:
    return format_html('<i id="{}" hx-swap-oob="delete"></i>', words.dom_id(kind, key))


# --- the agent's panel ---


def panel_parts(state: FloorState, agent_id: str) -> dict[str, SafeString]:
    row = state.agents.get(agent_id)
    view = words.agent(row, state) if row else None
    calls = [words.call(call, state) for call in state.snapshot().calls if call.agent_id == agent_id]
    shown = calls[-1] if calls else None
    bad = [
        {"label": health.LABELS[key], "health": part}
        for key, part in (state.kpis.health if state.kpis else {}).items()
        if not part.ok and key in health.LABELS
    ]
    return {
        "me": partial("me", a=view, agent_id=agent_id),
        "mycall": partial("mycall", c=shown, a=view, comes=_comes(state, row), limit=words.WAIT_LIMIT_MS),
        "mystate": partial("mystate", a=view, kind=agent_kind(row) if row else ""),
        "mymanual": partial("mymanual", campaigns=_manual_campaigns(state, row)),
        "trouble": partial("trouble", bad=bad),
        "beat": beat(state.epoch, state.seq, state.at, state.kpis),
    }


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
    mine = Scope(agent=agent_id).frame(delta)
    health_changed = frame.kpis is not None and (delta.kpis is None or frame.kpis.health != delta.kpis.health)
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


def command_line(message: protocol.FromServer, about: str) -> str:
    """One line of the command log: queued, then what became of it."""
    match message:
        case protocol.Ack():
            ahead = max(0, message.queue_position - 1)
            text = "queued" if not ahead else f"queued, {ahead} ahead"
            key, tone, icon = message.id, "quiet", "wait"
        case protocol.Result(status="applied"):
            key, tone, icon, text = message.id, "available", "done", message.reason or "applied"
        case protocol.Result():
            word = "refused" if message.status == "rejected" else "failed"
            key, tone, icon = message.id, "trouble", "alert"
            text = f"{word}: {message.reason}" if message.reason else word
        case protocol.Error():
            key, tone, icon, text = message.id or f"e{time.monotonic_ns()}", "trouble", "alert", message.message
        case _:
            return ""
    settled = not isinstance(message, protocol.Ack)
    line = partial(
        "command",
        dom=words.dom_id("cmd", key),
        tone=tone,
        icon=icon,
        text=text,
        about=about,
        settled=settled,
        code=getattr(message, "code", ""),
        at=int(time.time() * 1000),
    )
    if getattr(message, "id", ""):
        return line  # the page has put a line with this id there when it sent the command
    return format_html('<div hx-swap-oob="beforeend:#commands">{}</div>', line)

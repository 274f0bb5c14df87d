"""Is every part alive, in words: what the board's health strip and /readyz both say. Pure, but for the clock
argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from console.rows import Health

# Beats come every 2 s; three missed are news.
SILENT_SECONDS = 7.0
# Beyond this the board is not "live" any more.
LAG_MS = 5_000
DEPTH = 20_000
# Nobody is dialled or joined meanwhile, and what people ask for waits.
DELAY_SECONDS = 10.0

# Heartbeat names in the order people read them, with what they are.
BEATS = {
    "bridge": "Switch link",
    "ingest": "Event ingest",
    "floor": "Floor publisher",
    "dialer": "Dialer worker",
    "default": "Default worker",
}
# Looked at by whoever asks, not told by a beat.
ORDERS = "orders"
PARTS = {**BEATS, ORDERS: "Orders"}
LABELS = {"database": "Database", "redis": "Redis", **PARTS}
_LINK_UP = {"up", "connected", "open", "live", "true"}


def read_beat(raw: bytes | str | None) -> dict[str, Any] | None:
    """A heartbeat's value; None when there is none or it cannot be read."""
    if not raw:
        return None
    try:
        beat = json.loads(raw)
    except ValueError:
        return None
    return beat if isinstance(beat, dict) else None


def assess(beats: Mapping[str, dict[str, Any] | None], now: float) -> dict[str, Health]:
    """What the heartbeats, and what waits in the stream of orders, say. `now`: seconds since 1970, of the same clock as
    the beats' `at`."""
    return {name: _one(name, beats.get(name), now) for name in PARTS}


def behind_ms(beats: Mapping[str, dict[str, Any] | None]) -> int | None:
    """The ingest's last known distance to the switch, in steps of 100 ms so that it does not change for nothing."""
    lag = _number((beats.get("ingest") or {}).get("lag_ms"))
    return None if lag is None else max(0, round(lag / 100) * 100)


def troubles(parts: Mapping[str, Health]) -> dict[str, str]:
    """What is said of those that are not well: beats and queues change every second, and are no news to an agent."""
    return {key: part.detail for key, part in parts.items() if not part.ok}


def _one(name: str, beat: dict[str, Any] | None, now: float) -> Health:
    if beat is None:
        return Health(ok=False, detail="not running")
    heard = _number(beat.get("at")) or 0.0
    ok, detail = _said(name, beat, now - heard)
    waiting, delay = _number(beat.get(_WAITING.get(name, ""))), _number(beat.get(_DELAY.get(name, "")))
    return Health(
        ok=ok,
        detail=detail,
        at=int(heard * 1000),
        backlog=None if waiting is None else int(waiting),
        delay_ms=None if delay is None else max(0, int(delay)),
    )


# What a beat calls the number of things that wait, and the time in ms that they have waited.
_WAITING = {"ingest": "depth", "dialer": "queue", "default": "queue", ORDERS: "queue"}
_DELAY = {"ingest": "lag_ms", "dialer": "delay_ms", "default": "delay_ms", ORDERS: "delay_ms"}


def _said(name: str, beat: dict[str, Any], age: float) -> tuple[bool, str]:
    """(well, in words)"""
    if age > SILENT_SECONDS:
        return False, f"silent for {age:.0f} s" if age < 3600 else "silent for hours"
    waiting, delay = _number(beat.get("queue")) or 0, (_number(beat.get("delay_ms")) or 0) / 1000
    match name:
        case "bridge":
            link = beat.get("link")
            if str(link).lower() not in _LINK_UP:
                reason = str(beat.get("reason") or "")[:120]
                return False, f"link {link or 'unknown'}" + (f": {reason}" if reason else "")
            if beat.get("compared") is False:
                return False, "connected, comparing with the switch"
            if dead := beat.get("parts_dead"):
                return False, f"connected, but without its {', '.join(map(str, dead))}"[:120]
            return True, "connected"
        case "ingest":
            lag, depth = _number(beat.get("lag_ms")), _number(beat.get("depth")) or 0
            if lag is not None and lag > LAG_MS:
                return False, f"{lag / 1000:.0f} s behind the switch"
            if depth > DEPTH:
                return False, f"{depth:.0f} events waiting"
            return True, "keeping up"
        case "floor":
            lag = _number(beat.get("lag_ms")) or 0
            if lag > LAG_MS:
                return False, f"{lag / 1000:.0f} s behind"
            return True, "running"
        case "orders":
            if delay * 1000 > LAG_MS:
                return False, f"{waiting:.0f} waiting, for {delay:.0f} s"
            return True, "taken at once"
        case "dialer" | "default":
            if waiting >= 10 or delay >= 1:
                return name != "dialer" or delay <= DELAY_SECONDS, f"{waiting:.0f} tasks waiting, for {delay:.0f} s"
            return True, "running"
        case _:
            return True, "running"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

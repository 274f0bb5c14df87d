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

# Heartbeat names in the order people read them, with what they are.
BEATS = {
    "bridge": "Switch link",
    "ingest": "Event ingest",
    "floor": "Floor publisher",
    "dialer": "Dialer worker",
    "default": "Default worker",
}
LABELS = {"database": "Database", "redis": "Redis", **BEATS}
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
    """What the heartbeats say. `now`: seconds since 1970, of the same clock as the beats' `at`."""
    return {name: _one(name, beats.get(name), now) for name in BEATS}


def behind_ms(beats: Mapping[str, dict[str, Any] | None]) -> int | None:
    """The ingest's last known distance to the switch, in steps of 100 ms so that it does not change for nothing."""
    lag = _number((beats.get("ingest") or {}).get("lag_ms"))
    return None if lag is None else max(0, round(lag / 100) * 100)


def _one(name: str, beat: dict[str, Any] | None, now: float) -> Health:
    if beat is None:
        return Health(ok=False, detail="not running")
    age = now - (_number(beat.get("at")) or 0.0)
    if age > SILENT_SECONDS:
        return Health(ok=False, detail=f"silent for {age:.0f} s" if age < 3600 else "silent for hours")
    match name:
        case "bridge":
            link = beat.get("link")
            if str(link).lower() not in _LINK_UP:
                reason = str(beat.get("reason") or "")[:120]
                return Health(ok=False, detail=f"link {link or 'unknown'}" + (f": {reason}" if reason else ""))
            return Health(ok=True, detail="connected")
        case "ingest":
            lag, depth = _number(beat.get("lag_ms")), _number(beat.get("depth")) or 0
            if lag is not None and lag > LAG_MS:
                return Health(ok=False, detail=f"{lag / 1000:.0f} s behind the switch")
            if depth > DEPTH:
                return Health(ok=False, detail=f"{depth:.0f} events waiting")
            return Health(ok=True, detail="keeping up")
        case "dialer" | "default":
            waiting = _number(beat.get("queue")) or 0
            return Health(ok=True, detail=f"{waiting:.0f} tasks waiting" if waiting >= 10 else "running")
        case _:
            return Health(ok=True, detail="running")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

"""The captured events of a real FreeSWITCH (tests/data/esl), as the bridge would journal them."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from esl_bridge.framing import FrameSplitter
from esl_bridge.normalise import event_of

DATA = Path(__file__).resolve().parents[1] / "data" / "esl"
NAMES = sorted(path.name.removesuffix(".esl.gz") for path in (DATA / "json").glob("*.esl.gz"))
FORMATS = ("json", "plain")


@cache
def lines(name: str, form: str = "json") -> tuple[bytes, ...]:
    """Every event of a capture as one line of JSON, in the order of the wire."""
    frames = FrameSplitter().feed(gzip.decompress((DATA / form / f"{name}.esl.gz").read_bytes()))
    return tuple(event_of(frame).raw for frame in frames if frame.content_type.startswith("text/event-"))


def events(name: str, form: str = "json") -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in lines(name, form)]


def with_roles(line: bytes, roles: dict[str, dict[str, str]]) -> bytes:
    """The event with the variables that we set on legs we originate: {leg uuid: {"role": ..., "call": ...}}."""
    event = orjson.loads(line)
    for name, value in roles.get(event.get("Unique-ID", ""), {}).items():
        event[f"variable_orch_{name}"] = value
    return orjson.dumps(event)

"""The AsyncAPI document: current, whole, and valid as far as its structure can say."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.conf import settings

from console import asyncapi, codes, protocol

DOCUMENT = asyncapi.document()
KINDS = {kind.__struct_config__.tag: kind for kind in (*protocol.SERVER_MESSAGES, *protocol.CLIENT_MESSAGES)}
COMMAND = {"id": "1", "agent_id": "agent_101"}
EXAMPLES = {
    "ping": {}, "subscribe": {"kinds": ["agents"]}, "resume": {"epoch": "1.1", "seq": 4},
    "set_agent_state": {**COMMAND, "state": "break", "reason": "lunch"},
    "call_control": {"id": "1", "call_id": "c", "action": "transfer", "extension": "1001"},
    "campaign_control": {"id": "1", "campaign_id": "k", "action": "set_limits", "power_ratio": 1.5, "max_lines": None},
    "preview_control": {**COMMAND, "action": "skip"},
    "manual_dial": {**COMMAND, "campaign_id": "k", "number": "+1 212 555 0100"},
    "dispose_call": {"id": "1", "call_id": "c", "code": "sale"},
    "send_message": {"id": "1", "teams": ["north"], "text": "hello"},
    "read_message": {**COMMAND, "message_id": "m"},
    "alert_control": {"id": "1", "alert_id": "5", "action": "snooze", "minutes": 30},
    "bulk": {"commands": [{"type": "read_message", **COMMAND, "message_id": "m"}]},
}  # fmt: skip


def test_the_file_is_what_the_types_say():
    page = Path(settings.BASE_DIR) / "docs" / "asyncapi.json"
    assert page.read_text(encoding="utf-8") == asyncapi.text(), "run `manage.py write_protocol_docs`"
    assert json.loads(asyncapi.text()) == json.loads(json.dumps(DOCUMENT))


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [one for part in value.values() for one in references(part)]
    return [one for part in value for one in references(part)] if isinstance(value, list) else []


def resolve(reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = DOCUMENT
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_every_reference_leads_somewhere_and_stands_alone():
    found = references(DOCUMENT)
    assert len(found) > 100
    for reference in found:
        assert isinstance(resolve(reference), dict)

    def alone(value: Any) -> None:
        if isinstance(value, dict):
            assert "$ref" not in value or len(value) == 1, value
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            alone(part)

    alone(DOCUMENT)


def test_it_has_the_parts_that_asyncapi_3_asks_for():
    assert DOCUMENT["asyncapi"] == "3.0.0" and {"title", "version"} <= set(DOCUMENT["info"])
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= set(server)
        assert set(re.findall(r"\{(\w+)\}", server["host"])) <= set(server["variables"])
    for channel in DOCUMENT["channels"].values():
        assert channel["address"].startswith("/ws/v1/") and channel["messages"]
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        parts = [operation, operation["reply"]] if "reply" in operation else [operation]
        for part in parts:
            # Messages of an operation are those of its own channel.
            inside = part["channel"]["$ref"] + "/messages/"
            assert all(message["$ref"].startswith(inside) for message in part["messages"])
    for name, message in DOCUMENT["components"]["messages"].items():
        assert message["name"] == name and message["payload"] and message["description"]


def test_every_message_is_in_it_with_its_direction_and_every_code_and_limit():
    assert set(DOCUMENT["components"]["messages"]) == set(KINDS)
    for kind in protocol.SERVER_MESSAGES:
        assert DOCUMENT["operations"][f"floor_{kind.__struct_config__.tag}"]["action"] == "send"
    for kind in protocol.CLIENT_MESSAGES:
        operation = DOCUMENT["operations"][f"floor_{kind.__struct_config__.tag}"]
        assert operation["action"] == "receive" and operation["reply"]["messages"]
    assert "agent_subscribe" not in DOCUMENT["operations"]
    info = DOCUMENT["info"]
    assert info["x-error-codes"] == codes.ERROR_CODES and len(info["x-close-codes"]) == len(codes.CLOSE_CODES)
    assert info["x-limits"]["message_bytes"] == 65536 and "64 KiB" in info["description"]
    assert {"100 messages", "10 sockets", "600 commands"} <= {
        one for one in ("100 messages", "10 sockets", "600 commands") if one in info["description"]
    }


TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int,
    "number": (int, float),
}  # fmt: skip
WORDS = {
    "title", "description", "type", "properties", "required", "additionalProperties", "items", "anyOf", "allOf", "$ref",
    "enum", "default", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern",
}  # fmt: skip


def complaints(value: Any, schema: dict[str, Any]) -> str:
    """Why `value` is not as the schema says, or ''. Knows the words that the document uses, and refuses all others."""
    assert set(schema) <= WORDS, set(schema) - WORDS
    if "$ref" in schema:
        return complaints(value, resolve(schema["$ref"]))
    if "anyOf" in schema:
        found = [complaints(value, one) for one in schema["anyOf"]]
        return "" if "" in found else "; ".join(found)
    for one in schema.get("allOf", ()):
        if found := complaints(value, one):
            return found
    if "enum" in schema and value not in schema["enum"]:
        return f"{value!r} is none of {schema['enum']}"
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return f"{value!r} is no {kind}"
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6):
            return f"{value!r} has a wrong length"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return f"{value!r} is not {schema['pattern']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            return f"{value} is out of range"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**6):
            return "a wrong number of items"
        return next((found for one in value if (found := complaints(one, schema["items"]))), "")
    if isinstance(value, dict):
        missing = set(schema.get("required", ())) - set(value)
        if missing:
            return f"{missing} missing"
        for name, one in value.items():
            inside = schema.get("properties", {}).get(name) or schema.get("additionalProperties", True)
            if inside is False:
                return f"{name} is unknown"
            if isinstance(inside, dict) and (found := complaints(one, inside)):
                return f"{name}: {found}"
    return ""


def schema_of(tag: str) -> dict[str, Any]:
    return DOCUMENT["components"]["messages"][tag]["payload"]


@pytest.mark.parametrize("kind", protocol.CLIENT_MESSAGES)
def test_schema_and_types_agree_on_clients_messages(kind):
    tag = kind.__struct_config__.tag
    message = {"type": tag, **EXAMPLES[tag]}
    assert complaints(message, schema_of(tag)) == ""
    protocol.read_client(json.dumps(message))
    required = resolve(schema_of(tag)["$ref"])["required"]
    wrong = [{**message, "unknown": 1}, *({k: v for k, v in message.items() if k != name} for name in required)]
    wrong += [{**message, name: "x" * 3000} for name in EXAMPLES[tag]]
    for one in wrong:
        assert complaints(one, schema_of(tag)), one
        with pytest.raises(protocol.InvalidMessage):
            protocol.read_client(json.dumps(one))


@pytest.mark.parametrize("kind", protocol.SERVER_MESSAGES)
def test_what_the_server_says_is_as_the_schema_says(kind):
    from console.kpis import compute
    from console.rows import AgentRow, AlertRow, CallRow, CampaignRow

    rows = {
        "agents": (AgentRow(id="a", name="Ann", extension="1", status="break"),),
        "calls": (CallRow(id="c"),),
        "campaigns": (CampaignRow(id="k", name="Spring", status="active"),),
        "alerts": (
            AlertRow(id="1", threshold="t", level="critical", subject_kind="floor", text="x", raised_at=1),
        ),
        "kpis": compute((), (), (), {}, None),
    }  # fmt: skip
    fields = {
        "protocol": 1, "server_time": 1, "epoch": "1.1", "seq": 1, "at": 1, "id": "1", "command_id": "x",
        "queue_position": 1, "status": "failed", "reason": "why", "code": "forbidden", "message": "no", **rows,
    }  # fmt: skip
    message = kind(**{name: fields[name] for name in kind.__struct_fields__ if name in fields})
    value = msgspec.json.decode(protocol.encode(message))
    assert complaints(value, schema_of(value["type"])) == ""
    assert complaints({**value, "unknown": 1}, schema_of(value["type"]))

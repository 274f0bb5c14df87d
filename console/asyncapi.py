"""The protocol as an AsyncAPI 3 document, generated from its types. Pure: types in, a JSON value out.

It is told from the server's side, as AsyncAPI wants it: what the server sends is `send`, what clients say is `receive`.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec

from console import codes, protocol

Json = dict[str, Any]

VERSION: Final = "3.0.0"
# What may follow each message of a client; commands are all alike.
_REPLIES: Final[dict[str, tuple[type[msgspec.Struct], ...]]] = {
    "resume": (protocol.Frame, protocol.Snapshot, protocol.Error),
    "subscribe": (protocol.Snapshot, protocol.Error),
    "ping": (protocol.Pong,),
}
_COMMAND_REPLIES: Final = (protocol.Ack, protocol.Result, protocol.Confirmed, protocol.Error)
_CHANNELS: Final = {
    "floor": (
        "/ws/v1/floor/",
        "The floor for boards and programs: all of it, or the user's own teams and campaigns; `subscribe` narrows it.",
        protocol.CLIENT_MESSAGES,
    ),
    "agent": (
        "/ws/v1/agent/",
        "The agent's own panel: their row and their calls, without key figures.",
        tuple(kind for kind in protocol.CLIENT_MESSAGES if kind is not protocol.Subscribe),
    ),
}


def limits() -> Json:
    """Every limit that a client can run into, each with its unit in its name."""
    return {
        "message_bytes": protocol.MESSAGE_BYTES,
        "messages_per_minute_per_socket": protocol.MESSAGES_PER_MINUTE,
        "commands_per_minute_per_socket": protocol.COMMANDS_PER_MINUTE,
        "commands_per_bulk": protocol.BULK_COMMANDS,
        "sockets_per_user_per_process": protocol.SOCKETS_PER_USER,
        "command_age_ms": protocol.STALE_COMMAND_MS,
        "unread_seconds": protocol.SLOW_CLIENT_SECONDS,
        "frames_behind": protocol.FRAMES_BEHIND,
    }


def document() -> Json:
    structs: tuple[type[msgspec.Struct], ...] = (*protocol.SERVER_MESSAGES, *protocol.CLIENT_MESSAGES)
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Voice Orchestrator live floor",
            "version": f"{protocol.PROTOCOL_VERSION}.0.0",
            "description": _description(),
            "x-limits": limits(),
            "x-error-codes": dict(codes.ERROR_CODES),
            "x-close-codes": {str(code): text for code, text in codes.CLOSE_CODES.items()},
        },
        "defaultContentType": "application/json",
        "servers": {
            "own": {
                "host": "{host}",
                "protocol": "wss",
                "description": "Your installation; `ws` without TLS on a developer's machine.",
                "variables": {"host": {"default": "floor.example", "description": "Name and port"}},
                "security": [
                    {"$ref": "#/components/securitySchemes/token"},
                    {"$ref": "#/components/securitySchemes/session"},
                ],
            }
        },
        "channels": {name: _channel(*parts) for name, parts in _CHANNELS.items()},
        "operations": {
            f"{name}_{_tag(kind)}": operation
            for name, (_, _, kinds) in _CHANNELS.items()
            for kind, operation in _operations(name, kinds)
        },
        "components": {
            "messages": {_tag(kind): _message(kind) for kind in structs},
            "schemas": {name: _schema(schema) for name, schema in schemas.items()},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`manage.py create_api_token USER`; it has that user's rights.",
                },
                "session": {
                    "type": "httpApiKey",
                    "in": "cookie",
                    "name": "sessionid",
                    "description": "A signed-in browser, from a page of this server.",
                },
            },
        },
    }


def text() -> str:
    return msgspec.json.format(msgspec.json.encode(document()), indent=1).decode() + "\n"


def _description() -> str:
    return (
        "A snapshot, then gap-free numbered frames, and commands with results; docs/protocol.md says in which order. "
        f"Limits: {protocol.MESSAGE_BYTES // 1024} KiB a message, {protocol.MESSAGES_PER_MINUTE} messages and "
        f"{protocol.COMMANDS_PER_MINUTE} commands a minute a socket, {protocol.BULK_COMMANDS} commands in a `bulk`, "
        f"{protocol.SOCKETS_PER_USER} sockets a user. All times are integer milliseconds since 1970 UTC; unknown "
        "fields are refused in both directions."
    )


def _channel(address: str, description: str, kinds: tuple[type[msgspec.Struct], ...]) -> Json:
    messages: tuple[type[msgspec.Struct], ...] = (*protocol.SERVER_MESSAGES, *kinds)
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/own"}],
        "messages": {_tag(kind): {"$ref": f"#/components/messages/{_tag(kind)}"} for kind in messages},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _operations(channel: str, kinds: tuple[type[msgspec.Struct], ...]) -> list[tuple[type[msgspec.Struct], Json]]:
    found: list[tuple[type[msgspec.Struct], Json]] = []
    found += [(kind, _operation(channel, "send", kind)) for kind in protocol.SERVER_MESSAGES]
    for kind in kinds:
        operation = _operation(channel, "receive", kind)
        replies = _REPLIES.get(_tag(kind), _COMMAND_REPLIES)
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [_message_of(channel, reply) for reply in replies],
        }
        found.append((kind, operation))
    return found


def _operation(channel: str, action: str, kind: type[msgspec.Struct]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": _words(kind).partition("\n")[0],
        "messages": [_message_of(channel, kind)],
    }


def _message_of(channel: str, kind: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/channels/{channel}/messages/{_tag(kind)}"}


def _message(kind: type[msgspec.Struct]) -> Json:
    message: Json = {
        "name": _tag(kind),
        "title": kind.__name__,
        "description": _words(kind),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }
    if kind in protocol.CLIENT_MESSAGES:
        message["x-max-bytes"] = protocol.MESSAGE_BYTES
    return message


def _words(kind: type[msgspec.Struct]) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _schema(value: Any) -> Any:
    """msgspec's JSON schema in AsyncAPI's dialect: nothing stands beside a reference, patterns end as ECMA 262 has it,
    alternatives tell themselves apart by their `type`."""
    if isinstance(value, list):
        return [_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    made: Json = {key: _schema(one) for key, one in value.items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace(r"\Z", "$")
    if "anyOf" in made:
        made.pop("discriminator", None)
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made

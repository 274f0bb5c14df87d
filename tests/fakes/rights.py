"""Everything that can be asked for, and who may have it: written here once more, apart from the product's table."""

import typing
from typing import Any

from console.protocol import Intent
from console.roles import Role

# The commands, each with what is in it besides.
FIELDS: dict[str, dict[str, Any]] = {
    "set_agent_state": {"agent_id": "a2", "state": "break"},
    "call_control": {"call_id": "c"},
    "campaign_control": {"campaign_id": "k"},
    "preview_control": {"agent_id": "a2"},
    "manual_dial": {"agent_id": "a2", "campaign_id": "k", "number": "1"},
    "dispose_call": {"call_id": "c", "code": "sale"},
    "send_message": {"agents": ("a2",), "text": "hello"},
    "read_message": {"agent_id": "a2", "message_id": "m"},
    "alert_control": {"alert_id": "x"},
}
# What an agent may do for themselves, and what nobody does for another.
FOR_ONESELF = {
    "set_agent_state", "preview_control", "manual_dial", "dispose_call", "read_message",
    *(f"call_control {action}" for action in (
        "hangup", "hold", "unhold", "mute", "unmute", "park", "unpark", "transfer", "consult", "consult_complete",
        "consult_cancel", "record_start", "record_stop", "record_pause", "record_resume",
    )),
}  # fmt: skip
ONLY_FOR_ONESELF = {"read_message"}


def every_command() -> list[tuple[str, Intent]]:
    """Each type of the protocol that is an intent, with each value of its `action`."""
    found = []
    for kind in typing.get_args(Intent):
        tag = kind.__struct_config__.tag
        actions = typing.get_args(typing.get_type_hints(kind).get("action")) or (None,)
        for action in actions:
            fields = FIELDS[tag] | ({"action": action} if action else {})
            found.append((f"{tag} {action}" if action and tag in ("call_control", "campaign_control") else tag,
                          kind(id="1", **fields)))  # fmt: skip
    return found


COMMANDS = every_command()


def expected(role: Role, name: str, where: str) -> bool:
    own = where == "own agent" and name in FOR_ONESELF
    if name in ONLY_FOR_ONESELF or role in (Role.VIEWER, Role.AGENT):
        return own and role is Role.AGENT
    if role is Role.TEAM_SUPERVISOR:
        return where in ("own team", "own campaign")
    return True

"""The table of rights against everything that can be asked for: each command and action, by each role, on each target.

What is expected is written here once more, apart from the table, role by role; what there is to ask for is read from
the protocol's types, so a command or an action that nobody has thought of here fails.
"""

import itertools
import typing
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from console import protocol
from console.protocol import Intent
from console.roles import _ROWS, TABLE, WORDS, Actor, Permission, Reach, Role, Target, needed, refusal

ANN = Actor(1, "ann", frozenset({Role.AGENT}), agent_id="a1", extension="1001")
PEOPLE = {
    Role.VIEWER: Actor(2, "vic", frozenset({Role.VIEWER})),
    Role.AGENT: ANN,
    Role.TEAM_SUPERVISOR: Actor(
        3, "tom", frozenset({Role.TEAM_SUPERVISOR}), teams=frozenset({"t1"}), campaigns=frozenset({"k1"})
    ),
    Role.FLOOR_SUPERVISOR: Actor(4, "sup", frozenset({Role.FLOOR_SUPERVISOR})),
    Role.ADMINISTRATOR: Actor(5, "root", frozenset({Role.ADMINISTRATOR})),
}
NOBODY = Actor(6, "bob")
TARGETS = {
    "own agent": Target("a1", "t9", "k9"),
    "own team": Target("a2", "t1", "k9"),
    "own campaign": Target("a2", "t9", "k1"),
    "elsewhere": Target("a2", "t9", "k9"),
    "of nobody": Target("", "", ""),
    "does not exist": None,
}
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


@pytest.mark.parametrize("role", list(Role))
def test_every_command_by_every_role_on_every_target_is_answered_as_the_table_says(role):
    who = PEOPLE[role]
    answers = {
        (name, where): refusal(who, intent, target) == ""
        for (name, intent), (where, target) in itertools.product(COMMANDS, TARGETS.items())
    }
    assert len(answers) >= 6 * len({name for name, _ in COMMANDS})
    assert answers == {(name, where): expected(role, name, where) for name, where in answers}


def test_somebody_without_a_role_may_do_nothing():
    for (_, intent), target in itertools.product(COMMANDS, TARGETS.values()):
        assert refusal(NOBODY, intent, target)
    assert NOBODY.rights == [] and not NOBODY.sees_floor


def test_a_command_or_action_without_an_entry_in_the_table_is_noticed():
    class Fly(protocol.Command, frozen=True, kw_only=True, tag="fly"):
        pass

    with pytest.raises(KeyError):
        needed(msgspec.structs.replace(COMMANDS[1][1], action="fly"))  # type: ignore[arg-type]
    assert {name.split()[0] for name, _ in COMMANDS} == set(FIELDS)
    for _, intent in COMMANDS:
        assert needed(intent)
    with pytest.raises(TypeError):
        refusal(PEOPLE[Role.ADMINISTRATOR], Fly(id="1"))  # type: ignore[arg-type]


def test_the_table_has_a_row_and_words_for_every_permission_and_every_permission_is_used():
    assert set(_ROWS) == set(TABLE) == set(WORDS) == set(Permission)
    asked_by_pages = {
        Permission.SEE_FLOOR, Permission.SEE_PAGES, Permission.FULL_NUMBERS, Permission.PLAY_RECORDINGS,
        Permission.EXPORT, Permission.AUDIT, Permission.CONFIGURE,
    }  # fmt: skip
    asked_by_commands = {permission for _, intent in COMMANDS for permission in needed(intent)}
    assert asked_by_pages | asked_by_commands == set(Permission)


def test_every_target_of_a_command_counts():
    tom = PEOPLE[Role.TEAM_SUPERVISOR]
    message = dict(COMMANDS)["send_message"]
    assert refusal(tom, message, Target(team="t1"), Target(campaign_id="k1")) == ""
    assert refusal(tom, message, Target(team="t1"), Target(team="t9"))
    assert refusal(tom, message, Target(team="t1"), None)
    assert refusal(tom, message)


def test_listening_can_be_taken_from_a_supervisor_and_barging_left():
    quiet = replace(PEOPLE[Role.FLOOR_SUPERVISOR], taken=frozenset({Permission.LISTEN}))
    commands = dict(COMMANDS)
    here = TARGETS["elsewhere"]
    assert "listen to a call" in refusal(quiet, commands["call_control listen"], here)
    assert refusal(quiet, commands["call_control barge"], here) == ""
    assert refusal(quiet, commands["call_control stop_listening"], here) == ""
    none = {Permission.LISTEN, Permission.WHISPER, Permission.BARGE}
    deaf = replace(quiet, taken=frozenset(none))
    assert refusal(deaf, commands["call_control stop_listening"], here)
    assert "listen" not in quiet.rights and "barge" in quiet.rights


@pytest.mark.parametrize(
    ("role", "reach"),
    [
        (Role.VIEWER, Reach.ALL),
        (Role.AGENT, Reach.OWN),
        (Role.TEAM_SUPERVISOR, Reach.PART),
        (Role.FLOOR_SUPERVISOR, Reach.ALL),
    ],
)
def test_what_is_given_goes_as_far_as_the_user_sees(role, reach):
    who = replace(PEOPLE[role], given=frozenset({Permission.ALERTS}))
    assert who.reach(Permission.ALERTS) is reach


def test_the_floor_given_to_somebody_shows_only_what_they_supervise_and_taken_beats_given():
    assert replace(ANN, given=frozenset({Permission.SEE_FLOOR})).reach(Permission.SEE_FLOOR) is Reach.PART
    both = frozenset({Permission.ALERTS})
    assert not replace(PEOPLE[Role.FLOOR_SUPERVISOR], given=both, taken=both).may(Permission.ALERTS)


def test_several_roles_reach_as_far_as_the_widest_and_the_widest_is_shown():
    both = replace(ANN, roles=frozenset({Role.AGENT, Role.TEAM_SUPERVISOR}), teams=frozenset({"t1"}))
    assert both.role is Role.TEAM_SUPERVISOR
    hold = dict(COMMANDS)["call_control hold"]
    assert refusal(both, hold, TARGETS["own agent"]) == refusal(both, hold, TARGETS["own team"]) == ""
    assert refusal(both, hold, TARGETS["own campaign"])

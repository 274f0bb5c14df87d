"""The table of rights against everything that can be asked for: each command and action, by each role, on each target.

What is expected is written once more, apart from the table, role by role (tests/fakes/rights.py); what there is to ask
for is read from the protocol's types, so a command or an action that nobody has thought of there fails.
"""

import itertools
from dataclasses import replace

import msgspec
import pytest

from console import protocol
from console.roles import _ROWS, TABLE, WORDS, Actor, Permission, Reach, Role, Target, needed, refusal
from tests.fakes.rights import COMMANDS, FIELDS, expected

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

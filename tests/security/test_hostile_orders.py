"""Hostile text never becomes a second command (`make fuzz NAMES=originate`: a million texts)."""

import gzip
import json

import pytest

from tests.fakes import captures, dialstring
from tests.fuzz import originate

LEG = originate.LEG


def test_twenty_thousand_hostile_texts_are_one_command_or_refused_before_the_socket():
    assert "one command or refused" in originate.run(seed=7, size=20_000)


def test_every_kind_of_order_has_a_command_that_the_judge_admits():
    wire = originate.Wire()
    for kind in originate.KINDS:
        order = kind.cls(**{field.name: originate.VALID[field.name] for field in kind.fields})
        originate.judge(wire.say(originate.render.render(order, originate.PLAN), order), originate.PLAN)


@pytest.mark.parametrize(
    "line",
    [
        "originate {a=b}user/1001 &park()",
        f"originate {{origination_uuid={LEG},originate_timeout=5,orch_role=agent}}user/1001 &park()",
        "status",
        f"uuid_kill {LEG} NORMAL_CLEARING\n\nbgapi status",
        f"uuid_record {LEG} start /var/lib/../x/{LEG}.wav",
    ],
)
def test_the_judge_refuses_what_it_does_not_know(line):
    wire = f"bgapi {line}\nJob-UUID: {LEG}\n\n".encode()
    with pytest.raises((AssertionError, KeyError, dialstring.Unclear)):
        originate.judge(wire, originate.PLAN)


@pytest.mark.parametrize(
    ("line", "variables", "destinations"),
    [
        ("{a='b c',d=e}user/1 &park()", {"a": "b c", "d": "e"}, ("user/1",)),
        # The quotes are gone before the variables are told apart: a comma in a name would have made another variable.
        ("{a='b,c=d'}user/1 &park()", {"a": "b", "c": "d"}, ("user/1",)),
        ("{a=b}{c=d}user/1 &park()", {"a": "b", "c": "d"}, ("user/1",)),
        ("{a=b}user/1,user/2|user/3 &park()", {"a": "b"}, ("user/1", "user/2", "user/3")),
        ("[a=b,c=d]user/1 &park()", {}, ("user/1",)),
    ],
)
def test_the_judge_reads_as_freeswitch_does(line, variables, destinations):
    read = dialstring.originate(line)
    assert (read.variables, read.destinations) == (variables, destinations)


def test_what_a_real_switch_made_of_a_command_is_what_the_judge_reads_in_it():
    """The variables of captured calls, as their events have them, are those that the judge finds in the command."""
    told = 0
    for name in captures.NAMES:
        commands = (captures.DATA / "json" / f"{name}.io.jsonl").read_text().splitlines()
        heard = gzip.decompress((captures.DATA / "json" / f"{name}.esl.gz").read_bytes()).decode("utf-8", "replace")
        for said in map(json.loads, commands):
            line = said.get("data", "").partition("originate ")[2].partition("\n")[0]
            if "origination_uuid" not in line:
                continue
            try:
                read = dialstring.originate(line)
            except dialstring.Unclear:
                continue
            leg = read.variables["origination_uuid"]
            if f'"Unique-ID":"{leg}"' not in heard:
                continue
            for key, value in read.variables.items():
                if f'"variable_{key}"' in heard and value.isascii() and value.isprintable():
                    assert f'"variable_{key}":{json.dumps(value)}' in heard, (name, key, value)
                    told += 1
    assert told > 100

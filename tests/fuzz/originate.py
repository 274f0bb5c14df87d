"""Hostile text through everything that reaches an originate string: exactly one command with a fixed set of variables
on the wire, or refused before the socket. What the wire says is read by tests/fakes/dialstring.py, which knows
FreeSWITCH's syntax and nothing of ours.

Each entrance is taken as a user takes it (file of contacts, admin form, websocket message, settings), and past its own
checks, as if somebody had written into the database.
"""

from __future__ import annotations

import io
import os
import random
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import django
import msgspec
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
if not apps.ready:
    django.setup()

from django.core.exceptions import ValidationError

from console import protocol
from dialer import models, numbers, orders
from dialer.services import call_control
from dialer.services.acting import Act, Rejected
from dialer.target_import import contact_rows, mapping, reading
from esl_bridge import render
from esl_bridge.client import ESLClient
from tests.fakes import dialstring

SIZE = 1_000_000
ROWS = 50
PLAN = render.DialPlan(
    "sofia/gateway/carrier/{number}", "user/{extension}", ("+1212", "+1646"), "/var/lib/rec", "/var/m"
)
ORDER, LEG, PEER, CALL = (str(uuid.UUID(int=number)) for number in range(1, 5))
HEADER = {"order_id": ORDER, "expires_at": 1.0, "leg": LEG}
CUSTOMER = {"call_id": CALL, "campaign_id": PEER, "agent_id": "agent_101", "caller_id_number": "+12125550100"}
# What a command may be refused with before it is one.
REFUSALS = (
    contact_rows.RowRefusedError, numbers.NumberError, ValidationError, protocol.InvalidMessage, Rejected,
    render.Refused, msgspec.ValidationError, msgspec.DecodeError, TypeError, UnicodeError, OverflowError,
)  # fmt: skip

SIGNS = "{}[]<>()'\"\\`,|;:=&$%^~#@*?! \t\n\r\0\x0b\x85\u2028\u2029\u202e\u00a0+-./_"
DIGITS = "0123456789\u0660\u0661\u0967\uff10\uff11\u00b2\u2460"
BREAKS = (
    "\n\nbgapi originate {}sofia/gateway/carrier/+19005550000 &park()\n\n", "\r\n\r\nexit", "\nJob-UUID: x", "\n\n",
    ",origination_caller_id_number=911", "}sofia/gateway/carrier/+19005550000", "'}user/1 &park() '",
    " &system(reboot)", " &bridge(sofia/gateway/carrier/+19005550000)",
    "${system(reboot)}", "$${domain}", ":_:user/1001", "|user/1001",
    ",user/1001", "[leg_timeout=1]user/1", "<a=b>", "{a=b}", "^^;a=b;c=d", "\\'", "'", "\\", "%0a%0aexit", "&park()",
    "\u2019", " XML default", ";;", ";ext=1", "@evil.example", "/../../etc/passwd", "api_on_answer=x", "undef",
    "execute_on_answer='system x'", "\ud800", "=HYPERLINK(1)", ".wav", "{number}", "{extension}", "\x7f", "e+12",
)  # fmt: skip
NUMBERS = ("+12125551234", "+16465550000", "(212) 555-1234", "+1 646-555-0000", "+19005551234", "911", "")
EXTENSIONS = ("1001", "12", "123456", "1234567", "123456789012", "0", "")
NAMES = ("Voice Orchestrator", "Zo\u00eb O'Brien", "agent_101", "sup", "A. Smith-Jones", "x" * 60, "")
TEMPLATES = ("sofia/gateway/carrier/{number}", "user/{extension}", "[a=b]user/{extension}", "+1212", "/var/lib/rec", "")
FIELDS = (*NUMBERS, *EXTENSIONS, *NAMES, LEG, PEER, "NORMAL_CLEARING", "start", "listen")


def hostile(rng: random.Random, good: Sequence[str]) -> str:
    """Something nearly right, mostly with something wrong about it."""
    text = rng.choice(good)
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
        place = rng.randint(0, len(text))
        kind = rng.random()
        if kind < 0.45:
            added = rng.choice(BREAKS)
        elif kind < 0.8:
            added = "".join(rng.choice(SIGNS) for _ in range(rng.randint(1, 3)))
        elif kind < 0.95:
            added = "".join(rng.choice(DIGITS) for _ in range(rng.randint(1, 12)))
        else:
            added = chr(rng.choice((rng.randrange(0x20), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000))))
        text = text[:place] + added + text[place + rng.choice((0, 0, 1, 3)) :]
    return text * (rng.choice((1,) * 99 + (200,)))


# --- entrances: hostile text -> an order, or one of REFUSALS ------------------------------------------------------


def customer(number: str, **more: Any) -> orders.AnyOrder:
    return orders.OriginateCustomer(**HEADER, **{**CUSTOMER, "number": number, **more})


def imported(rng: random.Random) -> Iterator[Callable[[], orders.AnyOrder]]:
    """Rows of a file, some written by a program that quotes, some by hand."""
    written = []
    for _ in range(ROWS):
        cells = [hostile(rng, NUMBERS), hostile(rng, NAMES), hostile(rng, FIELDS)]
        if rng.random() < 0.6:
            cells = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        written.append(rng.choice((",", ",", ",", ";")).join(cells))
    text = "number,name,note\r\n" + rng.choice(("\r\n", "\n")).join(written)
    rows = reading.RowReader(io.BytesIO(text.encode("utf-8", "replace")), "utf-8")
    columns = mapping.map_columns(next(iter(rows)).cells, [], "US", rows.delimiter)
    for row in rows:
        if isinstance(row, reading.Row):
            yield lambda row=row: customer(contact_rows.read_contact(row.cells, columns, "US").number)


def by_admin(rng: random.Random) -> orders.AnyOrder:
    """A contact's number, a campaign's caller id, an agent: as the admin's forms check them."""
    kind, name = rng.randrange(3), orders.caller_name(hostile(rng, NAMES))
    text = hostile(rng, EXTENSIONS if kind == 2 else NUMBERS)
    match kind:
        case 0:
            models.Contact._meta.get_field("number").run_validators(text)
            return customer(text, caller_id_name=name)
        case 1:
            models.DialerCampaign._meta.get_field("caller_id_number").run_validators(text)
            return customer("+12125551234", caller_id_number=text, caller_id_name=name)
        case _:
            models.Agent._meta.get_field("extension").run_validators(text)
            agent_id = rng.choice((hostile(rng, NAMES), "agent_101"))
            models.Agent._meta.get_field("agent_id").run_validators(agent_id)
            return orders.OriginateAgent(**HEADER, extension=text, agent_id=agent_id, caller_id_name=name)


def by_websocket(rng: random.Random) -> orders.AnyOrder:
    """A number dialled by hand, an extension to transfer to, to consult, or to listen from."""
    if rng.random() < 0.4:
        text = hostile(rng, NUMBERS)
        said = {"type": "manual_dial", "id": "1", "agent_id": "a", "campaign_id": "c", "number": text}
        message = protocol.read_client(msgspec.json.encode(said))
        assert isinstance(message, protocol.ManualDial)
        return customer(numbers.normalise(message.number, "US"))
    action = rng.choice(("transfer", "consult", "listen", "take_over"))
    said = {"type": "call_control", "id": "1", "call_id": "c", "action": action}
    said["extension"] = hostile(rng, EXTENSIONS)
    control = protocol.read_client(msgspec.json.encode(said))
    assert isinstance(control, protocol.CallControl)
    extension = call_control._extension({"extension": control.extension})
    who = call_control._who(Act(token=1, now=None, by=hostile(rng, NAMES)))  # type: ignore[arg-type]
    name = orders.caller_name(hostile(rng, NAMES))
    if action == "transfer":
        return orders.Transfer(**HEADER, extension=extension)
    if action == "listen":
        return orders.Eavesdrop(**HEADER, extension=extension, target=PEER, supervisor=who, mode="listen")
    role = "consulted" if action == "consult" else "supervisor"
    return orders.CallExtension(**HEADER, extension=extension, role=role, who=who, caller_id_name=name)  # type: ignore[arg-type]


KINDS = msgspec.inspect.type_info(orders.AnyOrder).types  # type: ignore[attr-defined]
VALID = {
    **HEADER, **CUSTOMER, "peer": PEER, "target": PEER, "number": "+12125551234", "extension": "1001",
    "action": "start", "name": PEER, "cause": "NORMAL_CLEARING", "timeout": 20, "on": True, "mode": "listen",
    "supervisor": "s", "caller_id_name": "A B", "role": "consulted", "who": "s",
    "unless_joined": True,
}  # fmt: skip


def tampered(rng: random.Random) -> orders.AnyOrder:
    """A row of the outbox, or an entry of the stream, that somebody has written by hand."""
    kind = rng.choice(KINDS)
    payload = {"kind": kind.tag, **{field.name: VALID[field.name] for field in kind.fields}}
    for field in rng.sample(kind.fields, min(len(kind.fields), rng.choice((1, 1, 2)))):
        payload[field.name] = (
            hostile(rng, FIELDS) if rng.random() < 0.95 else rng.choice((None, 0, -1, 1e308, True, [], {}))
        )
    return orders.decode(orders.wire(payload))


def unchecked(rng: random.Random) -> orders.AnyOrder:
    """The same, past every check but the renderer's own."""
    kind = rng.choice(KINDS)
    fields = {field.name: VALID[field.name] for field in kind.fields}
    changed = rng.choice(kind.fields).name
    fields[changed] = hostile(rng, (str(fields[changed]), *FIELDS[: rng.choice((0, 99))]))
    return kind.cls(**fields)  # type: ignore[no-any-return]


def settled(rng: random.Random) -> tuple[orders.AnyOrder, render.DialPlan]:
    """Settings that somebody has filled with what they should not hold."""
    kept = (PLAN.customer, PLAN.agent, PLAN.allowed_prefixes[0], PLAN.recordings_dir, PLAN.messages_dir)
    said = [hostile(rng, TEMPLATES) if rng.random() < 0.3 else value for value in kept]
    plan = render.DialPlan(said[0], said[1], (said[2],), said[3], said[4])
    kind = rng.choice([one for one in KINDS if one.tag in ("originate_customer", "originate_agent", "record",
                                                           "play_message", "call_extension")])  # fmt: skip
    return kind.cls(**{field.name: VALID[field.name] for field in kind.fields}), plan


# --- the oracle ---------------------------------------------------------------------------------------------------

SPARES = {"hold_hangup_xfer_exten": "hangup:inline"}
# By the role of the leg: what every command says, and what else it may say.
FIXED: dict[str, tuple[dict[str, str], set[str]]] = {
    "customer": (
        {"hangup_after_bridge": "true", "RECORD_APPEND": "true", **SPARES},
        {"orch_call", "origination_caller_id_number", "origination_caller_id_name", "orch_agent", "orch_campaign"},
    ),
    "agent": (
        {"park_after_bridge": "true", "hangup_after_bridge": "false"}, {"origination_caller_id_name", "orch_agent"},
    ),
    "supervisor": (
        {"hangup_after_bridge": "true"},
        {"origination_caller_id_name", "orch_agent", "eavesdrop_enable_dtmf", "hold_hangup_xfer_exten"},
    ),
    "consulted": ({"hangup_after_bridge": "true", **SPARES}, {"origination_caller_id_name", "orch_agent"}),
}  # fmt: skip
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VALUES = {
    "origination_uuid": _UUID, "orch_call": _UUID,
    "originate_timeout": r"[1-9][0-9]{0,2}", "origination_caller_id_number": r"\+[1-9][0-9]{6,14}",
    "origination_caller_id_name": r"[A-Za-z0-9 ._-]{1,40}", "orch_agent": r"[\w.:-]{1,64}",
    "orch_campaign": r"[\w.:-]{1,64}", "eavesdrop_enable_dtmf": "true", **SPARES,
}  # fmt: skip
_OTHERS = re.compile(
    rf"uuid_bridge {_UUID} {_UUID}|uuid_hold (?:off )?{_UUID}|uuid_park {_UUID}"
    rf"|uuid_transfer {_UUID} \d{{2,6}} XML default"
    rf"|uuid_kill {_UUID} [A-Z0-9_]+|uuid_recv_dtmf {_UUID} [023]|uuid_audio {_UUID} (?:start read mute -1|stop)"
    rf"|uuid_broadcast {_UUID} avmd_start:: aleg|uuid_exists {_UUID}"
    rf"|uuid_record {_UUID} (?:start|stop|mask|unmask) (/[\w./-]*)/{_UUID}\.wav"
    rf"|uuid_transfer {_UUID} playback:(/[\w./-]*)/{_UUID}\.wav,hangup:NORMAL_CLEARING inline", re.ASCII,
)  # fmt: skip


def judge(wire: bytes, plan: render.DialPlan) -> None:
    """AssertionError, or dialstring.Unclear, unless it is one command that may be said."""
    said = dialstring.commands(wire)
    assert len(said) == 1, f"{len(said)} commands"
    assert said[0].verb in ("bgapi", "api")
    job = said[0].headers.pop("Job-UUID", "")
    assert not said[0].headers and bool(re.fullmatch(_UUID, job)) == (said[0].verb == "bgapi"), said[0]
    name, _, line = said[0].line.partition(" ")
    if name != "originate":
        found = _OTHERS.fullmatch(" ".join((name, *dialstring.words(line))))
        assert found, line
        assert ".." not in (found[1] or found[2] or "").split("/")
        return
    call = dialstring.originate(line)
    role = call.variables.get("orch_role", "")
    fixed, possible = FIXED[role]
    wanted = {**fixed, "orch_role": role, "ignore_early_media": "true"}
    assert {key: call.variables.get(key) for key in wanted} == wanted
    rest = {key: value for key, value in call.variables.items() if key not in wanted}
    always = {"origination_uuid", "originate_timeout"}
    assert always <= set(rest) <= always | possible, rest
    for key, value in rest.items():
        assert re.fullmatch(_VALUES[key], value, re.ASCII), (key, value)
    assert call.more == (), call.more
    assert re.fullmatch(rf"park\(\)|eavesdrop\({_UUID}\)", f"{call.application}({call.argument})")
    [destination] = call.destinations
    if plan is PLAN:
        number = r"sofia/gateway/carrier/\+1(?:212|646)[0-9]{3,11}" if role == "customer" else r"user/[0-9]{2,6}"
        assert re.fullmatch(number, destination, re.ASCII), destination


class Wire:
    """A client of the event socket whose socket keeps what it is told."""

    def __init__(self) -> None:
        self.client = ESLClient("", 0, "")
        self.client.sock, self.client.connected = self, True
        self.told = b""

    def sendall(self, data: bytes) -> None:
        self.told += data

    def say(self, command: render.Command, order: orders.AnyOrder) -> bytes:
        self.told = b""
        self.client._commands_sent.clear()
        if command.direct:
            self.client.submit(f"api {command.line}")
        else:
            self.client.bgapi([(command.line, order.order_id)], lambda job, reply: None)
        return self.told


def attempts(rng: random.Random) -> Iterator[tuple[str, Callable[[], tuple[orders.AnyOrder, render.DialPlan]]]]:
    entrances = {"admin": by_admin, "websocket": by_websocket, "outbox": tampered, "renderer": unchecked}
    while True:
        for make in imported(rng):
            yield "import", lambda make=make: (make(), PLAN)
        for _ in range(ROWS):
            for name, enter in entrances.items():
                yield name, lambda enter=enter: (enter(rng), PLAN)
        for _ in range(ROWS // 2):
            yield "settings", lambda: settled(rng)


def run(seed: int, size: int) -> str:
    rng, wire = random.Random(seed), Wire()
    said: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for n, (name, make) in enumerate(attempts(rng)):
        if n == size:
            break
        order = None
        try:
            order, plan = make()
            command = render.render(order, plan)
        except REFUSALS:
            refused[name] += 1
            continue
        told = wire.say(command, order)
        try:
            judge(told, plan)
        except (AssertionError, dialstring.Unclear, KeyError) as error:
            raise AssertionError(f"{name}, case {n}: {told!r}: {error}") from None
        said[name] += 1
    assert set(said) == set(refused), "an entrance that refuses everything, or nothing, is not tried"
    figures = ", ".join(f"{name} {said[name]} said {refused[name]} refused" for name in sorted(said))
    return f"{size} texts, each one command or refused before the socket ({figures})"

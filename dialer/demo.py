"""The demo floor as plain data: 20 agents, 2 campaigns, 2,000 contacts, all invented. Pure; `seed_demo` stores it.

Every number is +1 NPA 555 0100 to 0199, which is kept for fiction: nobody can be called by mistake, even by a real
carrier. 212 is left out: +1 212 55D xxxx is the simulator's block of fixed behaviours, where all of these would refuse.
"""

from __future__ import annotations

import array
import io
import math
import wave
from collections.abc import Iterator
from dataclasses import dataclass

SUPERVISOR_GROUP = "supervisor"
SUPERVISOR = "supervisor"
ADMIN = "admin"
FIRST_AGENT = 101
FIRST_EXTENSION = 1001

# Below this many ready contacts a second seed makes all demo contacts ready again.
READY_ENOUGH = 500

AREA_CODES: dict[str, str] = {
    "305": "America/New_York",
    "312": "America/Chicago",
    "303": "America/Denver",
    "213": "America/Los_Angeles",
    "917": "America/New_York",
    "214": "America/Chicago",
    "602": "America/Phoenix",
    "415": "America/Los_Angeles",
    "617": "America/New_York",
    "713": "America/Chicago",
    "801": "America/Denver",
    "206": "America/Los_Angeles",
    "404": "America/New_York",
    "504": "America/Chicago",
    "907": "America/Anchorage",
    "503": "America/Los_Angeles",
    "718": "America/New_York",
    "615": "America/Chicago",
    "808": "Pacific/Honolulu",
    "702": "America/Los_Angeles",
}
NUMBERS_PER_AREA = 100

AGENT_NAMES = (
    "Amara Okafor",
    "Ben Whitfield",
    "Camila Reyes",
    "Daniyar Akhmetov",
    "Elif Yıldız",
    "Finn O'Malley",
    "Grace Lindqvist",
    "Hiroshi Tanabe",
    "Ines Carvalho",
    "Jamal Everett",
    "Kateryna Bondar",
    "Lucas Moreau",
    "Meera Subramanian",
    "Noah Feldman",
    "Olivia Nkosi",
    "Pablo Ibarra",
    "Quynh Tran",
    "Rosa Santangelo",
    "Samir Haddad",
    "Tove Nyström",
)

_GIVEN = (
    "Alice",
    "Andre",
    "Bianca",
    "Caleb",
    "Dalia",
    "Edwin",
    "Farah",
    "Gideon",
    "Hanna",
    "Isaac",
    "Joanna",
    "Kofi",
    "Leila",
    "Marcus",
    "Nadia",
    "Omar",
    "Priya",
    "Quentin",
    "Renée",
    "Stefan",
    "Tamika",
    "Ulrich",
    "Violeta",
    "Wei",
    "Ximena",
    "Yusuf",
    "Zoë",
)
_FAMILY = (
    "Abbott",
    "Bergström",
    "Castillo",
    "Delgado",
    "Eriksen",
    "Fontaine",
    "Goldberg",
    "Hollis",
    "Ivanova",
    "Jankowski",
    "Kimura",
    "Lombardi",
    "Mbeki",
    "Novak",
    "O'Brien",
    "Petrov",
    "Quiroga",
    "Rahman",
    "Schäfer",
    "Thornton",
    "Ueda",
    "Vargas",
    "Watanabe",
    "Yates",
    "Zimmermann",
    "Ashworth",
    "Brennan",
    "Cordova",
    "Dimitrov",
)
_PLANS = ("Basic", "Family", "Business", "Unlimited")
_PRODUCTS = ("Broadband", "Mobile", "Television", "Landline", "Bundle")


@dataclass(frozen=True, slots=True)
class DemoAgent:
    """`state` and `reason`: where the seed sends the agent, through the sequential worker."""

    agent_id: str
    name: str
    extension: str
    phone_number: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class DemoCampaign:
    """`agents`: numbers of the first and the last assigned agent. `area_codes`: whose contacts its list holds."""

    name: str
    description: str
    list_name: str
    agents: tuple[int, int]
    area_codes: tuple[str, ...]
    caller_id_number: str
    caller_id_name: str
    mode: str = "progressive"


@dataclass(frozen=True, slots=True)
class DemoContact:
    number: str
    name: str
    time_zone: str
    custom_fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class DemoReason:
    """`limit_seconds`: longer than this is shown as overdue."""

    status: str
    code: str
    label: str
    is_productive: bool = False
    limit_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class DemoDisposition:
    """`flags`: names of the fields of dialer.models.Disposition that are true."""

    code: str
    label: str
    hot_key: str
    flags: tuple[str, ...] = ()
    retry_delay_minutes: int | None = None


# Of all campaigns: the choices most teams begin with.
DISPOSITIONS = (
    DemoDisposition("sale", "Sale", "s", ("is_contact", "is_sale", "is_complete")),
    DemoDisposition("not_interested", "Not interested", "n", ("is_contact", "is_complete")),
    DemoDisposition("callback", "Call back", "c", ("is_contact", "is_callback")),
    DemoDisposition("not_there", "Person not there", "p", ("is_retry",), 120),
    DemoDisposition("voicemail", "Voicemail", "v", ("is_retry",), 240),
    DemoDisposition("wrong_number", "Wrong number", "w", ("is_complete",)),
    DemoDisposition("do_not_call", "Do not call again", "d", ("is_contact", "is_do_not_call")),
)

# The demo is looked at at any hour and calls fictional numbers only, which nobody owns: no calling hours, so that its
# floor never stands still at night. Every other campaign keeps to 08:00 to 21:00 unless a profile says otherwise.
PROFILE = "Demo: any hour"
PROFILE_WHY = "For the fictional numbers of the demo only: real people are called in calling hours."
CALLING_HOURS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}

# For the demo a call is soon followed by the next: short wrap-up, short retries, no hourly brake worth noticing.
RETRY_DELAY_MINUTES = 2
MAX_RETRY_ATTEMPTS = 3
CALLS_PER_AGENT_PER_HOUR = 600
WRAP_UP_SECONDS = 5

_CODES = tuple(AREA_CODES)
CAMPAIGNS = (
    DemoCampaign(
        "Spring renewal",
        "Customers whose contract ends this spring.",
        "Spring renewal customers",
        (101, 112),
        _CODES[0::2],
        "+12125550100",
        "Spring renewal",
    ),
    # Agents 109 to 112 serve both campaigns, so that the choice between two of them can be seen.
    DemoCampaign(
        "Customer survey",
        "Five questions to customers of the last quarter.",
        "Customer survey panel",
        (109, 120),
        _CODES[1::2],
        "+12125550101",
        "Customer survey",
        "predictive",
    ),
)

REASONS = (
    DemoReason("break", "lunch", "Lunch", limit_seconds=45 * 60),
    DemoReason("break", "coffee", "Coffee", limit_seconds=15 * 60),
    DemoReason("break", "training", "Training", is_productive=True, limit_seconds=2 * 3600),
    DemoReason("break", "meeting", "Meeting", limit_seconds=3600),
    DemoReason("busy", "wrap_up", "Wrap-up", is_productive=True, limit_seconds=120),
    DemoReason("busy", "paperwork", "Paperwork", is_productive=True, limit_seconds=30 * 60),
    DemoReason("busy", "escalation", "Escalation", is_productive=True, limit_seconds=30 * 60),
    DemoReason("offline", "end_of_shift", "End of shift"),
    DemoReason("offline", "technical", "Technical problem"),
)


MESSAGE = "Customer survey: nobody free"
MESSAGE_TEXT = (
    "This was a call from the customer survey of Example Ltd, +1 212 555 0101. All our agents are speaking just now. "
    "Call this number to be called no more."
)


def message_sound() -> bytes:
    """A WAV file of two quiet tones, in place of a voice: 8 kHz, 16 bits, 3 s."""
    rate, seconds = 8000, 3
    tones = ((440.0, 0.0), (350.0, 1.5))
    samples = array.array("h")
    for place in range(rate * seconds):
        at = place / rate
        pitch = next(tone for tone, start in reversed(tones) if at >= start)
        samples.append(round(3000 * math.sin(2 * math.pi * pitch * at)))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.tobytes())
    return file.getvalue()


def password_of(username: str) -> str:
    """The demo password, known to everyone: why the seed refuses to run with DEBUG off."""
    return f"{username}-demo"


def agents() -> Iterator[DemoAgent]:
    for index, name in enumerate(AGENT_NAMES):
        number = FIRST_AGENT + index
        state, reason = {119: ("break", "lunch"), 120: ("offline", "")}.get(number, ("available", ""))
        yield DemoAgent(
            agent_id=f"agent_{number}",
            name=name,
            extension=str(FIRST_EXTENSION + index),
            phone_number=f"+1646555{FIRST_AGENT + index:04}",
            state=state,
            reason=reason,
        )


def agent_ids(campaign: DemoCampaign) -> list[str]:
    first, last = campaign.agents
    return [f"agent_{number}" for number in range(first, last + 1)]


def contacts(campaign: DemoCampaign) -> Iterator[DemoContact]:
    """100 contacts per area code. Area codes take turns, so that the first calls already cross every time zone."""
    for line in range(NUMBERS_PER_AREA):
        for place, code in enumerate(campaign.area_codes):
            # A stride prime to both lists of names: neighbours differ, and every run names the same number alike.
            turn = int(code) * NUMBERS_PER_AREA + line * 7 + place
            yield DemoContact(
                number=f"+1{code}555{100 + line:04}",
                name=f"{_GIVEN[turn % len(_GIVEN)]} {_FAMILY[turn % len(_FAMILY)]}",
                time_zone=AREA_CODES[code],
                custom_fields={
                    "plan": _PLANS[turn % len(_PLANS)],
                    "product": _PRODUCTS[turn % len(_PRODUCTS)],
                    "customer since": str(2008 + turn % 16),
                },
            )

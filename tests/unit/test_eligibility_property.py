"""Random contacts, zones, days on which clocks change, and rules: no call is allowed that an oracle forbids, and none
is refused that it allows. The oracle reads the rules as people wrote them and shares no code with what it judges.

RULES_SITUATIONS=1000000 tries that many; `make test` tries fewer.
"""

import datetime as dt
import os
import random
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phonenumbers import timezone as number_zones

from dialer import eligibility, retry, rule_forms
from dialer.calling_hours import Holiday

PER_EXAMPLE = 100
EXAMPLES = max(1, int(os.environ.get("RULES_SITUATIONS", "5000")) // PER_EXAMPLE)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NUMBERS = (
    "+12125551234", "+13055550100", "+14805551234", "+18082345678", "+19072345678", "+18002255288", "+19005551234",
    "+441312345678", "+447911123456", "+448431234567", "+4930123456", "+919876543210", "+9779812345678",
    "+61412345678", "+61881234567", "+61299998888", "+56221234567", "+6421123456", "+6799123456", "+4412345",
)  # fmt: skip
ZONES = (
    "", "", "", "America/New_York", "America/Los_Angeles", "America/Phoenix", "America/St_Johns", "Europe/London",
    "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Chatham",
    "America/Santiago", "Africa/Cairo", "Pacific/Apia", "Mars/Olympus",
)  # fmt: skip
# As numbers are told to be in them.
OTHER_NAMES = {"Asia/Kolkata": "Asia/Calcutta", "Asia/Kathmandu": "Asia/Katmandu"}
# Local days on which some of these clocks change, and two on which none does.
CHANGES = tuple(
    dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    for day in (
        *("2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2026-04-24"),
        *("2026-10-29", "2026-09-27", "2026-09-06", "2027-03-14", "2027-11-07"),
        *("2024-02-29", "2026-01-01", "2026-07-15"),
    )
)
PREFIXES = ["+1", "+4", "+61", "+91", "+977", "+56"]
OUTCOMES = ("busy", "no_answer", "failed", "rejected", "machine", "abandoned", "conversation", "not_dialled")
NEVER = {phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.SHARED_COST, 99}


class Situation:
    """One contact at one moment under one profile, all as plain values."""

    def __init__(self, chance: random.Random) -> None:
        c = chance
        self.now = c.choice(CHANGES) + dt.timedelta(seconds=c.choice((60, 1)) * c.randrange(-2160, 3600))
        self.number, self.zone = c.choice(NUMBERS), c.choice(ZONES)
        self.hours = c.choice(
            ({}, {day: [["00:00", "24:00"]] for day in DAYS}, {day: self.windows(c) for day in c.sample(DAYS, 5)})
        )
        today = self.now.date()
        self.holidays = [
            (today + dt.timedelta(days=c.randrange(-1, 3)), c.choice(("", "US", "GB")), c.choice(ZONES[:-1]))
            for _ in range(c.choice((0, 0, 0, 1)))
        ]
        self.frequency = [
            {"attempts": c.randrange(1, 4), "days": c.randrange(1, 9), "scope": c.choice(("number", "campaign"))}
            for _ in range(c.choice((0, 0, 1, 2)))
        ]
        self.quiet_days, self.wait_hours = c.choice((0, 0, 7)), c.choice((0, 0, 4))
        self.reserved = c.random() < 0.8
        self.refused = c.choice(([], [], ["mobile"]))
        self.retry = c.choice(({}, {"busy": {"delay_minutes": 30, "times": c.randrange(3), "growth": 2}}))
        self.attempts, self.most = c.choice((0, 1, 2)), 1 + c.randrange(5)
        self.due = self.now - dt.timedelta(minutes=c.choice((5, 5, 5, 0, -5)))
        # (minutes ago, outcome, ours); a call lasts a minute.
        self.calls = [(c.randrange(1, 14_000), c.choice(OUTCOMES), c.random() < 0.7) for _ in range(c.randrange(4))]
        self.last = c.choice(("", "", "busy"))
        self.busy_count, self.last_ended = c.randrange(1, 4), self.now - dt.timedelta(minutes=c.randrange(200))
        self.listed, self.revoked, self.on_call = (c.random() < 0.03 for _ in range(3))
        self.status = "completed" if c.random() < 0.03 else "ready"

    @staticmethod
    def windows(c: random.Random) -> list[list[str]]:
        start, end = sorted(c.sample(range(25), 2))
        return [[f"{start:02}:{0 if start == 24 else c.choice((0, 30)) if end > start + 1 else 0:02}", f"{end:02}:00"]]

    def gates(self, now: dt.datetime) -> tuple[eligibility.Gate, ...]:
        attempts = []
        for minutes, outcome, ours in self.calls:
            at = self.now - dt.timedelta(minutes=minutes)
            over = at + dt.timedelta(minutes=1)
            talked = over if outcome == "conversation" else None
            abandoned = over if outcome == "abandoned" else None
            attempts.append(eligibility.Attempt(at, outcome, talked, abandoned, ours))
        rules = eligibility.Rules(
            week=rule_forms.week(self.hours),
            holidays=tuple(Holiday(day, "Feast", region, zone) for day, region, zone in self.holidays),
            frequency=rule_forms.frequency(self.frequency),
            quiet_after_conversation=dt.timedelta(days=self.quiet_days),
            wait_after_abandon=dt.timedelta(hours=self.wait_hours),
            max_attempts=self.most,
            retry=rule_forms.retries(self.retry),
            retry_default=retry.RetryRule(dt.timedelta(0)),
            refused_types=rule_forms.number_types(self.refused),
        )
        view = eligibility.ContactView(
            self.number, self.status, self.due, self.on_call, self.zone, self.attempts, self.last, self.last_ended,
            {"busy": self.busy_count} if self.last else {}, tuple(attempts),
            "listed" if self.listed else "", "revoked" if self.revoked else "",
        )  # fmt: skip
        return eligibility.contact_gates(view, PREFIXES, now, rules, agent_reserved=self.reserved)

    # --- The oracle ---

    def forbidden(self) -> bool:
        return self.standing_forbids() or self.history_forbids() or self.clock_forbids(self.now)

    def standing_forbids(self) -> bool:
        parsed = phonenumbers.parse(self.number)
        kind = phonenumbers.number_type(parsed)
        return (
            self.status != "ready" or self.listed or self.revoked or self.on_call
            or not any(self.number.startswith(prefix) for prefix in PREFIXES)
            or kind in NEVER or ("mobile" in self.refused and kind == phonenumbers.PhoneNumberType.MOBILE)
            or self.attempts >= self.most or self.due > self.now
        )  # fmt: skip

    def history_forbids(self) -> bool:
        seconds = (self.now - self.last_ended).total_seconds()
        if self.last and self.retry:
            rule = self.retry["busy"]
            if self.busy_count > rule["times"] or seconds < 1800 * 2 ** (self.busy_count - 1):
                return True
        real = [(minutes, outcome, ours) for minutes, outcome, ours in self.calls if outcome != "not_dialled"]
        for rule in self.frequency:
            counted = [m for m, _, ours in real if m < rule["days"] * 1440 and (ours or rule["scope"] == "number")]
            if len(counted) >= rule["attempts"]:
                return True
        ages = {name: min([m - 1 for m, o, _ in real if o == name], default=10**9) for name in OUTCOMES}
        return (
            ages["conversation"] < self.quiet_days * 1440
            or ages["abandoned"] < self.wait_hours * 60
            or (not self.reserved and ages["abandoned"] < 72 * 60)
        )

    def clock_forbids(self, now: dt.datetime) -> bool:
        parsed = phonenumbers.parse(self.number)
        zones = {zone for zone in number_zones.time_zones_for_number(parsed) if zone != "Etc/Unknown"}
        if self.zone:
            zones.add(self.zone)
        if not zones or "Mars/Olympus" in zones:
            return True
        region = phonenumbers.region_code_for_number(parsed) or ""
        for zone in zones:
            wall = now.astimezone(ZoneInfo(zone))
            for day, only_region, only_zone in self.holidays:
                kept_in = (only_zone or zone, OTHER_NAMES.get(only_zone))
                if wall.date() == day and only_region in ("", region) and zone in kept_in:
                    return True
            hours = self.hours or {day: [["08:00", "21:00"]] for day in DAYS}
            shown = wall.strftime("%H:%M")
            if not any(start <= shown < end for start, end in hours.get(DAYS[wall.weekday()], [])):
                return True
        return False


@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**63))
def test_no_call_is_allowed_that_any_rule_forbids_and_none_refused_that_all_allow(seed):
    chance = random.Random(seed)
    for _ in range(PER_EXAMPLE):
        situation = Situation(chance)
        gates = situation.gates(situation.now)
        assert bool(gates) == situation.forbidden(), (seed, vars(situation), gates)


@pytest.mark.slow
@settings(max_examples=max(100, EXAMPLES // 10), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**63))
def test_a_gate_is_open_when_it_said_it_would_be_and_closed_at_any_minute_before(seed):
    chance = random.Random(seed)
    for _ in range(10):
        situation = Situation(chance)
        # Two frequency rules are two gates of one name: the last of them counts.
        closed = sorted((g for g in situation.gates(situation.now) if g.opens_at), key=lambda g: g.opens_at)
        for gate in {gate.name: gate for gate in closed}.values():
            assert gate.opens_at > situation.now
            assert gate.name not in {later.name for later in situation.gates(gate.opens_at)}, (seed, gate)
            wait = gate.opens_at - situation.now
            moments = [gate.opens_at - dt.timedelta(microseconds=1)]
            moments += [situation.now + wait * chance.random() for _ in range(8)]
            for moment in moments:
                if situation.now <= moment < gate.opens_at:
                    assert gate.name in {closed.name for closed in situation.gates(moment)}, (seed, gate, moment)

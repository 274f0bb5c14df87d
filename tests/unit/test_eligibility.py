"""Each gate by value, with the time it next opens."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from dialer import calling_hours, numbers, retry, rule_forms
from dialer import eligibility as e
from dialer.calling_hours import ALL_HOURS, DEFAULT_WEEK, Holiday

NOW = dt.datetime(2026, 1, 5, 17, 0, tzinfo=dt.UTC)  # a Monday, noon in New York
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NEW_YORK = "+12125551234"
OPEN = e.Rules(week=ALL_HOURS, max_attempts=4)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def contact(number: str = NEW_YORK, **more: object) -> e.ContactView:
    return e.ContactView(number, "ready", NOW, **more)


def gates(view: e.ContactView, rules: e.Rules = OPEN, now: dt.datetime = NOW, **more: object) -> dict:
    """Name and opening of each closed gate."""
    return {gate.name: gate.opens_at for gate in e.contact_gates(view, ["+1", "+4", "+6", "+9"], now, rules, **more)}


def test_a_contact_that_nothing_forbids_may_be_called():
    assert gates(contact()) == {}


# --- Calling hours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "zone", "now", "opens"),
    [
        # The default, 08:00 to 21:00: its first minute, and the first after it.
        (NEW_YORK, "", "2026-01-05T13:00", None),
        (NEW_YORK, "", "2026-01-05T12:59", "2026-01-05T13:00"),
        (NEW_YORK, "", "2026-01-06T01:59", None),
        (NEW_YORK, "", "2026-01-06T02:00", "2026-01-06T13:00"),
        # Spring, 2026-03-08 in the US: the night is an hour shorter. Autumn, 2026-11-01: an hour longer.
        (NEW_YORK, "", "2026-03-08T02:00", "2026-03-08T12:00"),
        (NEW_YORK, "", "2026-11-01T01:00", "2026-11-01T13:00"),
        # Both the number's zone and the contact's own must be open.
        (NEW_YORK, "America/Los_Angeles", "2026-01-05T15:59", "2026-01-05T16:00"),
        (NEW_YORK, "America/Los_Angeles", "2026-01-06T02:00", "2026-01-06T16:00"),
        # Europe, 2026-03-29 and 2026-10-25.
        ("+441312345678", "", "2026-03-28T21:00", "2026-03-29T07:00"),
        ("+441312345678", "", "2026-10-24T20:00", "2026-10-25T08:00"),
        # Half and quarter hours: India +5:30, Nepal +5:45, Adelaide +9:30 (+10:30 in summer, until 2026-04-05).
        ("+919876543210", "", "2026-01-05T02:29", "2026-01-05T02:30"),
        ("+9779812345678", "", "2026-01-05T02:14", "2026-01-05T02:15"),
        (None, "Australia/Adelaide", "2026-04-04T10:30", "2026-04-04T22:30"),
        # Lord Howe moves by half an hour, on 2026-04-05 from +11 to +10:30.
        (None, "Australia/Lord_Howe", "2026-04-04T10:00", "2026-04-04T21:30"),
        (None, "Australia/Lord_Howe", "2026-10-03T10:30", "2026-10-03T21:00"),
    ],
)
def test_calling_hours_are_wall_time_of_every_zone_also_on_days_the_clock_changes(number, zone, now, opens):
    names = [*(numbers.time_zones(number) if number else ()), *([zone] if zone else [])]
    zones = [ZoneInfo(name) for name in names]
    assert calling_hours.is_open(DEFAULT_WEEK, zones, utc(now)) is (opens is None)
    assert calling_hours.next_open(DEFAULT_WEEK, zones, utc(now)) == utc(opens or now)
    if number:
        closed = gates(contact(number, time_zone=zone), e.Rules(max_attempts=4), utc(now))
        assert closed.get("calling_hours", "open") == (utc(opens) if opens else "open")


def test_a_window_in_the_skipped_hour_opens_when_the_clock_has_jumped():
    week = rule_forms.week({"sun": [["02:15", "04:00"]]})
    zones = [ZoneInfo("America/New_York")]
    assert calling_hours.next_open(week, zones, utc("2026-03-08T05:00")) == utc("2026-03-08T07:00")


def test_a_window_in_the_repeated_hour_opens_twice():
    week = rule_forms.week({"sun": [["01:30", "02:00"]]})
    zones = [ZoneInfo("America/New_York")]
    assert calling_hours.next_open(week, zones, utc("2026-11-01T05:00")) == utc("2026-11-01T05:30")
    assert not calling_hours.is_open(week, zones, utc("2026-11-01T06:00"))
    assert calling_hours.next_open(week, zones, utc("2026-11-01T06:00")) == utc("2026-11-01T06:30")


def test_a_weekday_without_a_window_is_closed_and_a_week_without_one_never_opens():
    week = rule_forms.week({"wed": [["09:00", "10:00"], ["14:00", "15:00"]]})
    zones = [ZoneInfo("America/New_York")]
    assert calling_hours.next_open(week, zones, NOW) == utc("2026-01-07T14:00")
    assert calling_hours.next_open(week, zones, utc("2026-01-07T15:00")) == utc("2026-01-07T19:00")
    assert calling_hours.next_open(((),) * 7, zones, NOW) is None


def test_a_number_that_may_be_anywhere_is_called_only_when_it_is_day_everywhere():
    # A toll-free number may be in any zone of the numbering plan, from Guam to Bermuda and beyond.
    anywhere = numbers.time_zones("+18002255288")
    assert len(anywhere) > 20
    for zone in anywhere:
        midnight = dt.datetime(2026, 1, 6, tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
        assert "calling_hours" in gates(contact("+18002255288"), e.Rules(max_attempts=4), midnight), zone


def test_nobody_is_called_where_the_time_is_unknown():
    assert "time_zone" in gates(contact(time_zone="Mars/Olympus"))


@pytest.mark.parametrize("zone", ["EST", "MST", "HST", "GMT", "Etc/GMT+5", "Zulu", "Factory", "localtime"])
def test_a_clock_without_summer_time_is_no_place_s(zone):
    # In July, half past nine in the evening in New York: by "EST" half past eight, and in Chicago, too.
    chicago, late = "+13125551234", utc("2026-07-15T01:30")
    assert "calling_hours" in gates(contact(chicago, time_zone="America/New_York"), e.Rules(), late)
    closed = e.contact_gates(contact(chicago, time_zone=zone), ["+1"], late, e.Rules())
    assert [gate.name for gate in closed] == ["time_zone"] and "not that of a place" in closed[0].reason


def test_every_zone_that_a_person_may_write_or_a_number_has_is_known():
    for name in {*calling_hours._names().values(), *(z for zones in TIMEZONE_DATA.values() for z in zones)}:
        assert calling_hours.zone(name) is not None and calling_hours.named(name.lower()) == name, name


def test_a_holiday_lasts_as_long_as_any_of_the_zones_has_it():
    feast = Holiday(dt.date(2026, 1, 5), "Feast", "US")
    rules = e.Rules(week=ALL_HOURS, max_attempts=4, holidays=(feast,))
    assert gates(contact(), rules) == {"holiday": utc("2026-01-06T05:00")}
    west = contact(time_zone="America/Los_Angeles")
    assert gates(west, rules, utc("2026-01-06T06:00")) == {"holiday": utc("2026-01-06T08:00")}
    assert gates(contact("+441312345678"), rules) == {}
    regional = Holiday(dt.date(2026, 1, 5), "Feast", "US", "America/Denver")
    assert gates(contact(), e.Rules(week=ALL_HOURS, max_attempts=4, holidays=(regional,))) == {}


@pytest.mark.parametrize(
    ("number", "written", "elsewhere"),
    [
        ("+919876543210", "Asia/Kolkata", "Asia/Colombo"),
        ("+9779812345678", "Asia/Kathmandu", "Asia/Kolkata"),
        (NEW_YORK, "US/Eastern", "America/Detroit"),
        ("+4930901820", "Europe/Berlin", "Europe/Paris"),
    ],
)
def test_a_holiday_is_kept_in_its_zone_by_any_of_its_names(number, written, elsewhere):
    kept, other = (
        e.Rules(week=ALL_HOURS, max_attempts=4, holidays=(Holiday(dt.date(2026, 1, 5), "Feast", "", zone),))
        for zone in (written, elsewhere)
    )
    assert set(gates(contact(number), kept)) == {"holiday"}
    assert gates(contact(number), other) == {}


# --- Lists and numbers ---------------------------------------------------------------------------------------------


def test_a_listed_number_waits_for_a_person_not_for_time():
    closed = gates(contact(do_not_call="every campaign", consent_revoked="by letter"))
    assert closed == {"do_not_call": None, "consent": None}


@pytest.mark.parametrize(
    ("number", "kind"), [("+19005551234", "premium_rate"), ("+49180312345", "shared_cost"), ("+4412345", "unknown")]
)
def test_premium_shared_cost_and_unknown_numbers_are_refused_whatever_the_profile_says(number, kind):
    assert numbers.number_type(number) == kind
    assert "number_type" in gates(contact(number, time_zone="UTC"))


def test_a_profile_refuses_further_types_and_other_prefixes():
    british = contact("+447911123456")
    assert gates(british) == {}
    assert "number_type" in gates(british, e.Rules(ALL_HOURS, max_attempts=4, refused_types=frozenset({"mobile"})))
    assert "prefix" in gates(british, e.Rules(ALL_HOURS, max_attempts=4, allowed_prefixes=("+4420",)))


# --- Attempts and history ------------------------------------------------------------------------------------------


def test_attempts_end_with_the_campaigns_limit_and_with_the_outcomes_own():
    assert gates(contact(attempts=4)) == {"attempts": None}
    rules = e.Rules(ALL_HOURS, max_attempts=9, retry={"busy": retry.RetryRule(HOUR, times=2)})
    view = contact(attempts=3, last_outcome="busy", outcomes={"busy": 3}, last_ended_at=NOW - DAY)
    assert gates(view, rules) == {"outcome_limit": None}


def test_the_retry_delay_grows_with_each_outcome_of_its_kind_up_to_the_longest():
    rule = retry.RetryRule(HOUR, growth=2, longest=5 * HOUR)
    assert [rule.delay_after(count) / HOUR for count in (1, 2, 3, 4, 5_000)] == [1, 2, 4, 5, 5]
    rules = e.Rules(ALL_HOURS, max_attempts=9, retry={"busy": rule})
    view = contact(attempts=2, last_outcome="busy", outcomes={"busy": 2}, last_ended_at=NOW - HOUR)
    assert gates(view, rules) == {"retry_delay": NOW + HOUR}


def test_a_frequency_cap_opens_when_the_oldest_of_its_attempts_leaves_the_window():
    rules = e.Rules(ALL_HOURS, max_attempts=99, frequency=rule_forms.frequency([{"attempts": 2, "days": 7}]))
    three = tuple(e.Attempt(NOW - days * DAY, "busy") for days in (1, 6, 3))
    assert gates(contact(history=three), rules) == {"frequency": NOW - 3 * DAY + 7 * DAY}
    on_the_edge = (e.Attempt(NOW - DAY, "busy"), e.Attempt(NOW - 7 * DAY, "busy"))
    assert gates(contact(history=on_the_edge), rules) == {}
    assert gates(contact(history=(three[0], e.Attempt(NOW - DAY, "not_dialled"))), rules) == {}


def test_a_frequency_cap_of_the_campaign_counts_its_own_attempts_only():
    form = [{"attempts": 1, "days": 1, "scope": "campaign"}, {"attempts": 3, "days": 30}]
    rules = e.Rules(ALL_HOURS, max_attempts=99, frequency=rule_forms.frequency(form))
    other = e.Attempt(NOW - HOUR, "busy", ours=False)
    assert gates(contact(history=(other,)), rules) == {}
    assert gates(contact(history=(other, e.Attempt(NOW - HOUR, "busy"))), rules) == {"frequency": NOW + 23 * HOUR}


def test_quiet_days_follow_a_conversation_unless_the_customer_asked_to_be_called():
    rules = e.Rules(ALL_HOURS, max_attempts=9, quiet_after_conversation=7 * DAY)
    talked = (e.Attempt(NOW - 2 * DAY, "conversation", talked_until=NOW - DAY),)
    assert gates(contact(history=talked), rules) == {"quiet_days": NOW + 6 * DAY}
    assert gates(contact(history=talked, callback=e.Callback(NOW)), rules) == {}


def test_after_an_abandon_hours_are_waited_and_then_an_agent_is_reserved():
    rules = e.Rules(ALL_HOURS, max_attempts=9, wait_after_abandon=2 * HOUR, reserved_after_abandon=72 * HOUR)
    lost = (e.Attempt(NOW - HOUR, "abandoned", abandoned_at=NOW - HOUR),)
    assert gates(contact(history=lost), rules) == {"abandon_wait": NOW + HOUR}
    later = NOW + 2 * HOUR
    assert gates(contact(history=lost), rules, later) == {}
    assert gates(contact(history=lost), rules, later, agent_reserved=False) == {"abandon_reserved": NOW + 71 * HOUR}


def test_an_appointment_waits_for_its_time_and_its_agent_until_it_is_anyones():
    view = contact(attempts=9, callback=e.Callback(NOW + HOUR, agent=7, anyone_at=NOW + 3 * HOUR))
    assert gates(view) == {"callback": NOW + HOUR}
    assert gates(view, now=NOW + 2 * HOUR) == {"callback": NOW + 3 * HOUR}
    assert gates(view, now=NOW + 2 * HOUR, agent=7) == gates(view, now=NOW + 3 * HOUR) == {}


def test_every_closed_gate_is_told_and_the_last_to_open_counts():
    rules = e.Rules(DEFAULT_WEEK, max_attempts=9, quiet_after_conversation=DAY)
    view = contact(history=(e.Attempt(NOW, "conversation", talked_until=NOW),))
    found = e.contact_gates(view, ["+1"], utc("2026-01-06T02:00"), rules)
    assert [gate.name for gate in found] == ["quiet_days", "calling_hours"] and e.opens_at(found) == NOW + DAY
    assert e.opens_at([*found, e.Gate("do_not_call", "")]) is None
    assert {gate.name for gate in found} < set(e.CONTACT_GATES)


# --- Limits --------------------------------------------------------------------------------------------------------


def view(**limits: object) -> e.CampaignView:
    return e.CampaignView("active", True, None, None, own=e.Limits(**limits), system=e.Limits(max_lines=100))


@pytest.mark.parametrize(
    ("limits", "gate", "room"),
    [
        ({"lines": 3, "max_lines": 5}, None, 2),
        ({"lines": 5, "max_lines": 5}, "lines", 0),
        ({"lines": 7, "max_lines": 5}, "lines", 0),
        ({"in_last_second": 4, "per_second": 5}, None, 1),
        ({"in_last_second": 5, "per_second": 5}, "calls_per_second", 0),
        ({"spent": Decimal(9), "spend_cap": Decimal(10), "next_cost": Decimal("0.4")}, None, 2),
        ({"spent": Decimal(10), "spend_cap": Decimal(10), "next_cost": Decimal("0.4")}, "spend", 0),
        ({"spent": Decimal(10), "spend_cap": Decimal(10)}, None, 100),
    ],
)
def test_limits_close_the_campaign_when_they_leave_no_room(limits, gate, room):
    found = e.campaign_gates(view(**limits), NOW)
    assert [one.name for one in found] == ([gate] if gate else []) and e.room(view(**limits)) == room


@pytest.mark.parametrize(
    ("status", "has_list", "start", "end", "closed"),
    [
        ("active", True, NOW, NOW + HOUR, {}),
        ("paused", True, None, None, {"status": None}),
        ("active", False, None, None, {"list": None}),
        ("active", True, NOW + HOUR, None, {"schedule": NOW + HOUR}),
        ("active", True, None, NOW, {"schedule": None}),
    ],
)
def test_a_campaign_dials_while_it_is_active_has_a_list_and_is_within_its_schedule(
    status, has_list, start, end, closed
):
    found = e.campaign_gates(e.CampaignView(status, has_list, start, end), NOW)
    assert {gate.name: gate.opens_at for gate in found} == closed


def test_a_full_second_opens_when_its_oldest_call_is_a_second_old():
    [gate] = e.campaign_gates(view(in_last_second=1, per_second=1, oldest_in_second=NOW), NOW)
    assert gate.opens_at == NOW + e.SECOND


# --- Forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        (rule_forms.week, {"monday": []}, "no weekday"),
        (rule_forms.week, {"mon": [["21:00", "08:00"]]}, "ends after it starts"),
        (rule_forms.week, {"mon": [["08:00", "24:01"]]}, "no time from"),
        (rule_forms.week, {"mon": [["08:00", "12:00"], ["11:59", "13:00"]]}, "overlap"),
        (rule_forms.week, {"mon": ["08:00", "12:00"]}, "a start and an end"),
        (rule_forms.week, {"mon": "all"}, "windows are written"),
        (rule_forms.week, [1], "names and values"),
        (rule_forms.frequency, {"attempts": 1}, "list"),
        (rule_forms.frequency, [{"attempts": 0, "days": 1}], "attempts is a whole number"),
        (rule_forms.frequency, [{"attempts": True, "days": 1}], "attempts is a whole number"),
        (rule_forms.frequency, [{"attempts": 1, "days": 1, "scope": "moon"}], "scope"),
        (rule_forms.frequency, [{"attempts": 1, "days": 1, "per": 1}], "not known"),
        (rule_forms.retries, {"sulking": {}}, "no outcome"),
        (rule_forms.retries, {"busy": {}}, "delay_minutes"),
        (rule_forms.retries, {"busy": {"delay_minutes": 1, "growth": 0.5}}, "growth"),
        (rule_forms.prefixes, ["1212"], "plus and digits"),
        (rule_forms.number_types, ["pigeon"], "no number type"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_a_sentence(form, value, words):
    with pytest.raises(rule_forms.RuleError, match=words):
        form(value)


def test_empty_forms_are_the_defaults():
    assert rule_forms.week({}) == DEFAULT_WEEK and rule_forms.frequency([]) == () and rule_forms.retries({}) == {}
    assert rule_forms.week({day: [["00:00", "24:00"]] for day in rule_forms.DAYS}) == ALL_HOURS

"""Abandoned calls per window: counted with each outcome, read by every decision of a campaign that dials ahead.

"Answered by a person": answered, and not found to be a machine; so a machine is never abandoned either. A call counts
in the minute of its answer (windows up to a day), or on the UTC day of its attempt (longer ones). Windows consist of
whole minutes or days, the one that has begun among them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection
from django.db.models import Sum

from dialer import figures
from dialer.compiled import any_of, compiled
from dialer.models import CallLog, CampaignDay, CampaignMinute, DialerCampaign
from dialer.pacing.observation import WindowCount
from dialer.pacing.profile import DAY_SECONDS, CapWindow, Profile, standard
from dialer.services import closing

COUNTED = ("answered", "connected", "abandoned", "machines", "machines_connected", "machines_abandoned")
# Minutes are kept for the longest window that is read from them, and a while for a clock that is set back.
KEEP_MINUTES = dt.timedelta(hours=26)

_SUMS = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in COUNTED)
_OF_MINUTES = f"SELECT %s, {_SUMS} FROM dialer_campaignminute WHERE campaign_id = %s AND minute >= %s"  # noqa: S608
_OF_DAYS = f"SELECT %s, {_SUMS} FROM dialer_campaignday WHERE campaign_id = %s AND day >= %s"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of one window. people: answered by a person, abandoned ones among them. handled: people joined to an agent.
    machines: those that agents heard. dropped: abandoned, machines among them, known or not."""

    window: CapWindow
    people: int = 0
    abandoned: int = 0
    handled: int = 0
    machines: int = 0
    dropped: int = 0

    @property
    def us(self) -> figures.Figure:
        return figures.us_drop_rate(self.abandoned, self.people, self.window.name)

    @property
    def uk(self) -> figures.Figure:
        # The formula itself takes the machines out, in the share that agents found: they are not taken out twice.
        return figures.uk_drop_rate(self.dropped, self.handled, self.machines, self.window.name)

    @property
    def budget(self) -> figures.DropBudget:
        return figures.drop_budget(self.abandoned, self.people, self.window.cap)


def count(call: CallLog, amounts: Mapping[str, int | Decimal]) -> None:
    """Add those of the amounts that windows are made of to the minute of the call's answer."""
    if call.campaign_id is None or call.answered_at is None or not any(amounts.get(name) for name in COUNTED):
        return
    counted = {name: int(amounts[name]) for name in COUNTED if amounts.get(name)}
    closing.add(CampaignMinute, counted, campaign_id=call.campaign_id, minute=_minute(call.answered_at))


def finished(campaign: int, at: dt.datetime) -> None:
    """One more contact that the campaign's list (of this key) is done with."""
    closing.add(CampaignMinute, {"finished": 1}, campaign_id=campaign, minute=_minute(at))


def machine(call: CallLog) -> dict[str, int]:
    """What is counted when an answered call is found to have been a machine's."""
    if call.answered_at is None:
        return {}
    joined, lost = call.bridged_at is not None, call.abandoned
    return {"machines": 1, "machines_connected": int(joined), "machines_abandoned": int(lost)}


def profile_of(campaign: DialerCampaign) -> Profile:
    """The caps the campaign dials under: its compliance profile's, or the standard ones."""
    rules = campaign.profile
    if rules is None:
        return standard()
    return standard(float(rules.abandon_cap_percent) / 100, strict=rules.strict_abandon_cap)


def counts(campaign: int, now: dt.datetime, windows: Sequence[CapWindow] = ()) -> tuple[Counts, ...]:
    """The counts of a campaign (key) in each window, in their order; those of the standard profile unless told. One
    query of at most 1,441 short rows per window."""
    closing.write()
    windows = windows or standard().windows
    asked: list[object] = []
    for place, window in enumerate(windows):
        asked += [place, campaign, _first_minute(window, now) if _is_short(window) else _first_day(window, now)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(_OF_MINUTES if _is_short(window) else _OF_DAYS for window in windows), asked)
        rows = sorted(cursor.fetchall())
    return tuple(_counts(windows[place], sums) for place, *sums in rows)


_MONTHS = compiled(
    lambda campaigns, since: (
        CampaignDay.objects.filter(any_of("campaign", campaigns), day__gte=since)
        .order_by()
        .values_list("campaign")
        .annotate(*(Sum(name) for name in COUNTED))
    )
)


def month(campaigns: Sequence[DialerCampaign], now: dt.datetime) -> dict[int, Counts]:
    """The counts of each campaign's longest window by its key, for boards: one query for all."""
    longest = {campaign.pk: profile_of(campaign).windows[0] for campaign in campaigns}
    sums = _MONTHS(list(longest), _first_day(standard().windows[0], now))
    return {pk: _counts(longest[pk], row) for pk, *row in sums}


def windows(campaign: int, now: dt.datetime, profile: Profile | None = None) -> tuple[WindowCount, ...]:
    """What a pacing policy is told of the caps of this campaign (key)."""
    found = counts(campaign, now, (profile or standard()).windows)
    return tuple(
        WindowCount(c.window.name, c.people, c.abandoned, c.window.cap, c.window.aim, c.window.least) for c in found
    )


def _counts(window: CapWindow, row: Sequence[int]) -> Counts:
    answered, connected, abandoned, machines, machines_connected, machines_abandoned = row
    people = max(0, answered - machines)
    lost = max(0, abandoned - machines_abandoned)
    # A table that was emptied while a call went on knows its end, not its answer.
    handled = max(0, connected - machines_connected)
    return Counts(window, max(people, lost), lost, handled, machines_connected, abandoned)


def _is_short(window: CapWindow) -> bool:
    return window.seconds <= DAY_SECONDS


def _minute(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(second=0, microsecond=0)


def _first_minute(window: CapWindow, now: dt.datetime) -> dt.datetime:
    return _minute(now - dt.timedelta(seconds=window.seconds))


def _first_day(window: CapWindow, now: dt.datetime) -> dt.date:
    """Of 30 days: today and the 29 before."""
    return now.astimezone(dt.UTC).date() - dt.timedelta(days=round(window.seconds / DAY_SECONDS) - 1)

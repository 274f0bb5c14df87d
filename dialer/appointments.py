"""Times at which a contact could be called back: what an agent is offered, and why another time is not possible.

The rules are those that are asked again when the call is dialled (dialer/eligibility.py), as they will stand then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings

from dialer import dispositions, eligibility, preview, rules
from dialer.models import Contact, DialerCampaign

# People agree on quarters of an hour.
STEP = dt.timedelta(minutes=15)
MORNING, AFTERNOON = dt.time(9), dt.time(14)


@dataclass(frozen=True, slots=True)
class Possible:
    """Whether a call may be made at `at`: `reason` says why not; `opens_at` is when what forbids it is over, if
    anybody knows."""

    at: dt.datetime
    reason: str = ""
    opens_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    key: str
    label: str
    time: Possible


class Times:
    """A contact's possible times in a campaign, as known at `now`; a fixed number of queries, however many are asked
    for."""

    def __init__(
        self, contact: Contact, campaign: DialerCampaign, now: dt.datetime, *, ignoring: Collection[str] = ()
    ) -> None:
        """ignoring: gates that will be open by then, for example those that the correction of a disposition opens."""
        self.now, self._ignoring = now, ignoring
        self._rules = rules.of(campaign, now)
        self._view = rules.contact_views([contact], campaign, self._rules, now)[contact.pk]
        zones = eligibility.zones_of(self._view)
        own = [zone for zone in zones if zone.key == contact.time_zone]
        # Where a number may be in several zones, the contact's own is the one people speak of.
        self.zone: ZoneInfo | None = (own or list(zones) or [None])[0]
        self.several = len(zones) > 1

    def at(self, at: dt.datetime) -> Possible:
        """Whether an appointment may be made for this time."""
        if at <= self.now:
            return Possible(at, "this time has passed")
        if at > self.now + dispositions.LONGEST_DELAY:
            return Possible(at, f"at most {dispositions.LONGEST_DELAY.days} days ahead")
        gates = eligibility.contact_gates(self._view, settings.DIAL_ALLOWED_PREFIXES, at, self._rules)
        closed = [gate for gate in gates if gate.name in preview.AGREED_GATES and gate.name not in self._ignoring]
        reason = "; ".join(gate.reason for gate in closed)
        return Possible(at, reason, eligibility.opens_at(closed) if closed else None)

    def choices(self) -> list[Choice]:
        """In an hour, in three, tomorrow morning and afternoon where the contact is."""
        soon = [
            Choice("hour", "In 1 hour", self.at(_rounded(self.now + dt.timedelta(hours=1)))),
            Choice("hours", "In 3 hours", self.at(_rounded(self.now + dt.timedelta(hours=3)))),
        ]
        if self.zone is None:
            return soon
        tomorrow = self.now.astimezone(self.zone).date() + dt.timedelta(days=1)
        for key, label, wall in (
            ("morning", "Tomorrow morning", MORNING),
            ("afternoon", "Tomorrow afternoon", AFTERNOON),
        ):
            at = dt.datetime.combine(tomorrow, wall, self.zone).astimezone(dt.UTC)
            soon.append(Choice(key, label, self.at(at)))
        return soon


def _rounded(at: dt.datetime) -> dt.datetime:
    """The next quarter of an hour."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return at + (-(at - epoch)) % STEP

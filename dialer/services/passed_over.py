"""Contacts that one campaign may not call while another that dials the same list may: they stay due for that one, and
this one goes on behind them. In the memory of the sequential worker; a new one goes through them once more.

Each priority is passed separately, so that what becomes due meanwhile, in whatever priority, is before the campaign at
once. They are gone through again when the campaign's rules change, and after limits.PASSED_OVER_RECHECK: hours may have
opened, delays may be over. Each decision that had only such contacts before it puts that off by as much again, or a
long row of them would be all that the campaign ever looks at; with the end of the list in sight it is not put off.
"""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from dialer import eligibility, limits
from dialer.models import Contact, DialerCampaign


@dataclass(slots=True)
class Passed:
    """under: the list and the rules. again: when to begin anew. after: by priority, the place of the last contact
    passed over. appointments: until when, by the key of a contact whose appointment was."""

    under: tuple[int | None, eligibility.Rules]
    again: dt.datetime
    after: dict[int, tuple[dt.datetime, int]] = field(default_factory=dict)
    appointments: dict[int, dt.datetime] = field(default_factory=dict)

    def place(self) -> str:
        """As choosing.due_keys takes it."""
        return json.dumps({priority: {"at": at.isoformat(), "id": pk} for priority, (at, pk) in self.after.items()})

    def over(self, contact: Contact) -> None:
        """Each in its turn, as they are due."""
        self.after[contact.priority] = contact.next_attempt_at, contact.pk

    def over_appointments(self, contacts: Iterable[int], now: dt.datetime) -> None:
        self.appointments.update(dict.fromkeys(contacts, now + limits.PASSED_OVER_RECHECK))

    def appointments_at(self, now: dt.datetime) -> list[int]:
        """Keys of contacts whose appointment need not be looked at now."""
        self.appointments = {key: until for key, until in self.appointments.items() if until > now}
        return list(self.appointments)

    def short(self) -> None:
        """A decision has looked at as many as it may, and found too few."""
        if self.after:
            self.again += limits.PASSED_OVER_RECHECK

    def at_end(self, now: dt.datetime) -> None:
        """There are no more behind them."""
        self.again = min(self.again, now + limits.PASSED_OVER_RECHECK)


_passed: dict[tuple[int, bool], Passed] = {}


def by(campaign: DialerCampaign, rule_set: eligibility.Rules, agent_reserved: bool, now: dt.datetime) -> Passed:
    """What the campaign has passed over under these rules."""
    key, under = (campaign.pk, agent_reserved), (campaign.target_list_id, rule_set)
    found = _passed.get(key)
    if found is None or found.under != under or now >= found.again:
        found = _passed[key] = Passed(under, now + limits.PASSED_OVER_RECHECK)
    return found

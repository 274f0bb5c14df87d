"""Campaigns that dial one list: what one may not call and another may is in the way of neither."""

import datetime as dt

import pytest
from django.utils import timezone

from dialer import limits
from dialer.models import Callback, ComplianceProfile, Contact, DialerCampaign, DoNotCall
from dialer.services import choosing
from dialer.services.acting import acting
from tests.fakes.floor import any_hour, make_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
SHUT = {"mon": []}


def chosen(campaign: DialerCampaign, now: dt.datetime | None = None, want: int = 1, **more) -> choosing.Chosen:
    with acting("test", now=now) as act:
        fresh = DialerCampaign.objects.select_related("profile").get(pk=campaign.pk)
        return choosing.choose(fresh, want, act.now, **more)


def sharing(contacts: int, refused: int, **fields) -> tuple[DialerCampaign, list[Contact]]:
    """A campaign that may not call the first `refused` contacts of its list, which a manual one (that never dials by
    itself) may call; and all contacts, in their order."""
    strict = make_campaign([], contacts=contacts)
    make_campaign([], contacts=0, name="By hand", mode="manual", **fields)
    DialerCampaign.objects.update(target_list=strict.target_list)
    all_of_it = list(Contact.objects.order_by("pk"))
    DoNotCall.objects.bulk_create(DoNotCall(number=c.number, campaign=strict) for c in all_of_it[:refused])
    return strict, all_of_it


def test_what_only_another_campaign_may_call_is_in_nobodys_way_however_much_it_is():
    strict, contacts = sharing(limits.MAX_EXAMINED + 50, limits.MAX_EXAMINED + 49)
    first, second = chosen(strict), chosen(strict)
    assert (sum(first.blocked.values()), first.contacts) == (limits.MAX_EXAMINED, [])
    assert sum(second.blocked.values()) == 49
    assert [contact for contact, _ in second.contacts] == [contacts[-1]]
    assert sum(chosen(strict).blocked.values()) == 0, "and they cost nothing more"
    assert not Contact.objects.exclude(blocked_by="").exists(), "they stay due for the other campaign"
    assert len(chosen(DialerCampaign.objects.get(name="By hand"), want=50).contacts) == 50


@pytest.fixture
def few(monkeypatch):
    """Decisions that look at 20 contacts."""
    monkeypatch.setattr(limits, "MAX_EXAMINED", 20)


def found(campaign: DialerCampaign, now: dt.datetime | None = None) -> list[Contact]:
    return [contact for contact, _ in chosen(campaign, now).contacts]


def test_what_becomes_due_behind_those_passed_over_or_above_them_is_found_at_once(few):
    strict, contacts = sharing(32, 30)
    later = timezone.now() + dt.timedelta(days=1)
    Contact.objects.filter(pk__in=[contacts[30].pk, contacts[31].pk]).update(next_attempt_at=later)
    assert [found(strict) for _ in range(3)] == [[], [], []]
    Contact.objects.filter(pk=contacts[30].pk).update(next_attempt_at=timezone.now())
    assert found(strict) == [contacts[30]]
    Contact.objects.filter(pk=contacts[31].pk).update(priority=5, next_attempt_at=timezone.now())
    assert found(strict) == [contacts[31]], "of higher priority, which nothing was passed over in"


def test_a_gate_that_opens_for_those_passed_over_brings_them_back_within_a_minute_and_changed_rules_at_once(few):
    strict, contacts = sharing(25, 25)
    now = timezone.now()
    assert found(strict, now) == found(strict, now) == []
    DoNotCall.objects.all().delete()
    assert found(strict, now) == []
    assert found(strict, now + limits.PASSED_OVER_RECHECK) == [contacts[0]]
    DialerCampaign.objects.filter(pk=strict.pk).update(
        profile=ComplianceProfile.objects.create(name="Shut", calling_hours=SHUT)
    )
    later = now + limits.PASSED_OVER_RECHECK * 2
    assert found(strict, later) == found(strict, later) == []
    DialerCampaign.objects.filter(pk=strict.pk).update(profile=any_hour())
    assert found(strict, later) == [contacts[0]]


def test_a_long_row_of_those_passed_over_is_not_all_that_is_ever_looked_at(few):
    """Begun anew each minute, a campaign that decides less often than that would never come to the end of them."""
    strict, contacts = sharing(101, 100)
    now = timezone.now()
    minutes = [found(strict, now + limits.PASSED_OVER_RECHECK * n) for n in range(6)]
    assert minutes[:5] == [[]] * 5 and minutes[5] == [contacts[100]]


def test_one_that_may_be_called_and_is_not_stays_before_the_campaign(few):
    strict, contacts = sharing(12, 10)
    for _ in range(3):
        assert found(strict) == [contacts[10]]


def test_dialled_ahead_and_with_agents_reserved_are_passed_over_each_by_itself(few):
    strict, _ = sharing(10, 10)
    assert chosen(strict, agent_reserved=False).contacts == []
    assert sum(chosen(strict, agent_reserved=False).blocked.values()) == 0
    assert sum(chosen(strict).blocked.values()) == 10


def test_an_appointment_that_only_another_campaign_may_keep_is_in_no_other_ones_way(few):
    strict, contacts = sharing(3, 1)
    now = timezone.now()
    hours = [dt.timedelta(hours=2), dt.timedelta(hours=1)]
    for contact, ago in zip(contacts, hours, strict=False):
        Callback.objects.create(campaign=strict, contact=contact, at=now - ago)
    Contact.objects.filter(pk=contacts[1].pk).update(next_attempt_at=now + dt.timedelta(days=1))
    chosen(strict, now)
    assert found(strict, now) == [contacts[1]]


def test_contacts_of_a_list_that_nobody_shares_are_set_aside_as_ever(few):
    strict, contacts = sharing(25, 24, status="paused")
    assert found(strict) == []
    assert found(strict) == [contacts[24]]
    assert Contact.objects.filter(blocked_by="do_not_call").count() == 24

"""An appointment that people enter is kept, whatever becomes of the contact meanwhile; and one that was dialled or
cancelled does not come back."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dialer.models import Callback, CallLog, Contact, DialerCampaign, DialerTargetList
from tests.fakes.dialling import link, ready_agents
from tests.fakes.floor import Switch, any_hour, make_campaign, place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def switch() -> Switch:
    link()
    return Switch()


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def later(**ahead: int) -> dt.datetime:
    """A form takes whole seconds."""
    return (timezone.now() + dt.timedelta(**ahead)).replace(microsecond=0)


def form_of(campaign: DialerCampaign, contact: Contact, at: dt.datetime, **fields: Any) -> dict[str, Any]:
    times = {"at_0": at.strftime("%Y-%m-%d"), "at_1": at.strftime("%H:%M:%S")}
    return {"campaign": campaign.pk, "contact": contact.pk, "status": "open", "note": "", **times, **fields}


def entered(admin: Client, campaign: DialerCampaign, contact: Contact, at: dt.datetime) -> Callback:
    response = admin.post(reverse("admin:dialer_callback_add"), form_of(campaign, contact, at))
    assert response.status_code == 302, response.context["errors"]
    return Callback.objects.latest("id")


def changed(admin: Client, callback: Callback, **fields: Any) -> Any:
    form = form_of(callback.campaign, callback.contact, callback.at, **fields)
    response = admin.post(reverse("admin:dialer_callback_change", args=[callback.pk]), form)
    callback.refresh_from_db()
    return response


def one_call(switch: Switch, **campaign: Any) -> CallLog:
    [call] = place(make_campaign(ready_agents(switch), contacts=1, **campaign))
    return call


def talk(switch: Switch, call: CallLog) -> None:
    switch.answer(call)
    switch.bridge(call)
    switch.end(call)


def contact() -> Contact:
    return Contact.objects.select_related("target_list").get()


@pytest.mark.parametrize(("cause", "attempts"), [("NORMAL_CLEARING", 3), ("NO_ANSWER", 0), ("UNALLOCATED_NUMBER", 3)])
def test_one_that_is_entered_while_the_contact_is_called_is_dialled_when_its_time_comes(switch, admin, cause, attempts):
    call = one_call(switch, max_retry_attempts=attempts)
    at = later(hours=3)
    entered(admin, call.campaign, call.contact, at)
    assert contact().status == "dialing"
    if cause == "NORMAL_CLEARING":
        talk(switch, call)
    else:
        switch.end(call, cause)
    assert (contact().status, contact().next_attempt_at) == ("ready", at)
    assert contact().target_list.processed_contacts == 0
    DialerCampaign.objects.update(wrap_up_seconds=0)
    call.agent.status = "available"
    call.agent.status_reason = ""
    call.agent.save()
    assert place(call.campaign) == []
    [again] = place(call.campaign, now=at)
    assert again.contact == call.contact and Callback.objects.get().status == "dialled"


def test_another_campaign_that_is_done_with_the_contact_leaves_the_appointment_of_this_one(switch, admin):
    call = one_call(switch)
    other = DialerCampaign.objects.create(
        name="Other", target_list=call.campaign.target_list, status="active", profile=any_hour()
    )
    at = later(hours=3)
    entered(admin, other, call.contact, at)
    talk(switch, call)
    assert (contact().status, contact().next_attempt_at) == ("ready", at)


def test_one_that_nobody_was_called_for_gives_way_to_one_entered_meanwhile(switch, admin):
    campaign = make_campaign(ready_agents(switch), contacts=1)
    old = entered(admin, campaign, contact(), later(hours=-1))
    [call] = place(campaign)
    new = entered(admin, campaign, contact(), later(hours=3))
    switch.report(switch.orders("originate_customer")[-1], "failed", reply="-ERR GATEWAY_DOWN", leg_exists=False)
    call.refresh_from_db()
    assert call.outcome == "not_dialled"
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.status, new.status, contact().status) == ("dialled", "open", "ready")


def done(campaign: DialerCampaign) -> None:
    Contact.objects.update(status="completed")
    DialerTargetList.objects.filter(pk=campaign.target_list_id).update(processed_contacts=1)


def test_one_for_a_contact_that_the_list_was_done_with_makes_it_ready_and_the_list_counts_it_no_more(switch, admin):
    campaign = make_campaign([], contacts=1)
    done(campaign)
    at = later(hours=3)
    callback = entered(admin, campaign, contact(), at)
    assert (contact().status, contact().next_attempt_at) == ("ready", at)
    assert contact().target_list.processed_contacts == 0
    assert changed(admin, callback, note="after lunch").status_code == 302
    assert contact().target_list.processed_contacts == 0, "once"


def test_one_that_was_dialled_while_a_page_was_open_is_not_opened_again_and_the_page_says_so(switch, admin):
    campaign = make_campaign(ready_agents(switch), contacts=1)
    callback = entered(admin, campaign, contact(), later(hours=-1))
    [call] = place(campaign)
    talk(switch, call)
    response = changed(admin, callback, note="from before")
    assert response.status_code == 200 and "dialled" in response.context["errors"].as_text()
    assert (callback.status, callback.note, callback.call) == ("dialled", "", call)
    assert (contact().status, contact().target_list.processed_contacts) == ("completed", 1)


def test_of_one_that_is_over_only_the_note_changes(switch, admin):
    campaign = make_campaign(ready_agents(switch), contacts=1)
    at = later(hours=-1)
    callback = entered(admin, campaign, contact(), at)
    place(campaign)
    address = reverse("admin:dialer_callback_change", args=[callback.pk])
    assert set(admin.get(address).context["adminform"].form.fields) == {"note"}
    assert admin.post(address, {"note": "they were glad", "at_0": "2030-01-01", "at_1": "00:00"}).status_code == 302
    callback.refresh_from_db()
    assert (callback.status, callback.note, callback.at) == ("dialled", "they were glad", at)


def test_an_open_one_is_cancelled_or_removed_and_never_made_dialled_by_hand(switch, admin):
    campaign = make_campaign([], contacts=1)
    callback = entered(admin, campaign, contact(), later(hours=3))
    assert changed(admin, callback, status="dialled").status_code == 200
    assert callback.status == "open"
    assert changed(admin, callback, status="cancelled").status_code == 302
    assert callback.status == "cancelled"
    admin.post(reverse("admin:dialer_callback_delete", args=[callback.pk]), {"post": "yes"})
    assert not Callback.objects.exists()


def test_a_contact_has_one_open_appointment_and_a_second_is_refused_with_words(switch, admin):
    campaign = make_campaign([], contacts=1)
    entered(admin, campaign, contact(), later(hours=3))
    response = admin.post(reverse("admin:dialer_callback_add"), form_of(campaign, contact(), later(hours=4)))
    assert response.status_code == 200 and response.context["errors"]
    assert Callback.objects.count() == 1

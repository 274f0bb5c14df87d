"""The customer of the agent's own call, and the times at which they may be called back."""

import datetime as dt

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from console.models import Right
from console.permissions import SUPERVISORS
from dialer import appointments
from dialer.models import (
    Agent,
    AuditEntry,
    Callback,
    CallLog,
    ComplianceProfile,
    ContactReservation,
    DialerCampaign,
    Disposition,
    DispositionChange,
    DoNotCall,
)
from dialer.rule_forms import DAYS
from events.privacy import mask
from tests.fakes.console import make_user
from tests.fakes.floor import any_hour, make_agents, make_campaign

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(client):
    agent = make_agents(1)[0]
    campaign = make_campaign([agent], contacts=1, script="Hello {name}, your plan is {Plan}. {unknown}")
    contact = campaign.target_list.contacts.get()
    contact.name, contact.custom_fields = "<script>x</script>", {"plan": "<img src=x>", "empty": ""}
    contact.time_zone = "America/New_York"
    contact.save()
    made = CallLog.objects.create(
        freeswitch_uuid="now", to_number=contact.number, contact=contact, campaign=campaign, agent=agent,
        status="answered", initiated_at=timezone.now(), answered_at=timezone.now(),
    )  # fmt: skip
    Agent.objects.update(status="on_call", last_call=made)
    client.force_login(make_user("ann", agent=Agent.objects.get()))
    return made


def fetch(client, call, more="", **query):
    return client.get(f"/console/mycall/{call.call_id}/{more}", query)


def test_the_record_holds_all_that_the_call_needs_and_every_text_is_escaped(client, call):
    earlier = timezone.now() - dt.timedelta(days=1)
    code = Disposition.objects.create(code="later", label="Later", is_contact=True)
    CallLog.objects.create(
        freeswitch_uuid="before", to_number=call.to_number, contact=call.contact, campaign=call.campaign,
        status="completed", outcome="answered", initiated_at=earlier, ended_at=earlier, disposition=code,
        disposition_notes="<b>calls back</b>", disposed_at=earlier, disposed_by="bob",
    )  # fmt: skip
    Callback.objects.create(campaign=call.campaign, contact=call.contact, at=timezone.now(), note="<i>after work</i>")
    answer = fetch(client, call)
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store"
    html = answer.content.decode()
    for text in (
        call.to_number, "&lt;script&gt;x&lt;/script&gt;", "&lt;img src=x&gt;", "{unknown}", "Later",
        "&lt;b&gt;calls back&lt;/b&gt;", "&lt;i&gt;after work&lt;/i&gt;",
    ):  # fmt: skip
        assert text in html
    assert "<img" not in html and "<script" not in html and "<i>" not in html


def test_a_fixed_number_of_queries_however_many_earlier_calls(client, call, django_assert_max_num_queries):
    for n in range(20):
        CallLog.objects.create(
            freeswitch_uuid=f"before-{n}", to_number=call.to_number, contact=call.contact, campaign=call.campaign,
            agent=call.agent, status="busy", outcome="busy", initiated_at=timezone.now(), ended_at=timezone.now(),
        )  # fmt: skip
    with django_assert_max_num_queries(12):
        fetch(client, call)


def test_it_is_theirs_while_they_talk_and_in_the_wrap_up_and_then_no_more(client, call):
    CallLog.objects.update(ended_at=timezone.now(), status="completed")
    Agent.objects.update(status="busy", status_reason="wrap_up")
    assert fetch(client, call).status_code == 200
    Agent.objects.update(status="available", status_reason="")
    assert fetch(client, call).status_code == 404


def test_nobody_else_learns_whether_it_exists(client, call):
    other = make_agents(1, first=150)[0]
    client.force_login(make_user("bob", agent=other))
    assert fetch(client, call).status_code == fetch(client, call, "callback/").status_code == 404
    client.force_login(make_user("sup", supervisor=True))
    assert fetch(client, call).status_code == 403
    client.logout()
    assert fetch(client, call).status_code == 302


def previewed(call) -> str:
    """The address of the same contact, put before the agent."""
    now = timezone.now()
    made = ContactReservation.objects.create(
        campaign=call.campaign, contact=call.contact, agent=call.agent, offered_at=now,
        expires_at=now + dt.timedelta(minutes=1),
    )  # fmt: skip
    return f"/console/preview/{made.reservation_id}/"


@pytest.mark.parametrize("before", ["the call", "the preview"])
def test_the_number_is_whole_only_for_an_agent_who_may_see_it_and_then_it_is_noted(client, call, before):
    DialerCampaign.objects.update(script="You called from {number}.")
    address = f"/console/mycall/{call.call_id}/" if before == "the call" else previewed(call)
    ann = User.objects.get(username="ann")
    assert client.get(address).content.decode().count(call.to_number) == 2
    # Whoever sees more of the floor with masked numbers sees the own customer's as before.
    ann.groups.add(Group.objects.get_or_create(name=SUPERVISORS)[0])
    assert client.get(address).content.decode().count(call.to_number) == 2
    seen = AuditEntry.objects.filter(action="full_numbers_seen")
    assert list(seen.values_list("actor", "target")) == [("ann", address)] * 2
    Right.objects.create(user=ann, permission="full_numbers", given=False)
    html = client.get(address).content.decode()
    assert call.to_number not in html and html.count(mask(call.to_number)) == 2
    assert seen.count() == 2


def hours(start, end):
    profile = ComplianceProfile.objects.create(
        name=f"{start} to {end}", calling_hours={day: [[start, end]] for day in DAYS}
    )
    DialerCampaign.objects.update(profile=profile)


def test_the_times_to_choose_from_are_the_customers_and_say_why_one_is_not_possible(client, call):
    hours("10:00", "18:00")
    answer = fetch(client, call, "callback/").json()
    assert answer["zone"] == "America/New_York" and answer["asked"] is None
    found = {choice["key"]: choice for choice in answer["choices"]}
    assert list(found) == ["hour", "hours", "morning", "afternoon"]
    assert "outside calling hours" in found["morning"]["reason"] and found["afternoon"]["reason"] == ""
    assert found["morning"]["opens_at"] == found["morning"]["at"] + 3_600_000
    zone = appointments.Times(call.contact, DialerCampaign.objects.get(), timezone.now()).zone
    assert dt.datetime.fromtimestamp(found["morning"]["at"] / 1000, zone).time() == appointments.MORNING


def test_any_time_can_be_asked_about(client, call):
    DialerCampaign.objects.update(profile=any_hour())
    later = int((timezone.now() + dt.timedelta(days=2)).timestamp() * 1000)
    assert fetch(client, call, "callback/", at=later).json()["asked"]["reason"] == ""
    past, far = later - 3 * 86_400_000, later + 100 * 86_400_000
    assert "passed" in fetch(client, call, "callback/", at=past).json()["asked"]["reason"]
    assert "90 days" in fetch(client, call, "callback/", at=far).json()["asked"]["reason"]
    for nonsense in ("x", "-5", "9" * 40, "1e9"):
        assert fetch(client, call, "callback/", at=nonsense).json()["asked"] is None


def test_what_the_present_disposition_forbids_stands_against_no_correction(client, call):
    DialerCampaign.objects.update(profile=any_hour())
    never = Disposition.objects.create(code="never", label="Never", is_do_not_call=True)
    entry = DoNotCall.objects.create(number=call.to_number, source="disposition")
    DispositionChange.objects.create(call=call, disposition=never, by="ann", at=timezone.now(), do_not_call=entry)
    assert not any(choice["reason"] for choice in fetch(client, call, "callback/").json()["choices"])


def test_a_number_that_may_not_be_called_has_no_possible_time(client, call):
    DialerCampaign.objects.update(profile=any_hour())
    DoNotCall.objects.create(number=call.to_number, source="post")
    assert all(choice["reason"] for choice in fetch(client, call, "callback/").json()["choices"])

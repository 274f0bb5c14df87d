"""A call is disposed of through the sequential queue, and the contact and the agent's wrap-up follow."""

import datetime as dt
import uuid

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from dialer import dispositions, floor_rows, selectors, tasks
from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import (
    Agent,
    AgentState,
    Callback,
    CallLog,
    Contact,
    Disposition,
    DispositionChange,
    DoNotCall,
)
from dialer.services import agents
from dialer.services.acting import acting
from events.privacy import mask
from tests.fakes.floor import Switch, make_agents, make_campaign, place, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty", "dispositions_set_up")]


@pytest.fixture
def dispositions_set_up():
    set_up_dispositions()


@pytest.fixture
def switch() -> Switch:
    return Switch()


def talking(switch: Switch, **campaign) -> CallLog:
    """A call on which agent and customer talk."""
    [agent] = make_agents(1)
    # No password to hash: nobody signs in here.
    Agent.objects.filter(pk=agent.pk).update(user=User.objects.create(username="ann"))
    agent.refresh_from_db()
    set_state(agent, "available")
    switch.open_softphones()
    [call] = place(make_campaign([agent], **campaign))
    switch.answer(call)
    switch.bridge(call)
    call.refresh_from_db()
    return call


def in_wrap_up(switch: Switch, **campaign) -> CallLog:
    call = talking(switch, **campaign)
    switch.end(call)
    call.refresh_from_db()
    return call


def dispose(call: CallLog, code: str, actor: str = "ann", **more):
    command = {"command_id": str(uuid.uuid4()), "actor": actor, "kind": "dispose_call", "call_id": str(call.call_id)}
    answer = tasks.handle_command({**command, "code": code, **more})
    call.refresh_from_db()
    return answer


def agent_of(call: CallLog) -> Agent:
    return Agent.objects.get(pk=call.agent_id)


def contact_of(call: CallLog) -> Contact:
    return Contact.objects.get(pk=call.contact_id)


def in_ms(**ahead) -> int:
    return int((timezone.now() + dt.timedelta(**ahead)).timestamp() * 1000)


def later(call: CallLog, seconds: int) -> Agent:
    """What the tick does so long after the wrap-up began."""
    with acting("dialer", now=agent_of(call).status_since + dt.timedelta(seconds=seconds)) as act:
        agents.due_wrap_ups(act)
    return agent_of(call)


def test_a_disposition_is_kept_on_the_call_and_ends_the_wrap_up(switch):
    call = in_wrap_up(switch)
    assert agent_of(call).status_reason == "wrap_up"
    answer = dispose(call, "sale", notes="wants two")
    assert answer["status"] == "applied", answer
    assert (call.disposition.code, call.disposition_notes, call.disposed_by) == ("sale", "wants two", "ann")
    assert call.disposed_at is not None
    assert agent_of(call).status == "available"
    last = AgentState.objects.first()
    assert (last.metadata["event"], last.metadata["by"], last.call_id) == ("Disposed", "ann", call.pk)
    assert last.metadata["before"]["reason"] == "wrap_up"


def test_where_disposing_does_not_end_it_wrap_up_keeps_its_time(switch):
    call = in_wrap_up(switch, disposition_ends_wrap_up=False)
    dispose(call, "sale")
    assert agent_of(call).status_reason == "wrap_up"
    assert later(call, 10).status == "available"


def test_a_call_disposed_of_while_it_lasts_has_no_wrap_up_and_the_contact_moves_at_its_end(switch):
    call = talking(switch)
    dispose(call, "voicemail")
    assert (agent_of(call).status, contact_of(call).status) == ("on_call", "dialing")
    switch.end(call)
    assert agent_of(call).status == "available"
    contact = contact_of(call)
    assert contact.status == "ready"
    assert contact.next_attempt_at - timezone.now() > dt.timedelta(minutes=239)


def test_a_retry_keeps_the_list_count_true_and_ends_with_the_attempts(switch):
    call = in_wrap_up(switch)
    assert contact_of(call).status == "completed"
    assert contact_of(call).target_list.processed_contacts == 1
    dispose(call, "not_there")
    assert contact_of(call).status == "ready"
    assert contact_of(call).target_list.processed_contacts == 0
    Contact.objects.filter(pk=call.contact_id).update(attempts=9)
    dispose(call, "voicemail")
    assert contact_of(call).status == "exhausted"
    assert contact_of(call).target_list.processed_contacts == 1


def test_do_not_call_acts_on_the_next_dial(switch):
    call = in_wrap_up(switch)
    dispose(call, "do_not_call")
    entry = DoNotCall.objects.get(number=call.to_number)
    assert (entry.campaign, entry.source) == (None, "disposition")
    Contact.objects.exclude(pk=call.contact_id).delete()
    Contact.objects.filter(pk=call.contact_id).update(status="ready", next_attempt_at=timezone.now())
    assert place(call.campaign) == []


def test_a_personal_appointment_waits_for_its_agent_and_then_for_anyone(switch):
    call = in_wrap_up(switch, callback_fallback_minutes=30)
    at = in_ms(hours=2)
    assert dispose(call, "callback", callback_at=at, notes="after lunch")["status"] == "applied"
    row = Callback.objects.get(contact=call.contact_id)
    assert (row.agent_id, row.status, row.note, row.created_by) == (call.agent_id, "open", "after lunch", "ann")
    assert int(row.at.timestamp() * 1000) == at
    assert row.anyone_at - row.at == dt.timedelta(minutes=30)
    assert contact_of(call).next_attempt_at == row.at


def test_a_shared_appointment_is_nobodys_own(switch):
    call = in_wrap_up(switch)
    dispose(call, "callback", callback_at=in_ms(hours=2), callback_personal=False)
    row = Callback.objects.get(contact=call.contact_id)
    assert (row.agent_id, row.anyone_at) == (None, None)


@pytest.mark.parametrize(
    ("code", "more", "word"),
    [
        ("nonsense", {}, "sale, not_interested"),
        ("callback", {}, "needs its time"),
        ("sale", {"callback_at": 10}, "makes no appointment"),
        ("callback", {"callback_at": 10**30}, "no time"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason_and_changes_nothing(switch, code, more, word):
    call = in_wrap_up(switch)
    answer = dispose(call, code, **more)
    assert answer["status"] == "rejected" and word in answer["reason"]
    assert call.disposed_at is None and not DispositionChange.objects.exists()
    assert agent_of(call).status_reason == "wrap_up"


def test_an_appointment_at_a_time_without_a_call_is_refused_and_changes_nothing(switch):
    call = in_wrap_up(switch)
    DoNotCall.objects.create(number=call.to_number, source="post")
    answer = dispose(call, "callback", callback_at=in_ms(hours=1))
    assert answer["status"] == "rejected" and "no call at that time" in answer["reason"]
    assert call.disposed_at is None
    assert not DispositionChange.objects.exists() and not Callback.objects.exists()


def test_an_unanswered_call_has_no_disposition(switch):
    [agent] = make_agents(1)
    set_state(agent, "available")
    switch.open_softphones()
    [call] = place(make_campaign([agent]))
    assert "nobody answered" in dispose(call, "sale")["reason"]


def test_a_correction_takes_back_what_was_done_and_leaves_its_history(switch):
    call = in_wrap_up(switch)
    dispose(call, "do_not_call", notes="angry")
    first_at = call.disposed_at
    dispose(call, "callback", callback_at=in_ms(hours=1), actor="supervisor")
    assert not DoNotCall.objects.exists()
    assert (call.disposition.code, call.disposed_by, call.disposed_at) == ("callback", "supervisor", first_at)
    dispose(call, "sale")
    assert Callback.objects.get().status == "cancelled"
    assert contact_of(call).status == "completed"
    history = [(c.disposition.code, c.by, c.notes) for c in call.disposition_changes.order_by("id")]
    assert history == [("do_not_call", "ann", "angry"), ("callback", "supervisor", ""), ("sale", "ann", "")]


def plain() -> None:
    """A disposition that leaves the contact to the call's outcome."""
    Disposition.objects.create(code="talked", label="Talked")


@pytest.mark.parametrize("more", [{"code": "callback"}, {"code": "voicemail"}])
def test_a_correction_of_what_was_said_during_the_call_leaves_the_contact_to_the_outcome(switch, more):
    plain()
    call = talking(switch)
    times = {"callback_at": in_ms(hours=2)} if more["code"] == "callback" else {}
    dispose(call, **more, **times)
    switch.end(call)
    assert contact_of(call).status == "ready"
    assert dispose(call, "talked")["status"] == "applied"
    contact = contact_of(call)
    assert (contact.status, contact.target_list.processed_contacts) == ("completed", 1)
    assert not Callback.objects.filter(status="open").exists()
    assert call.retry_after is None


def test_a_correction_leaves_the_contact_to_the_outcome_as_of_the_end_of_the_call(switch):
    plain()
    call = talking(switch)
    switch.end(call)
    # As if nobody had come to the customer.
    CallLog.objects.filter(pk=call.pk).update(outcome="hung_up")
    dispose(call, "sale")
    assert contact_of(call).status == "completed"
    dispose(call, "talked")
    contact = contact_of(call)
    assert (contact.status, contact.target_list.processed_contacts) == ("ready", 0)
    assert contact.next_attempt_at == call.retry_after == call.ended_at + dt.timedelta(minutes=30)


def test_a_number_that_was_listed_before_stays_listed_after_a_correction(switch):
    call = in_wrap_up(switch)
    DoNotCall.objects.create(number=call.to_number, source="a letter")
    dispose(call, "do_not_call")
    dispose(call, "sale")
    assert DoNotCall.objects.get().source == "a letter"


def test_after_its_time_a_disposition_stands(switch):
    call = in_wrap_up(switch)
    dispose(call, "sale")
    past = timezone.now() - dispositions.CORRECTABLE - dt.timedelta(seconds=1)
    CallLog.objects.filter(pk=call.pk).update(disposed_at=past)
    assert "can no longer be corrected" in dispose(call, "do_not_call")["reason"]
    assert call.disposition.code == "sale" and not DoNotCall.objects.exists()


def test_a_contact_that_has_been_called_again_is_moved_by_its_newer_call_only(switch):
    call = in_wrap_up(switch)
    dispose(call, "sale")
    Contact.objects.exclude(pk=call.contact_id).delete()
    Contact.objects.filter(pk=call.contact_id).update(status="ready", next_attempt_at=timezone.now())
    [newer] = place(call.campaign)
    assert newer.contact_id == call.contact_id
    assert "called again since" in dispose(call, "callback", callback_at=in_ms(hours=1))["reason"]
    assert dispose(call, "voicemail")["status"] == "applied"
    assert contact_of(call).status == "dialing"
    assert dispose(call, "do_not_call")["status"] == "applied"
    assert DoNotCall.objects.exists()


def test_a_required_disposition_holds_its_agent_and_not_a_supervisor(switch):
    call = in_wrap_up(switch, disposition_required=True, wrap_up_seconds=0)
    agent = later(call, 600)
    assert (agent.status, agent.status_reason, agent.wrap_up_until) == ("busy", "wrap_up", None)
    assert "disposed of first" in set_state(agent, "available", actor="ann")["reason"]
    set_state(agent, "break", "lunch", actor="ann")
    assert (agent.status_reason, agent.pending_status) == ("wrap_up", "break")
    dispose(call, "sale")
    assert (agent_of(call).status, agent_of(call).status_reason) == ("break", "lunch")


def test_a_supervisor_frees_an_agent_who_owes_a_disposition(switch):
    call = in_wrap_up(switch, disposition_required=True)
    assert set_state(agent_of(call), "available")["status"] == "applied"
    assert agent_of(call).status == "available"


@pytest.mark.parametrize(
    ("action", "status", "reason"),
    [("available", "available", ""), ("break", "break", "too_slow"), ("alert", "busy", "wrap_up")],
)
def test_the_longest_wrap_up_ends_as_the_campaign_says(switch, action, status, reason):
    call = in_wrap_up(
        switch,
        disposition_required=True,
        max_wrap_up_seconds=60,
        max_wrap_up_action=action,
        max_wrap_up_reason="too_slow",
    )
    agent = later(call, 11)
    assert agent.status_reason == "wrap_up"
    assert agent.over_at == agent.status_since + dt.timedelta(seconds=60)
    agent = later(call, 61)
    assert (agent.status, agent.status_reason) == (status, reason)


def test_a_campaigns_own_choice_takes_the_place_of_the_general_one(switch):
    call = in_wrap_up(switch)
    Disposition.objects.create(code="sale", label="Order", campaign=call.campaign, hot_key="n", is_complete=True)
    Disposition.objects.create(code="voicemail", label="-", campaign=call.campaign, is_active=False)
    found = {row.code: row for row in selectors.dispositions(call.campaign_id)}
    assert found["sale"].label == "Order" and "voicemail" not in found
    assert (found["sale"].hot_key, found["not_interested"].hot_key) == ("n", "")
    assert "voicemail" in {row.code for row in selectors.dispositions(None)}


def test_the_board_row_names_the_last_call_and_its_disposition(switch):
    call = in_wrap_up(switch, disposition_required=True)
    [row] = floor_rows.agent_rows()
    assert row["last_call"]["id"] == str(call.call_id)
    assert (row["last_call"]["disposition"], row["last_call"]["required"]) == ("", True)
    assert call.to_number not in str(row)
    dispose(call, "sale")
    [row] = floor_rows.agent_rows()
    assert (row["last_call"]["disposition"], row["last_call"]["label"]) == ("sale", "Sale")


def test_a_disposition_is_not_required_where_there_is_none_to_choose():
    campaign = make_campaign([], disposition_required=True)
    campaign.clean()
    Disposition.objects.update(is_active=False)
    with pytest.raises(ValidationError, match="set some up first"):
        campaign.clean()


@pytest.mark.parametrize(
    "fields",
    [
        {"is_callback": True, "is_retry": True},
        {"is_complete": True, "is_callback": True},
        {"is_do_not_call": True, "is_retry": True},
        {"hot_key": "s"},
        {"code": "sale"},
    ],
)
def test_contradictory_dispositions_cannot_be_stored(fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        Disposition.objects.create(**{"code": "x", "label": "X", **fields})


def test_a_call_cannot_be_disposed_of_by_nobody(switch):
    call = in_wrap_up(switch)
    with pytest.raises(IntegrityError), transaction.atomic():
        CallLog.objects.filter(pk=call.pk).update(disposition=Disposition.objects.first())


# --- The form ---------------------------------------------------------------------------------------------------------


def page(call: CallLog, user: User):
    browser = Client()
    browser.force_login(user)
    return browser.get(f"/console/calls/{call.call_id}/disposition/")


def test_the_form_offers_the_calls_choices_with_their_keys_to_its_agent_and_to_supervisors(switch):
    call = in_wrap_up(switch)
    Contact.objects.filter(pk=call.contact_id).update(name="<script>alert(1)</script>")
    text = page(call, agent_of(call).user).content.decode()
    assert 'value="sale"' in text and 'aria-keyshortcuts="s"' in text and "datetime-local" in text
    assert "<script>" not in text and call.to_number not in text
    Contact.objects.filter(pk=call.contact_id).update(name="")
    text = page(call, agent_of(call).user).content.decode()
    assert mask(call.to_number) in text and call.to_number not in text, "who has no name is shown by number, masked"
    assert page(call, User.objects.create(username="sup", is_superuser=True)).status_code == 200
    other = Agent.objects.create(agent_id="other", extension="999", user=User.objects.create(username="other"))
    assert page(call, other.user).status_code == 404
    assert page(call, User.objects.create(username="nobody")).status_code == 403


def test_the_form_of_a_call_that_was_transferred_away_is_still_its_agents(switch):
    call = in_wrap_up(switch)
    user = agent_of(call).user
    CallLog.objects.filter(pk=call.pk).update(agent=None)
    assert page(call, user).status_code == 200


def test_there_is_no_form_once_nothing_can_be_changed_any_more(switch):
    call = in_wrap_up(switch)
    user = agent_of(call).user
    long_ago = timezone.now() - dispositions.CORRECTABLE - dt.timedelta(minutes=1)
    CallLog.objects.filter(pk=call.pk).update(ended_at=long_ago)
    assert page(call, user).status_code == 204
    CallLog.objects.filter(pk=call.pk).update(ended_at=timezone.now())
    Disposition.objects.all().delete()
    assert page(call, user).status_code == 204

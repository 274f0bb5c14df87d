"""Rejected means that nothing has changed, whatever the command had written before it was refused."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from dialer import announce
from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import CallLog, ComplianceProfile, Contact, DialerCampaign, DialerTargetList, DoNotCall
from dialer.services import agents, closing
from dialer.services.acting import Rejected, RejectedAndKept, acting, undone_if_rejected
from tests.fakes.dialling import link, previewing, ready_agents, say
from tests.fakes.floor import Switch, make_agents, make_campaign, place, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
# That a command was refused is written down all the same, by the worker whose lease it renews.
ANSWERS = {"AppliedCommand", "QueuedCommand", "AuditEntry", "WorkerLease"}
Ask = Callable[[], dict[str, Any]]


@pytest.fixture
def switch() -> Switch:
    link()
    set_up_dispositions()
    return Switch()


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of the dialer's but the answers."""
    models = [model for model in apps.get_app_config("dialer").get_models() if model.__name__ not in ANSWERS]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def in_ms(**ahead: int) -> int:
    return int((timezone.now() + dt.timedelta(**ahead)).timestamp() * 1000)


def disposed(call: CallLog, code: str, **more: Any) -> Ask:
    return lambda: say("dispose_call", call_id=str(call.call_id), code=code, **more)


def talked(switch: Switch, **campaign: Any) -> CallLog:
    [call] = place(make_campaign(ready_agents(switch), **campaign))
    switch.answer(call)
    switch.bridge(call)
    switch.end(call)
    return call


def no_hours() -> None:
    DialerCampaign.objects.update(profile=ComplianceProfile.objects.create(name="never", calling_hours={"mon": []}))


def forbidden_then_called_back_at_a_bad_time(switch: Switch) -> tuple[Ask, str]:
    call = talked(switch)
    disposed(call, "do_not_call")()
    no_hours()
    return disposed(call, "callback", callback_at=in_ms(hours=2)), "no call at that time"


def an_appointment_moved_to_a_bad_time(switch: Switch) -> tuple[Ask, str]:
    call = talked(switch)
    disposed(call, "callback", callback_at=in_ms(hours=2))()
    no_hours()
    return disposed(call, "callback", callback_at=in_ms(hours=3)), "no call at that time"


def an_appointment_on_a_call_that_is_not_the_last(switch: Switch) -> tuple[Ask, str]:
    older = talked(switch, contacts=1, disposition_ends_wrap_up=True)
    disposed(older, "not_there")()
    Contact.objects.update(next_attempt_at=timezone.now(), last_outcome="")
    [newer] = place(older.campaign)
    switch.answer(newer)
    switch.bridge(newer)
    switch.end(newer)
    disposed(newer, "callback", callback_at=in_ms(hours=2))()
    return disposed(older, "callback", callback_at=in_ms(hours=3)), "called again since"


def dialled_by_hand(campaign: DialerCampaign, number: str) -> Ask:
    fields = {"agent_id": "agent_101", "campaign_id": str(campaign.campaign_id), "number": number}
    return lambda: say("manual_dial", **fields)


def a_finished_contact_dialled_by_hand(switch: Switch) -> tuple[Ask, str]:
    campaign = make_campaign(ready_agents(switch), contacts=1, mode="manual")
    Contact.objects.update(status="completed")
    DialerTargetList.objects.update(processed_contacts=1)
    number = Contact.objects.get().number
    DoNotCall.objects.create(number=number)
    return dialled_by_hand(campaign, number), "not to be called"


def a_number_dialled_by_hand_from_a_preview(switch: Switch) -> tuple[Ask, str]:
    campaign = previewing(switch, allow_manual_dial=True)
    DoNotCall.objects.create(number="+12125557777")
    return dialled_by_hand(campaign, "+12125557777"), "not to be called"


def wrap_up_asked_for_while_a_call_rings(switch: Switch) -> tuple[Ask, str]:
    ringing, other = make_agents(2)
    set_state(ringing, "available")
    switch.open_softphones()
    campaign = make_campaign([ringing, other])
    [call] = place(campaign)
    assert call.agent == ringing
    set_state(other, "available")
    switch.open_softphones()
    assert agents.idle(campaign.pk).get() == other, "somebody could take it"
    return lambda: set_state(ringing, "busy", "wrap_up"), "wrap-up"


@pytest.mark.parametrize(
    "case",
    [
        forbidden_then_called_back_at_a_bad_time,
        an_appointment_moved_to_a_bad_time,
        an_appointment_on_a_call_that_is_not_the_last,
        a_finished_contact_dialled_by_hand,
        a_number_dialled_by_hand_from_a_preview,
        wrap_up_asked_for_while_a_call_rings,
    ],
)
def test_what_is_rejected_has_changed_nothing(switch, case):
    ask, words = case(switch)
    before = everything()
    answer = ask()
    assert answer["status"] == "rejected" and words in answer["reason"], answer
    assert everything() == before


def sums(campaign: DialerCampaign) -> int:
    return DialerTargetList.objects.get(pk=campaign.target_list_id).processed_contacts


def finish(campaign: DialerCampaign, count: int) -> None:
    closing.add(DialerTargetList, {"processed_contacts": count}, id=campaign.target_list_id)


def rejected(campaign: DialerCampaign, refusal: Rejected) -> None:
    with undone_if_rejected():
        finish(campaign, 2)
        closing.write()
        finish(campaign, 4)
        announce.changed("campaign", 2)
        raise refusal


def test_sums_and_announcements_of_what_is_undone_are_undone_with_it_and_those_before_it_stay():
    campaign = make_campaign([])
    announce.forget()
    with acting("test"):
        finish(campaign, 1)
        announce.changed("campaign", 1)
        with pytest.raises(Rejected):
            rejected(campaign, Rejected("no"))
        assert list(announce.collected()) == [("campaign", 1)]
        finish(campaign, 8)
    assert sums(campaign) == 9


def test_a_refusal_that_is_itself_a_fact_is_kept():
    campaign = make_campaign([])
    with acting("test"), pytest.raises(RejectedAndKept):
        rejected(campaign, RejectedAndKept("no, and the contact went back"))
    assert sums(campaign) == 6

"""What an agent's state follows besides people and calls: reasons and their limits, registrations, panels; and which
agents a campaign may have."""

import datetime as dt
import time
import uuid

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from dialer import limits, presence, tasks
from dialer.models import (
    Agent,
    AgentLeg,
    AgentSkill,
    AgentState,
    Assignment,
    CallLog,
    Order,
    ReasonCode,
    RequiredSkill,
    Skill,
)
from dialer.services import agents, panels, sharing
from dialer.services.acting import acting
from events import facts as f
from events import streams
from tests.fakes.floor import Switch, make_agents, make_campaign, place, set_state, tell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def switch() -> Switch:
    return Switch()


def ask(agent: Agent, state: str, reason: str):
    """As a person asks, whatever reasons are set up."""
    command = {"command_id": str(uuid.uuid4()), "actor": "ann", "agent_id": agent.agent_id, "state": state}
    answer = tasks.handle_agent_state({**command, "reason": reason})
    agent.refresh_from_db()
    return answer


def working(switch: Switch, count: int = 1) -> list[Agent]:
    found = make_agents(count)
    for agent in found:
        set_state(agent, "available")
    switch.open_softphones()
    return [Agent.objects.get(pk=agent.pk) for agent in found]


# --- Reasons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["siesta", "old", "paperwork", "wrap_up", "panel_lost"])
def test_a_reason_that_is_not_set_up_for_the_state_is_refused_with_those_that_are(reason):
    [agent] = make_agents(1)
    for code in ("lunch", "coffee"):
        ReasonCode.objects.create(status="break", code=code, label=code)
    ReasonCode.objects.create(status="break", code="old", label="Old", is_active=False)
    ReasonCode.objects.create(status="busy", code="paperwork", label="Paperwork")
    answer = ask(agent, "break", reason)
    assert answer["status"] == "rejected" and "coffee, lunch" in answer["reason"]
    assert agent.status == "offline"
    assert ask(agent, "break", "lunch")["status"] == "applied"
    assert ask(agent, "busy", "paperwork")["status"] == "applied"


def test_a_state_without_reasons_set_up_says_so():
    [agent] = make_agents(1)
    assert "leave the reason out" in ask(agent, "break", "lunch")["reason"]
    assert ask(agent, "break", "")["status"] == "applied"


@pytest.mark.parametrize(
    ("action", "status", "reason"), [("none", "break", "lunch"), ("offline", "offline", "limit_over")]
)
def test_a_state_over_its_limit_is_marked_and_where_the_reason_says_so_ended(action, status, reason):
    [agent] = make_agents(1)
    ReasonCode.objects.create(status="break", code="lunch", label="Lunch", limit_seconds=1800, over_action=action)
    ask(agent, "break", "lunch")
    assert agent.over_at == agent.status_since + dt.timedelta(minutes=30)
    for moment, expected in ((-1, ("break", "lunch")), (0, (status, reason))):
        with acting("dialer", now=agent.over_at + dt.timedelta(seconds=moment)) as act:
            agents.due_limits(act)
        found = Agent.objects.get(pk=agent.pk)
        assert (found.status, found.status_reason) == expected
    if action == "offline":
        last = AgentState.objects.first()
        assert (last.metadata["event"], last.metadata["by"]) == ("LimitOver", "dialer")
    set_state(agent, "available")
    assert agent.over_at is None


# --- Registration -----------------------------------------------------------------------------------------------------


def registration(agent: Agent, registered: bool, name: str = "one") -> f.SoftphoneRegistration:
    return f.SoftphoneRegistration(user=agent.extension, registered=registered, registration=name)


def test_an_unregistered_softphone_is_not_called_until_it_registers_again(switch):
    [agent] = make_agents(1)
    switch.tell(registration(agent, True), registration(agent, False))
    set_state(agent, "available")
    assert (agent.registered, agent.softphone, AgentLeg.objects.count()) == ("no", "none", 0)
    switch.tell(registration(agent, True, "two"))
    agent.refresh_from_db()
    assert (agent.registered, agent.softphone, AgentLeg.objects.count()) == ("yes", "ringing", 1)


def test_it_is_called_all_the_same_after_a_while_should_the_news_have_been_lost(switch):
    [agent] = make_agents(1)
    switch.tell(registration(agent, False))
    set_state(agent, "available")
    for wait, legs in ((limits.UNREGISTERED_WAIT - dt.timedelta(seconds=5), 0), (limits.UNREGISTERED_WAIT, 1)):
        with acting("dialer", now=timezone.now() + wait) as act:
            agents.due_softphones(act)
        assert AgentLeg.objects.count() == legs


def test_the_end_of_an_older_registration_is_no_news(switch):
    [agent] = make_agents(1)
    switch.tell(registration(agent, True, "old"), registration(agent, True, "new"), registration(agent, False, "old"))
    agent.refresh_from_db()
    assert agent.registered == "yes"
    switch.tell(registration(agent, False, "new"))
    agent.refresh_from_db()
    assert agent.registered == "no"


def test_a_repeated_registration_and_a_strangers_ask_for_nothing(switch):
    [agent] = make_agents(1)
    switch.tell(registration(agent, True))
    before = Agent.objects.get(pk=agent.pk).version
    repeated = [registration(agent, True)] * 5
    stranger = f.SoftphoneRegistration(user="4711", registered=True)
    assert tell(f.to_json(fact) for fact in (*repeated, stranger)) == 0
    assert Agent.objects.get(pk=agent.pk).version == before


def test_a_registration_lost_during_a_call_ends_nothing(switch):
    [agent] = working(switch)
    [call] = place(make_campaign([agent]))
    switch.answer(call)
    switch.bridge(call)
    switch.tell(registration(agent, False))
    agent.refresh_from_db()
    assert (agent.status, agent.softphone, agent.registered) == ("on_call", "open", "no")


def later(seconds: float) -> None:
    with acting("dialer", now=timezone.now() + dt.timedelta(seconds=seconds)) as act:
        agents.due_softphones(act)


def phone(agent: Agent) -> str:
    agent.refresh_from_db()
    return agent.softphone


def test_a_softphone_that_comes_back_as_another_is_heard_by_no_customer_before_it_is_called_again(switch):
    """It crashed without a word: the switch holds a leg at whose end nobody is."""
    [agent] = working(switch)
    campaign = make_campaign([agent])
    leg = AgentLeg.objects.get(agent=agent)
    switch.tell(registration(agent, True, "one"))
    assert phone(agent) == "open" and switch.orders("hangup") == [], "heard of for the first time"
    switch.tell(registration(agent, True, "two"))
    [hangup] = switch.orders("hangup")
    assert hangup.leg_uuid == leg.leg_uuid
    assert phone(agent) == "lost" and not agents.idle(campaign.pk).exists() and place(campaign) == []
    later(1)
    assert len(switch.orders("hangup")) == 1 and len(switch.orders("originate_agent")) == 1
    later(6)
    assert len(switch.orders("hangup")) == 2, "the first may have been lost"
    Order.objects.filter(kind="hangup").update(created_at=timezone.now() - dt.timedelta(minutes=1))
    AgentLeg.objects.update(opened_at=timezone.now() - dt.timedelta(minutes=5))
    switch.tell(f.LegEnded(leg=str(leg.leg_uuid), cause="NORMAL_CLEARING"))
    later(2)
    assert len(switch.orders("originate_agent")) == 2
    switch.open_softphones()
    assert phone(agent) == "open" and len(place(campaign)) == 1


def test_a_softphone_that_is_hung_up_since_it_came_back_as_another_has_not_failed(switch):
    """Its leg may have been open for a moment only: it is called again as soon as any."""
    [agent] = working(switch)
    switch.tell(registration(agent, True, "one"))
    switch.tell(registration(agent, True, "two"))
    Agent.objects.update(softphone_failures=limits.SOFTPHONE_TRIES - 1)
    leg = AgentLeg.objects.get(agent=agent, ended_at=None)
    switch.tell(f.LegEnded(leg=str(leg.leg_uuid), cause="NORMAL_CLEARING"))
    agent.refresh_from_db()
    assert (agent.status, agent.softphone_failures) == ("available", 0)
    later(2)
    assert len(switch.orders("originate_agent")) == 2


def test_a_softphone_that_takes_another_call_id_each_time_is_not_hung_up_each_time(switch):
    [agent] = working(switch)
    switch.tell(registration(agent, True, "one"))
    switch.tell(registration(agent, True, "two"))
    [leg] = [order.leg_uuid for order in switch.orders("hangup")]
    AgentLeg.objects.update(opened_at=timezone.now() - dt.timedelta(minutes=5))
    switch.tell(f.LegEnded(leg=str(leg), cause="NORMAL_CLEARING"))
    later(2)
    switch.open_softphones()
    for call_id in ("three", "four"):
        switch.tell(registration(agent, True, call_id))
        assert phone(agent) == "open" and len(switch.orders("hangup")) == 1
    Order.objects.filter(kind="hangup").update(created_at=timezone.now() - limits.SOFTPHONE_CHANGES)
    switch.tell(registration(agent, True, "five"))
    assert phone(agent) == "lost" and len(switch.orders("hangup")) == 2


def test_a_softphone_that_comes_back_during_a_conversation_is_called_again_after_it(switch):
    [agent] = working(switch)
    switch.tell(registration(agent, True, "one"))
    campaign = make_campaign([agent], wrap_up_seconds=0)
    [call] = place(campaign)
    switch.answer(call)
    switch.bridge(call)
    switch.tell(registration(agent, True, "two"))
    later(1)
    assert phone(agent) == "open" and switch.orders("hangup") == [], "they may well talk"
    switch.end(call)
    [hangup] = switch.orders("hangup")
    assert hangup.leg_uuid == AgentLeg.objects.get(agent=agent).leg_uuid
    assert (phone(agent), agent.status) == ("lost", "available") and place(campaign) == []


def test_a_softphone_that_comes_back_while_a_customer_is_rung_for_it_is_called_again_at_once(switch):
    [agent] = working(switch)
    switch.tell(registration(agent, True, "one"))
    [call] = place(make_campaign([agent]))
    switch.tell(registration(agent, True, "two"))
    assert len(switch.orders("hangup")) == 1 and phone(agent) == "lost"
    leg = AgentLeg.objects.get(agent=agent, ended_at=None)
    switch.tell(f.LegEnded(leg=str(leg.leg_uuid), cause="NORMAL_CLEARING"))
    later(10)
    switch.open_softphones()
    switch.answer(call)
    newest = AgentLeg.objects.get(agent=agent, ended_at=None)
    assert switch.orders("bridge")[-1].payload["peer"] == str(newest.leg_uuid) != str(leg.leg_uuid)
    switch.bridge(call)
    switch.end(call)
    assert len(switch.orders("hangup")) == 1 and phone(agent) == "open", "the leg of now is the new softphone's"


def test_a_softphone_whose_registration_is_lost_keeps_its_leg_and_is_given_nobody_for_a_while(switch):
    [agent] = working(switch)
    campaign = make_campaign([agent])
    switch.tell(registration(agent, True), registration(agent, False))
    assert phone(agent) == "lost" and switch.orders("hangup") == []
    assert place(campaign) == [] and agents.why_not_idle(agent) == "the agent's softphone is not connected"
    wait = limits.UNREGISTERED_WAIT.total_seconds()
    later(wait - 5)
    assert phone(agent) == "lost"
    later(wait)
    assert phone(agent) == "open" and len(place(campaign)) == 1, "the switch has not ended it: it has a voice"


def test_a_softphone_that_was_away_and_is_back_is_called_again(switch):
    [agent] = working(switch)
    switch.tell(registration(agent, True), registration(agent, False), registration(agent, True, "two"))
    assert phone(agent) == "lost" and len(switch.orders("hangup")) == 1


def test_a_registration_lost_during_a_call_counts_after_it(switch):
    [agent] = working(switch)
    [call] = place(make_campaign([agent]))
    switch.answer(call)
    switch.bridge(call)
    switch.tell(registration(agent, False))
    assert phone(agent) == "open"
    switch.end(call)
    assert phone(agent) == "lost" and switch.orders("hangup") == []


def test_a_softphone_that_registers_elsewhere_works_as_ever(switch):
    [agent] = working(switch)
    for _ in range(2):
        [call] = place(make_campaign([agent], name=str(uuid.uuid4())))
        switch.answer(call)
        switch.bridge(call)
        switch.end(call)
        set_state(agent, "available")
    assert phone(agent) == "open" and agent.registered == "unknown" and switch.orders("hangup") == []


# --- Panels -----------------------------------------------------------------------------------------------------------


def show(agent: Agent, process: str = "web1", seconds: float = presence.EXPIRY_SECONDS) -> None:
    """As a web process with an open panel of this agent does."""
    streams.shared().zadd(streams.PANELS, {presence.member(agent.agent_id, process): time.time() + seconds})


def close(agent: Agent, process: str = "web1") -> None:
    streams.shared().zrem(streams.PANELS, presence.member(agent.agent_id, process))


def sweep(agent: Agent, after: float = 0) -> tuple[str, str]:
    with acting("dialer", now=timezone.now() + dt.timedelta(seconds=after)) as act:
        panels.sweep(act)
    agent.refresh_from_db()
    return agent.status, agent.status_reason


def test_an_agent_whose_last_panel_stays_away_is_put_on_a_break(switch, settings):
    settings.PANEL_GRACE_SECONDS = 60
    [agent] = working(switch)
    show(agent, "web1")
    show(agent, "web2")
    assert sweep(agent) == ("available", "")
    close(agent, "web1")
    assert sweep(agent, 100) == ("available", ""), "another tab is open in another process"
    close(agent, "web2")
    assert sweep(agent, 100) == ("available", "")
    assert sweep(agent, 159) == ("available", "")
    assert sweep(agent, 161) == ("break", "panel_lost")
    assert AgentState.objects.first().metadata["event"] == "PanelLost"


def test_a_panel_that_comes_back_within_the_grace_time_changes_nothing(switch):
    [agent] = working(switch)
    show(agent)
    sweep(agent)
    close(agent)
    sweep(agent, 10)
    show(agent)
    sweep(agent, 50)
    assert agent.panel_lost_at is None
    close(agent)
    assert sweep(agent, 80) == ("available", "")


def test_a_panel_lost_while_a_call_rings_is_a_break_after_it_unless_it_comes_back(switch):
    [agent] = working(switch)
    show(agent)
    sweep(agent)
    [call] = place(make_campaign([agent]))
    close(agent)
    sweep(agent, 1)
    sweep(agent, 100)
    assert (agent.status, agent.pending_status, agent.pending_reason) == ("available", "break", "panel_lost")
    show(agent)
    sweep(agent, 101)
    assert agent.pending_status == ""
    switch.end(call, "NO_ANSWER")
    agent.refresh_from_db()
    assert agent.status == "available"


def test_who_works_without_a_panel_is_left_alone(switch):
    [agent] = working(switch)
    for after in (0, 1_000, 100_000):
        assert sweep(agent, after) == ("available", "")


def test_a_killed_web_process_is_a_closed_panel_once_its_word_has_expired(switch):
    [agent] = working(switch)
    show(agent, seconds=-0.01)
    assert panels.present() == set()
    show(agent)
    sweep(agent)
    assert panels.present() == {agent.agent_id}


def test_panels_count_from_coming_to_work_on(switch):
    [agent] = working(switch)
    show(agent)
    sweep(agent)
    close(agent)
    set_state(agent, "break")
    set_state(agent, "available")
    assert sweep(agent, 0) == sweep(agent, 1_000) == ("available", "")


def test_a_panel_lost_during_a_call_counts_after_it(switch):
    [agent] = working(switch)
    show(agent)
    sweep(agent)
    [call] = place(make_campaign([agent], wrap_up_seconds=0))
    switch.answer(call)
    switch.bridge(call)
    close(agent)
    sweep(agent, 1)
    assert sweep(agent, 100) == ("on_call", "")
    switch.end(call)
    assert sweep(agent, 100) == ("break", "panel_lost")


def test_a_grace_time_of_zero_turns_it_off_and_a_silent_redis_changes_nothing(switch, settings, monkeypatch):
    [agent] = working(switch)
    show(agent)
    sweep(agent)
    close(agent)
    monkeypatch.setattr(panels, "present", lambda: None)
    sweep(agent, 10)
    assert agent.panel_lost_at is None
    monkeypatch.undo()
    settings.PANEL_GRACE_SECONDS = 0
    assert sweep(agent, 10) == sweep(agent, 10_000) == ("available", "")


# --- Assignment -------------------------------------------------------------------------------------------------------


def test_only_agents_with_every_skill_at_its_level_are_given_a_campaigns_calls_longest_idle_first(switch):
    found = working(switch, 4)
    campaign = make_campaign(found)
    spanish, claims = (Skill.objects.create(code=code, label=code) for code in ("spanish", "claims"))
    RequiredSkill.objects.create(campaign=campaign, skill=spanish, least_level=5)
    RequiredSkill.objects.create(campaign=campaign, skill=claims)
    for agent, (first, second) in zip(found, ((5, 1), (4, 9), (9, None), (7, 3)), strict=True):
        AgentSkill.objects.create(agent=agent, skill=spanish, level=first)
        if second:
            AgentSkill.objects.create(agent=agent, skill=claims, level=second)
    Agent.objects.filter(pk=found[3].pk).update(idle_since=timezone.now() - dt.timedelta(hours=1))
    assert list(agents.idle(campaign.pk)) == [found[3], found[0]]
    assert {call.agent_id for call in place(campaign, 4)} == {found[0].pk, found[3].pk}


def test_a_waiting_customer_is_not_given_to_an_agent_without_the_skill(switch):
    first, second = working(switch, 2)
    campaign = make_campaign([first, second])
    skill = Skill.objects.create(code="spanish", label="Spanish")
    RequiredSkill.objects.create(campaign=campaign, skill=skill)
    AgentSkill.objects.create(agent=first, skill=skill)
    [call] = place(campaign)
    leg = AgentLeg.objects.get(agent=first, ended_at=None)
    switch.tell(f.LegEnded(leg=str(leg.leg_uuid), cause="NORMAL_CLEARING"))
    switch.answer(call)
    call.refresh_from_db()
    assert call.agent_id == first.pk


def test_campaigns_decide_in_the_order_of_their_shares(switch):
    found = working(switch, 2)
    small, large = make_campaign(found, name="Small"), make_campaign(found, name="Large", offset=100)
    Assignment.objects.filter(campaign=large).update(weight=30)
    served = {small.campaign_id: 0, large.campaign_id: 0}
    for _ in range(8):
        sharing._known = (-100.0, (), [])
        first = sharing.in_order()[0]
        served[first] += 1
        campaign = small if first == small.campaign_id else large
        [call] = place(campaign)
        switch.end(call, "NO_ANSWER")
    assert served == {small.campaign_id: 2, large.campaign_id: 6}


def test_an_agent_never_has_two_calls_whatever_their_number_of_calls_says(switch):
    [agent] = working(switch)
    Agent.objects.filter(pk=agent.pk).update(max_concurrent_calls=3)
    first, second = make_campaign([agent], name="A"), make_campaign([agent], name="B", offset=100)
    assert len(place(first, 5)) + len(place(second, 5)) == 1
    assert CallLog.objects.filter(agent=agent, ended_at=None).count() == 1
    agent.max_concurrent_calls = 2
    with pytest.raises(ValidationError, match="one customer at a time"):
        agent.full_clean()

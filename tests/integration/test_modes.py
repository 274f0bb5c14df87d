"""Power and predictive: calls that no agent is reserved for, and what becomes of those who find nobody free."""

import datetime as dt
import io
import wave

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.utils import timezone

from dialer.models import (
    Agent,
    AgentSkill,
    Callback,
    CallLog,
    CampaignDay,
    DialerCampaign,
    Message,
    PacingDecision,
    RequiredSkill,
    Skill,
)
from dialer.services import choosing, dialing, observing, pacers
from dialer.services.acting import acting
from tests.fakes.dialling import ready_agents, tick
from tests.fakes.floor import UP, Switch, make_campaign, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture(autouse=True)
def _new_worker(settings, tmp_path):
    settings.MESSAGES_DIR = str(tmp_path)
    pacers.forget()
    yield
    pacers.forget()


def sound(seconds: float = 2.0) -> ContentFile:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\0" * int(8000 * seconds))
    return ContentFile(file.getvalue(), "message.wav")


def message() -> Message:
    return Message.objects.create(name="Safe harbour", text="This was Example Ltd, ...", file=sound())


def dial(campaign: DialerCampaign, told: observing.Link = UP) -> list[CallLog]:
    with acting("dialer") as act:
        return dialing.dial(act, campaign.campaign_id, told)


def decision() -> PacingDecision:
    return PacingDecision.objects.order_by("-id")[0]


def test_power_dials_its_ratio_ahead_and_the_answered_get_the_longest_idle(switch):
    crew = ready_agents(switch, 3)
    campaign = make_campaign(crew, contacts=20, mode="power", power_ratio=2, message=message())
    placed = dial(campaign)
    assert len(placed) == 6 and all(call.agent is None for call in placed)
    assert (decision().mode, decision().placed) == ("power", 6)
    assert dial(campaign) == [], "what rings already is counted"
    for call, agent in zip(placed, crew, strict=False):
        switch.answer(call)
        call.refresh_from_db()
        assert call.agent == agent and call.agent_leg is not None


def test_without_a_recorded_message_it_dials_progressively_with_reserved_agents_and_says_so(switch):
    crew = ready_agents(switch, 3)
    asset = message()
    campaign = make_campaign(crew, contacts=20, mode="power", power_ratio=2, message=asset)
    asset.file.storage.delete(asset.file.name)
    placed = dial(campaign)
    assert {call.agent for call in placed} == set(crew) and len(placed) == 3
    assert decision().mode == "progressive" and "no message asset" in decision().summary
    assert decision().inputs["requested"] == "power"


@pytest.mark.parametrize(
    ("crew", "told", "words"),
    [(2, UP, "fewer than 3 agents"), (3, observing.Link(True, age=4.0), "last known 4 s ago")],
    ids=["small team", "stale facts"],
)
def test_what_forbids_dialling_ahead_makes_it_progressive(switch, crew, told, words):
    agents = ready_agents(switch, crew)
    campaign = make_campaign(agents, contacts=20, mode="predictive", message=message())
    placed = dial(campaign, told)
    assert len(placed) == crew and all(call.agent for call in placed)
    assert words in decision().summary


def require_skill(campaign: DialerCampaign, able: list[Agent]) -> None:
    skill, _ = Skill.objects.get_or_create(code="spanish", label="Spanish")
    RequiredSkill.objects.create(campaign=campaign, skill=skill, least_level=5)
    for agent in able:
        AgentSkill.objects.get_or_create(agent=agent, skill=skill, level=5)


@pytest.mark.parametrize("mode", ["power", "predictive"])
def test_agents_without_the_required_skills_are_not_dialled_for(switch, mode):
    able, *others = crew = ready_agents(switch, 8)
    campaign = make_campaign(crew, contacts=40, mode=mode, power_ratio=3, message=message())
    require_skill(campaign, [able])
    AgentSkill.objects.create(agent=others[0], skill=Skill.objects.get(), level=4)
    soon = timezone.now() - dt.timedelta(seconds=9)
    wrapping = {"status": "busy", "status_reason": "wrap_up", "status_since": soon}
    Agent.objects.filter(pk__in=[agent.pk for agent in others]).update(**wrapping)
    with acting("test") as act:
        seen = observing.look(act, campaign, UP).seen
    assert (seen.assigned, seen.idle, seen.wrapping) == (1, 1, [])
    assert [call.agent for call in dial(campaign)] == [able], "for a team of one it is progressive"
    assert decision().mode == "progressive" and "fewer than 3 agents" in decision().summary


@pytest.mark.parametrize("mode", ["progressive", "power", "predictive"])
def test_facts_that_come_too_late_to_join_anybody_stop_the_dialling(switch, mode):
    campaign = make_campaign(ready_agents(switch, 3), contacts=20, mode=mode, message=message())
    assert dial(campaign, observing.Link(True, age=6.0)) == []
    assert decision().binding_reason == "stale_state" and "6 s late" in decision().summary


def test_the_link_down_places_nothing_in_any_mode(switch):
    campaign = make_campaign(ready_agents(switch, 3), contacts=20, mode="predictive", message=message())
    assert dial(campaign, observing.Link(False)) == []
    assert decision().binding_reason == "stale_state"


def test_dialled_ahead_an_appointment_after_an_abandon_is_kept_by_its_agent_who_is_reserved_for_it(switch):
    [_, own, _] = crew = ready_agents(switch, 3)
    campaign = make_campaign(crew, contacts=2, mode="power", power_ratio=2, message=message())
    contact, other = campaign.target_list.contacts.order_by("pk")
    ago, idle = timezone.now() - dt.timedelta(hours=1), tuple(agent.pk for agent in crew)
    for n in (contact, other):
        CallLog.objects.create(
            freeswitch_uuid=str(n.pk), to_number=n.number, status="completed", outcome="abandoned",
            initiated_at=ago, answered_at=ago, ended_at=ago, abandoned=True,
        )  # fmt: skip
    at = timezone.now() - dt.timedelta(minutes=1)
    Callback.objects.create(campaign=campaign, contact=contact, agent=own, at=at)
    with acting("test") as act:
        chosen = choosing.choose(campaign, 1, act.now, idle=idle, agent_reserved=False)
    assert chosen.contacts == [(contact, own.pk)]
    [call] = dial(campaign)
    assert (call.contact, call.agent) == (contact, own), "and nobody is reserved for the other"
    assert decision().mode == "power"


def nobody_free(switch: Switch) -> CallLog:
    """An answered customer, and all agents on a break."""
    crew = ready_agents(switch, 3)
    campaign = make_campaign(crew, contacts=20, mode="power", power_ratio=2, message=message())
    call = dial(campaign)[0]
    for agent in crew:
        set_state(agent, "break", "lunch")
    switch.answer(call)
    assert switch.orders("bridge") == []
    return call


def test_an_answer_without_an_agent_within_two_seconds_gets_the_message_and_counts_as_abandoned(switch, redis_empty):
    call = nobody_free(switch)
    [(_, due)] = redis_empty.zrange("dialer:due", 0, -1, withscores=True)
    call.refresh_from_db()
    assert due == pytest.approx(call.answered_at.timestamp() + 2.0, abs=0.01), "looked at again in time"
    tick()
    assert switch.orders("play_message") == [], "not before the two seconds are over"
    CallLog.objects.filter(pk=call.pk).update(answered_at=timezone.now() - dt.timedelta(seconds=2.1))
    tick()
    call.refresh_from_db()
    [order] = switch.orders("play_message")
    assert call.abandoned and order.payload["name"] == str(Message.objects.get().message_id)
    assert CampaignDay.objects.get().abandoned == 1
    tick()
    assert len(switch.orders("play_message")) == 1
    assert switch.orders("hangup") == [], "the message ends with the hangup"
    switch.end(call)
    call.refresh_from_db()
    assert call.outcome == "abandoned"


def test_a_message_that_cannot_be_played_keeps_nobody_in_silence(switch):
    call = nobody_free(switch)
    CallLog.objects.filter(pk=call.pk).update(answered_at=timezone.now() - dt.timedelta(seconds=2.1))
    tick()
    switch.report(switch.orders("play_message")[0], "refused", reply="MESSAGES_DIR must be an absolute path")
    assert [order.leg_uuid for order in switch.orders("hangup")] == [call.call_id]


def test_a_freed_agent_takes_the_waiting_customer_before_the_two_seconds_are_over(switch):
    call = nobody_free(switch)
    agent = call.campaign.assigned_agents.first()
    set_state(agent, "available")
    tick()
    call.refresh_from_db()
    assert call.agent == agent and len(switch.orders("bridge")) == 1


def test_a_mode_changed_while_calls_ring_acts_on_the_next_decision(switch):
    crew = ready_agents(switch, 4)
    campaign = make_campaign(crew, contacts=20, mode="power", power_ratio=1, message=message())
    ahead = dial(campaign)
    assert len(ahead) == 4
    for call in ahead[:2]:
        switch.end(call, "NO_ANSWER")
    DialerCampaign.objects.update(mode="progressive")
    reserved = dial(campaign)
    assert len(reserved) == 2 and all(call.agent for call in reserved), "two idle agents are meant for what still rings"


def test_campaigns_that_share_agents_do_not_count_on_the_same_one_twice(switch):
    crew = ready_agents(switch, 3)
    asset = message()
    one = make_campaign(crew, contacts=20, mode="power", power_ratio=1, message=asset)
    two = make_campaign(crew, contacts=20, mode="power", power_ratio=1, message=asset, name="Autumn", offset=100)
    assert len(dial(one)) == 3
    assert dial(two) == []


def test_of_another_campaigns_calls_only_those_count_that_will_want_a_shared_agent(switch):
    crew = ready_agents(switch, 8)
    asset = message()
    ahead = make_campaign(crew[:6], contacts=40, mode="power", power_ratio=2, message=asset)
    # Two of its six are the other's, too: of twelve calls four are meant for them.
    other = make_campaign(crew[4:], contacts=40, mode="power", power_ratio=2, message=asset, name="Autumn", offset=100)
    placed = dial(ahead)
    assert len(placed) == 12
    assert len(dial(other)) == 2 * 4 - 4
    assert dial(other) == []


def test_another_campaigns_calls_do_not_want_agents_who_lack_its_skills(switch):
    crew = ready_agents(switch, 8)
    asset = message()
    ahead = make_campaign(crew[:6], contacts=40, mode="power", power_ratio=2, message=asset)
    require_skill(ahead, crew[:4])
    other = make_campaign(crew[3:], contacts=40, mode="power", power_ratio=2, message=asset, name="Autumn", offset=100)
    assert len(dial(ahead)) == 8
    # Three of its six are the other's, too, and one of those three may get its calls: a fourth of eight.
    assert len(dial(other)) == 2 * 5 - 2


def test_customers_of_another_campaign_who_wait_count_up_to_the_number_of_shared_agents(switch):
    crew = ready_agents(switch, 6)
    asset = message()
    ahead = make_campaign(crew[:3], contacts=40, mode="power", power_ratio=1, message=asset)
    other = make_campaign(crew[2:], contacts=40, name="Autumn", offset=100)
    placed = dial(ahead)
    assert len(placed) == 3
    for agent in crew[:3]:
        set_state(agent, "break", "lunch")
    for call in placed:
        switch.answer(call)
    assert CallLog.objects.filter(agent=None, answered_at__isnull=False, ended_at=None).count() == 3
    # Three are idle, and the one of both, though on a break, may come back for one of the three who wait.
    assert len(dial(other)) == 2


def test_the_agents_hourly_limit_holds_for_calls_dialled_ahead(switch):
    crew = ready_agents(switch, 3)
    campaign = make_campaign(
        crew, contacts=20, mode="power", power_ratio=2, message=message(), calls_per_agent_per_hour=1
    )
    placed = dial(campaign)
    assert len(placed) == 3 and decision().binding_reason == "rate_limit"
    for call in placed:
        switch.end(call, "USER_BUSY")
    assert dial(campaign) == []
    pacers.forget()
    assert dial(campaign) == [], "a new worker knows what was placed"


def test_a_new_worker_has_learnt_what_the_old_one_knew(switch):
    crew = ready_agents(switch, 5)
    campaign = make_campaign(crew, contacts=40, mode="predictive", message=message())
    for _ in range(3):
        for place, call in enumerate(dial(campaign)):
            if place % 2:
                switch.end(call, "NO_ANSWER")
                continue
            switch.answer(call)
            switch.bridge(call)
            switch.end(call)
            for agent in crew:
                set_state(agent, "available")
    dial(campaign)
    old = pacers._pacers[campaign.pk]
    pacers.forget()
    dial(campaign)
    new = pacers._pacers[campaign.pk]
    at = timezone.now().timestamp()
    assert new.policy.rate.estimate(at)[0] == pytest.approx(old.policy.rate.estimate(at)[0], rel=0.05)
    assert new.within_hour(at) == old.within_hour(at) > 0


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WAVEfmt ", b"ID3 an mp3"], ids=["empty", "cut off", "mp3"])
def test_a_message_that_is_no_sound_is_refused(content):
    with pytest.raises(ValidationError, match="no WAV file"):
        Message(name="x", text="y", file=ContentFile(content, "a.wav")).full_clean()


def test_a_message_longer_than_a_minute_is_refused():
    with pytest.raises(ValidationError, match="61.0 s long"):
        Message(name="x", text="y", file=sound(61)).full_clean()


def test_the_file_is_named_by_us():
    asset = Message.objects.create(name="x", text="y", file=ContentFile(sound().read(), "'; rm -rf.wav"))
    assert asset.file.name == f"{asset.message_id}.wav" and asset.is_recorded


def test_a_message_recorded_again_is_the_one_that_the_switch_plays(tmp_path, monkeypatch):
    asset = message()
    played = tmp_path / f"{asset.message_id}.wav"
    before = played.read_bytes()
    asset.file = sound(3.0)
    with monkeypatch.context() as disk:
        disk.setattr("dialer.models_modes.os.replace", disk_full)
        with pytest.raises(OSError, match="full"):
            asset.save()
    assert played.read_bytes() == before, "the switch never finds half a message"
    assert [file.name for file in tmp_path.iterdir()] == [played.name]

    asset = Message.objects.get(pk=asset.pk)
    asset.file = sound(3.0)
    asset.save()
    asset = Message.objects.get(pk=asset.pk)
    assert asset.file.name == played.name and asset.is_recorded
    assert played.read_bytes() == sound(3.0).read() != before
    assert [file.name for file in tmp_path.iterdir()] == [played.name]


def disk_full(*_: object) -> None:
    raise OSError("the disk is full")


def test_an_old_recording_under_the_name_that_the_switch_plays_counts_as_none(switch, tmp_path):
    """So was a message left that was saved again before it kept its name: the row names the new file, the switch plays
    the old one."""
    asset = message()
    (tmp_path / f"{asset.message_id}_Y3pGUy2.wav").write_bytes(sound(3.0).read())
    Message.objects.filter(pk=asset.pk).update(file=f"{asset.message_id}_Y3pGUy2.wav")
    asset = Message.objects.get(pk=asset.pk)
    assert not asset.is_recorded
    crew = ready_agents(switch, 3)
    dial(make_campaign(crew, contacts=20, mode="power", power_ratio=2, message=asset))
    assert decision().mode == "progressive"

    asset.file = sound(3.0)
    asset.save()
    asset = Message.objects.get(pk=asset.pk)
    assert asset.is_recorded and (tmp_path / asset.file.name).read_bytes() == sound(3.0).read()


def test_a_message_whose_file_is_taken_away_counts_as_none(tmp_path):
    asset = message()
    asset.file.delete()
    assert not asset.is_recorded and list(tmp_path.iterdir()) == []


def test_an_agent_found_after_the_two_seconds_is_joined_and_counted_as_late(switch):
    [agent, *_] = crew = ready_agents(switch, 3)
    campaign = make_campaign(crew, contacts=20, mode="power", power_ratio=1, message=message())
    call = dial(campaign)[0]
    switch.answer(call)
    CallLog.objects.filter(pk=call.pk).update(answered_at=timezone.now() - dt.timedelta(seconds=2.5))
    tick()
    assert switch.orders("play_message") == [], "an ordered bridge is not torn for a message"
    switch.bridge(call)
    call.refresh_from_db()
    assert call.bridged_at is not None and call.agent == agent and call.abandoned
    assert CampaignDay.objects.get().abandoned == 1
    switch.end(call)
    call.refresh_from_db()
    assert call.outcome == "conversation"

"""What is older than the settings keep it goes, in batches; what explains a call stays with the call."""

import datetime as dt
import uuid
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from dialer import retention
from dialer.models import AppliedCommand, CallLog, CampaignMinute, ContactReservation, Order, PacingDecision
from events import retention as of_events
from events.models import CallStateEvent, EventBatch, EventProcessingStatus, FreeSwitchEvent
from events.recorder import BATCH_ATTEMPTS
from tests.fakes.floor import make_agents, make_campaign

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def kept(settings, tmp_path, monkeypatch):
    settings.DECISIONS_KEEP_DAYS, settings.EVENTS_KEEP_DAYS, settings.RECORDINGS_KEEP_DAYS = 90, 30, 10
    settings.RECORDINGS_DIR = str(tmp_path / "recordings")
    (tmp_path / "recordings").mkdir()
    monkeypatch.setattr(of_events, "BATCH", 3)  # several batches of few rows
    monkeypatch.setattr(retention, "BATCH", 3)


def retained(**options) -> str:
    out = StringIO()
    call_command("retention", stdout=out, stderr=out, **options)
    return out.getvalue()


def decision(campaign, age, last=None, **fields) -> PacingDecision:
    at = timezone.now() - age
    fields = {"binding_reason": "no_agents", "summary": "s"} | fields
    return PacingDecision.objects.create(campaign=campaign, decided_at=at, last_at=last or at, **fields)


def call(campaign, age=20 * DAY, **fields) -> CallLog:
    at = timezone.now() - age
    ended = {"status": "completed", "ended_at": at}
    known = {"freeswitch_uuid": str(uuid.uuid4()), "to_number": "+12125550100", "initiated_at": at}
    return CallLog.objects.create(campaign=campaign, **(known | ended | fields))


def test_old_decisions_go_but_those_that_placed_a_call_stay_as_long_as_its_record():
    campaign = make_campaign([])
    for _ in range(10):
        decision(campaign, 100 * DAY)
    placed, going_on = decision(campaign, 99 * DAY, placed=1), decision(campaign, 98 * DAY, last=timezone.now())
    lonely, fresh = decision(campaign, 97 * DAY, placed=1), decision(campaign, 3 * DAY)
    record = call(campaign, decision=placed)
    text = retained(dry_run=True)
    assert "decisions: 11 would be removed (kept 90 days)" in text and PacingDecision.objects.count() == 14
    assert "decisions: 11 removed" in retained()
    assert set(PacingDecision.objects.all()) == {placed, going_on, fresh}, "and not the one whose call is gone"
    record.refresh_from_db()
    assert record.decision == placed
    assert "decisions: 0 removed" in retained() and not PacingDecision.objects.filter(pk=lonely.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_old_decisions_that_offered_contacts_go_and_the_offers_stay():
    campaign, age = make_campaign([], contacts=2), 100 * DAY
    for _ in range(4):
        decision(campaign, age)
    old, fresh = decision(campaign, age, placed=1), decision(campaign, DAY, placed=1)
    ended = {"state": "skipped", "offered_at": timezone.now() - age, "expires_at": timezone.now() - age}
    first, second = (
        ContactReservation.objects.create(
            campaign=campaign, contact=contact, agent=agent, decision=why, ended_at=timezone.now() - age, **ended
        )
        for contact, agent, why in zip(campaign.target_list.contacts.all(), make_agents(2), (old, fresh), strict=True)
    )
    assert "decisions: 5 would be removed" in retained(dry_run=True)
    first.refresh_from_db()
    assert first.decision == old, "a dry run changes nothing"
    assert "decisions: 5 removed" in retained()
    first.refresh_from_db(), second.refresh_from_db()
    assert (first.decision, first.state, second.decision) == (None, "skipped", fresh)
    assert list(PacingDecision.objects.all()) == [fresh]


def test_a_part_that_fails_stops_no_other_and_is_told(monkeypatch):
    def broken(before, *, dry_run):
        raise OSError("no route to +12125550100")

    monkeypatch.setattr(retention, "decisions", broken)
    Session.objects.create(session_key="s", session_data="x", expire_date=timezone.now() - 3 * DAY)
    out = StringIO()
    with pytest.raises(CommandError, match="Not all was looked at: decisions"):
        call_command("retention", stdout=out, stderr=out)
    assert "decisions: failed, OSError" in out.getvalue() and "5550100" not in out.getvalue()
    assert "sessions: 1 removed" in out.getvalue() and not Session.objects.exists()


def test_old_orders_go_unless_their_call_goes_on():
    campaign = make_campaign([])
    over = call(campaign, age=100 * DAY)
    going_on = call(campaign, age=100 * DAY, status="answered", ended_at=None, to_number="+12125550101")

    def order(age, **fields) -> Order:
        known = {"order_id": uuid.uuid4(), "kind": "bridge", "payload": {}, "created_at": timezone.now() - age * DAY}
        return Order.objects.create(**known, **fields)

    for _ in range(5):
        order(100, call=over)
    order(98)  # of an agent's leg
    left = {order(99, call=going_on), order(80, call=over), order(1)}
    assert "orders: 6 would be removed (kept 90 days)" in retained(dry_run=True) and Order.objects.count() == 9
    retained()
    assert set(Order.objects.all()) == left


def test_old_commands_go_unless_the_switch_owes_an_answer():
    def command(age, **fields) -> AppliedCommand:
        at = timezone.now() - age * DAY
        return AppliedCommand.objects.create(
            command_id=uuid.uuid4(), kind="x", status="applied", applied_at=at, **fields
        )

    for _ in range(4):
        command(100)
    left = {command(99, confirmation="waiting"), command(2)}
    assert "commands: 4 would be removed (kept 90 days)" in retained(dry_run=True)
    retained()
    assert set(AppliedCommand.objects.all()) == left


def test_sessions_go_a_day_after_their_end():
    for n, days in enumerate((-3, -2, 0, 5)):
        Session.objects.create(session_key=f"s{n}", session_data="x", expire_date=timezone.now() + days * DAY)
    assert "sessions: 2 would be removed" in retained(dry_run=True)
    retained()
    assert sorted(Session.objects.values_list("session_key", flat=True)) == ["s2", "s3"]


def test_old_events_go_with_what_was_made_of_them_unless_they_wait():
    made = []
    for n, age in enumerate([40] * 7 + [5] * 2):
        event = FreeSwitchEvent.objects.create(
            event_type="CHANNEL_ANSWER",
            timestamp=timezone.now() - age * DAY,
            event_data={},
            core_uuid="c",
            event_sequence=n,
        )
        status = "pending" if n == 2 else "processed"
        processed = timezone.now() if status == "processed" else None
        EventProcessingStatus.objects.create(event=event, status=status, processed_at=processed)
        CallStateEvent.objects.create(
            freeswitch_event=event, channel_uuid=str(n), current_state="answered", timestamp=event.timestamp
        )
        batch = EventBatch.objects.create(status="completed", first_journal_id=str(n), last_journal_id=str(n))
        batch.events.add(event)
        EventBatch.objects.filter(pk=batch.pk).update(created_at=event.timestamp)
        made.append(event.pk)
    text = retained(dry_run=True)
    assert "raw events: 6 would be removed" in text and "event batches: 7 would be" in text
    assert FreeSwitchEvent.objects.count() == EventBatch.objects.count() == 9
    retained()
    left = [made[2], made[7], made[8]]
    assert list(FreeSwitchEvent.objects.order_by("pk").values_list("pk", flat=True)) == left
    assert set(EventProcessingStatus.objects.values_list("event", flat=True)) == set(left)
    assert set(CallStateEvent.objects.values_list("freeswitch_event", flat=True)) == set(left)
    assert EventBatch.objects.count() == 2 and EventBatch.events.through.objects.count() == 2


def test_what_was_made_of_events_that_were_never_stored_goes_as_well():
    def transition(age, n, **fields) -> CallStateEvent:
        at = timezone.now() - age * DAY
        return CallStateEvent.objects.create(channel_uuid=str(n), current_state="ended", timestamp=at, **fields)

    def batch(age, **fields) -> EventBatch:
        made = EventBatch.objects.create(**fields)
        EventBatch.objects.filter(pk=made.pk).update(created_at=timezone.now() - age * DAY)
        return made

    for n in range(5):
        transition(40, n)
        batch(40, status="failed", attempts=BATCH_ATTEMPTS)
    event = FreeSwitchEvent.objects.create(
        event_type="X", timestamp=timezone.now(), event_data={}, core_uuid="c", event_sequence=1
    )
    left = {transition(29, 6), transition(40, 7, freeswitch_event=event)}
    waiting = {batch(40, status="failed", attempts=1), batch(40), batch(29, status="failed", attempts=BATCH_ATTEMPTS)}
    assert "event batches: 5 would be" in retained(dry_run=True)
    assert CallStateEvent.objects.count() == 7
    retained()
    assert set(CallStateEvent.objects.all()) == left
    assert set(EventBatch.objects.all()) == waiting


def test_recordings_go_by_our_uuid_only(tmp_path):
    folder = tmp_path / "recordings"
    campaign = make_campaign([])
    old, fresh, linked = call(campaign), call(campaign, age=2 * DAY), call(campaign)
    open_call = call(campaign, age=60 * DAY, status="answered", ended_at=None, to_number="+12125550101")
    calls = (old, fresh, open_call)
    for one in calls:
        (folder / f"{one.call_id}.wav").write_bytes(b"12345")
        CallLog.objects.filter(pk=one.pk).update(recording_url=f"/r/{one.call_id}.wav", recording_stored=True)
    outside = tmp_path / "passwd"
    outside.write_text("kept")
    (folder / f"{linked.call_id}.wav").symlink_to(outside)
    others = ["notes.txt", f"{old.call_id}.txt", f"{old.call_id.hex}.wav", f"{uuid.uuid4()}.wav", f"x{old.call_id}.wav"]
    for name in others:
        (folder / name).write_text("x")
    text = retained(dry_run=True)
    assert "recordings: 1, 5 bytes would be removed (kept 10 days)" in text and len(list(folder.iterdir())) == 9
    assert "recordings: 1, 5 bytes removed" in retained()
    left = {f"{fresh.call_id}.wav", f"{open_call.call_id}.wav", f"{linked.call_id}.wav", *others}
    assert {path.name for path in folder.iterdir()} == left and outside.read_text() == "kept"
    old.refresh_from_db(), fresh.refresh_from_db()
    assert (old.recording_url, old.recording_stored) == ("", False)
    assert fresh.recording_stored and fresh.recording_url


def test_nothing_goes_of_what_is_kept_for_ever_and_minutes_go_when_no_window_reads_them(settings):
    settings.DECISIONS_KEEP_DAYS = settings.EVENTS_KEEP_DAYS = settings.RECORDINGS_KEEP_DAYS = 0
    campaign = make_campaign([])
    decision(campaign, 999 * DAY)
    for hours in (40, 27, 25, 1):
        CampaignMinute.objects.create(campaign=campaign, minute=timezone.now() - dt.timedelta(hours=hours), answered=1)
    text = retained()
    assert "decisions: kept for ever" in text and "recordings: kept for ever" in text
    assert "minutes of figures: 2 removed" in text
    assert PacingDecision.objects.count() == 1 and CampaignMinute.objects.count() == 2


@pytest.mark.parametrize("name", ["RECORDINGS_KEEP_DAYS", "EVENTS_KEEP_DAYS", "ALERTS_KEEP_DAYS"])
def test_with_a_setting_below_zero_nothing_at_all_goes(settings, tmp_path, name):
    """Whoever writes -1 means "for ever"; counted back from now it is tomorrow, which is everything."""
    setattr(settings, name, -1)
    campaign = make_campaign([])
    decision(campaign, 999 * DAY)
    record = call(campaign, age=DAY / 24)
    recording = tmp_path / "recordings" / f"{record.call_id}.wav"
    recording.write_bytes(b"sound")
    CallLog.objects.filter(pk=record.pk).update(recording_url="x", recording_stored=True)
    for dry_run in (True, False):
        with pytest.raises(CommandError, match=name):
            retained(dry_run=dry_run)
    assert recording.read_bytes() == b"sound" and PacingDecision.objects.count() == 1
    record.refresh_from_db()
    assert record.recording_stored

"""Batches into PostgreSQL: once, whole, in spite of duplicates, poison and lost tasks."""

import json
import threading
from datetime import datetime, timedelta
from io import StringIO

import orjson
import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import DataError, OperationalError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import batches, copying, journal, store, streams
from events.entries import Entry
from events.journal import Journal
from events.models import CallStateEvent, EventBatch, EventProcessingStatus, FreeSwitchEvent
from events.recorder import BATCH_ATTEMPTS, NOT_STORED
from events.rows import Once, from_entry
from tests.conftest import wait_until
from tests.fakes import captures
from tests.fakes.events import BRIDGED, CALL, database_locked, drain, ingest, record, store_sent, tasks

pytestmark = pytest.mark.django_db(transaction=True)

CDR = "dialer.tasks.store_cdr"
SWEEP = "events.tasks.sweep_batches"


def journalled(client, lines):
    """The lines on the journal, folded and recorded; returns the batches made now."""
    before = set(EventBatch.objects.values_list("batch_id", flat=True))
    one = ingest()
    one.journal.append(lines)
    drain(one)
    record(one)
    one.lease.release()
    return [str(batch.batch_id) for batch in EventBatch.objects.exclude(batch_id__in=before).order_by("id")]


def poisoned(line=BRIDGED[2]):
    return orjson.dumps({**orjson.loads(line), "Event-Sequence": "99", "variable_orch_call": "no uuid"})


def status_of(**event):
    return EventProcessingStatus.objects.get(**{f"event__{name}": value for name, value in event.items()})


@pytest.mark.parametrize("name", captures.NAMES)
def test_every_capture_is_stored_exactly_as_it_was(redis_empty, name):
    lines = captures.lines(name)
    for batch in journalled(redis_empty, lines):
        assert batches.store_batch(batch) == "stored"
    stored = FreeSwitchEvent.objects.order_by("timestamp", "id").values_list("event_data", flat=True)
    by_sequence = {event["Event-Sequence"]: event for event in map(orjson.loads, lines)}
    assert {event["Event-Sequence"]: event for event in stored} == by_sequence
    assert EventProcessingStatus.objects.count() == len(lines)


def test_the_same_batch_twice_is_stored_once(redis_empty):
    (batch,) = journalled(redis_empty, BRIDGED)
    assert batches.store_batch(batch) == "stored"
    before = list(FreeSwitchEvent.objects.order_by("id").values_list("id", "event_id"))
    assert batches.store_batch(batch) == "done already"
    EventBatch.objects.update(status="processing")  # as if its worker had died at the very end
    assert batches.store_batch(batch) == "stored"
    assert list(FreeSwitchEvent.objects.order_by("id").values_list("id", "event_id")) == before
    assert EventBatch.objects.get().events.count() == EventProcessingStatus.objects.count() == len(BRIDGED)


def test_events_delivered_in_two_batches_are_one_row_each_and_belong_to_both(redis_empty):
    (first,) = journalled(redis_empty, BRIDGED)
    (second,) = journalled(redis_empty, [*BRIDGED[-20:], *captures.lines("04_busy")])
    assert [batches.store_batch(batch) for batch in (first, second)] == ["stored", "stored"]
    assert FreeSwitchEvent.objects.count() == len(BRIDGED) + len(captures.lines("04_busy"))
    assert EventBatch.objects.get(batch_id=second).events.count() == 20 + len(captures.lines("04_busy"))


def test_the_same_event_twice_in_one_batch_is_one_row(redis_empty):
    (batch,) = journalled(redis_empty, [*BRIDGED, *BRIDGED])
    assert batches.store_batch(batch) == "stored"
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)
    assert EventBatch.objects.get().processed_count == 2 * len(BRIDGED)


def test_events_without_identity_are_stored_once_by_their_content(redis_empty):
    line = b'{"Event-Name": "CUSTOM", "Event-Subclass": "other::thing", "n": "1"}'
    for _ in range(2):
        (batch,) = journalled(redis_empty, [line, line.replace(b'"1"', b'"2"')])
        assert batches.store_batch(batch) == "stored"
    assert (
        list(FreeSwitchEvent.objects.values_list("core_uuid", "event_type")) == [("digest", "CUSTOM other::thing")] * 2
    )


def test_events_of_absurd_content_are_stored_and_block_nobody(redis_empty):
    created = {"Event-Name": "CHANNEL_CREATE", "Core-UUID": "c"}
    absurd = [
        created | {"Event-Sequence": "1", "Unique-ID": "nul\x00", "Caller-Destination-Number": "\x00"},
        created | {"Event-Sequence": "2", "Unique-ID": "u" * 5_000, "variable_orch_call": ["a", "b"]},
        created | {"Event-Sequence": "3", "Unique-ID": "late", "Caller-Channel-Created-Time": "9" * 18},
        created | {"Event-Sequence": "4", "Unique-ID": "tab\t\\N\n\\.", "Channel-Name": "\\."},
        created | {"Event-Sequence": "5", "Unique-ID": "deep", "x": {"y": [{"z": None}]}, "n": 1e300},
        created
        | {"Event-Sequence": "6", "Unique-ID": "Zoë 東京 😀 \u2028", "Caller-Caller-ID-Name": "'; DROP TABLE x; --"},
    ]
    (batch,) = journalled(redis_empty, [*map(orjson.dumps, absurd), *BRIDGED])
    assert batches.store_batch(batch) == "stored"
    assert FreeSwitchEvent.objects.count() == len(absurd) + len(BRIDGED)
    stored = {event.event_sequence: event for event in FreeSwitchEvent.objects.filter(core_uuid="c")}
    assert stored[4].channel_uuid == absurd[3]["Unique-ID"]
    assert stored[4].event_data == absurd[3]
    assert stored[6].event_data == absurd[5]
    assert CallStateEvent.objects.filter(current_state="initiated").count() == len(absurd) + 2


def test_a_poison_event_fails_alone_with_its_reason_and_its_next_try(redis_empty):
    (batch,) = journalled(redis_empty, [*BRIDGED, poisoned()])
    assert batches.store_batch(batch) == "stored"
    done = EventBatch.objects.get()
    assert (done.status, done.event_count, done.processed_count) == ("completed", len(BRIDGED) + 1, len(BRIDGED))
    bad = status_of(event_sequence=99)
    assert (bad.status, bad.attempts) == ("failed", 1)
    assert "not a uuid" in bad.last_error
    assert "Traceback" in bad.error_traceback
    assert timedelta(seconds=25) < bad.next_retry_at - timezone.now() <= timedelta(seconds=30)
    assert set(EventProcessingStatus.objects.exclude(pk=bad.pk).values_list("status", flat=True)) <= {
        "processed",
        "skipped",
    }


def test_failed_events_are_tried_again_when_due_ever_later_and_then_left_to_a_person(redis_empty):
    (batch,) = journalled(redis_empty, [poisoned()])
    batches.store_batch(batch)
    waits, now = [], timezone.now()
    assert batches.retry_due(now) == 0
    while (due := status_of(event_sequence=99).next_retry_at) is not None:
        waits.append(round((due - timezone.now()).total_seconds(), -1))
        assert batches.retry_due(due) == 1
    assert waits == [30, 60, 120, 240, 480]
    assert status_of(event_sequence=99).attempts == store.RETRY_ATTEMPTS


def test_a_failed_event_that_works_the_next_time_is_processed(redis_empty):
    (batch,) = journalled(redis_empty, [poisoned()])
    batches.store_batch(batch)
    event = FreeSwitchEvent.objects.get()
    event.event_data["variable_orch_call"] = CALL  # as a corrected reading of the event would have it
    event.save()
    assert batches.retry_due(timezone.now() + timedelta(hours=1)) == 1
    again = status_of(event_sequence=99)
    assert (again.status, str(again.call_log_id), again.last_error, again.next_retry_at) == (
        "processed",
        CALL,
        "",
        None,
    )
    assert again.processed_at is not None


@pytest.fixture
def refusing_database():
    """A database that refuses some events, whatever the reason; the second kind in any form."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE events_freeswitchevent ADD CONSTRAINT taste CHECK "
            "(event_data->>'refuse' IS NULL AND event_type <> 'UNBEARABLE')"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE events_freeswitchevent DROP CONSTRAINT taste")


def test_a_row_that_the_database_refuses_is_stored_as_text_and_blocks_nobody(redis_empty, refusing_database):
    bad = orjson.dumps({**orjson.loads(BRIDGED[0]), "Event-Sequence": "98", "refuse": "me"})
    (batch,) = journalled(redis_empty, [*BRIDGED, bad])
    assert batches.store_batch(batch) == "stored"
    assert FreeSwitchEvent.objects.count() == len(BRIDGED) + 1
    kept = FreeSwitchEvent.objects.get(event_sequence=98).event_data
    assert "taste" in kept["refused"]
    assert "'refuse': 'me'" in kept["event"]


def test_a_row_that_is_refused_in_any_form_is_kept_aside_and_said(redis_empty, refusing_database):
    bad = orjson.dumps({"Event-Name": "UNBEARABLE", "Core-UUID": "c", "Event-Sequence": "97"})
    (batch,) = journalled(redis_empty, [*BRIDGED, bad])
    assert batches.store_batch(batch) == "incomplete"
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)
    assert "refuses 1 events" in EventBatch.objects.get().error_message
    (kept,) = [fields for _, fields in redis_empty.xrange(streams.MALFORMED)]
    assert b"UNBEARABLE" in kept[b"e"]


def test_every_event_of_a_call_is_linked_to_it_even_those_that_do_not_name_it(redis_empty):
    (batch,) = journalled(redis_empty, BRIDGED)
    batches.store_batch(batch)
    linked = EventProcessingStatus.objects.filter(event__channel_uuid=CALL)
    assert {str(status.call_log_id) for status in linked} == {CALL}
    assert linked.filter(event__event_type="CHANNEL_STATE").exists()


def test_the_dialer_is_told_which_event_is_the_detail_record_of_a_call(redis_empty):
    (batch,) = journalled(redis_empty, BRIDGED)
    assert tasks(redis_empty, "default", CDR) == []
    batches.store_batch(batch)
    ((_, (event_ids, told_batch), _),) = tasks(redis_empty, "default", CDR)
    assert told_batch == batch
    (event,) = batches.events_of(event_ids, batch)
    assert (event["Event-Name"], event["variable_orch_call"]) == ("CHANNEL_HANGUP_COMPLETE", CALL)
    assert event["variable_billsec"] == "3"


@pytest.fixture
def asked_at_once(monkeypatch):
    """The dialer asks for a detail record before the batch is committed; what it is given then, each time."""
    given, threads = [], []
    send = batches.send_final

    def ask(event_ids, batch_id):
        given.append([event["Event-Name"] for event in batches.events_of(event_ids, batch_id)])
        connection.close()

    def told(event_ids, batch_id):
        send(event_ids, batch_id)
        threads.append(threading.Thread(target=ask, args=(event_ids, batch_id)))
        threads[-1].start()
        wait_until(waits_for_a_lock, "the dialer waits for the batch", 20)

    def answers():
        for thread in threads:
            thread.join(20)
        return given

    monkeypatch.setattr(batches, "send_final", told)
    return answers


def waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


def test_a_detail_record_that_is_told_of_before_the_commit_is_there_after_it(redis_empty, asked_at_once):
    (batch,) = journalled(redis_empty, BRIDGED)
    assert batches.store_batch(batch) == "stored"
    assert asked_at_once() == [["CHANNEL_HANGUP_COMPLETE"]]


def test_a_detail_record_of_a_batch_that_failed_is_told_of_again_with_the_next_attempt(
    redis_empty, asked_at_once, monkeypatch
):
    (batch,) = journalled(redis_empty, BRIDGED)
    with monkeypatch.context() as broken:
        broken.setattr(batches, "_end", failing)
        with pytest.raises(OperationalError):
            batches.store_batch(batch)
    assert asked_at_once() == [[]]
    assert batches.store_batch(batch) == "stored"
    assert asked_at_once() == [[], ["CHANNEL_HANGUP_COMPLETE"]]


def failing(*_):
    raise OperationalError("the database goes away")


def test_the_event_of_a_detail_record_is_tried_again_and_told_again_when_its_enrichment_failed(
    redis_empty, monkeypatch
):
    (batch,) = journalled(redis_empty, BRIDGED)
    with monkeypatch.context() as broken:
        broken.setattr(store.enrich, "enrich", failing)
        batches.store_batch(batch)
    assert tasks(redis_empty, "default", CDR) == []
    assert batches.retry_due(timezone.now() + timedelta(hours=1)) == len(BRIDGED)
    ((_, (event_ids, told_batch), _),) = tasks(redis_empty, "default", CDR)
    assert told_batch is None
    assert [event["Event-Name"] for event in batches.events_of(event_ids)] == ["CHANNEL_HANGUP_COMPLETE"]


def test_a_batch_whose_task_was_lost_is_sent_again_but_not_over_and_over(redis_empty):
    (batch,) = journalled(redis_empty, BRIDGED)
    redis_empty.delete("default")
    assert batches.sweep() == (0, False)  # it is young
    EventBatch.objects.update(created_at=timezone.now() - timedelta(seconds=31))
    assert batches.sweep() == (1, False)
    assert batches.sweep() == (0, False)  # the queue may only be long
    assert store_sent(redis_empty) == ["stored"]
    redis_empty.delete(*redis_empty.keys(f"{batches.SENT_PREFIX}*"))
    assert batches.sweep() == (0, False)
    assert EventBatch.objects.get(batch_id=batch).status == "completed"


def test_a_batch_whose_worker_died_is_sent_again(redis_empty):
    journalled(redis_empty, BRIDGED)
    long_ago = timezone.now() - timedelta(seconds=31)
    EventBatch.objects.update(status="processing", started_at=timezone.now(), created_at=long_ago)
    assert batches.sweep()[0] == 0  # somebody works on it
    EventBatch.objects.update(started_at=long_ago)
    assert batches.sweep()[0] == 1


def test_due_retries_are_asked_for_by_the_sweep(redis_empty):
    (batch,) = journalled(redis_empty, [poisoned()])
    batches.store_batch(batch)
    assert batches.sweep() == (0, False)
    EventProcessingStatus.objects.update(next_retry_at=timezone.now() - timedelta(seconds=1))
    assert batches.sweep() == (0, True)
    assert len(tasks(redis_empty, "default", "events.tasks.retry_failed_events")) == 1


def test_a_batch_that_another_worker_has_in_hand_is_left_to_it(redis_empty):
    (batch,) = journalled(redis_empty, BRIDGED)
    said = []

    def other():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        try:
            batches.store_batch(batch)
        except OperationalError as error:
            said.append(str(error))
        finally:
            connection.close()

    with transaction.atomic():
        EventBatch.objects.select_for_update().get(batch_id=batch)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(15)
    assert "lock timeout" in said[0]  # it waited for the row, and no longer than it may
    assert FreeSwitchEvent.objects.count() == 0
    assert batches.store_batch(batch) == "stored"


# --- commands ---------------------------------------------------------------------------------------------------------


def run(command, *arguments):
    out, err = StringIO(), StringIO()
    call_command(command, *arguments, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def test_a_batch_that_the_database_has_only_no_time_or_room_for_is_never_given_up(redis_empty):
    """A table is rebuilt for an hour, a disk is full over a week-end: the journal keeps what is not stored."""
    [batch] = journalled(redis_empty, BRIDGED)
    mine = EventBatch.objects.filter(batch_id=batch)
    mine.update(attempts=BATCH_ATTEMPTS - 1)
    one = ingest()
    with database_locked("events_freeswitchevent"):
        for _ in range(2):
            with pytest.raises(OperationalError):
                batches.store_batch(batch)
        assert "lock timeout" in mine.get().error_message
        assert mine.filter(NOT_STORED).exists()
        one.recorder.trim()
        assert redis_empty.xlen(streams.JOURNAL) == len(BRIDGED)
    assert batches.store_batch(batch) == "stored"
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)


def test_a_batch_that_the_database_refuses_is_given_up_in_the_end_and_says_why(redis_empty, monkeypatch):
    [batch] = journalled(redis_empty, BRIDGED)
    mine = EventBatch.objects.filter(batch_id=batch)
    mine.update(attempts=BATCH_ATTEMPTS - 1)

    def refused(*_):
        raise DataError("no such thing is stored here")

    monkeypatch.setattr(store, "store", refused)
    with pytest.raises(DataError):
        batches.store_batch(batch)
    assert "no such thing" in mine.get().error_message
    assert not mine.filter(NOT_STORED).exists()


def test_replay_tells_a_legs_transitions_from_the_stored_log(redis_empty):
    for batch in journalled(redis_empty, BRIDGED):
        batches.store_batch(batch)
    told = run("replay_events", "--batch", batch)
    stored = CallStateEvent.objects.order_by("timestamp")
    for step in stored:
        assert f"{step.channel_uuid}  {step.previous_state or '-'} -> {step.current_state}" in told
    assert f"{stored.count()} transitions" in told
    assert "12 transitions" not in run("replay_events", "--channel", CALL)
    assert run("replay_events", "--until", "2020-01-01") == "0 transitions\n"
    with pytest.raises(CommandError, match="which events"):
        run("replay_events")


def test_replay_puts_the_log_back_on_the_journal_and_it_folds_to_the_same(redis_empty):
    for batch in journalled(redis_empty, BRIDGED):
        batches.store_batch(batch)
    redis_empty.flushdb()
    assert f"{len(BRIDGED)} events" in run("replay_events", "--since", "2020-01-01", "--append")
    one = ingest()
    assert drain(one) == len(BRIDGED)
    assert one.legs.get(CALL).cause == "NORMAL_CLEARING"
    record(one)
    store_sent(redis_empty)
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)


def test_reprocess_tries_each_chosen_event_once(redis_empty):
    (batch,) = journalled(redis_empty, [poisoned(), *BRIDGED])
    batches.store_batch(batch)
    assert run("reprocess_events") == "1 events processed again, 1 are failed now\n"
    assert status_of(event_sequence=99).attempts == 2
    assert run("reprocess_events", "--status", "skipped", "--limit", "3").startswith("3 events")


def test_a_stretch_of_the_journal_is_read_whole_in_its_order_and_no_further(redis_empty, monkeypatch):
    monkeypatch.setattr(journal, "BETWEEN_COUNT", 3)
    Journal(redis_empty).append([b'{"n":%d}' % n for n in range(12)])
    ids = [entry.decode() for entry, _ in redis_empty.xrange(streams.JOURNAL)]
    for last in range(1, 11):
        found = list(Journal(redis_empty).between(ids[1], ids[last]))
        assert [entry.id for entry in found] == ids[1 : last + 1]
        assert [entry.raw for entry in found] == [b'{"n":%d}' % n for n in range(1, last + 1)]


def test_a_batch_with_more_events_than_it_was_made_of_stores_none_of_them_and_says_so(redis_empty):
    (batch,) = journalled(redis_empty, BRIDGED)
    EventBatch.objects.update(event_count=len(BRIDGED) - 1, attempts=BATCH_ATTEMPTS - 1)
    with pytest.raises(OperationalError, match="more than the"):
        batches.store_batch(batch)
    assert FreeSwitchEvent.objects.count() == 0
    assert "more than the" in EventBatch.objects.get().error_message
    assert not EventBatch.objects.filter(NOT_STORED).exists(), "no repetition mends that: it is given up in the end"


def test_a_journal_that_goes_away_while_it_is_read_leaves_the_batch_to_the_next_attempt(redis_empty, monkeypatch):
    monkeypatch.setattr(journal, "BETWEEN_COUNT", 20)
    (batch,) = journalled(redis_empty, BRIDGED)
    read, reads = redis.Redis.xrange, []

    def away_in_the_end(*arguments, **options):
        reads.append(arguments)
        if len(reads) > 2:
            raise redis.ConnectionError("nobody answers")
        return read(*arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(redis.Redis, "xrange", away_in_the_end)
        with pytest.raises(OperationalError, match="nobody answers"):
            batches.store_batch(batch)
    assert FreeSwitchEvent.objects.count() == 0
    assert batches.store_batch(batch) == "stored"
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)


VALUES = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.uuids(),
    st.datetimes(datetime(1, 1, 3), datetime(9998, 1, 1)),
    st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), st.integers(0, 9)),
)


@given(st.lists(VALUES, max_size=25))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_copied_is_what_was_given(db, rows):
    microsecond = timedelta(microseconds=1)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS copied")
        cursor.execute("CREATE TEMP TABLE copied (a bigint, b text, c integer, d uuid, e timestamptz, f jsonb)")
        values = (
            (
                number, text, None if small is None else copying.integer(small), copying.identifier(str(key)),
                copying.stamp((at - datetime(1970, 1, 1)) // microsecond), copying.document(orjson.dumps(document)),
            )
            for number, text, small, key, at, document in rows
        )  # fmt: skip
        cursor.copy_expert("COPY copied FROM STDIN WITH (FORMAT binary)", copying.Source(values))
        cursor.execute("SELECT a, b, c, d, e::timestamptz AT TIME ZONE 'UTC', f::text FROM copied")
        found = [(*row[:5], json.loads(row[5])) for row in cursor.fetchall()]
    assert found == rows


def test_rows_are_drawn_from_the_journal_as_they_are(redis_empty):
    Journal(redis_empty).append(BRIDGED[:1])
    (entry,) = Journal(redis_empty).between("-", "+")
    assert isinstance(entry, Entry)
    with transaction.atomic():
        inserted = store.insert_events(Once([from_entry(entry)], 1))
    assert inserted.fresh
    assert list(inserted.ids.values()) == [FreeSwitchEvent.objects.get(journal_id=entry.id).pk]

"""An event as a row: every length, character and time that a database refuses is put right before it gets there."""

import uuid

import orjson
import pytest

from events import copying, enrich, rows
from events.entries import Entry
from events.rows import COLUMNS, Once, from_entry, ordered_uuid
from tests.fakes import captures

AT = 1_795_333_046_205


def row_of(event, entry_id=f"{AT}-0"):
    return from_entry(Entry(entry_id, orjson.dumps(event)))


def column(row, name):
    return row.columns[COLUMNS.index(name)]


def document(row):
    return orjson.loads(column(row, "event_data").removeprefix(copying.document(b"")))


def test_a_hangup_is_promoted_to_its_columns():
    event = next(
        e for e in captures.events("01_answered_customer_hangs_up") if e["Event-Name"] == "CHANNEL_HANGUP_COMPLETE"
    )
    row = row_of(event)
    told = {name: column(row, name) for name in COLUMNS if name not in {"event_id", "event_data"}}
    assert told == {
        "event_type": "CHANNEL_HANGUP_COMPLETE",
        "channel_uuid": event["Unique-ID"],
        "channel_name": "sofia/external/21234",
        "caller_id_number": "21234",
        "caller_id_name": "21234",
        "destination_number": "21234",
        "timestamp": copying.stamp(AT * 1000),
        "freeswitch_timestamp": copying.stamp(int(event["Event-Date-Timestamp"])),
        "hangup_cause": "NORMAL_CLEARING",
        "call_duration_ms": int(event["variable_mduration"]),
        "answer_epoch": int(event["variable_answer_epoch"]),
        "hangup_epoch": int(event["variable_end_epoch"]),
        "core_uuid": event["Core-UUID"],
        "event_sequence": int(event["Event-Sequence"]),
        "journal_id": f"{AT}-0",
    }
    assert document(row) == event


def test_values_are_cut_to_their_columns():
    row = row_of({"Event-Name": "E" * 300, "Unique-ID": "u" * 300, "Caller-Caller-ID-Name": "é" * 300})
    assert [len(column(row, name)) for name in ("event_type", "channel_uuid", "caller_id_name")] == [100, 100, 255]


@pytest.mark.parametrize("stamp", ["0", "-1", "9" * 18, "nonsense", ""])
def test_an_impossible_time_is_no_time(stamp):
    assert column(row_of({"Event-Name": "X", "Event-Date-Timestamp": stamp}), "freeswitch_timestamp") is None


def test_no_nul_reaches_the_database():
    row = row_of({"Event-Name": "X", "Unique-ID": "a\x00b", "k\x00": ["v\x00"]})
    assert b"\\u0000" not in column(row, "event_data")
    assert column(row, "channel_uuid") == "a\ufffdb"


@pytest.mark.parametrize("raw", [b"", b"[]", b"no"])
def test_what_is_no_event_makes_no_row(raw):
    with pytest.raises(ValueError):
        from_entry(Entry("1-0", raw))
    with pytest.raises(ValueError):
        from_entry(Entry("1-0", None))


def test_event_ids_of_one_time_are_neighbours_and_never_the_same():
    ids = [uuid.UUID(bytes=ordered_uuid(AT + place // 100)) for place in range(1_000)]
    assert len(set(ids)) == 1_000
    assert [i.int >> 80 for i in ids] == sorted(i.int >> 80 for i in ids)
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}


def test_a_refused_row_keeps_its_identity_and_its_content_as_harmless_text():
    row = row_of({"Event-Name": "CHANNEL_CREATE", "Unique-ID": "ü", "Core-UUID": "c", "Event-Sequence": "4"})
    safe = rows.stripped(row, "because")
    assert (safe.key, column(safe, "core_uuid"), column(safe, "event_sequence")) == (("c", 4), "c", 4)
    assert document(safe)["refused"] == "because"
    assert all(not isinstance(value, str) or value.isascii() for value in safe.columns)


# --- enrichment ------------------------------------------------------------------------------------------------------

CALL = "e7679572-4b5c-49ce-935b-445d2f7de8a2"


def test_an_event_of_a_call_is_linked_to_it_and_its_last_one_becomes_the_detail_record():
    roles = {CALL: {"role": "customer", "call": CALL}}
    lines = [captures.with_roles(line, roles) for line in captures.lines("01_answered_customer_hangs_up")]
    found = {e["Event-Name"]: enrich.enrich(e) for e in map(orjson.loads, lines) if e.get("Unique-ID") == CALL}
    assert {str(item.call_id) for item in found.values()} == {CALL}
    assert [name for name, item in found.items() if item.final] == ["CHANNEL_HANGUP_COMPLETE"]


def test_a_detail_record_is_the_event_without_what_is_empty_and_with_long_values_cut():
    (event,) = (e for e in map(orjson.loads, captures.lines("01_answered_customer_hangs_up"))
                if e["Event-Name"] == "CHANNEL_HANGUP_COMPLETE" and e["Unique-ID"] == CALL)  # fmt: skip
    record = enrich.detail_record({**event, "empty": "", "_body": "x", "novel": "n" * 10_000})
    assert (record["variable_billsec"], record["Hangup-Cause"]) == ("5", "NORMAL_CLEARING")
    assert all(record.values()) and "_body" not in record
    assert len(record["novel"]) == enrich.RECORD_VALUE


def test_an_event_of_no_call_needs_nothing_and_one_of_an_impossible_call_says_so():
    assert enrich.enrich({"Event-Name": "HEARTBEAT"}) == (None, False, False)
    with pytest.raises(ValueError, match="not a uuid"):
        enrich.enrich({"Event-Name": "CHANNEL_CREATE", "variable_orch_call": "x"})


def test_rows_are_made_as_they_are_asked_for_each_event_once_and_kept():
    made = []

    def source():
        for sequence in ("1", "2", "1", "3"):
            made.append(sequence)
            yield row_of({"Event-Name": "X", "Core-UUID": "core", "Event-Sequence": sequence})

    once = Once(source(), 4)
    first = iter(once)
    assert next(first).key == ("core", 1)
    assert made == ["1"]
    assert [row.key[1] for row in first] == [2, 3]
    assert [row.key[1] for row in once] == [1, 2, 3]
    assert made == ["1", "2", "1", "3"]

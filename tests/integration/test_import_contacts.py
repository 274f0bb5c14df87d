"""`manage.py import_contacts` against a real PostgreSQL: the good rows or nothing, and a word about every bad one."""

import csv
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections, transaction

from dialer.models import Contact, DialerTargetList
from dialer.target_import import ImportRefusedError, import_contacts
from events import streams
from tests.fakes.floor import make_campaign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str | bytes, encoding: str = "utf-8", name: str = "contacts.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@pytest.fixture
def spring() -> DialerTargetList:
    return DialerTargetList.objects.create(name="Spring")


def run(path: Path, *arguments: str, name: str = "Spring") -> str:
    out = io.StringIO()
    call_command("import_contacts", str(path), "--list", name, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def numbers() -> list[str]:
    return list(Contact.objects.order_by("id").values_list("number", flat=True))


GOOD = "phone,name,plan,priority\n(212) 555-1234,Bob,Gold,2\n312-555-1235,José,Silver,\n"


def test_good_rows_become_contacts_in_the_order_of_the_file(file, spring):
    said = run(file(GOOD))
    assert "2 rows read, 2 imported, 0 duplicates, 0 refused" in said
    bob, jose = Contact.objects.order_by("id")
    assert (bob.number, bob.name, bob.custom_fields, bob.priority) == ("+12125551234", "Bob", {"plan": "Gold"}, 2)
    assert (jose.name, jose.time_zone, jose.priority) == ("José", "America/Chicago", 0)
    assert (bob.status, bob.attempts, bob.target_list) == ("ready", 0, spring)
    assert bob.next_attempt_at is not None


def test_the_list_knows_what_was_imported(file, spring):
    run(file(GOOD))
    spring.refresh_from_db()
    assert spring.total_contacts == 2
    assert spring.source == "CSV file contacts.csv"
    assert spring.imported_at is not None
    assert spring.source_metadata["columns"] == {"number": "phone", "name": "name", "priority": "priority"}
    assert spring.source_metadata["imported"] == 2
    run(file("phone\n+12125551236\n"))
    spring.refresh_from_db()
    assert spring.total_contacts == 3


def test_the_same_file_again_imports_nothing(file, spring):
    path = file(GOOD)
    run(path)
    said = run(path)
    assert "2 rows read, 0 imported, 2 duplicates, 0 refused" in said
    assert "row 2: The number is already in the list. [(212) 555-1234]" in said
    assert Contact.objects.count() == 2


def test_the_first_of_two_rows_with_one_number_wins(file, spring):
    said = run(file("phone,name\n2125551234,First\n+1 212 555 1234,Second\n1.212.555.1234,Third\n"))
    assert "3 rows read, 1 imported, 2 duplicates" in said
    assert "row 4: The number is in row 2." in said
    assert Contact.objects.get().name == "First"


def test_the_same_number_may_be_in_another_list(file, spring):
    run(file(GOOD))
    said = run(file(GOOD), "--create", name="Summer")
    assert "2 imported" in said
    assert Contact.objects.count() == 4


def test_a_dry_run_says_the_same_and_changes_nothing(file, spring):
    path = file(GOOD + "212 555 1234,Twice,,\nnonsense,,,\n")
    dry = run(path, "--dry-run")
    assert "4 rows read, 2 would be imported, 1 duplicates, 1 refused" in dry
    assert "nothing is changed" in dry
    spring.refresh_from_db()
    assert (Contact.objects.count(), spring.total_contacts, spring.imported_at) == (0, 0, None)
    assert "4 rows read, 2 imported, 1 duplicates, 1 refused" in run(path)


def test_a_dry_run_makes_no_list(file):
    run(file(GOOD), "--create", "--dry-run")
    assert not DialerTargetList.objects.exists()


def test_ten_thousand_broken_rows_are_each_reported_and_keep_no_good_one_out(file, spring, tmp_path):
    broken = ['"open,', "12,too short", "=cmd|' /C calc'!A0,x", "2125551234\0,x", "letters,x", "+1 212 555 1234 5,x"]
    lines = ["phone,name", *(broken[n % len(broken)] for n in range(10_000)), "2125559999,Good"]
    said = run(file("\n".join(lines)), "--errors", str(tmp_path / "errors.csv"))
    assert "10,001 rows read, 1 imported, 0 duplicates, 10,000 refused" in said
    # The screen gets a few, the file all of them.
    assert said.count("row ") < 50
    assert "1,667 × The number is too short." in said
    with (tmp_path / "errors.csv").open(encoding="utf-8-sig", newline="") as errors:
        report = list(csv.DictReader(errors))
    assert [int(row["row"]) for row in report] == list(range(2, 10_002))
    assert all(row["reason"] for row in report)
    # Nothing that a spreadsheet would run.
    assert not any(row["number"].startswith(tuple("=+-@\t\r")) for row in report)
    assert numbers() == ["+12125559999"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [Terminal(), io.StringIO()])
def test_progress_is_shown_to_a_person_and_not_to_a_file(file, spring, monkeypatch, terminal):
    monkeypatch.setattr("dialer.management.commands.import_contacts._PROGRESS_SECONDS", 0)
    path = file("phone\n" + "".join(f"+1212555{n:04}\n" for n in range(2_000)))
    call_command("import_contacts", str(path), "--list", "Spring", stdout=io.StringIO(), stderr=terminal)
    assert ("2,000 rows read, 100 % of the file" in terminal.getvalue()) == terminal.isatty()


@pytest.mark.parametrize(
    "name", ["=HYPERLINK(1)", "<script>alert(1)</script>", "Robert'); DROP TABLE x;--", "a\\tb\\N", "\\."]
)
def test_hostile_text_is_stored_as_it_is(file, spring, name):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["phone", "name", "note"], ["2125551234", name, f"{name}\n\t\\"]])
    run(file(buffer.getvalue()))
    contact = Contact.objects.get()
    assert contact.name == name
    assert contact.custom_fields == {"note": f"{name}\n\t\\".strip()}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_usual_encodings_are_read(file, spring, encoding):
    said = run(file(GOOD, encoding))
    assert Contact.objects.filter(name="José").exists()
    assert ("check that the names look right" in said) == (encoding == "cp1252")


def test_an_encoding_can_be_named(file, spring):
    run(file("phone;name\n2125551234;Дмитрий\n", "cp1251"), "--encoding", "cp1251")
    assert Contact.objects.get().name == "Дмитрий"


def test_numbers_outside_the_allowed_prefixes_are_imported_and_announced(file, spring, settings):
    settings.DIAL_ALLOWED_PREFIXES = ["+1212"]
    assert "1 numbers lie outside DIAL_ALLOWED_PREFIXES" in run(file(GOOD))


@pytest.mark.parametrize(
    ("text", "arguments", "line"),
    [
        (
            "name,city\nBob,Rome\n",
            [],
            "There is no number column (--map number=COLUMN chooses one); found: 'name', 'city'.",
        ),
        (
            "+12125551234,Bob\n",
            [],
            "The first row holds a number, not column names: add a header row, such as number,name.",
        ),
        ("", [], "The file is empty."),
        (GOOD, ["--map", "number=Fon"], "There is no column 'Fon'; found: 'phone', 'name', 'plan', 'priority'."),
        (GOOD, ["--region", "Mars"], "There is no region 'Mars'; write it like US."),
        (GOOD, ["--encoding", "ascii"], "The file is not ascii: it cannot be read near byte 67."),
        (b"PK\x03\x04", [], "This is a spreadsheet or archive, not a CSV file: save it as CSV first."),
    ],
)
def test_what_stops_an_import_is_one_clear_line(file, spring, text, arguments, line):
    with pytest.raises(CommandError) as refusal:
        run(file(text), *arguments)
    assert str(refusal.value) == line
    assert refusal.value.returncode != 0
    assert not Contact.objects.exists()


def test_an_unknown_list_needs_create(file):
    with pytest.raises(CommandError, match="There is no list 'Spring' .--create makes it."):
        run(file(GOOD))
    assert not DialerTargetList.objects.exists()
    run(file(GOOD), "--create")
    assert DialerTargetList.objects.get().total_contacts == 2


def test_no_such_file_is_one_clear_line(tmp_path, spring):
    with pytest.raises(CommandError, match="nothing.csv: No such file or directory"):
        run(tmp_path / "nothing.csv")
    with pytest.raises(CommandError, match="Is a directory"):
        run(tmp_path)


def test_the_errors_file_is_never_the_file_that_is_read(file, spring):
    path = file(GOOD)
    with pytest.raises(CommandError, match="must not be the file"):
        run(path, "--errors", str(path))
    assert path.read_text(encoding="utf-8") == GOOD


def test_an_error_midway_leaves_nothing_behind(file):
    """The reading breaks after thousands of rows, some of them already copied into the database."""

    def stop(rows: int) -> None:
        if rows >= 7_000:
            raise RuntimeError("the disk is gone")

    path = file("phone\n" + "".join(f"+1212555{n:04}\n" for n in range(10_000)))
    with path.open("rb") as raw, pytest.raises(RuntimeError):
        import_contacts(raw, "Spring", source="x", create=True, on_progress=stop)
    assert not DialerTargetList.objects.exists()
    assert not Contact.objects.exists()
    assert not connection.in_atomic_block
    with path.open("rb") as raw:
        assert import_contacts(raw, "Spring", source="x", create=True).imported == 10_000


def test_ctrl_c_leaves_nothing_behind(file, spring):
    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    path = file("phone\n" + "".join(f"+1212555{n:04}\n" for n in range(2_000)))
    with path.open("rb") as raw, pytest.raises(KeyboardInterrupt):
        import_contacts(raw, "Spring", source="x", on_progress=stop)
    assert not Contact.objects.exists()


def test_two_imports_into_one_list_take_turns(file, spring):
    path = file(GOOD)
    refused: list[str] = []

    def other() -> None:
        try:
            with path.open("rb") as raw:
                import_contacts(raw, "Spring", source="x")
        except ImportRefusedError as refusal:
            refused.append(str(refusal))
        finally:
            connections.close_all()

    def meanwhile(rows: int) -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    many = file("phone\n" + "".join(f"+1212555{n:04}\n" for n in range(1_000)), name="many.csv")
    with many.open("rb") as raw:
        assert import_contacts(raw, "Spring", source="x", on_progress=meanwhile).imported == 1_000
    assert refused == ["Another import into this list is running; try again when it has ended."]


def test_no_check_is_left_to_the_commit_when_the_list_is_locked_at_the_end(file, spring):
    """The references of a million contacts take seconds to check, and the worker would wait for the list's row."""
    left: list[str] = []

    def look(execute, sql, params, many, context):
        if sql.startswith('UPDATE "dialer_dialertargetlist"'):
            other = connection.copy()
            try:
                other.set_autocommit(False)
                with other.cursor() as cursor:
                    # A checked reference shares the row with who counts on it, and with nobody who removes it.
                    cursor.execute("SELECT 1 FROM dialer_dialertargetlist FOR NO KEY UPDATE NOWAIT")
                    try:
                        cursor.execute("SELECT 1 FROM dialer_dialertargetlist FOR UPDATE NOWAIT")
                        left.append("unchecked")
                    except OperationalError:
                        left.append("checked")
            finally:
                other.close()
        return execute(sql, params, many, context)

    with file(GOOD).open("rb") as raw, connection.execute_wrapper(look):
        import_contacts(raw, "Spring", source="x")
    assert left == ["checked"]


def test_the_worker_can_count_on_the_list_while_an_import_runs(file, spring):
    """It counts processed contacts with every call: an import of minutes must not hold that row."""
    counted: list[int] = []

    def count() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                counted.append(DialerTargetList.objects.filter(pk=spring.pk).update(processed_contacts=7))
        finally:
            connections.close_all()

    def meanwhile(rows: int) -> None:
        thread = threading.Thread(target=count)
        thread.start()
        thread.join()

    path = file("phone\n" + "".join(f"+1212555{n:04}\n" for n in range(1_000)))
    with path.open("rb") as raw:
        import_contacts(raw, "Spring", source="x", on_progress=meanwhile)
    spring.refresh_from_db()
    assert (counted, spring.processed_contacts, spring.total_contacts) == ([1], 7, 1_000)


def test_a_number_added_by_hand_meanwhile_is_a_duplicate(file, spring):
    """Added after the row was read: the constraint decides, and the counts stay true."""

    def add() -> None:
        try:
            Contact.objects.create(target_list=spring, number="+12125550000", next_attempt_at="2026-01-01T00:00Z")
        finally:
            connections.close_all()

    def meanwhile(rows: int) -> None:
        thread = threading.Thread(target=add)
        thread.start()
        thread.join()

    path = file("phone\n" + "".join(f"+1212555{n:04}\n" for n in range(999)) + "+12125550001\n")
    with path.open("rb") as raw:
        report = import_contacts(raw, "Spring", source="x", on_progress=meanwhile)
    assert (report.read, report.imported, report.duplicates, report.refused) == (1_000, 998, 2, 0)
    assert [problem.reason for problem in report.problems] == [
        "The number is already in the list.",
        "The number is in row 3.",
    ]
    spring.refresh_from_db()
    assert spring.total_contacts == 998


@pytest.mark.usefixtures("redis_empty")
def test_campaigns_of_the_list_are_announced_with_their_new_contacts(file):
    campaign = make_campaign([], contacts=0)
    run(file(GOOD), name=campaign.target_list.name)
    entries = streams.shared().xrange(streams.CHANGES)
    changes = [json.loads(entry[streams.CHANGES_FIELD.encode()]) for _, entry in entries]
    assert [(c["kind"], c["data"]["contacts_left"]) for c in changes] == [("campaign", 2)]

"""Duplicates by policy, and taking an import back: what was never called goes, the rest stays and says why."""

import io
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.utils import DatabaseError
from django.utils import timezone

from dialer import tasks
from dialer.models import Callback, CallLog, CallStatus, Contact, ContactStatus, DialerTargetList, ImportRun
from dialer.target_import import ImportRefusedError, import_contacts
from dialer.target_import import undo as undoing
from tests.fakes.floor import make_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

FOUR = "phone\n+12125551230\n+12125551231\n+12125551232\n+12125551233\n"


def bring(text: str, name: str = "Spring", **more: Any) -> Any:
    return import_contacts(io.BytesIO(text.encode()), name, source="x.csv", create=True, **more)


def numbers(name: str = "Spring") -> list[str]:
    return list(Contact.objects.filter(target_list__name=name).order_by("id").values_list("number", flat=True))


def call(contact: Contact, campaign: Any = None) -> CallLog:
    return CallLog.objects.create(
        freeswitch_uuid=f"leg {contact.pk}", to_number=contact.number, contact=contact, campaign=campaign,
        status=CallStatus.COMPLETED, initiated_at=timezone.now(), ended_at=timezone.now(),
    )  # fmt: skip


# --- duplicates -------------------------------------------------------------------------------------------------------


def test_a_number_of_another_list_is_left_out_only_when_asked_for():
    bring("phone\n+12125551230\n", "Winter")
    text = "phone\n+12125551230\n+12125551231\n+12125551231\n"
    dry = bring(text, duplicates_in="everywhere", dry_run=True)
    report = bring(text, duplicates_in="everywhere")
    assert (dry.imported, dry.duplicates) == (report.imported, report.duplicates) == (1, 2)
    assert [(p.line, p.reason) for p in report.problems] == [
        (2, "The number is already in another list."),
        (4, "The number is in row 3."),
    ]
    assert bring(text, "Summer").imported == 2


def test_a_number_that_a_campaign_of_the_list_has_called_is_left_out_when_asked_for():
    campaign = make_campaign([], contacts=1)
    old = bring("phone\n+12125551230\n", "Winter")
    call(Contact.objects.get(import_run=old.run), campaign)
    name = campaign.target_list.name
    text = "phone\n+12125551230\n+12125551231\n"
    report = bring(text, name, duplicates_in="campaign")
    assert (report.imported, report.duplicates) == (1, 1)
    assert report.problems[0].reason == "The number was called before by a campaign that dials this list."
    assert bring(text, "Summer", duplicates_in="campaign").imported == 2


def test_a_policy_that_nobody_knows_is_refused_by_the_database():
    with pytest.raises(IntegrityError), transaction.atomic():
        ImportRun.objects.create(list_name="x", file_name="x", duplicates_in="nowhere")


# --- undo -------------------------------------------------------------------------------------------------------------


def test_undo_removes_what_was_never_called_and_says_why_it_keeps_the_rest():
    by_hand = DialerTargetList.objects.create(name="Spring", total_contacts=1)
    Contact.objects.create(target_list=by_hand, number="+12125550000", next_attempt_at=timezone.now())
    run = bring(FOUR).run
    called, dialing, appointed, _ = Contact.objects.filter(import_run=run).order_by("id")
    call(called)
    Contact.objects.filter(pk=dialing.pk).update(status=ContactStatus.DIALING, attempts=1)
    campaign = make_campaign([], contacts=0)
    Callback.objects.create(campaign=campaign, contact=appointed, at=timezone.now())
    out = io.StringIO()
    call_command("undo_import", str(run), stdout=out)
    assert "1 contacts removed, 3 kept." in out.getvalue()
    for reason in ("being dialled", "already called", "has an appointment or other records"):
        assert f"1 kept: {reason}" in out.getvalue()
    assert numbers() == ["+12125550000", "+12125551230", "+12125551231", "+12125551232"]
    by_hand.refresh_from_db()
    assert by_hand.total_contacts == 4
    row = ImportRun.objects.get(pk=run)
    assert (row.state, row.removed) == (ImportRun.State.UNDONE, 1)
    assert row.undone_by.endswith("(undo_import)")
    assert row.undone_at is not None
    assert CallLog.objects.get().contact == called


def test_contacts_of_other_imports_stay():
    first, second = bring(FOUR), bring("phone\n+12125551239\n")
    undoing.undo(first.run, "x")
    assert numbers() == ["+12125551239"]
    undoing.undo(second.run, "x")
    assert numbers() == []


def test_an_import_is_undone_once_and_only_if_there_is_one():
    run = bring(FOUR).run
    undoing.undo(run, "x")
    # A task that is delivered twice.
    assert tasks.undo_import(run, "x") == 0
    for asked in (run, run + 1):
        with pytest.raises(CommandError, match="nothing to undo|no import"):
            call_command("undo_import", str(asked))


def test_after_an_undo_the_file_can_be_imported_again():
    undoing.undo(bring(FOUR).run, "x")
    assert bring(FOUR).imported == 4


def test_an_undo_that_was_broken_off_goes_on(monkeypatch):
    monkeypatch.setattr(undoing, "BATCH", 2)
    run = bring(FOUR).run

    def stop(removed: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        undoing.undo(run, "x", stop)
    assert len(numbers()) in (2, 3)
    assert undoing.undo(run, "x").removed == 4
    assert numbers() == []


def test_latest_imports_are_listed():
    bring(FOUR)
    out = io.StringIO()
    call_command("undo_import", stdout=out)
    assert "4 contacts into Spring from x.csv" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_what_somebody_holds_is_passed_over_and_neither_waits():
    """The dialer has a contact locked while the undo runs: the undo passes over it, and can be asked for again."""
    run = bring(FOUR).run
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Contact.objects.select_for_update().get(number="+12125551231")
                held.set()
                go.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    try:
        first = undoing.undo(run, "x")
    finally:
        go.set()
        thread.join()
    assert (first.removed, sum(first.kept.values())) == (3, 1)
    assert numbers() == ["+12125551231"]
    assert undoing.undo(run, "x").removed == 4


# --- nothing half imported --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_cut_midway_leaves_nothing_behind(tmp_path: Path):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ours = cursor.fetchone()[0]

    def cut() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])
        finally:
            connections.close_all()

    def meanwhile(rows: int) -> None:
        if rows == 12_000:
            thread = threading.Thread(target=cut)
            thread.start()
            thread.join()

    text = "phone\n" + "".join(f"+1212{2000000 + n}\n" for n in range(25_000))
    try:
        with pytest.raises(DatabaseError):
            bring(text, on_progress=meanwhile)
    finally:
        connection.close()
    assert not DialerTargetList.objects.exists()
    assert not Contact.objects.exists()
    assert not ImportRun.objects.exists()


def test_another_error_is_not_hidden_by_the_thread_that_stores():
    def stop(rows: int) -> None:
        raise ImportRefusedError("enough")

    with pytest.raises(ImportRefusedError, match="enough"):
        bring("phone\n" + "+12125551230\n" * 1_000, on_progress=stop)
    assert threading.active_count() == len([thread for thread in threading.enumerate() if thread.name != "import"])

"""Contacts and calls as CSV: who may, what is written down, and nothing in it that a spreadsheet would run."""

import asyncio
import csv
import io
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dialer import exports
from dialer.models import CallLog, CallStatus, Contact, DialerTargetList, ExportRun
from dialer.target_import import import_contacts
from events.admin import large_tables

pytestmark = pytest.mark.django_db

CONTACTS = "admin:dialer_contact_changelist"


@pytest.fixture
def spring() -> DialerTargetList:
    found = DialerTargetList.objects.create(name="Spring")
    for n, name in enumerate(["Bob", "=HYPERLINK(1)", "  @SUM(A1)"]):
        Contact.objects.create(
            target_list=found, number=f"+1212555123{n}", name=name, priority=-n, next_attempt_at=timezone.now(),
            custom_fields={"note": "=1"} if n else {},
        )  # fmt: skip
    return found


def clerk(*permissions: str) -> Client:
    user = get_user_model().objects.create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def taken(client: Client, address: str, chosen: list[Any], across: bool = False) -> list[dict[str, str]]:
    asked = {"action": "export_csv", "_selected_action": [row.pk for row in chosen], "select_across": int(across)}
    response = client.post(address, asked)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/csv")
    return read(b"".join(response).decode())


def read(text: str) -> list[dict[str, str]]:
    assert text[0] == "\ufeff"
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def written(*arguments: str) -> list[dict[str, str]]:
    out = io.StringIO()
    from unittest import mock

    with mock.patch("sys.stdout", out):
        call_command("export_csv", *arguments, stderr=io.StringIO())
    return read(out.getvalue())


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+12125551234",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\tx",
        "\r=1",
        "\nx",
        "  =1",
        "\u00a0=1",
        "'=1",
        "' =1",
        "＝1",
    ],
)
def test_what_a_spreadsheet_would_run_becomes_text(cell):
    assert exports.guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["Bob", "a=b", "", "line\nline", "12", "José"])
def test_harmless_text_stays_as_it_is(cell):
    assert exports.guarded(cell) == cell


def test_no_cell_of_an_export_begins_a_formula(spring):
    rows = written("contacts", "-", "--full-numbers")
    cells = [cell for row in rows for name, cell in row.items() if name != "priority"]
    assert not any(cell.lstrip().startswith(tuple("=+-@\t\r")) for cell in cells)
    assert [row["number"] for row in rows] == ["'+12125551230", "'+12125551231", "'+12125551232"]
    assert [row["name"] for row in rows] == ["Bob", "'=HYPERLINK(1)", "'  @SUM(A1)"]
    # A number is a number.
    assert rows[1]["priority"] == "-1"


def test_what_was_exported_can_be_imported_again(spring, tmp_path):
    path = tmp_path / "out.csv"
    call_command("export_csv", "contacts", str(path), "--full-numbers", stderr=io.StringIO())
    with path.open("rb") as file:
        report = import_contacts(file, "Summer", source="x", create=True)
    assert (report.imported, report.refused) == (3, 0)
    assert path.stat().st_mode & 0o777 == 0o600


# --- who may, and what is written down --------------------------------------------------------------------------------


def test_an_export_is_a_permission_of_its_own(spring):
    client = clerk("view_contact", "change_contact", "view_calllog")
    assert "export_csv" not in client.get(reverse(CONTACTS)).content.decode()
    asked = {"action": "export_csv", "_selected_action": [Contact.objects.all()[0].pk], "select_across": 0}
    assert "text/csv" not in client.post(reverse(CONTACTS), asked).headers.get("Content-Type", "")
    assert not ExportRun.objects.exists()


def test_numbers_are_masked_for_who_may_not_take_them_out(spring):
    client = clerk("view_contact", "export_contacts")
    rows = taken(client, reverse(CONTACTS), list(Contact.objects.all()))
    assert [row["number"] for row in rows] == ["'+1212***30", "'+1212***31", "'+1212***32"]
    run = ExportRun.objects.get()
    assert (run.what, run.actor, run.rows, run.full_numbers) == ("contacts", "clerk", 3, False)
    assert run.ended_at is not None
    client.force_login(get_user_model().objects.create_superuser("admin"))
    assert taken(client, reverse(CONTACTS), list(Contact.objects.all()))[0]["number"] == "'+12125551230"


def test_an_export_that_is_broken_off_is_written_down_all_the_same(spring):
    run = exports.begin("contacts", actor="x", filters={}, full_numbers=False)
    next(exports.pieces(run, Contact.objects.all()))
    assert ExportRun.objects.get().ended_at is None


def test_the_command_asks_for_the_permissions_of_whom_it_acts_for(spring):
    clerk("export_contacts")
    assert len(written("contacts", "-", "--user", "clerk")) == 3
    for arguments, reason in (
        (("calls", "-", "--user", "clerk"), "may not export calls"),
        (("contacts", "-", "--user", "clerk", "--full-numbers"), "may not export full numbers"),
        (("contacts", "-", "--list", "Nowhere"), "no list"),
        (("calls", "-", "--list", "Spring"), "not for calls"),
        (("contacts", "-", "--status", "asleep"), "no status"),
        (("calls", "-", "--since", "soon"), "a day"),
    ):
        with pytest.raises(CommandError, match=reason):
            call_command("export_csv", *arguments)
    assert ExportRun.objects.count() == 1


# --- which rows -------------------------------------------------------------------------------------------------------


def test_the_chosen_rows_and_no_others_are_sent(spring):
    client = clerk("view_contact", "export_contacts")
    bob = Contact.objects.get(name="Bob")
    assert [row["name"] for row in taken(client, f"{reverse(CONTACTS)}?q=%2B12125551230", [bob])] == ["Bob"]
    # Who searched for a number did not mean to write it down.
    assert ExportRun.objects.get().filters == {"q": "+1212***30", "chosen": 1}


def test_all_that_a_filter_finds_is_sent_however_far_back(spring, monkeypatch):
    monkeypatch.setattr("dialer.admin.contacts.ContactAdmin.window", 1)
    monkeypatch.setattr(exports, "PAGE", 2)
    other = DialerTargetList.objects.create(name="Other")
    newest = Contact.objects.create(target_list=other, number="+12125559999", next_attempt_at=timezone.now())
    client = clerk("view_contact", "export_contacts")
    assert len(taken(client, reverse(CONTACTS), [newest], across=True)) == 4
    address = f"{reverse(CONTACTS)}?status__exact=ready&target_list__id__exact={spring.pk}"
    bob = Contact.objects.get(name="Bob")
    rows = taken(client, address, [bob], across=True)
    assert {row["list"] for row in rows} == {"Spring"}
    assert len(rows) == 3
    # A page itself still looks at the newest only.
    assert large_tables.WINDOW > 1
    assert client.get(reverse(CONTACTS)).context["cl"].result_count == 1


def test_calls_are_exported_with_their_times():
    for n, status in enumerate((CallStatus.COMPLETED, CallStatus.BUSY)):
        CallLog.objects.create(
            freeswitch_uuid=f"leg {n}", to_number=f"+1212555123{n}", status=status, disconnect_reason="-1",
            initiated_at="2026-01-31T10:00:00Z", ended_at="2026-01-31T10:01:00Z", talk_time_seconds=30,
        )  # fmt: skip
    client = clerk("view_calllog", "export_calls")
    address = reverse("admin:dialer_calllog_changelist") + "?status__exact=busy"
    (busy,) = taken(client, address, [CallLog.objects.get(status="busy")], across=True)
    assert (busy["status"], busy["initiated_at"], busy["talk_seconds"], busy["hangup_cause"]) == (
        "busy",
        "2026-01-31T10:00:00+00:00",
        "30",
        "'-1",
    )
    assert len(written("calls", "-", "--since", "2026-01-31", "--status", "completed")) == 1
    assert written("calls", "-", "--since", "2026-02-01") == []


def test_an_export_is_sent_as_it_is_read_not_gathered_first():
    """Of a plain iterator an ASGI server makes a list before it sends anything."""
    drawn: list[int] = []

    def pieces() -> Any:
        for n in range(3):
            drawn.append(n)
            yield str(n)

    async def first() -> str:
        return await anext(exports.sent(pieces()))

    assert asyncio.run(first()) == "0"
    assert drawn == [0]

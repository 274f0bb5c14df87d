"""The admin's import pages: who may use them, what they refuse, how a run is started, watched, cut off and undone."""

import io
import threading
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dialer import tasks
from dialer.models import Contact, DialerTargetList, ImportRun
from dialer.target_import import runs, uploads
from events import streams

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

IMPORT = ("add_contact", "add_dialertargetlist", "change_dialertargetlist", "view_dialertargetlist")
NEW = "admin:dialer_dialertargetlist_import_new"
State = ImportRun.State


@pytest.fixture(autouse=True)
def kept_here(settings, tmp_path) -> Path:
    settings.IMPORT_DIR = tmp_path / "imports"
    return settings.IMPORT_DIR


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def staff(*permissions: str, csrf: bool = False) -> Client:
    user = get_user_model().objects.create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client


def csv(text: str | bytes, name: str = "contacts.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text if isinstance(text, bytes) else text.encode())


def upload(client: Client, text: str | bytes, **asked: str) -> ImportRun:
    asked = {"list_name": "Summer", "region": "US", **asked}
    assert client.post(reverse(NEW), {"file": csv(text), **asked}).status_code == 302
    return ImportRun.objects.latest("id")


def act(client: Client, run: ImportRun, action: str, **more: str) -> str:
    """What the page says after the click; the worker does at once what it is asked for."""
    client.post(page(run), {"action": action, **more})
    run.refresh_from_db()
    if run.state == State.QUEUED:
        tasks.run_import(run.pk)
    elif run.state == State.UNDOING:
        tasks.undo_import(run.pk, "admin")
    run.refresh_from_db()
    return client.get(page(run)).content.decode()


def page(run: ImportRun) -> str:
    return reverse("admin:dialer_importrun_run", args=[run.pk])


def test_a_file_is_imported_in_the_background_and_its_bad_rows_can_be_downloaded(client, kept_here):
    hostile = "<script>alert(1)</script>"
    text = f"phone,name,<b>plan</b>\n2125551234,Bob,Gold\n{hostile},x,\n=1+1,x,\n2125551234,Twice,\n"
    run = upload(client, text)
    assert (run.state, run.file_name, run.actor, len(run.file_sha256)) == (State.UPLOADED, "contacts.csv", "admin", 64)
    preview = client.get(page(run)).content.decode()
    assert hostile not in preview
    assert "<b>plan" not in preview
    assert "+12125551234" in preview
    assert "There are letters in the number." in preview
    assert not Contact.objects.exists()
    queue = streams.shared()
    client.post(page(run), {"action": "import"})
    assert queue.llen("default") == 1
    assert "every 1s" in client.get(page(run)).content.decode()
    tasks.run_import(run.pk)
    done = client.get(page(run)).content.decode()
    assert "Imported" in done
    assert "1 × There are letters in the number." in done
    assert "every 1s" not in done
    run.refresh_from_db()
    assert (run.read, run.imported, run.duplicates, run.refused) == (4, 1, 1, 2)
    targets = DialerTargetList.objects.get(name="Summer")
    assert (targets.total_contacts, targets.created_by.get_username()) == (1, "admin")
    assert targets.source == "CSV file contacts.csv"
    answer = client.get(reverse("admin:dialer_importrun_problems", args=[run.pk]))
    rows = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert rows[0] == "row,number,reason"
    assert "4,'=1+1,The character “=” does not belong in a number." in rows
    # People's numbers are not kept longer than it takes.
    assert [path.name for path in kept_here.iterdir()] == [f"{run.run_id}.problems.csv"]
    assert kept_here.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept_here.iterdir())


def test_a_file_goes_into_the_list_whose_page_it_was(client):
    targets = DialerTargetList.objects.create(name="Spring")
    address = reverse("admin:dialer_dialertargetlist_import", args=[targets.pk])
    assert address in client.get(reverse("admin:dialer_dialertargetlist_change", args=[targets.pk])).content.decode()
    assert client.get(address).status_code == 200
    client.post(address, {"file": csv("phone\n2125551234\n"), "region": "us"})
    act(client, ImportRun.objects.get(), "import")
    assert Contact.objects.get().target_list == targets
    history = client.get(reverse("admin:dialer_dialertargetlist_history", args=[targets.pk])).content.decode()
    assert "Started import" in history
    assert client.get(reverse("admin:dialer_dialertargetlist_import", args=[targets.pk + 1])).status_code == 404


def test_only_checking_changes_nothing_and_can_be_followed_by_the_import(client):
    run = upload(client, "phone\n2125551234\n2125551234\n")
    assert "Would be imported" in act(client, run, "check")
    assert (run.state, run.imported, run.duplicates) == (State.CHECKED, 1, 1)
    assert not DialerTargetList.objects.exists()
    act(client, run, "import")
    assert (run.state, Contact.objects.count()) == (State.DONE, 1)


@pytest.mark.parametrize("header", ["Name,Vorname,Telefon", "Name,Vorname,Apparat"])
def test_the_page_shows_the_halves_of_a_name_as_they_are_read(client, header):
    run = upload(client, f"{header}\nMüller,Anna,2125551234\n")
    shown = client.get(page(run)).content.decode()
    for choice in ("last_name", "first_name"):
        assert f'<option value="{choice}" selected' in shown, choice
    assert '<option value="name" selected' not in shown
    chosen = {"column_0": "last_name", "column_1": "first_name", "column_2": "number", "mapped": "1"}
    act(client, run, "import", **chosen)
    assert Contact.objects.get().name == "Anna Müller"


def test_columns_are_chosen_by_hand_also_where_two_have_one_name(client):
    run = upload(client, "a,b,name,b\nx,2125551234,Bob,2125551235\n")
    assert "There is no number column" in client.get(page(run)).content.decode()
    chosen = {"column_0": "ignore", "column_1": "custom", "column_2": "custom", "column_3": "number", "mapped": "1"}
    shown = act(client, run, "map", **chosen)
    assert "+12125551235" in shown
    act(client, run, "import", **chosen)
    contact = Contact.objects.get()
    assert (contact.number, contact.name, contact.custom_fields) == (
        "+12125551235",
        "",
        {"b": "2125551234", "name": "Bob"},
    )


@pytest.mark.parametrize(
    ("file", "asked", "reason"),
    [
        (csv(b"PK\x03\x04"), {}, "not a CSV file"),
        (csv(""), {}, "empty"),
        (csv("phone\n"), {"region": "XX"}, "no such region"),
        (csv("phone\n"), {"list_name": ""}, "required"),
        (csv("phone\n"), {"list_name": "a\0b"}, "Null characters"),
        (csv(b"phone\n" + b"\n" * 300), {}, "too large"),
        (None, {}, "required"),
    ],
)
def test_what_cannot_be_imported_is_said_in_the_form(client, monkeypatch, kept_here, file, asked, reason):
    monkeypatch.setattr(uploads, "LARGEST_FILE", 200)
    asked = {"list_name": "Summer", "region": "US", **({"file": file} if file else {}), **asked}
    response = client.post(reverse(NEW), asked)
    assert response.status_code == 400
    assert reason in response.content.decode()
    assert not ImportRun.objects.exists()
    assert not list(kept_here.glob("*"))


def test_what_stops_an_import_is_said_on_its_page(client):
    run = upload(client, "phone\n2125551234\n")
    shown = act(client, run, "import", mapped="1", column_0="name")
    assert "There is no number column" in shown
    assert run.state == State.FAILED
    assert not Contact.objects.exists()


def test_a_run_whose_worker_has_died_says_so_and_can_be_started_again(client):
    run = upload(client, "phone\n2125551234\n")
    ImportRun.objects.filter(pk=run.pk).update(state=State.RUNNING, started_at=timezone.now())
    shown = client.get(page(run)).content.decode()
    assert "Interrupted" in shown
    assert "nothing is imported" in shown
    act(client, run, "import")
    assert (run.state, Contact.objects.count()) == (State.DONE, 1)


def test_a_task_that_comes_back_after_its_worker_has_died_does_not_import_behind_the_back(client):
    run = upload(client, "phone\n2125551234\n")
    ImportRun.objects.filter(pk=run.pk).update(state=State.RUNNING)
    assert tasks.run_import(run.pk) == State.INTERRUPTED
    assert not Contact.objects.exists()


def test_a_task_that_is_delivered_twice_imports_once(client, monkeypatch):
    run = upload(client, "phone\n" + "".join(f"+1212555{n:04}\n" for n in range(1_000)))
    seen: list[str] = []

    def other() -> None:
        # On a connection of its own, as another worker is.
        try:
            seen.append(runs.settle(ImportRun(pk=run.pk, state=State.RUNNING)).state)
            with runs._working_on(run.pk) as ours:
                seen.append(str(ours))
        finally:
            connections.close_all()

    def tell(_run: ImportRun, _file: io.BytesIO) -> object:
        def told(rows: int) -> None:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

        return told

    monkeypatch.setattr(runs, "_teller", tell)
    act(client, run, "import")
    # Neither taken for interrupted nor begun a second time while it runs.
    assert seen == [State.RUNNING, "False"]
    assert tasks.run_import(run.pk) == State.DONE
    assert Contact.objects.count() == 1_000


def test_progress_is_told_while_it_runs(client):
    run = upload(client, "phone\n2125551234\n")
    run.state = State.RUNNING
    with open(uploads.upload_path(run.run_id), "rb") as file:
        file.read(9)
        runs._teller(run, file)(1_234)
    assert runs.progress(run) == {"rows": 1_234, "percent": 52}


def test_an_import_is_undone_from_its_page(client):
    run = upload(client, "phone\n2125551234\n2125551235\n")
    act(client, run, "import")
    Contact.objects.filter(number="+12125551235").update(attempts=1)
    assert "1 would stay: already called" in client.get(page(run)).content.decode()
    assert "1: already called" in act(client, run, "undo")
    assert (run.state, run.removed, run.kept, run.undone_by) == (State.UNDONE, 1, {"already called": 1}, "admin")
    assert Contact.objects.get().number == "+12125551235"


def test_who_may_not_delete_contacts_may_not_undo():
    client = staff(*IMPORT)
    run = upload(client, "phone\n2125551234\n")
    act(client, run, "import")
    assert "Undo this import" not in client.get(page(run)).content.decode()
    assert client.post(page(run), {"action": "undo"}).status_code == 403
    assert Contact.objects.exists()


def test_forgotten_uploads_are_swept_away(client, kept_here):
    run = upload(client, "phone\n2125551234\n")
    assert uploads.sweep() == 0
    later = timezone.now().timestamp() + uploads.UPLOAD_HOURS * 3600 + 60
    assert uploads.sweep(later) == 1
    assert "upload it again" in act(client, run, "import")
    assert run.state == State.UPLOADED


def test_an_upload_needs_the_page_it_came_from():
    client = staff(*IMPORT, csrf=True)
    asked = {"file": csv("phone\n2125551234\n"), "list_name": "Summer", "region": "US"}
    assert client.post(reverse(NEW), asked).status_code == 403
    assert not ImportRun.objects.exists()
    token = client.get(reverse(NEW)).context["csrf_token"]
    asked |= {"file": csv("phone\n2125551234\n"), "csrfmiddlewaretoken": str(token)}
    assert client.post(reverse(NEW), asked).status_code == 302
    run = ImportRun.objects.get()
    assert client.post(page(run), {"action": "import"}).status_code == 403
    run.refresh_from_db()
    assert run.state == State.UPLOADED


@pytest.mark.parametrize("missing", ["add_contact", "add_dialertargetlist", "change_dialertargetlist"])
def test_who_may_not_add_contacts_finds_no_import(missing):
    client = staff(*(set(IMPORT) - {missing}), "view_importrun")
    asked = {"file": csv("phone\n2125551234\n"), "list_name": "Summer", "region": "US"}
    assert client.get(reverse(NEW)).status_code == 403
    assert client.post(reverse(NEW), asked).status_code == 403
    shown = client.get(reverse("admin:dialer_dialertargetlist_changelist")).content.decode()
    assert reverse(NEW) not in shown
    run = ImportRun.objects.create(list_name="x", file_name="x")
    assert client.get(page(run)).status_code == 403
    assert client.post(page(run), {"action": "import"}).status_code == 403
    assert client.get(reverse("admin:dialer_importrun_problems", args=[run.pk])).status_code == 403
    assert client.get(reverse("admin:dialer_importrun_changelist")).status_code == 200


def test_who_is_not_signed_in_is_sent_to_sign_in():
    assert Client().post(reverse(NEW), {}).status_code == 302

"""The admin's import page: who may use it, what it refuses, and what it shows of a hostile file."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from dialer.admin import importing
from dialer.models import Contact, DialerTargetList

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

IMPORT = ("add_contact", "add_dialertargetlist", "change_dialertargetlist", "view_dialertargetlist")
NEW = "admin:dialer_dialertargetlist_import_new"


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


def test_a_file_is_imported_and_its_bad_rows_are_shown(client):
    hostile = "<script>alert(1)</script>"
    text = f"phone,name,<b>plan</b>\n2125551234,Bob,Gold\n{hostile},x,\n=1+1,x,\n2125551234,Twice,\n"
    response = client.post(reverse(NEW), {"file": csv(text), "list_name": "Summer", "region": "US"})
    shown = response.content.decode()
    assert response.status_code == 200
    assert hostile not in shown
    assert "<b>plan" not in shown
    assert "There are letters in the number." in shown
    assert "&#x27;=1+1" in shown
    assert "The number is in row 2." in shown
    targets = DialerTargetList.objects.get(name="Summer")
    assert (targets.total_contacts, targets.created_by.get_username()) == (1, "admin")
    assert targets.source == "CSV file contacts.csv"
    history = client.get(reverse("admin:dialer_dialertargetlist_history", args=[targets.pk])).content.decode()
    assert "Imported 1 contacts (1 duplicates, 2 refused)." in history


def test_a_file_goes_into_the_list_whose_page_it_was(client):
    targets = DialerTargetList.objects.create(name="Spring")
    address = reverse("admin:dialer_dialertargetlist_import", args=[targets.pk])
    assert address in client.get(reverse("admin:dialer_dialertargetlist_change", args=[targets.pk])).content.decode()
    assert client.get(address).status_code == 200
    client.post(address, {"file": csv("phone\n2125551234\n"), "region": "us"})
    assert Contact.objects.get().target_list == targets
    assert client.get(reverse("admin:dialer_dialertargetlist_import", args=[targets.pk + 1])).status_code == 404


def test_only_checking_changes_nothing(client):
    asked = {"file": csv("phone\n2125551234\n"), "list_name": "Summer", "region": "US", "dry_run": "on"}
    shown = client.post(reverse(NEW), asked).content.decode()
    assert "Only checked, nothing is changed" in shown
    assert not DialerTargetList.objects.exists()


@pytest.mark.parametrize(
    ("file", "asked", "reason"),
    [
        (csv("name\nBob\n"), {}, "There is no number column"),
        (csv(b"PK\x03\x04"), {}, "not a CSV file"),
        (csv(""), {}, "empty"),
        (csv("phone\n"), {"region": "XX"}, "no such region"),
        (csv("phone\n"), {"list_name": ""}, "required"),
        (csv("phone\n"), {"number_column": "Fon"}, "There is no column"),
        (csv(b"phone\n" + b"\n" * importing.LARGEST_FILE), {}, "too large"),
        (None, {}, "required"),
    ],
)
def test_what_cannot_be_imported_is_said_in_the_form(client, file, asked, reason):
    asked = {"list_name": "Summer", "region": "US", **({"file": file} if file else {}), **asked}
    response = client.post(reverse(NEW), asked)
    assert response.status_code == 400
    assert reason in response.content.decode()
    assert not DialerTargetList.objects.exists()


def test_an_upload_needs_the_page_it_came_from():
    client = staff(*IMPORT, csrf=True)
    asked = {"file": csv("phone\n2125551234\n"), "list_name": "Summer", "region": "US"}
    assert client.post(reverse(NEW), asked).status_code == 403
    assert not Contact.objects.exists()
    token = client.get(reverse(NEW)).context["csrf_token"]
    asked |= {"file": csv("phone\n2125551234\n"), "csrfmiddlewaretoken": str(token)}
    assert client.post(reverse(NEW), asked).status_code == 200
    assert Contact.objects.count() == 1


@pytest.mark.parametrize("missing", ["add_contact", "add_dialertargetlist", "change_dialertargetlist"])
def test_who_may_not_add_contacts_finds_no_import(missing):
    client = staff(*(set(IMPORT) - {missing}))
    asked = {"file": csv("phone\n2125551234\n"), "list_name": "Summer", "region": "US"}
    assert client.get(reverse(NEW)).status_code == 403
    assert client.post(reverse(NEW), asked).status_code == 403
    shown = client.get(reverse("admin:dialer_dialertargetlist_changelist")).content.decode()
    assert reverse(NEW) not in shown
    assert not Contact.objects.exists()


def test_who_is_not_signed_in_is_sent_to_sign_in():
    assert Client().post(reverse(NEW), {}).status_code == 302

"""The admin's import page: one CSV file into a new or an existing list, and what became of each bad row."""

from __future__ import annotations

import logging
from pathlib import PurePath
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from dialer import numbers
from dialer.models import DialerTargetList
from dialer.target_import import ImportRefusedError, Problem, Report, import_contacts

log = logging.getLogger(__name__)

# A request that imports 200,000 rows takes half a minute; longer files are for the command, which nobody waits for.
LARGEST_FILE = 10 * 1024 * 1024
# Rows of the report; the command writes all of them into a file.
PROBLEMS_SHOWN = 500


class ImportForm(forms.Form):
    """`list_name` only where the list is not given by the address."""

    file = forms.FileField(
        label="CSV file",
        help_text=f"With a header row; {LARGEST_FILE // 1024 // 1024} MB at most. manage.py takes more.",
    )
    list_name = forms.CharField(
        label="List", max_length=200, help_text="Its name; a new one is made if there is none of this name."
    )
    region = forms.CharField(
        max_length=2, min_length=2, help_text="Where numbers without a country code belong, e.g. US."
    )
    number_column = forms.CharField(
        required=False, max_length=100, help_text="Only if the column of the numbers is not found by itself."
    )
    dry_run = forms.BooleanField(required=False, label="Only check", help_text="Read and report; change nothing.")

    def __init__(self, *args: Any, target_list: DialerTargetList | None, **kwargs: Any) -> None:
        super().__init__(*args, initial={"region": settings.DEFAULT_REGION}, **kwargs)
        if target_list is not None:
            del self.fields["list_name"]

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST_FILE:
            raise forms.ValidationError("The file is too large for a web page: use manage.py import_contacts.")
        return file

    def clean_region(self) -> str:
        region = self.cleaned_data["region"].upper()
        if not numbers.is_region(region):
            raise forms.ValidationError("There is no such region; write it like US.")
        return region


def may_import(request: HttpRequest) -> bool:
    return request.user.has_perms(
        ["dialer.add_contact", "dialer.add_dialertargetlist", "dialer.change_dialertargetlist"]
    )


def import_view(model_admin: admin.ModelAdmin, request: HttpRequest, pk: int | None) -> HttpResponse:
    """Shows the form, and after a POST the report. Wrapped by `admin_view`: signed-in staff only, CSRF-checked."""
    if not may_import(request):
        raise PermissionDenied
    target_list = None
    if pk is not None:
        target_list = DialerTargetList.objects.filter(pk=pk).first()
        if target_list is None:
            raise Http404("There is no such list.")
    report: Report | None = None
    problems: list[Problem] = []
    form = ImportForm(request.POST or None, request.FILES or None, target_list=target_list)
    if request.method == "POST" and form.is_valid():
        report = _import(request, form, target_list, problems)
    if report is not None and not report.dry_run:
        _note(model_admin, request, report)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Import contacts into {target_list.name}" if target_list else "Import contacts",
        "opts": model_admin.opts,
        "form": form,
        "target_list": target_list,
        "report": report,
        "problems": problems,
        "left_out": report.refused + report.duplicates - len(problems) if report else 0,
    }
    return TemplateResponse(
        request, "admin/dialer/import_contacts.html", context, status=_status(request, form, report)
    )


def _status(request: HttpRequest, form: ImportForm, report: Report | None) -> int:
    return 400 if request.method == "POST" and report is None and form.errors else 200


def _import(
    request: HttpRequest, form: ImportForm, target_list: DialerTargetList | None, problems: list[Problem]
) -> Report | None:
    """None when nothing was imported: the reason is then an error of the form."""
    data = form.cleaned_data
    upload: UploadedFile = data["file"]

    def keep(problem: Problem) -> None:
        if len(problems) < PROBLEMS_SHOWN:
            problems.append(problem)

    try:
        return import_contacts(
            upload.file,  # type: ignore[arg-type]  # the binary file underneath
            target_list.name if target_list else data["list_name"],
            source=PurePath(upload.name or "upload").name,
            create=target_list is None,
            mapping=[f"number={data['number_column']}"] if data["number_column"].strip() else [],
            region=data["region"],
            dry_run=data["dry_run"],
            user_id=request.user.pk,
            on_problem=keep,
        )
    except ImportRefusedError as refusal:
        form.add_error(None, str(refusal))
    except DatabaseError:
        log.exception("an import was refused by the database")
        form.add_error(None, "The database refused; nothing is imported.")
    problems.clear()
    return None


def _note(model_admin: admin.ModelAdmin, request: HttpRequest, report: Report) -> None:
    """In the list's history: who imported what."""
    target_list = DialerTargetList.objects.get(name=report.list_name)
    model_admin.log_change(
        request,
        target_list,
        f"Imported {report.imported} contacts ({report.duplicates} duplicates, {report.refused} refused).",
    )

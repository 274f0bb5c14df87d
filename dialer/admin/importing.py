"""The admin's import pages: upload a CSV file, see what its columns become, check or import it, watch, undo.

The work is done on the `default` queue (dialer/target_import/runs.py); these pages only ask for it and show the run.
"""

from __future__ import annotations

import logging
from pathlib import PurePath
from typing import Any

import redis
from celery import current_app
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from kombu.exceptions import OperationalError

from dialer import numbers
from dialer.models import DialerTargetList, Duplicates, ImportRun
from dialer.target_import import ImportRefusedError, contact_rows, runs, undo, uploads
from dialer.target_import.mapping import CUSTOM, IGNORE, ROLES, guesses
from events.admin.large_tables import ReadOnlyAdmin

log = logging.getLogger(__name__)

State = ImportRun.State
# Of the run's page: what a column may become.
CHOICES = [*((role, role.replace("_", " ")) for role in ROLES), (CUSTOM, "custom field"), (IGNORE, "left out")]
_WAITING = (State.QUEUED, State.RUNNING, State.UNDOING)
# What may be started, and started again: a queue can lose a task, and then nothing else would.
_STARTABLE = (State.UPLOADED, State.CHECKED, State.FAILED, State.INTERRUPTED, State.QUEUED)


class ImportForm(forms.Form):
    """`list_name` only where the list is not given by the address."""

    file = forms.FileField(
        label="CSV file",
        help_text=f"With a header row; {uploads.LARGEST_FILE // 1024 // 1024} MB at most. manage.py takes any size.",
    )
    list_name = forms.CharField(
        label="List", max_length=200, help_text="Its name; a new one is made if there is none of this name."
    )
    region = forms.CharField(
        max_length=2, min_length=2, help_text="Where numbers without a country code belong, e.g. US."
    )
    duplicates_in = forms.ChoiceField(
        label="Leave out numbers", choices=Duplicates.choices, initial=Duplicates.LIST, required=False
    )

    def __init__(self, *args: Any, target_list: DialerTargetList | None, **kwargs: Any) -> None:
        super().__init__(*args, initial={"region": settings.DEFAULT_REGION}, **kwargs)
        if target_list is not None:
            del self.fields["list_name"]

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > uploads.LARGEST_FILE:
            raise forms.ValidationError("The file is too large for a web page: use manage.py import_contacts.")
        return file

    def clean_list_name(self) -> str:
        name = str(self.cleaned_data["list_name"]).strip()
        if not name.isprintable():
            raise forms.ValidationError("A list's name is printable characters.")
        return name

    def clean_region(self) -> str:
        region = str(self.cleaned_data["region"]).upper()
        if not numbers.is_region(region):
            raise forms.ValidationError("There is no such region; write it like US.")
        return region

    def clean_duplicates_in(self) -> str:
        return self.cleaned_data["duplicates_in"] or Duplicates.LIST.value


def may_import(request: HttpRequest) -> bool:
    return request.user.has_perms(
        ["dialer.add_contact", "dialer.add_dialertargetlist", "dialer.change_dialertargetlist"]
    )


def may_undo(request: HttpRequest) -> bool:
    return request.user.has_perms(["dialer.delete_contact", "dialer.change_dialertargetlist"])


def import_view(model_admin: admin.ModelAdmin, request: HttpRequest, pk: int | None) -> HttpResponse:
    """Shows the form, and after a POST sends to the run's page. Wrapped by `admin_view`: staff only, CSRF-checked."""
    if not may_import(request):
        raise PermissionDenied
    target_list = None
    if pk is not None:
        target_list = DialerTargetList.objects.filter(pk=pk).first()
        if target_list is None:
            raise Http404("There is no such list.")
    form = ImportForm(request.POST or None, request.FILES or None, target_list=target_list)
    if request.method == "POST" and form.is_valid():
        run = _take_in(request, form, target_list)
        if run is not None:
            return HttpResponseRedirect(reverse("admin:dialer_importrun_run", args=[run.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Import contacts into {target_list.name}" if target_list else "Import contacts",
        "opts": model_admin.opts,
        "form": form,
        "target_list": target_list,
    }
    status = 400 if request.method == "POST" else 200
    return TemplateResponse(request, "admin/dialer/import_contacts.html", context, status=status)


def _take_in(request: HttpRequest, form: ImportForm, target_list: DialerTargetList | None) -> ImportRun | None:
    """The uploaded file as a run that waits to be started; None, and an error of the form, when it is no such file."""
    data = form.cleaned_data
    upload: UploadedFile = data["file"]
    name = target_list.name if target_list else data["list_name"]
    run = ImportRun(
        target_list=target_list or DialerTargetList.objects.filter(name=name).first(),
        list_name=name,
        file_name=PurePath(upload.name or "upload").name[:255],
        region=data["region"],
        duplicates_in=data["duplicates_in"],
        created_by_id=request.user.pk,
        actor=request.user.get_username(),
    )
    try:
        uploads.sweep()
        run.file_size, run.file_sha256 = uploads.keep(run.run_id, upload.chunks())
        runs.headers(run)
        run.save()
    except (ImportRefusedError, UnicodeError) as refusal:
        uploads.drop(run.run_id)
        form.add_error(None, str(refusal) if isinstance(refusal, ImportRefusedError) else "This is no text.")
        return None
    except OSError as error:
        log.exception("an upload could not be kept")
        form.add_error(None, f"The file could not be kept: {error.strerror or error}.")
        return None
    return run


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "page", "list_name", "state", "read", "imported", "duplicates", "refused", "actor")
    list_display_links = None
    list_filter = ("state", "target_list")
    search_fields = ("list_name", "file_name")

    @admin.display(description="file")
    def page(self, obj: ImportRun) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:dialer_importrun_run", args=[obj.pk]), obj.file_name)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/run/", wrap(self.run_page), name="dialer_importrun_run"),
            path("<int:pk>/status/", wrap(self.run_status), name="dialer_importrun_status"),
            path("<int:pk>/problems.csv", wrap(self.run_problems), name="dialer_importrun_problems"),
            *super().get_urls(),
        ]

    def run_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = self._run(request, pk)
        if request.method == "POST":
            return self._act(request, run)
        context = {
            **self.admin_site.each_context(request),
            **_shown(run),
            "title": f"Import of {run.file_name} into {run.list_name}",
            "opts": self.opts,
            "may_undo": may_undo(request) and run.undoable,
            "has_problems": uploads.problems_path(run.run_id).exists(),
        }
        if run.state in _STARTABLE and uploads.upload_path(run.run_id).exists():
            context |= {"startable": True, **_preview(run)}
        elif run.undoable:
            # A dict: a Counter has a number for the name `items`, too.
            context["would_keep"] = dict(undo.kept(run))
        return TemplateResponse(request, "admin/dialer/import_run.html", context)

    def run_status(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that is asked for each second; once nothing moves any more, the page is loaded anew."""
        run = self._run(request, pk)
        response = render(request, "admin/dialer/import_status.html", _shown(run))
        if run.state not in _WAITING:
            response.headers["HX-Refresh"] = "true"
        return response

    def run_problems(self, request: HttpRequest, pk: int) -> HttpResponse | FileResponse:
        run = self._run(request, pk)
        try:
            file = uploads.problems_path(run.run_id).open("rb")
        except FileNotFoundError:
            raise Http404("The list of refused rows is kept for some days only.") from None
        return FileResponse(
            file, as_attachment=True, filename=f"import-{run.pk}-not-imported.csv", content_type="text/csv"
        )

    def _run(self, request: HttpRequest, pk: int) -> ImportRun:
        if not may_import(request):
            raise PermissionDenied
        run = ImportRun.objects.select_related("target_list").filter(pk=pk).first()
        if run is None:
            raise Http404("There is no such import.")
        return runs.settle(run)

    def _act(self, request: HttpRequest, run: ImportRun) -> HttpResponse:
        here = HttpResponseRedirect(reverse("admin:dialer_importrun_run", args=[run.pk]))
        match request.POST.get("action"):
            case "map":
                changed = ImportRun.objects.filter(pk=run.pk, state__in=_STARTABLE).update(mapping=_mapping(request))
                refusal = "" if changed else "It is running already."
            case "check" | "import" as action:
                refusal = self._start(request, run, dry_run=action == "check")
            case "undo" if not may_undo(request):
                raise PermissionDenied
            case "undo":
                refusal = self._undo(request, run)
            case "discard" if run.state in (State.UPLOADED, State.CHECKED, State.INTERRUPTED, State.FAILED):
                uploads.drop(run.run_id)
                refusal = ""
            case _:
                refusal = "That cannot be done now."
        if refusal:
            self.message_user(request, refusal, messages.ERROR)
        return here

    def _start(self, request: HttpRequest, run: ImportRun, *, dry_run: bool) -> str:
        """Why not, or ''."""
        if not uploads.upload_path(run.run_id).exists():
            return "The file is not kept any more; upload it again."
        values: dict[str, Any] = {"state": State.QUEUED, "dry_run": dry_run, "error": "", "ended_at": None}
        if request.POST.get("mapped"):
            values["mapping"] = _mapping(request)
        if not ImportRun.objects.filter(pk=run.pk, state__in=_STARTABLE).update(**values):
            return "It is running already."
        if refusal := _send("dialer.tasks.run_import", run.pk):
            ImportRun.objects.filter(pk=run.pk, state=State.QUEUED).update(state=run.state)
            return refusal
        if run.target_list is not None and not dry_run:
            self.log_change(request, run.target_list, f"Started import {run.pk} of {run.file_name}.")
        return ""

    def _undo(self, request: HttpRequest, run: ImportRun) -> str:
        who = request.user.get_username()
        changed = ImportRun.objects.filter(pk=run.pk, state__in=(State.DONE, State.UNDOING)).update(
            state=State.UNDOING, undone_by=who, undone_at=timezone.now()
        )
        if not changed:
            return "There is nothing to undo."
        if refusal := _send("dialer.tasks.undo_import", run.pk, who):
            return refusal
        if run.target_list is not None:
            self.log_change(request, run.target_list, f"Asked for import {run.pk} to be undone.")
        return ""


def _send(task: str, *args: Any) -> str:
    """Why the queue did not take it, or ''."""
    try:
        current_app.send_task(task, args=args, queue="default", retry=False, ignore_result=True)
    except (OperationalError, redis.RedisError, OSError):
        return "The queue cannot be reached; nothing was started."
    return ""


def _mapping(request: HttpRequest) -> list[str]:
    """The choices of the page, by position: two columns may have one name."""
    known = {choice for choice, _ in CHOICES}
    pairs = []
    for position in range(runs.MOST_COLUMNS):
        chosen = request.POST.get(f"column_{position}")
        if chosen is None:
            break
        if chosen in known:
            pairs.append(f"{chosen}=#{position + 1}")
    return pairs


def _shown(run: ImportRun) -> dict[str, Any]:
    return {
        "run": run,
        "waiting": run.state in _WAITING,
        "progress": runs.progress(run) if run.state == State.RUNNING else {},
        "reasons": (run.report or {}).get("reasons", {}),
    }


def _preview(run: ImportRun) -> dict[str, Any]:
    """What each column becomes, with the first rows, and what becomes of those."""
    try:
        columns, rows = runs.preview(run)
    except ImportRefusedError as refusal:
        headers = runs.headers(run)
        found = zip(headers, guesses(headers), strict=True)
        guessed = [(position, header, role or CUSTOM, []) for position, (header, role) in enumerate(found)]
        return {"columns": guessed, "choices": CHOICES, "mapping_error": str(refusal)}
    except OSError:
        return {"mapping_error": "The file is not kept any more; upload it again."}
    role_at = {position: role for role, position in columns.roles.items()}
    shown = []
    for position, header in enumerate(columns.headers):
        role = role_at.get(position) or (CUSTOM if position in columns.custom else IGNORE)
        shown.append((position, header, role, [row[position][:60] for row in rows]))
    outcomes = []
    for row in rows:
        try:
            outcomes.append(contact_rows.read_contact(row, columns, run.region).number)
        except contact_rows.RowRefusedError as refusal:
            outcomes.append(str(refusal))
    return {"columns": shown, "choices": CHOICES, "outcomes": outcomes}

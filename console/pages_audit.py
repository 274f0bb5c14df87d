"""The audit log as a page: who did what to whom, newest first, found by person, action, target, result and time."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from console.asked import key_of, moment_of
from console.permissions import Actor, Permission
from console.views import with_permission
from dialer.models import AuditEntry

PAGE: Final = 100
FIELDS: Final = ("actor", "action", "target", "result", "address", "since", "until")
# Actions as a choice; the part before a dot finds all that begin with it.
ACTIONS: Final = {
    "sign_in": "signed in, or tried to",
    "sign_out": "signed out",
    "set_agent_state": "agents' states",
    "call_control": "calls, all actions",
    "call_control.listen": "listened in",
    "call_control.whisper": "whispered",
    "call_control.barge": "barged in",
    "call_control.take_over": "took over",
    "campaign_control": "campaigns",
    "dispose_call": "dispositions",
    "preview_control": "previewed contacts",
    "manual_dial": "dialled by hand",
    "send_message": "messages",
    "alert_control": "alerts",
    "recording_played": "played recordings",
    "full_numbers_seen": "saw whole numbers",
    "export": "exports",
    "role": "roles",
    "right": "rights beside the roles",
    "token": "API tokens",
    "admin": "changes in the admin",
    "rate_limited": "sent too much",
    "audit": "the log itself",
}
_TONES: Final = {"refused": "trouble", "failed": "trouble", "rejected": "break"}
_PAGES: Final = {"call": "console:call", "agent": "console:agent_day"}


@require_GET
@with_permission(Permission.AUDIT, whole=True)
def log(request: HttpRequest, actor: Actor) -> HttpResponse:
    said = {name: request.GET[name].strip()[:150] for name in FIELDS if request.GET.get(name, "").strip()}
    before = key_of(request.GET.get("before", ""))
    rows = list(found(said, before)[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    context = {
        "page": "audit",
        "actor": actor,
        "now": timezone.now(),
        "said": said,
        "since": moment_of(said.get("since", "")),
        "until": moment_of(said.get("until", "")),
        "actions": ACTIONS.items(),
        "results": AuditEntry.Result.choices,
        "lines": [_line(row) for row in rows],
        "older": urlencode({**said, "before": rows[-1].pk}) if more else "",
        "kept": urlencode(said),
        "paged": before is not None,
    }
    return render(request, "console/pages/audit.html", context)


def found(said: dict[str, str], before: int | None) -> QuerySet[AuditEntry]:
    """Newest first. Raises Http404 for a time or result that is none."""
    rows = AuditEntry.objects.order_by("-id")
    if said.get("actor"):
        rows = rows.filter(actor=said["actor"])
    if action := said.get("action"):
        # A dot follows what has kinds; the slash comes after it, and the column is ordered by bytes.
        rows = rows.filter(action=action) if "." in action else rows.filter(action__gte=action, action__lt=f"{action}/")
    if said.get("target"):
        rows = rows.filter(target=said["target"])
    if result := said.get("result"):
        if result not in AuditEntry.Result.values:
            raise Http404
        rows = rows.filter(result=result)
    if said.get("address"):
        try:
            rows = rows.filter(address=str(ipaddress.ip_address(said["address"])))
        except ValueError:
            raise Http404 from None
    since, until = moment_of(said.get("since", "")), moment_of(said.get("until", ""))
    if since is not None:
        rows = rows.filter(at__gte=since)
    if until is not None:
        rows = rows.filter(at__lte=until)
    return rows if before is None else rows.filter(pk__lt=before)


def _line(row: AuditEntry) -> dict[str, Any]:
    return {
        "row": row,
        "tone": _TONES.get(row.result, ""),
        "details": "; ".join(f"{name.replace('_', ' ')}: {_short(value)}" for name, value in row.details.items()),
        "link": _link(row),
        "today": row.at.astimezone(dt.UTC).date() == timezone.now().date(),
    }


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _link(row: AuditEntry) -> str:
    name = _PAGES.get(row.target_kind)
    try:
        return reverse(name, args=[row.target]) if name and row.target else ""
    except NoReverseMatch:
        return ""

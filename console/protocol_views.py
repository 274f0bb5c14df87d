"""What integrators read: the protocol as a page, as an AsyncAPI document, and clients to begin with."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console import asyncapi, permissions

DOCS: Final = Path(settings.BASE_DIR) / "docs"
EXAMPLES: Final = {"floor_client.py": "text/x-python", "floor_client.js": "text/javascript"}


@require_safe
@login_required
def page(request: HttpRequest) -> HttpResponse:
    actor = permissions.actor(request.user.pk)
    path = DOCS / "protocol.md"
    text = path.read_text(encoding="utf-8") if path.exists() else "docs/protocol.md is missing."
    return render(request, "console/protocol.html", {"text": text, "actor": actor, "examples": list(EXAMPLES)})


@require_safe
def asyncapi_json(request: HttpRequest) -> HttpResponse:
    """For tools, which sign in nowhere: it is the same for every installation and says nothing of this one."""
    return HttpResponse(_document(), content_type="application/json")


@require_safe
@login_required
def example(request: HttpRequest, name: str) -> HttpResponse:
    path = DOCS / "examples" / name
    if name not in EXAMPLES or not path.exists():
        raise Http404
    return HttpResponse(path.read_bytes(), content_type=f"{EXAMPLES[name]}; charset=utf-8")


@cache
def _document() -> str:
    return asyncapi.text()

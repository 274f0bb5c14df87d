"""What goes round every page: the source of what the audit log says, the way to the sign-in from within a page, and the
content security policy: nothing inline, nothing evaluated, nothing from another host.

A caller's name that slips through every escape still finds no way to run.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from dialer.services import audit

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "media-src 'self'; "
    "connect-src 'self'{socket}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)


class AuditSource:
    """Lets the audit log know whose request is being answered. Behind sessions and sign-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with audit.answering(request):
            return self.get_response(request)


class SignInFromWithin:
    """Whoever is signed out by now, and whose page asks for a part of itself, goes to the sign-in with the whole page
    and back to it. The browser would follow the redirect unseen, and the part would be replaced by nothing: the sign-in
    has none of that name."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        part = getattr(request, "htmx", None)
        if not part or response.status_code != 302:
            return response
        door = urlsplit(response.headers["Location"]).path
        if door not in (settings.LOGIN_URL, reverse("admin:login")):
            return response
        back = part.current_url_abs_path or request.get_full_path()
        return HttpResponseClientRedirect(redirect_to_login(back, door).url)


class ContentSecurityPolicy:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Older Safari does not count the page's own websocket as 'self'. get_host() has checked the name already,
        # except on a request that was refused for it: that page gets no socket.
        try:
            socket = f" {'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
        except DisallowedHost:
            socket = ""
        response.headers.setdefault("Content-Security-Policy", POLICY.format(socket=socket))
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if "Cache-Control" not in response.headers:
            # Pages show people and their customers; no shared cache may keep them.
            response.headers["Cache-Control"] = "no-store"
        return response

"""Guessing passwords: how often it may be tried, for the console and the admin alike.

Counted is before a password is looked at, so that attempts side by side are no more than those one by one. Who signs in
with a browser in which this user has signed in before is counted by that browser alone: nobody else, whatever they try
and from whatever address, can lock a user out of it, let alone a floor behind one address. Everybody else is counted by
user and address, by user, and by address. Redis keeps the counts; while it is away, sign-ins go on without a limit.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.signals import user_logged_in
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from dialer.services import audit
from events import streams

log = logging.getLogger(__name__)

COOKIE: Final = "browser"
# As long as browsers keep one; and how long Redis remembers who has signed in with it.
COOKIE_SECONDS: Final = 400 * 24 * 3600
KNOWN_SECONDS: Final = 90 * 24 * 3600
_SALT: Final = "console.sign_ins"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts that came to nothing within so many seconds, from the first of them on."""

    name: str
    attempts: int
    seconds: int


BROWSER: Final = Limit("browser", 10, 15 * 60)
PAIR: Final = Limit("pair", 10, 15 * 60)
# Of one user, from everywhere but known browsers.
USER: Final = Limit("user", 30, 3600)
# From one address, whatever users: a few passwords tried with many names. A floor of beginners fits in.
ADDRESS: Final = Limit("address", 200, 15 * 60)


def attempt(request: HttpRequest, name: str) -> int:
    """Count one; 0, or the seconds to wait, and then it must come to nothing. `release` takes it back."""
    limits = _limits(request, name)
    try:
        pipe = streams.shared().pipeline(transaction=True)
        for limit, key in limits:
            pipe.set(key, 0, ex=limit.seconds, nx=True)
            pipe.incr(key)
            pipe.ttl(key)
        answers = pipe.execute()
    except redis.RedisError as error:
        log.warning("sign-ins are not limited: %s", type(error).__name__)
        return 0
    counts = zip(limits, answers[1::3], answers[2::3], strict=True)
    wait: int = max((left for (limit, _), count, left in counts if count > limit.attempts), default=0)
    return wait


def release(request: HttpRequest, name: str) -> None:
    """The attempt was right: it does not count, and what this browser or address got wrong before is forgotten."""
    limits = _limits(request, name)
    try:
        pipe = streams.shared().pipeline(transaction=True)
        for limit, key in limits:
            if limit in (BROWSER, PAIR):
                pipe.delete(key)
            else:
                pipe.decr(key)
        pipe.execute()
    except redis.RedisError as error:
        log.warning("an attempt to sign in stays counted: %s", type(error).__name__)


def _limits(request: HttpRequest, name: str) -> list[tuple[Limit, str]]:
    browser, address = _browser(request), audit.source_of(request).address
    if browser and _is_known(browser, name):
        return [(BROWSER, _key(BROWSER.name, browser, name))]
    return [
        (PAIR, _key(PAIR.name, address, name)),
        (USER, _key(USER.name, name)),
        (ADDRESS, _key(ADDRESS.name, address)),
    ]


def _key(kind: str, *parts: str) -> str:
    """Names and addresses stand in Redis in a form that tells neither."""
    text = "\0".join(part.casefold() for part in parts)
    return f"{streams.SIGN_IN_PREFIX}{kind}:{salted_hmac(_SALT, text).hexdigest()}"


def _browser(request: HttpRequest) -> str:
    """The id that we gave this browser, or ''."""
    try:
        return str(signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=COOKIE_SECONDS))
    except signing.BadSignature:
        return ""


def _is_known(browser: str, name: str) -> bool:
    try:
        return bool(streams.shared().exists(_key("known", browser, name)))
    except redis.RedisError:
        return False


# --- where Django asks --------------------------------------------------------------------------------------------


class Doorkeeper:
    """First of the authentication backends: above a limit no password is looked at. It knows no users and gives no
    permissions; to Django such a one is no backend for sessions."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, **more: Any) -> None:
        if request is None or not username:
            return
        wait = attempt(request, username)
        if wait:
            request.sign_in_wait = wait  # type: ignore[attr-defined]
            raise PermissionDenied


def waits(request: HttpRequest | None) -> int:
    """Seconds, when the attempt of this request was above a limit."""
    return int(getattr(request, "sign_in_wait", 0))


class _Limited(AuthenticationForm):
    def get_invalid_login_error(self) -> ValidationError:
        if wait := waits(self.request):
            minutes = math.ceil(wait / 60)
            words = (
                f"Too many failed sign-ins. Please wait {minutes} minute{'' if minutes == 1 else 's'}, or sign in with "
                "a browser that you have used here before."
            )
            return ValidationError(words, code="too_many")
        return super().get_invalid_login_error()


class SignInForm(_Limited):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "That user name and password do not match.",
    }


class AdminSignInForm(_Limited, AdminAuthenticationForm):
    pass


def _signed_in(sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
    request.browser_knows = user.get_username()  # type: ignore[attr-defined]
    release(request, user.get_username())


def watch() -> None:
    user_logged_in.connect(_signed_in, dispatch_uid="sign_ins")


class KnownBrowser:
    """Middleware: whoever has signed in is known in this browser from now on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        name = getattr(request, "browser_knows", None)
        if name is None:
            return response
        browser = _browser(request) or secrets.token_urlsafe(18)
        try:
            streams.shared().set(_key("known", browser, name), 1, ex=KNOWN_SECONDS)
        except redis.RedisError as error:
            log.warning("a browser could not be remembered: %s", type(error).__name__)
        response.set_cookie(
            COOKIE,
            signing.dumps(browser, salt=_SALT),
            max_age=COOKIE_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return response

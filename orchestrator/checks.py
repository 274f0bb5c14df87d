"""Unsafe production settings refuse to start, each by its name and with what to do. While DEBUG is on only two things
are refused: to be reachable by a public name, and a time below 0.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from console.webhook_address import is_plain, wrong_url
from dialer import orders
from esl_bridge import render

Problem = tuple[str, str, str]
# Shorter keys can be guessed; Django's own generator makes 50.
SECRET_KEY_LENGTH = 50
# As Django asks of it: a repeated letter is long, and no secret.
SECRET_KEY_LETTERS = 5
TOKEN_LENGTH = 16
# The plus and what follows: a lone plus would allow every number.
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_REDIS = ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL", "CACHE_URL")
_FOLDERS = ("RECORDINGS_DIR", "MESSAGES_DIR", "IMPORT_DIR", "LOG_DIR")
# Besides every *_KEEP_DAYS; here what the environment calls it, there what the settings do.
_TIMES = {
    "PANEL_GRACE_SECONDS": "PANEL_GRACE_SECONDS",
    "STATIC_MAX_AGE": "WHITENOISE_MAX_AGE",
    "SECURE_HSTS_SECONDS": "SECURE_HSTS_SECONDS",
}
_NOBODY = "00000000-0000-0000-0000-000000000000"


def problems(values: Any) -> list[Problem]:
    """(id, what is wrong, what to do) for each unsafe value in a settings object."""
    if values.DEBUG:
        return [*_below_zero(values), *_public(values)]
    found = [*_below_zero(values), *_transport(values), *_stores(values), *_dialling(values)]
    letters = len(set(values.SECRET_KEY))
    if (
        values.SECRET_KEY == values.INSECURE_SECRET_KEY
        or len(values.SECRET_KEY) < SECRET_KEY_LENGTH
        or letters < SECRET_KEY_LETTERS
        or values.SECRET_KEY.startswith("django-insecure-")
    ):
        found.append(
            (
                "orchestrator.E001",
                "SECRET_KEY is the default, too short or no secret.",
                "Set SECRET_KEY to 50 or more random characters.",
            )
        )
    if values.FREESWITCH_ESL_PASSWORD in {"", "ClueCon"}:
        found.append(
            (
                "orchestrator.E002",
                "FREESWITCH_ESL_PASSWORD is FreeSWITCH's well-known default.",
                "Change it in event_socket.conf.xml and set FREESWITCH_ESL_PASSWORD to the same.",
            )
        )
    hosts = set(values.ALLOWED_HOSTS)
    if not hosts or any(host.strip() in {"*", "."} for host in hosts):
        found.append(
            (
                "orchestrator.E003",
                "ALLOWED_HOSTS is empty or a wildcard.",
                "Set ALLOWED_HOSTS to the names people use, e.g. calls.example.com.",
            )
        )
    prefixes = values.DIAL_ALLOWED_PREFIXES
    if not prefixes or not all(_PREFIX.fullmatch(prefix) for prefix in prefixes):
        found.append(
            (
                "orchestrator.E004",
                "DIAL_ALLOWED_PREFIXES is empty, allows every number, or holds what is no prefix.",
                "Set DIAL_ALLOWED_PREFIXES to the prefixes you call, e.g. +1212,+1646.",
            )
        )
    if any(origin.strip() in {"*", "null"} or "*" in origin for origin in values.WEBSOCKET_ORIGINS):
        found.append(
            (
                "orchestrator.E005",
                "WEBSOCKET_ORIGINS holds a wildcard.",
                "Name each origin in full, e.g. https://calls.example.com.",
            )
        )
    if values.DATABASES["default"]["PASSWORD"] in {"", "postgres"}:
        found.append(
            (
                "orchestrator.E006",
                "DB_PASSWORD is empty or the default.",
                "Give the database user a password of its own and set DB_PASSWORD.",
            )
        )
    if url := values.ALERT_WEBHOOK_URL:
        if wrong := wrong_url(url):
            found.append(
                ("orchestrator.E011", f"ALERT_WEBHOOK_URL: {wrong}.", "Set a full https:// address, or leave it empty.")
            )
        elif is_plain(url):
            found.append(
                (
                    "orchestrator.E012",
                    "ALERT_WEBHOOK_URL would send alerts over plain http to another machine.",
                    "Use https://, or a receiver on this machine.",
                )
            )
    return found


def _below_zero(values: Any) -> Iterator[Problem]:
    """Nowhere does it mean "for ever": what is kept until tomorrow is removed today, recordings too."""
    kept = {name: name for name in dir(values) if name.endswith("_KEEP_DAYS")}
    for name, here in (kept | _TIMES).items():
        if (value := getattr(values, here)) < 0:
            yield ("orchestrator.E016", f"{name} is {value}, which is below 0.", "Set 0 or more.")


def _public(values: Any) -> Iterator[Problem]:
    names = [host for host in values.ALLOWED_HOSTS if not _is_near(host)]
    if names:
        yield (
            "orchestrator.E007",
            f"DEBUG is on and ALLOWED_HOSTS lets others in: {', '.join(names)[:200]}.",
            "Set DEBUG=0: error pages show settings and code. Or allow names of this machine or network only.",
        )


def _transport(values: Any) -> Iterator[Problem]:
    """What passes between browsers, scrapers and us."""
    if not (values.SESSION_COOKIE_SECURE and values.CSRF_COOKIE_SECURE) and not all(
        map(_is_here, values.ALLOWED_HOSTS)
    ):
        yield (
            "orchestrator.E008",
            "BEHIND_TLS is off, so sessions would pass over plain http (SESSION_COOKIE_SECURE).",
            "Set BEHIND_TLS=1 behind a proxy that ends TLS, or allow only localhost in ALLOWED_HOSTS.",
        )
    for name in ("CSRF_TRUSTED_ORIGINS", "WEBSOCKET_ORIGINS"):
        plain = [origin for origin in getattr(values, name) if not origin.startswith("https://")]
        if any(not _is_here(urlsplit(origin).hostname or "") for origin in plain):
            yield (
                "orchestrator.E009",
                f"{name} trusts a page of plain http: {', '.join(plain)[:200]}.",
                "Name full https:// origins.",
            )
    if values.METRICS_TOKEN and len(values.METRICS_TOKEN) < TOKEN_LENGTH:
        yield (
            "orchestrator.E010",
            f"METRICS_TOKEN is shorter than {TOKEN_LENGTH} characters.",
            "Set a random one, or none: /metrics is closed then.",
        )


def _stores(values: Any) -> Iterator[Problem]:
    for name in _REDIS:
        address = urlsplit(getattr(values, name))
        if address.scheme.startswith("redis") and not address.password and not _is_here(address.hostname or ""):
            yield (
                "orchestrator.E013",
                f"{name} is a Redis on another machine without a password: whoever reaches it may order calls.",
                "Set requirepass there, and redis://:PASSWORD@HOST in the setting.",
            )
    served = [Path(values.STATIC_ROOT), *map(Path, values.STATICFILES_DIRS)]
    for name in _FOLDERS:
        folder = Path(getattr(values, name)).resolve()
        if any(folder == one.resolve() or one.resolve() in folder.parents for one in served):
            yield (
                "orchestrator.E014",
                f"{name} is inside a folder that is served to everybody.",
                "Put it elsewhere.",
            )


def _dialling(values: Any) -> Iterator[Problem]:
    """What every order would be refused for, one call at a time."""
    plan = render.DialPlan(
        values.ORIGINATE_CUSTOMER,
        values.ORIGINATE_AGENT,
        ("+1",),
        str(values.RECORDINGS_DIR),
        str(values.MESSAGES_DIR),
    )
    header: dict[str, Any] = {"order_id": _NOBODY, "expires_at": 0.0, "leg": _NOBODY}
    number = values.CALLER_ID_NUMBER
    for name, order in (
        ("ORIGINATE_AGENT", orders.OriginateAgent(**header, extension="10", agent_id="a")),
        ("RECORDINGS_DIR", orders.Record(**header, action="start", name=_NOBODY)),
        ("MESSAGES_DIR", orders.PlayMessage(**header, name=_NOBODY)),
        ("CALLER_ID_NUMBER", _customer(header, number)),
        ("ORIGINATE_CUSTOMER", _customer(header, "+12125550100")),
    ):
        try:
            if name == "CALLER_ID_NUMBER":
                orders.validated(order)
            else:
                render.render(order, plan)
        except (render.Refused, msgspec.ValidationError) as error:
            yield ("orchestrator.E015", f"{name} cannot be used in an order: {error}.", "See docs/configuration.md.")


def _customer(header: dict[str, Any], caller: str) -> orders.AnyOrder:
    return orders.OriginateCustomer(**header, number="+12125550100", call_id=_NOBODY, caller_id_number=caller)


def _is_here(host: str) -> bool:
    """Whether it is this machine. A unix socket has no host."""
    name = host.strip("[]").lower()
    return name in {"", "localhost"} or name.endswith(".localhost") or name == "::1" or name.startswith("127.")


def _is_near(host: str) -> bool:
    """Whether it is this machine or, by name or address, one that the internet does not reach."""
    name = host.strip("[] .").lower()
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        pass
    if _is_here(name) and name:
        return True
    return name.isidentifier() or name.endswith((".local", ".test", ".internal", ".home.arpa", ".lan"))


@register(Tags.security)
def unsafe_settings(app_configs: Any, **_: Any) -> Iterable[CheckMessage]:
    return [Error(wrong, hint=hint, id=code) for code, wrong, hint in problems(settings)]


def refuse_unsafe() -> None:
    """Called as every process starts: daphne and Celery run no system checks of their own. `manage.py check` and
    `doctor` may report."""
    if sys.argv[1:2] in (["check"], ["doctor"]):
        return
    found = problems(settings)
    if found:
        lines = "\n".join(f"  {code} {wrong} {hint}" for code, wrong, hint in found)
        raise SystemExit(f"Refusing to start with unsafe settings:\n{lines}")

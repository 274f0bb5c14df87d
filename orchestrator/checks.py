"""Unsafe production settings refuse to start, each by its name and with what to do. Nothing is refused while DEBUG is
on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from console.webhook_address import is_plain, wrong_url

# Shorter keys can be guessed; Django's own generator makes 50.
SECRET_KEY_LENGTH = 50
# Everything that starts with one of these would be allowed: as good as no list.
_ANY_NUMBER = {"", "+", "*"}


def problems(values: Any) -> list[tuple[str, str, str]]:
    """(id, what is wrong, what to do) for each unsafe value in a settings object."""
    if values.DEBUG:
        return []
    found = []
    if values.SECRET_KEY == values.INSECURE_SECRET_KEY or len(values.SECRET_KEY) < SECRET_KEY_LENGTH:
        found.append(
            (
                "orchestrator.E001",
                "SECRET_KEY is the default or too short.",
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
    if not prefixes or any(prefix in _ANY_NUMBER or not prefix.startswith("+") for prefix in prefixes):
        found.append(
            (
                "orchestrator.E004",
                "DIAL_ALLOWED_PREFIXES is empty or allows every number.",
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
        raise SystemExit(f"Refusing to start with DEBUG off and unsafe settings:\n{lines}")

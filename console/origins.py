"""Which pages may open a websocket with the browser's cookies.

A websocket carries no CSRF token and browsers send cookies with it from any page, so the Origin header is the only
guard. It is compared whole: scheme, host and port. The page's own origin is taken from the Host header, which must
itself be allowed (ALLOWED_HOSTS), or any name pointed at this machine would be its own origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

Origin = tuple[str, str, int]
_PORTS = {"http": 80, "https": 443}


def parse(text: str) -> Origin | None:
    """Scheme, host and port of an origin; None for `null`, for anything with more in it, and for what cannot be
    read."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    if (
        parts.scheme not in _PORTS
        or not parts.hostname
        or parts.path
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        return None
    return parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme]


def allowed(origin: str | None, host: str, secure: bool, hosts: Iterable[str], extra: Iterable[str]) -> bool:
    """Pure. `host`: the Host header. `hosts`: as ALLOWED_HOSTS. `extra`: further full origins."""
    found = parse(origin) if origin else None
    if found is None:
        return False
    if found in {parse(text) for text in extra}:
        return True
    domain, _ = split_domain_port(host)
    if not domain or not validate_host(domain, list(hosts)):
        return False
    return found == parse(f"{'https' if secure else 'http'}://{host}")


def header(scope: dict[str, Any], name: bytes) -> str | None:
    """The header's only value; None when it is missing or sent more than once."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


def is_secure(scope: dict[str, Any]) -> bool:
    if scope.get("scheme") in ("wss", "https"):
        return True
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        name, value = settings.SECURE_PROXY_SSL_HEADER
        key = name.removeprefix("HTTP_").replace("_", "-").lower().encode()
        return header(scope, key) == value
    return False


def scope_allowed(scope: dict[str, Any]) -> bool:
    """Whether this websocket was opened by a page of ours."""
    return allowed(
        header(scope, b"origin"),
        header(scope, b"host") or "",
        is_secure(scope),
        settings.ALLOWED_HOSTS,
        settings.WEBSOCKET_ORIGINS,
    )

"""Which addresses alerts may be posted to. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def wrong_url(url: str) -> str:
    """Why nothing can be posted to this address, or ''."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it cannot be read"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "only http:// and https:// addresses can be called"
    return ""


def is_plain(url: str) -> bool:
    """Whether alerts would leave this machine unencrypted."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme != "http" or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True

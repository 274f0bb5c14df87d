"""docs/kept.md as tests read it."""

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from django.conf import settings


def rows(title: str) -> list[tuple[list[str], str]]:
    """(names, bound) of each row of a part of the page."""
    page = (Path(settings.BASE_DIR) / "docs" / "kept.md").read_text()
    part = page.split(f"\n## {title}", 1)[1].split("\n## ")[0]
    cells = [line.split("|")[1:3] for line in part.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", names), bound.strip()) for names, bound in cells]


def patterns() -> list[str]:
    """The keys of both databases, as file name patterns."""
    found = [name for title in ("Redis: queues", "Redis: cache") for names, _ in rows(title) for name in names]
    return [*(re.sub(r"\{\w+\}", "*", name) for name in found), "esl:orders:*", "lease:*:token"]


def unexpected(keys: Iterable[bytes]) -> list[str]:
    """Those that the page does not name."""
    known = patterns()
    return sorted(key for key in (raw.decode() for raw in keys) if not any(fnmatch(key, name) for name in known))

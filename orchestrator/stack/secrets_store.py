"""Random passwords for the servers of the stack, made once per data folder and readable by its owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Secrets:
    """URL-safe strings, so that they need no quoting in a URL, in redis.conf or in SQL."""

    postgres: str
    redis: str
    switch: str
    django: str

    def __repr__(self) -> str:
        return "Secrets(...)"

    def all(self) -> tuple[str, ...]:
        return tuple(asdict(self).values())


def load(folder: Path) -> tuple[Secrets, bool]:
    """The folder's secrets, and whether they are new (then an existing database does not know its password)."""
    path = folder / "secrets.json"
    names = [field.name for field in fields(Secrets)]
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Secrets(**{name: str(stored[name]) for name in names}), False
    except (OSError, ValueError, KeyError, TypeError):
        fresh = Secrets(**{name: secrets.token_urlsafe(32) for name in names})
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(fresh), file)
    os.replace(part, path)
    return fresh, True

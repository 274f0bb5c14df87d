"""What we depend on, checked against committed files, not against the network: `python -m tests.audit [ROOT]`.

Every requirement of the lock files is pinned and hashed, none is of a version that tests/data/audit/advisories.json
knows to be unsafe, and every vendored file is the one that tests/data/audit/vendored.json describes. Exit code 1 and
one line for each fault.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

LOCKS = ("requirements.txt", "requirements-dev.txt")
ADVISORIES = Path("tests/data/audit/advisories.json")
VENDORED = Path("tests/data/audit/vendored.json")
_HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}(?=\s|$)")
_FIELDS = ("path", "name", "version", "licence", "licence_file", "source", "sha256")
# Beside vendored files: not code.
_TEXT = re.compile(r"(?i)(.*\.)?LICEN[CS]E(\.txt)?|README\.md")


@dataclass(frozen=True)
class Pinned:
    file: str
    name: str
    version: Version


def pinned(root: Path) -> tuple[list[Pinned], list[str]]:
    """(what the lock files hold, faults)."""
    found, faults = [], []
    for file in LOCKS:
        text = (root / file).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            line = line.split(" #")[0].strip()
            if not line or line.startswith("#"):
                continue
            bare = _HASH.sub("", f"{line} ").strip()
            try:
                requirement = Requirement(bare)
                [pin] = requirement.specifier
                version = Version(pin.version)
            except (InvalidRequirement, InvalidVersion, ValueError):
                faults.append(f"{file}: not one pinned requirement: {bare[:80]}")
                continue
            if pin.operator != "==" or requirement.url:
                faults.append(f"{file}: {requirement.name} is not pinned to one version")
            elif not _HASH.search(f"{line} "):
                faults.append(f"{file}: {requirement.name} has no hash")
            else:
                found.append(Pinned(file, canonicalize_name(requirement.name), version))
    return found, faults


def advisories(root: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(advisories, faults of the file itself)."""
    told = json.loads((root / ADVISORIES).read_text(encoding="utf-8"))
    faults = []
    try:
        dt.date.fromisoformat(told.get("taken", ""))
    except ValueError:
        faults.append(f"{ADVISORIES}: `taken` names no date")
    known = []
    for one in told.get("advisories", ()):
        try:
            known.append(
                {**one, "affected": SpecifierSet(one["affected"]), "package": canonicalize_name(one["package"])}
            )
            if not one["id"] or not one["affected"]:
                raise ValueError
        except (KeyError, ValueError, InvalidSpecifier):
            faults.append(f"{ADVISORIES}: an advisory without package, affected versions and id: {one}")
    if not known:
        faults.append(f"{ADVISORIES}: there are no advisories")
    return known, faults


def unsafe(locked: list[Pinned], known: list[dict[str, Any]]) -> Iterator[str]:
    for one in locked:
        for advisory in known:
            if advisory["package"] == one.name and advisory["affected"].contains(one.version, prereleases=True):
                yield f"{one.file}: {one.name} {one.version} is affected by {advisory['id']} ({advisory['what']})"


def vendored(root: Path) -> Iterator[str]:
    listed = json.loads((root / VENDORED).read_text(encoding="utf-8"))["files"]
    for one in listed:
        if missing := [name for name in _FIELDS if not one.get(name)]:
            yield f"{VENDORED}: {one.get('path')} says nothing of {', '.join(missing)}"
            continue
        path = root / one["path"]
        if not path.is_file() or not (root / one["licence_file"]).is_file():
            yield f"{VENDORED}: {one['path']} or its licence is not there"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != one["sha256"]:
            yield f"{one['path']} is not the file that {VENDORED} describes"
    known = {one.get("path") for one in listed}
    for folder in (root / "static", root / "tests"):
        for path in sorted(folder.rglob("vendor/**/*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not _TEXT.fullmatch(path.name) and name not in known:
                yield f"{name} is vendored, and not in {VENDORED}"


def faults(root: Path) -> list[str]:
    locked, wrong = pinned(root)
    known, wrong_too = advisories(root)
    return [*wrong, *wrong_too, *unsafe(locked, known), *vendored(root)]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = faults(root)
    print("\n".join(found) or f"{len(pinned(root)[0])} pinned requirements, {len(advisories(root)[0])} advisories")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""A campaign's script for one call: what stands in braces is replaced by what is known of the contact. Pure.

Parts of plain text come back, for a template that escapes them: what a list or a customer has written never becomes
markup, and is never itself searched for braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

# One line, no braces within: longer things in braces are prose.
_PLACEHOLDER = re.compile(r"\{([^{}\r\n]{1,60})\}")
LONGEST_VALUE = 500


@dataclass(frozen=True, slots=True)
class Part:
    """known: a value; missing: a name in braces of which nothing is known, as it was written."""

    text: str
    kind: Literal["text", "known", "missing"] = "text"


def known(custom_fields: object, **ours: object) -> dict[str, object]:
    """What a list says of a contact, and what we say ourselves, which wins."""
    fields = custom_fields if isinstance(custom_fields, Mapping) else {}
    return {**{str(name): value for name, value in fields.items()}, **ours}


def fill(script: str, values: Mapping[str, object]) -> list[Part]:
    """The script in parts. Names are compared without regard to case, spaces and underscores."""
    return list(_parts(script, {_name(name): _text(value) for name, value in values.items()}))


def _parts(script: str, known: Mapping[str, str]) -> Iterator[Part]:
    end = 0
    for found in _PLACEHOLDER.finditer(script):
        if found.start() > end:
            yield Part(script[end : found.start()])
        value = known.get(_name(found.group(1)), "")
        yield Part(value, "known") if value else Part(found.group(), "missing")
        end = found.end()
    if end < len(script):
        yield Part(script[end:])


def _name(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", str(name)).strip().casefold()


def _text(value: object) -> str:
    if value is None:
        return ""
    return " ".join(str(value).split())[:LONGEST_VALUE]

"""One row of the file -> one contact, or the reason why not. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from dialer import numbers

from .mapping import Columns

LONGEST_NAME = 200
LONGEST_FIELD = 2_000
# Together, as stored: a contact is read with every dial and every look of an agent.
LONGEST_CUSTOM = 16_000
PRIORITIES = range(-1_000, 1_001)
# Control characters become spaces, and marks that turn the direction of text vanish: a name must not rewrite the line
# it stands in.
_CONTROL: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " "),
    **dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"), None),
}
# Notes and addresses keep their lines.
_CONTROL_IN_NOTES = {code: sign for code, sign in _CONTROL.items() if chr(code) not in "\n\t"}


@dataclass(frozen=True, slots=True)
class NewContact:
    """`custom_fields` as JSON text; `written`: the number as the file has it."""

    number: str
    written: str
    name: str
    time_zone: str
    custom_fields: str
    priority: int


class RowRefusedError(Exception):
    """Why this row is no contact, as a sentence. `swallowed`: a quote has joined several rows into this one."""

    def __init__(self, reason: str, *, swallowed: bool = False) -> None:
        super().__init__(reason)
        self.swallowed = swallowed


def read_contact(cells: Sequence[str], columns: Columns, region: str) -> NewContact:
    """Raises RowRefusedError."""
    if any("\0" in cell for cell in cells):
        raise RowRefusedError("The row holds a NUL character.")
    # Cells beyond the header: nearly always a comma inside a field without quotes, and then all fields are shifted.
    if any(cell.strip() for cell in cells[columns.width :]):
        raise RowRefusedError(f"The row has {len(cells)} cells, the header {columns.width}: is there a quote missing?")
    by_role = {role: cells[position] if position < len(cells) else "" for role, position in columns.roles.items()}
    if any("\n" in cell or "\r" in cell for cell in cells) and _holds_rows(cells, columns, region):
        raise RowRefusedError("A quote is open and has swallowed the rows that follow.", swallowed=True)
    written = by_role["number"]
    try:
        number = numbers.normalise(written, region)
    except numbers.NumberError as error:
        raise RowRefusedError(str(error)) from None
    return NewContact(
        number=number,
        written=written.strip(),
        name=_name(by_role),
        time_zone=_time_zone(by_role.get("time_zone", ""), number),
        custom_fields=_custom_fields(cells, columns),
        priority=_priority(by_role.get("priority", "")),
    )


def _holds_rows(cells: Sequence[str], columns: Columns, region: str) -> bool:
    """Whether a cell of several lines holds rows of the file: what a forgotten quote leaves behind.

    Notes and addresses may have lines, even with commas; not lines as wide as the header, with a number in its place.
    """
    position = columns.roles["number"]
    for column, cell in enumerate(cells):
        first, *others = cell.splitlines() or [""]
        opening = [*cells[:column], *first.split(columns.delimiter)]
        rows = [other.split(columns.delimiter) for other in others]
        if others and len(opening) > column + 1:
            rows.append(opening)
        for row in rows:
            if len(row) == columns.width and _is_number(row[position], region):
                return True
    return False


def _is_number(text: str, region: str) -> bool:
    try:
        numbers.normalise(text, region)
    except numbers.NumberError:
        return False
    return True


def _name(by_role: dict[str, str]) -> str:
    name = _line(by_role.get("name", "")) or _line(f"{by_role.get('first_name', '')} {by_role.get('last_name', '')}")
    if len(name) > LONGEST_NAME:
        raise RowRefusedError(f"The name is longer than {LONGEST_NAME} characters.")
    return name


def _line(text: str) -> str:
    """One line without control characters."""
    return " ".join(text.translate(_CONTROL).split())


@cache
def _zones() -> dict[str, str]:
    return {zone.casefold(): zone for zone in available_timezones()}


def _time_zone(text: str, number: str) -> str:
    """The zone given, or the only one the number can be in; empty when it may be in several."""
    named = text.strip()
    if named:
        zone = _zones().get(named.replace(" ", "_").casefold())
        if zone is None:
            raise RowRefusedError(f"There is no time zone “{_line(named)[:40]}”; write it like America/New_York.")
        return zone
    found = numbers.time_zones(number)
    return found[0] if len(found) == 1 else ""


def _priority(text: str) -> int:
    if not text.strip():
        return 0
    try:
        priority = int(text) if len(text) < 20 else None
    except ValueError:
        priority = None
    if priority is None or priority not in PRIORITIES:
        raise RowRefusedError(f"The priority is not a whole number from {PRIORITIES[0]:,} to {PRIORITIES[-1]:,}.")
    return priority


def _custom_fields(cells: Sequence[str], columns: Columns) -> str:
    fields: dict[str, str] = {}
    for position, header in columns.custom.items():
        value = cells[position].strip() if position < len(cells) else ""
        if not value:
            continue
        if len(value) > LONGEST_FIELD:
            raise RowRefusedError(f"The field “{header}” is longer than {LONGEST_FIELD:,} characters.")
        fields[header] = value.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL_IN_NOTES).strip()
    text = json.dumps(fields, ensure_ascii=False)
    if len(text) > LONGEST_CUSTOM:
        raise RowRefusedError(f"The custom fields together are longer than {LONGEST_CUSTOM:,} characters.")
    return text

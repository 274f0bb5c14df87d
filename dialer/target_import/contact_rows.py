"""One row of the file -> one contact, or the reason why not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from dialer import calling_hours, numbers

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


class NewContact(NamedTuple):
    """`custom_fields` as JSON text; `written`: the number as the file has it, in one line."""

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
    """Raises RowRefusedError. Nearly every row is printable throughout, and then needs no look at its characters."""
    text = "".join(cells)
    printable = text.isprintable()
    if not printable:
        if "\0" in text:
            raise RowRefusedError("The row holds a NUL character.")
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            raise RowRefusedError("The row holds half a character, which no text can hold.")
    if len(cells) != columns.width:
        # Cells beyond the header: nearly always a comma inside a field without quotes, and then all fields are shifted.
        if any(cell.strip() for cell in cells[columns.width :]):
            raise RowRefusedError(
                f"The row has {len(cells)} cells, the header {columns.width}: is there a quote missing?"
            )
        cells = [*cells[: columns.width], *[""] * (columns.width - len(cells))]
    roles = columns.roles
    if not printable and ("\n" in text or "\r" in text) and _holds_rows(cells, columns, region):
        raise RowRefusedError("A quote is open and has swallowed the rows that follow.", swallowed=True)
    written = cells[roles["number"]]
    try:
        number, zones = numbers.normalise_with_zones(written, region)
    except numbers.NumberError as error:
        raise RowRefusedError(str(error)) from None
    zone = roles.get("time_zone")
    priority = roles.get("priority")
    return NewContact(
        number,
        " ".join(written.split()),
        _name(cells, roles, printable),
        _time_zone(cells[zone] if zone is not None else "", zones),
        _custom_fields(cells, columns, printable),
        _priority(cells[priority]) if priority is not None else 0,
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


def _name(cells: Sequence[str], roles: Mapping[str, int], printable: bool) -> str:
    line = _joined if printable else _line
    position = roles.get("name")
    name = line(cells[position]) if position is not None else ""
    if not name:
        first, last = roles.get("first_name"), roles.get("last_name")
        given = line(cells[first]) if first is not None else ""
        family = line(cells[last]) if last is not None else ""
        # A column taken for half of the name may hold all of it: Anna beside Anna Müller.
        if family.startswith(f"{given} ") or given.endswith(f" {family}"):
            name = max(given, family, key=len)
        else:
            name = f"{given} {family}".strip()
    if len(name) > LONGEST_NAME:
        raise RowRefusedError(f"The name is longer than {LONGEST_NAME} characters.")
    return name


def _joined(text: str) -> str:
    return " ".join(text.split())


def _line(text: str) -> str:
    """One line without control characters."""
    return " ".join(text.translate(_CONTROL).split())


def _time_zone(text: str, found: tuple[str, ...]) -> str:
    """The zone given, or the only one the number can be in; empty when it may be in several."""
    named = text.strip()
    if named:
        zone = calling_hours.named(named)
        if not zone:
            raise RowRefusedError(f"There is no time zone “{_line(named)[:40]}”; write it like America/New_York.")
        return zone
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


def _custom_fields(cells: Sequence[str], columns: Columns, printable: bool) -> str:
    fields: dict[str, str] = {}
    for position, header in columns.custom.items():
        value = cells[position].strip()
        if not value:
            continue
        if len(value) > LONGEST_FIELD:
            raise RowRefusedError(f"The field “{header}” is longer than {LONGEST_FIELD:,} characters.")
        if not printable:
            value = value.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL_IN_NOTES).strip()
        fields[header] = value
    text = orjson.dumps(fields).decode()
    if len(text) > LONGEST_CUSTOM:
        raise RowRefusedError(f"The custom fields together are longer than {LONGEST_CUSTOM:,} characters.")
    return text

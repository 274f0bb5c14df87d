"""Which column of the file is what. Header names of several languages are known; the others become custom fields.

Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dialer import numbers

from .errors import ImportRefusedError, inert

ROLES = ("number", "name", "first_name", "last_name", "time_zone", "priority")
IGNORE = "ignore"
# Kept as a custom field, whatever its name says.
CUSTOM = "custom"
# A contact carries what an agent reads during a call, not a database of its own.
MOST_CUSTOM_FIELDS = 50
LONGEST_HEADER = 100
MOST_COLUMNS = 500
_SHOWN_COLUMNS = 12
_NUMBERED = re.compile(r"#([0-9]{1,4})")

# In order of preference: a file with "phone number" and "mobile" is called on its phone number, unless --map says so.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "number": (
        "number",
        "phone number",
        "phonenumber",
        "phone",
        "telephone",
        "telephone number",
        "contact number",
        "e164",
        "e 164",
        "msisdn",
        "mobile",
        "mobile number",
        "mobile phone",
        "cell",
        "cell phone",
        "cellphone",
        "tel",
        "phone 1",
        "phone1",
        "telefon",
        "telefonnummer",
        "rufnummer",
        "mobiltelefon",
        "handy",
        "telefono",
        "numero de telefono",
        "movil",
        "celular",
        "numero de telephone",
        "numero",
        "cellulare",
        "telefone",
        "telefoon",
        "telefoonnummer",
        "puhelin",
        "matkapuhelin",
        "телефон",
        "номер телефона",
    ),
    "name": (
        "name",
        "full name",
        "fullname",
        "customer name",
        "contact name",
        "customer",
        "contact",
        "nom complet",
        "nombre completo",
        "nombre",
        "kunde",
        "naam",
        "nimi",
        "имя",
    ),
    "first_name": ("first name", "firstname", "given name", "first", "forename", "vorname", "prenom", "voornaam"),
    "last_name": (
        "last name",
        "lastname",
        "surname",
        "family name",
        "last",
        "nachname",
        "nom",
        "apellido",
        "apellidos",
        "achternaam",
    ),
    "time_zone": ("time zone", "timezone", "tz", "zeitzone", "zona horaria", "fuseau horaire"),
    "priority": ("priority", "prio", "prioritat", "prioridad", "priorite"),
}
# The whole name where they stand alone; beside a column of one half, the other: Name;Vorname, Nombre;Apellidos.
_HALF_NAMES = frozenset({"name", "nombre", "naam", "nimi", "имя"})
_ROLE_OF = {synonym: role for role, synonyms in _SYNONYMS.items() for synonym in synonyms}
_RANK = {synonym: rank for synonyms in _SYNONYMS.values() for rank, synonym in enumerate(synonyms)}


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions in a row: `role -> position`, and `position -> name` of the custom fields."""

    width: int
    roles: Mapping[str, int]
    custom: Mapping[int, str]
    headers: Sequence[str]
    delimiter: str

    def described(self) -> dict[str, str]:
        """Role -> header, for people and for the list's metadata."""
        return {role: self.headers[position] for role, position in self.roles.items()}


def plain(header: str) -> str:
    """A header as it is compared: `Phone_Number` and `TÉLÉPHONE` are `phone number` and `telephone`."""
    spread = unicodedata.normalize("NFKD", header).casefold()
    kept = "".join(
        " " if sign in "_-./:" else sign for sign in spread if not unicodedata.combining(sign) and sign.isprintable()
    )
    return " ".join(kept.split())


def role_of(header: str) -> str | None:
    return _ROLE_OF.get(plain(header)) if len(header) <= LONGEST_HEADER else None


def guesses(headers: Sequence[str]) -> list[str]:
    """What each column is by the names alone, '' for no role: what a person chooses from where there is no number."""
    found = [role_of(header) or "" for header in headers]
    half = _other_half({role: position for position, role in enumerate(found)}, headers)
    return [half if half and role == "name" else role for role in found]


def _other_half(roles: Mapping[str, int], headers: Sequence[str]) -> str | None:
    """Which half of it the column of the name is beside a column of only one; None where it is the whole name. As the
    whole it would hide the other column, which is then neither read nor kept."""
    if "name" not in roles or plain(headers[roles["name"]]) not in _HALF_NAMES:
        return None
    match "first_name" in roles, "last_name" in roles:
        case True, False:
            return "last_name"
        case False, True:
            return "first_name"
    return None


def parse_map(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """`number=Phone` or `number=#1` -> (role, header). Raises ImportRefusedError for anything else."""
    parsed: list[tuple[str, str]] = []
    for pair in pairs:
        role, equals, header = pair.partition("=")
        role = plain(role).replace(" ", "_")
        if not equals or not header.strip() or role not in (*ROLES, IGNORE, CUSTOM):
            known = ", ".join((*ROLES, IGNORE, CUSTOM))
            raise ImportRefusedError(f"--map wants ROLE=COLUMN with a role of {known}; not {inert(pair)!r}.")
        if role in ROLES and any(role == earlier for earlier, _ in parsed):
            raise ImportRefusedError(f"--map names the column of {role} twice.")
        parsed.append((role, header))
    return parsed


def map_columns(cells: Sequence[str], wanted: Sequence[tuple[str, str]], region: str, delimiter: str) -> Columns:
    """The meaning of each column of this header. Raises ImportRefusedError, naming the columns found."""
    headers = _named(cells)
    by_name: dict[str, int] = {}
    for position, header in enumerate(headers):
        by_name.setdefault(plain(header), position)
    roles: dict[str, int] = {}
    ignored: set[int] = set()
    kept: set[int] = set()
    for role, header in wanted:
        position = by_name.get(plain(header), _position(header, len(headers)))
        if position < 0:
            raise ImportRefusedError(f"There is no column {inert(header)!r}; found: {_shown(headers)}.")
        if role == IGNORE:
            ignored.add(position)
        elif role == CUSTOM:
            kept.add(position)
        else:
            roles[role] = position
    taken = ignored | set(roles.values())
    for role in ROLES:
        free = [
            (_RANK[plain(header)], position)
            for position, header in enumerate(headers)
            if position not in taken | kept and role_of(header) == role
        ]
        if role not in roles and free:
            roles[role] = min(free)[1]
            taken.add(roles[role])
    half = _other_half(roles, headers)
    if half and all(role != "name" for role, _ in wanted):
        roles[half] = roles.pop("name")
    if "number" not in roles:
        _refuse_without_number(cells, headers, region)
    custom = {position: header for position, header in enumerate(headers) if position not in taken}
    if len(custom) > MOST_CUSTOM_FIELDS:
        raise ImportRefusedError(
            f"{len(custom)} columns would become custom fields, {MOST_CUSTOM_FIELDS} at most are kept: "
            "leave some out with --map ignore=COLUMN."
        )
    return Columns(len(headers), roles, custom, headers, delimiter)


def _position(header: str, width: int) -> int:
    """`#3` is the third column, unless a column has that very name. -1: there is none."""
    found = _NUMBERED.fullmatch(header.strip())
    position = int(found[1]) - 1 if found else -1
    return position if position < width else -1


def _named(cells: Sequence[str]) -> list[str]:
    """A name for every column: never empty, never twice, without control characters."""
    kept = list(cells)
    while kept and not kept[-1].strip():
        kept.pop()
    if len(kept) > MOST_COLUMNS:
        raise ImportRefusedError(f"The header has {len(kept):,} columns, {MOST_COLUMNS} at most can be read.")
    names: list[str] = []
    seen: dict[str, int] = {}
    for position, cell in enumerate(kept):
        text = " ".join("".join(sign if sign.isprintable() else " " for sign in cell).split())
        if len(text) > LONGEST_HEADER:
            raise ImportRefusedError(f"The name of column {position + 1} is longer than {LONGEST_HEADER} characters.")
        text = text or f"column {position + 1}"
        seen[text] = seen.get(text, 0) + 1
        while seen[text] > 1 and f"{text} ({seen[text]})" in seen:
            seen[text] += 1
        name = text if seen[text] == 1 else f"{text} ({seen[text]})"
        seen.setdefault(name, 1)
        names.append(name)
    return names


def _refuse_without_number(cells: Sequence[str], headers: Sequence[str], region: str) -> None:
    for cell in cells:
        try:
            numbers.normalise(cell, region)
        except numbers.NumberError:
            continue
        raise ImportRefusedError(
            "The first row holds a number, not column names: add a header row, such as number,name."
        )
    raise ImportRefusedError(f"There is no number column (--map number=COLUMN chooses one); found: {_shown(headers)}.")


def _shown(headers: Sequence[str]) -> str:
    shown = ", ".join(repr(inert(header[:40])) for header in headers[:_SHOWN_COLUMNS])
    more = len(headers) - _SHOWN_COLUMNS
    return f"{shown} and {more} more" if more > 0 else shown or "none"

"""What can stop a whole import, and what becomes of one row."""

from __future__ import annotations

from dataclasses import dataclass


class ImportRefusedError(Exception):
    """Nothing is imported; the text is one line for the person who asked."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that is not imported. `line`: where it starts in the file, the header being line 1 (or after `sep=`)."""

    line: int
    number: str
    reason: str
    duplicate: bool = False


# What begins a formula; full-width signs count where such keyboards are usual.
_FORMULA = frozenset("=+-@|%＝＋－＠")


def begins_formula(cell: str) -> bool:
    """Also behind what is not seen (blanks, control characters, marks of no width) and behind apostrophes."""
    for sign in cell:
        if sign in _FORMULA:
            return True
        if sign != "'" and sign.isprintable() and not sign.isspace():
            return False
    return False


def inert(cell: str) -> str:
    """The cell as text that no spreadsheet takes for a formula, with nothing that moves a terminal's cursor."""
    shown = "".join(sign if sign.isprintable() else " " for sign in cell)
    return f"'{shown}" if begins_formula(shown) else shown

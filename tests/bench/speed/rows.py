"""A measured row: our figure, the anchor's, their ratio and the least it may be. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """`floor`: the least ratio; `most`: the greatest; `at_least`, `at_most`: of the value. None of them: reported
    only."""

    name: str
    value: float
    unit: str
    anchor: str = ""
    anchor_value: float | None = None
    floor: float | None = None
    most: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.anchor_value if self.anchor_value else None

    @property
    def met(self) -> bool:
        least, most = self.floor or 0.0, float("inf") if self.most is None else self.most
        if least or self.most is not None:
            if self.ratio is None or not least <= self.ratio <= most:
                return False
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def wanted(self) -> str:
        parts = []
        if self.floor is not None:
            parts.append(f">= {self.floor:g} x")
        if self.most is not None:
            parts.append(f"<= {self.most:g} x")
        if self.at_least is not None:
            parts.append(f">= {self.at_least:,g}")
        if self.at_most is not None:
            parts.append(f"<= {self.at_most:,g}")
        return " and ".join(parts) or "-"

    def as_json(self) -> dict[str, Any]:
        names = (
            "name",
            "value",
            "unit",
            "anchor",
            "anchor_value",
            "ratio",
            "floor",
            "most",
            "at_least",
            "at_most",
            "note",
        )
        return {name: getattr(self, name) for name in names} | {"met": self.met}


def table(rows: Sequence[Row]) -> str:
    lines = ["| row | ours | anchor | ratio | wanted | |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        anchor = "-" if row.anchor_value is None else f"{row.anchor}: {row.anchor_value:,.5g}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        said = "ok" if row.met else "SHORT"
        lines.append(f"| {row.name} | {row.value:,.5g} {row.unit} | {anchor} | {ratio} | {row.wanted} | {said} |")
    return "\n".join(lines)


def write(rows: Sequence[Row], path: Path) -> None:
    """Rows of other stages that the file holds already are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = {row.name: row.as_json() for row in rows}
    old = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([row for row in old if row["name"] not in new] + list(new.values()), indent=1) + "\n")

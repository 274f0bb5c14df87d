"""docs/promises.md names tests, commands and guards that exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.guards.__main__ import ALL
from tests.guards.guard import Guard

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| promise |"))
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def exists(address: str) -> bool:
    """`tests/…/test_x.py`, `…::test_y`, or `…::TestZ::runTest` where Hypothesis made TestZ of a state machine."""
    path, _, name = address.partition("::")
    if not (ROOT / path).is_file():
        return False
    tree = ast.parse((ROOT / path).read_text())
    names = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    } | {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return all(part.partition("[")[0] in names | {"runTest"} for part in name.split("::") if part)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_every_promise_names_a_test_or_a_command_that_exists(row: list[str]):
    promise, proof, _ = row
    tests = re.findall(r"`(tests/[^`\s]+)`", proof)
    commands = re.findall(r"`(?:make|manage\.py) ([a-z_-]+)[^`]*`", proof)
    assert promise and (tests or commands), "nothing proves it"
    assert [address for address in tests if not exists(address)] == []
    assert [name for name in re.findall(r"`make ([a-z-]+)[^`]*`", proof) if name not in TARGETS] == []


@pytest.mark.parametrize("guard", ALL, ids=lambda guard: guard.promise)
def test_every_guard_is_where_it_is_said_to_be(guard: Guard):
    text = (ROOT / guard.file).read_text()
    assert text.count(guard.on) == 1
    assert guard.on != guard.off
    if guard.file.endswith(".py"):
        ast.parse(text.replace(guard.on, guard.off))  # any test would notice what is no Python
    assert exists(guard.test)

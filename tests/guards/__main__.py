"""`make guards`: each guard off in a copy of the tree, and its test must fail there (and pass in the tree as it is).

`python -m tests.guards [word …]` takes only the guards whose promise or file has one of the words. MISSED: the test
passes without the guard. FAILS: it does not even pass with it.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.guards import attackers, boards, dialing, link, operators, privacy, rules
from tests.guards.guard import Guard

ROOT = Path(__file__).resolve().parents[2]
PARTS = (dialing, rules, link, boards, attackers, privacy, operators)
ALL: list[Guard] = [guard for part in PARTS for guard in part.GUARDS]
COPIES = ROOT / "var" / "guards"
# Longest that one test may take, in seconds.
LIMIT = 300
# pytest's exit codes.
PASSED, FAILED = 0, 1


def copy_of_the_tree(place: Path) -> None:
    """What git knows or would add: no environment, no data."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)


class Copy:
    """The tree in a folder of its own, and the tests' database on the servers that `make guards` has started. That is
    made once, as it takes longer than most of these tests; anew after what may have left it otherwise."""

    def __init__(self, place: Path) -> None:
        self.place, self.new_database = place, True
        copy_of_the_tree(place)

    def passes(self, test: str) -> bool | None:
        """None: it says neither."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0", "--reuse-db", test]
        command += ["--create-db"] if self.new_database else []
        try:
            done = subprocess.run(command, cwd=self.place, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            print(f"  not within {LIMIT} s: {test}")
            self.new_database = True
            return None
        said = {PASSED: True, FAILED: False}.get(done.returncode)
        if said is None:
            print(done.stdout[-2000:], done.stderr[-2000:])
        self.new_database = said is None
        return said

    def notices(self, guard: Guard) -> bool:
        """Whether the guard's test fails without it."""
        file = self.place / guard.file
        text = file.read_text()
        if text.count(guard.on) != 1:
            print(f"  {guard.file} has {text.count(guard.on)} times what the guard is said to be")
            return False
        file.write_text(text.replace(guard.on, guard.off))
        schema = "migrations" in file.parts
        self.new_database |= schema
        try:
            return self.passes(guard.test) is False
        finally:
            file.write_text(text)
            self.new_database |= schema


def main(words: list[str]) -> int:
    chosen = [guard for guard in ALL if not words or any(word in guard.promise + guard.file for word in words)]
    COPIES.mkdir(parents=True, exist_ok=True)
    passing: dict[str, bool] = {}
    missed = 0
    # A copy of its own: of several runs side by side none takes the tree from beneath another.
    with tempfile.TemporaryDirectory(dir=COPIES) as folder:
        copy = Copy(Path(folder))
        for guard in chosen:
            began = time.monotonic()
            if guard.test not in passing:
                passing[guard.test] = copy.passes(guard.test) is True
            word = "FAILS" if not passing[guard.test] else "noticed" if copy.notices(guard) else "MISSED"
            print(f"{word:7}  {time.monotonic() - began:5.1f} s  {guard.promise}", flush=True)
            missed += word != "noticed"
    print(f"{len(chosen) - missed} of {len(chosen)} guards are noticed when they are off")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make guards`: each guard off in a copy of the tree, and its test must fail there (and pass in the tree as it is).

`python -m tests.guards [word …]` takes only the guards whose promise or file has one of the words.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.guards import attackers, boards, dialing, link, operators
from tests.guards.guard import Guard

ROOT = Path(__file__).resolve().parents[2]
ALL: list[Guard] = [*dialing.GUARDS, *link.GUARDS, *boards.GUARDS, *attackers.GUARDS, *operators.GUARDS]
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


def tested(place: Path, test: str) -> subprocess.CompletedProcess[str]:
    """The test on the servers that `make guards` has started."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0", test]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=LIMIT)


def turned_off(guard: Guard, place: Path) -> bool:
    """Whether its test has noticed."""
    file = place / guard.file
    text = file.read_text()
    if text.count(guard.on) != 1:
        print(f"  {guard.file} has {text.count(guard.on)} times what the guard is said to be")
        return False
    file.write_text(text.replace(guard.on, guard.off))
    try:
        off = tested(place, guard.test)
    finally:
        file.write_text(text)
    if off.returncode != FAILED:
        print(off.stdout[-2000:], off.stderr[-2000:])
    return off.returncode == FAILED


def main(words: list[str]) -> int:
    chosen = [guard for guard in ALL if not words or any(word in guard.promise + guard.file for word in words)]
    place = ROOT / "var" / "guards"
    shutil.rmtree(place, ignore_errors=True)
    copy_of_the_tree(place)
    missed, passing = [], set()
    for guard in chosen:
        began = time.monotonic()
        if guard.test not in passing and tested(place, guard.test).returncode == PASSED:
            passing.add(guard.test)
        noticed = guard.test in passing and turned_off(guard, place)
        print(f"{'noticed' if noticed else 'MISSED '}  {time.monotonic() - began:5.1f} s  {guard.promise}", flush=True)
        if not noticed:
            missed.append(guard)
    shutil.rmtree(place, ignore_errors=True)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} guards are noticed when they are off")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

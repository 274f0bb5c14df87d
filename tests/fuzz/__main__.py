"""`make fuzz`: generated input of full size against what reads it. `python -m tests.fuzz [--seed N] [name …]`.

Each module of this package offers `SIZE` (the full size) and `run(seed, size)`, which returns what it did in
words and raises AssertionError for a fault. A seed that finds one becomes a test of its own.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"all when none is given: {', '.join(NAMES)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=0, help="in place of each one's full size")
    wanted = parser.parse_args()
    if unknown := sorted(set(wanted.names) - set(NAMES)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    failed = 0
    for name in wanted.names or NAMES:
        module = importlib.import_module(f"tests.fuzz.{name}")
        began = time.monotonic()
        try:
            said = module.run(wanted.seed, wanted.size or module.SIZE)
        except AssertionError as error:
            failed += 1
            said = f"FAILED with seed {wanted.seed}: {error}"
        print(f"{name}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.bench.speed [STAGE ...]` beside servers of its own (`make bench`). Exit 1 when a row falls short."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from tests import emptying
from tests.bench import product
from tests.bench.speed import rows

# `scale` has no floors, and is run when it is named.
STAGES = ("socket", "ingest", "fanout", "path", "place", "boards")
RESULTS = Path("var/bench.json")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", help="all that have floors when none is named")
    stages = parser.parse_args().stages or STAGES
    found: list[rows.Row] = []
    with product.floor():
        emptying.remember()
        for stage in stages:
            print(f"{stage} ...", file=sys.stderr, flush=True)
            measured = importlib.import_module(f"tests.bench.speed.{stage}_rows").measure()
            found += measured
            rows.write(measured, RESULTS)
            emptying.restore()
    print(rows.table(found))
    return int(not all(row.met for row in found))


if __name__ == "__main__":
    sys.exit(main())

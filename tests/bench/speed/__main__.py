"""`python -m tests.bench.speed [STAGE ...]` beside servers of its own (`make bench`). Exit 1 when a row falls short."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from tests.bench import product
from tests.bench.speed import rows

STAGES = ("socket", "ingest", "fanout")
RESULTS = Path("var/bench.json")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", help="all of them when none is named")
    stages = parser.parse_args().stages or STAGES
    found: list[rows.Row] = []
    with product.floor():
        for stage in stages:
            print(f"{stage} ...", file=sys.stderr, flush=True)
            measured = importlib.import_module(f"tests.bench.speed.{stage}_rows").measure()
            found += measured
            rows.write(measured, RESULTS)
    print(rows.table(found))
    return int(not all(row.met for row in found))


if __name__ == "__main__":
    sys.exit(main())

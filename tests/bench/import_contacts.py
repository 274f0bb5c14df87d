"""An import of a long list beside a bare COPY of the same file: `python -m tests.bench.import_contacts [ROWS ...]`.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m ...`), in a database that
is made for it and dropped. The bare COPY checks nothing, finds no time zone, no duplicate, and names no reason; it goes
into a table with the contacts' columns, indexes, constraints and foreign key, and, to show what those cost, into one
without any, which nothing that keeps a list in order can come near. Exit 1 when the import of the longest file has less
than half the rows per second of the bare COPY, or when its memory grows with the file.
"""

import random
import resource
import sys
import time
from pathlib import Path

from tests.bench import product

LEAST = 0.5
# Megabytes that the longest file may take beyond the shortest: buffers, not rows.
GROWTH = 32
_AREAS = (201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231)
_HEADER = "phone,name,city,plan,note\n"
_BARE = {
    "no index, no constraint": "CREATE TABLE bare (number text, name text, city text, plan text, note text)",
    "as contacts": """
        CREATE TABLE bare (LIKE dialer_contact INCLUDING ALL, city text, plan text, note text);
        ALTER TABLE bare ADD FOREIGN KEY (target_list_id) REFERENCES dialer_targetlist_of_bench DEFERRABLE INITIALLY
            DEFERRED, ALTER target_list_id SET DEFAULT {list}, ALTER custom_fields SET DEFAULT '{{}}',
            ALTER time_zone SET DEFAULT '', ALTER priority SET DEFAULT 0, ALTER status SET DEFAULT 'ready',
            ALTER attempts SET DEFAULT 0, ALTER next_attempt_at SET DEFAULT now(), ALTER last_outcome SET DEFAULT '',
            ALTER created_at SET DEFAULT now(), ALTER updated_at SET DEFAULT now()
    """,
}


def main(sizes: list[int]) -> int:
    with product.database() as folder:
        return _compare(sizes, folder / "contacts.csv")


def _compare(sizes: list[int], path: Path) -> int:
    ratio, peaks = 0.0, []
    for size in sizes:
        _write(path, size)
        print(f"{size:,} rows, {path.stat().st_size / 1e6:.0f} MB")
        bare = {label: _bare(path, label) for label in _BARE}
        seconds, peak = _ours(path, size)
        # Once before and once after: other work on the machine then weighs on both.
        bare = {label: (before + _bare(path, label)) / 2 for label, before in bare.items()}
        rates = {label: size / took for label, took in bare.items()}
        for label, rate in rates.items():
            print(f"  bare COPY, {label:24} {rate:>10,.0f} rows/s")
        peaks.append(peak)
        ratio = size / seconds / rates["as contacts"]
        print(f"  import                              {size / seconds:>10,.0f} rows/s   peak memory {peak:.0f} MB")
        print(f"  of the bare COPY as contacts: {ratio:.2f} (at least {LEAST})")
    grown = peaks[-1] - peaks[0]
    print(f"memory grown from the first to the last file: {grown:.0f} MB (at most {GROWTH})")
    return int(ratio < LEAST or grown > GROWTH)


def _write(path: Path, size: int) -> None:
    rng = random.Random(size)
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEADER)
        for n in range(size):
            # 7,919 has no factor in common with the 7,999,999 lines: no number comes twice.
            line = 2_000_000 + n * 7_919 % 7_999_999
            plan = rng.choice(("Gold", "Silver", "Trial"))
            file.write(f"+1{rng.choice(_AREAS)}{line},Given{n % 997} Family{n % 1009},City {n % 101},{plan},note {n}\n")


def _bare(path: Path, label: str) -> float:
    """Seconds."""
    from django.db import connection, transaction

    from dialer.models import DialerTargetList

    pk = DialerTargetList.objects.get_or_create(name="bare")[0].pk
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        table = DialerTargetList._meta.db_table
        cursor.execute(_BARE[label].format(list=pk).replace("dialer_targetlist_of_bench", table))
        started = time.perf_counter()
        with transaction.atomic(), path.open("rb") as file:
            cursor.copy_expert("COPY bare (number, name, city, plan, note) FROM STDIN (FORMAT csv, HEADER)", file)
        seconds = time.perf_counter() - started
        cursor.execute("DROP TABLE bare; CHECKPOINT")
    return seconds


def _ours(path: Path, size: int) -> tuple[float, float]:
    """Seconds, and the peak of this process's memory so far in MB."""
    from django.db import connection

    from dialer.models import Contact
    from dialer.target_import import import_contacts

    started = time.perf_counter()
    with path.open("rb") as file:
        report = import_contacts(file, f"{size} rows", source=path.name, create=True)
    seconds = time.perf_counter() - started
    assert report.imported == size, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {Contact._meta.db_table} CASCADE; CHECKPOINT")
    return seconds, peak


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [100_000, 1_000_000]))

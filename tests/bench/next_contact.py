"""Next contacts from lists of growing length, side by side: `python -m tests.bench.next_contact [ROWS ...]`.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m ...`),
in a database that is made for it and dropped. Ten million rows take some 3 GB and some minutes to make.
A time is the shortest of many: what the query costs, without the work of others on the machine. Beside it stand the
pages PostgreSQL looks at, which no such work changes. Exit 1 when the longest costs over 1.5 times the shortest.
"""

import datetime as dt
import shutil
import sys
import tempfile
import time

from tests.bench import product

RUNS = 1_000
WANTED = 30
LIMIT = 1.5
# A list of which nothing is due is the worst case of an ordered search: all of it waits for tomorrow.
CASES = {"due": dt.timedelta(hours=1), "nothing due": dt.timedelta(hours=-1)}
_BYTES_PER_ROW = 400


def main(sizes: list[int]) -> int:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if max(sizes) * _BYTES_PER_ROW > free:
        print(f"{max(sizes):,} rows need {max(sizes) * _BYTES_PER_ROW / 1e9:.0f} GB; {free / 1e9:.0f} GB are free")
        return 2
    with product.database():
        return _compare(sizes)


def _compare(sizes: list[int]) -> int:
    took = [_measure(size) for size in sizes]
    worst = 0.0
    for case in CASES:
        for size, seconds in zip(sizes, took, strict=True):
            print(
                f"{case:12} {size:>12,} rows  {seconds[case][0] * 1000:7.3f} ms  {seconds[case][1]:3} pages", flush=True
            )
        worst = max(worst, took[-1][case][0] / took[0][case][0])
    print(f"longest against shortest: {worst:.2f} times (at most {LIMIT})")
    return int(worst > LIMIT)


def _measure(size: int) -> dict[str, tuple[float, int]]:
    """By case: seconds, and pages looked at."""
    from django.db import connection, transaction
    from django.utils import timezone

    from dialer.models import Contact, DialerTargetList
    from dialer.services import choosing

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL maintenance_work_mem = '512MB'")
        # Neither the foreign key nor the indexes are looked at row by row: they are built when the rows are there.
        cursor.execute("SET LOCAL session_replication_role = replica")
        table = Contact._meta.db_table
        constraint = "contact_once_per_list"
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
        indexes = [(name, made) for name, made in cursor.fetchall() if " UNIQUE " not in made]
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        pk = DialerTargetList.objects.create(name=f"{size} rows").pk
        now = timezone.now()
        cursor.execute(
            f"INSERT INTO {table} (target_list_id, number, name, time_zone, custom_fields, priority, status, attempts,"
            " next_attempt_at, last_outcome, created_at, updated_at)"
            " SELECT %s, '+1' || (2000000000 + n), '', '', '{}', n %% 3, 'ready', 0, %s, '', now(), now()"
            " FROM generate_series(1, %s) AS n",
            [pk, now, size],
        )
        for _, made in indexes:
            cursor.execute(made)
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} UNIQUE (target_list_id, number)")
        cursor.execute(f"ANALYZE {table}")
        found = {}
        for case, after in CASES.items():
            times = []
            for _ in range(RUNS):
                begun = time.perf_counter()
                keys = choosing.due_keys(pk, now + after, WANTED)
                times.append(time.perf_counter() - begun)
            assert len(keys) == (WANTED if case == "due" else 0)
            cursor.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {choosing._DUE}",
                {"list": pk, "now": now + after, "limit": WANTED},
            )
            plan = cursor.fetchone()[0][0]["Plan"]
            found[case] = min(times), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        transaction.set_rollback(True)
    return found


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [10_000, 1_000_000, 10_000_000]))

"""Next contacts from lists of growing length, side by side: `python -m tests.bench.next_contact [ROWS ...]`.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m ...`),
in a database that is made for it and dropped. Exit 1 when the longest list costs over 1.5 times the shortest.
"""

import os
import statistics
import sys
import time

import django

RUNS = 300
WANTED = 30
LIMIT = 1.5
# Lists of which nothing is due are the worst case of an ordered search: all of it waits for tomorrow.
CASES = {"due": "-1 hour", "nothing due": "9 hours"}


def main(sizes: list[int]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    django.setup()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        return _compare(sizes)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _compare(sizes: list[int]) -> int:
    worst = 0.0
    for case, due in CASES.items():
        took = [_measure(size, due) for size in sizes]
        worst = max(worst, took[-1] / took[0])
        for size, seconds in zip(sizes, took, strict=True):
            print(f"{case:12} {size:>12,} rows  {seconds * 1000:7.3f} ms")
    print(f"longest against shortest: {worst:.2f} times (at most {LIMIT})")
    return int(worst > LIMIT)


def _measure(size: int, due: str) -> float:
    from django.db import connection, transaction
    from django.utils import timezone

    from dialer.models import DialerTargetList
    from dialer.services import choosing

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        pk = DialerTargetList.objects.create(name=f"{size} rows, {due}").pk
        cursor.execute(
            "INSERT INTO dialer_contact (target_list_id, number, name, time_zone, custom_fields, priority, status,"
            " attempts, next_attempt_at, last_outcome, created_at, updated_at)"
            " SELECT %s, '+1' || (2000000000 + n), '', '', '{}', n %% 3, 'ready', 0, now() + %s::interval, '', now(),"
            " now() FROM generate_series(1, %s) AS n",
            [pk, due, size],
        )
        cursor.execute("ANALYZE dialer_contact")
        times = []
        for _ in range(RUNS):
            now, begun = timezone.now(), time.perf_counter()
            choosing.due_keys(pk, now, WANTED)
            times.append(time.perf_counter() - begun)
        transaction.set_rollback(True)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [10_000, 1_000_000]))

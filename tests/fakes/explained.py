"""What a page reads of the large tables, by PostgreSQL's own account."""

import json
import re
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dialer import models as d
from events import models as e

LARGE = [
    d.AgentLeg, d.AgentState, d.AppliedCommand, d.CallLog, d.Contact, d.Order, d.PacingDecision,
    e.CallStateEvent, e.EventBatch, e.EventProcessingStatus, e.FreeSwitchEvent,
]  # fmt: skip
TABLES = {model._meta.db_table for model in LARGE}


def rows_read(plan: dict[str, Any]) -> int:
    """Rows of large tables that the plan's scans have visited, kept or not."""
    own = 0
    if plan.get("Relation Name") in TABLES:
        visited = (
            plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        )
        own = visited * plan["Actual Loops"]
    return int(own) + sum(rows_read(part) for part in plan.get("Plans", []))


def explained(client: Client, address: str, asked: dict[str, Any]) -> list[tuple[int, str]]:
    """(rows read of large tables, query) of every query that a page makes."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(address, asked)
    assert response.status_code == 200
    found = []
    for query in [q["sql"] for q in captured.captured_queries]:
        if re.match(r"SELECT (?!set_config)", query) and any(table in query for table in TABLES):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query.replace("%", "%%"), [])
                plan = cursor.fetchone()[0]
            found.append((rows_read((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]), query))
    assert found, "the page did not look at the table at all"
    return found

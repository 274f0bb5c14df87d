"""docs/kept.md names every table and every key with its bound: one that is new and has none fails here."""

import re
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.fakes.kept import rows, unexpected

BOUNDS = {"retention", "trim_audit", "itself", "for ever", "reference"}
KEY_BOUNDS = {"trimmed", "expires", "itself", "one", "one a node", "Celery's"}
ROOMS = ("events", "dialer", "console", "esl_bridge", "orchestrator")


def test_every_table_has_one_row_and_every_row_a_table():
    named = Counter(name for names, _ in rows("PostgreSQL") for name in names)
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} | {"django_migrations"}
    assert named.keys() == tables
    assert [name for name, times in named.items() if times > 1] == []


def test_every_bound_is_one_that_there_is():
    assert {bound for _, bound in rows("PostgreSQL")} == BOUNDS
    for title in ("Redis: queues", "Redis: cache"):
        assert {bound for _, bound in rows(title)} <= KEY_BOUNDS


@pytest.mark.django_db
def test_the_command_looks_at_every_table_that_it_is_said_to_bound():
    with CaptureQueriesContext(
        connection,
    ) as queries:
        call_command("retention", dry_run=True, stdout=StringIO())
    asked = " ".join(query["sql"] for query in queries.captured_queries)
    of = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    for table in (name for names, bound in rows("PostgreSQL") if bound == "retention" for name in names):
        # What hangs on a row goes with it.
        parents = {field.related_model._meta.db_table for field in of[table]._meta.fields if field.is_relation}
        assert any(re.search(rf"\b{name}\b", asked) for name in {table, *parents}), table


def test_every_key_that_the_code_names_is_on_the_page():
    named = set()
    for room in ROOMS:
        for path in (Path(settings.BASE_DIR) / room).rglob("*.py"):
            if "simulator" not in path.parts:
                text = path.read_text()
                named |= set(re.findall(r'^[A-Z_]+(?:: \w+)? = "([a-z_]+:(?!:)[a-z_:]*)"', text, re.MULTILINE))
                made = re.findall(r'(?:key|KEY\w*|return|get\(|set\() ?=? ?f"([a-z_]+):\{', text)
                named |= {f"{name}:x" for name in made}
    assert len(named) > 20, "the search itself"
    # A channel of publish and subscribe keeps nothing; a component's name is no key by itself.
    named -= {"floor:results", "bridge:x"}
    assert unexpected((name + "x" * name.endswith(":")).encode() for name in named) == []

"""A worker's connection to PostgreSQL outlives its tasks: a new one for each cost more than most of them."""

from types import SimpleNamespace

import pytest
from celery import signals
from celery.fixups.django import DjangoWorkerFixup
from django.db import connection

from orchestrator.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


class TASK:
    request = SimpleNamespace(is_eager=False)


@pytest.fixture
def worker():
    """What Celery does around each task of a worker, without the worker."""
    fixup = DjangoWorkerFixup(app)

    def work():
        fixup.on_task_prerun(TASK)
        signals.task_prerun.send(sender=TASK, task_id="1", task=TASK, kwargs={})
        found = backend()
        signals.task_postrun.send(sender=TASK, task_id="1", task=TASK)
        fixup.on_task_postrun(TASK)
        return found

    return work


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_tasks_share_a_connection(worker):
    assert len({worker() for _ in range(5)}) == 1


def test_a_connection_that_was_lost_between_two_tasks_costs_neither(worker):
    lost = worker()
    with connection.get_new_connection(connection.get_connection_params()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [lost])
    other.close()
    assert worker() != lost


def test_a_connection_that_a_task_has_broken_is_not_the_next_ones(worker):
    broken = worker()
    with pytest.raises(Exception, match="terminat|closed"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert worker() != broken

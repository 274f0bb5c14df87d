"""A process that has threads must not fork: a lock that one of them holds stays locked in the child for ever."""

import threading
from types import SimpleNamespace

import pytest

from dialer import lease, worker


def instance(*queues: str) -> SimpleNamespace:
    return SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues))))


@pytest.fixture
def begun(monkeypatch) -> list[str]:
    """The names of the threads that are begun, none of which runs."""
    names: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", lambda self: names.append(self.name))
    return names


def test_a_default_worker_has_no_thread_before_its_pool_has_forked(begun, monkeypatch):
    monkeypatch.setattr(lease, "current", lambda: None)
    worker.prepare(sender="default@here", instance=instance("default"))
    assert begun == []
    worker.ready(sender=None)
    assert begun == ["heartbeat"]


@pytest.mark.parametrize(("queue", "pool"), [(worker.QUEUE, "solo"), ("default", "prefork")])
def test_the_sequential_worker_alone_has_no_pool_to_fork(queue, pool):
    starting = instance(queue)
    starting.pool_cls = "prefork"
    worker.in_one_process(sender=starting)
    assert starting.pool_cls == pool


def test_the_sequential_one_begins_its_threads_when_it_is_ready(begun, monkeypatch):
    held = lease.Held("here", 1)
    monkeypatch.setattr(lease, "current", lambda: held)
    monkeypatch.setattr(lease, "adopt", lambda held: None)
    monkeypatch.setattr(worker.sys, "setswitchinterval", lambda seconds: None)
    monkeypatch.setattr(worker, "lead", lambda: held)
    monkeypatch.setattr(worker.announce, "defer", lambda: None)
    monkeypatch.setattr(worker.signals_of_db.connection_created, "connect", lambda *_: None)
    worker.prepare(sender="dialer@here", instance=instance(worker.QUEUE))
    assert begun == []
    worker.ready(sender=None)
    assert begun == ["lease", "announcer"]

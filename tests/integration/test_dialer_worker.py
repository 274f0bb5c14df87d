"""The sequential worker as a real Celery process: one acts, one stands by, and a killed one loses nothing."""

import datetime as dt
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
import redis
from celery import current_app
from celery.worker import state as celery_state
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from dialer import at_hand, lease, worker
from dialer.models import AppliedCommand, QueuedCommand, WorkerLease
from dialer.services import wake
from events import neighbours, streams
from tests.conftest import PATIENCE, wait_until
from tests.fakes.dialling import ask
from tests.fakes.floor import make_agents
from tests.fakes.processes import Processes, free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty"), pytest.mark.stack]


def applied(command_id: str) -> bool:
    return AppliedCommand.objects.filter(command_id=command_id, status="applied").exists()


def holder() -> str:
    lease = WorkerLease.objects.filter(name="dialer").first()
    return lease.holder if lease else ""


def test_commands_reach_the_worker_and_its_heartbeat_shows(tmp_path):
    [agent] = make_agents(1)
    with Processes(tmp_path) as run:
        command = ask(agent, "break", "lunch")
        run.worker("dialer_queue")
        wait_until(lambda: applied(command), "the command applied", seconds=60)
        wait_until(lambda: streams.shared().get(f"{streams.HEARTBEAT_PREFIX}dialer"), "a heartbeat", seconds=60)
        assert psutil.Process(run.running["dialer_queue"].pid).children() == [], "nothing of it can die alone"
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "lunch")


def test_a_second_worker_stands_by_and_takes_over_without_losing_a_command(tmp_path):
    [agent] = make_agents(1)
    with Processes(tmp_path) as run:
        run.worker("dialer_queue", name="first")
        first = wait_until(holder, "the first holds the lease", seconds=60)
        run.worker("dialer_queue", name="second")
        wait_until(lambda: "standing by" in run.log("second"), "the second stands by", seconds=60)
        run.kill("first")
        commands = [
            ask(agent, state, reason) for state, reason in (("break", "lunch"), ("offline", ""), ("break", "tea"))
        ]
        wait_until(lambda: all(map(applied, commands)), "all commands applied by the second", seconds=60)
        assert holder() != first
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "tea")


def test_a_dead_neighbours_lease_need_not_run_out_and_a_living_or_distant_ones_must():
    child = subprocess.Popen(["sleep", "60"])
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    host, namespace, _, _ = neighbours.identity().split("/")
    neighbour = f"{host}/{namespace}/{child.pid}/{started}"
    assert lease.acquire(neighbour) is not None
    assert not neighbours.is_dead(neighbour) and lease.acquire("me", dead="") is None
    child.kill()
    child.wait()
    assert neighbours.is_dead(neighbour)
    assert not neighbours.is_dead(neighbour.replace(host, "elsewhere", 1)) and not neighbours.is_dead("anything")
    assert lease.acquire("me", dead=neighbour) is not None


def test_what_a_killed_worker_had_taken_is_done_by_the_next_at_once(tmp_path, redis_empty):
    """Celery alone would give it back after the visibility timeout, minutes later. The inbox, which carries out what
    the queue has lost, comes seconds later, and knows of commands only: here of none."""
    [agent] = make_agents(1)
    command = ask(agent, "break", "lunch")
    QueuedCommand.objects.all().delete()
    # As a worker leaves it when it dies between taking a task and acknowledging it.
    with current_app.connection_for_read() as broker:
        channel = broker.channel()
        assert channel.basic_get("dialer_queue") is not None
        assert redis_empty.hlen("unacked") == 1 and redis_empty.llen("dialer_queue") == 0
        channel.qos._delivered.clear()  # a killed process restores nothing
        with Processes(tmp_path) as run:
            run.worker("dialer_queue")
            wait_until(lambda: applied(command), "the command applied", seconds=60)


@pytest.mark.parametrize("fails", ["refuse_restored", "restore_unacknowledged"])
def test_a_worker_that_cannot_ask_redis_gives_the_lease_back_until_it_can(monkeypatch, redis_empty, fails):
    """Whether the database was restored, and what a dead worker had taken: it begins with neither unknown."""
    holds, real = [], getattr(worker, fails)

    def look():
        holds.append(WorkerLease.objects.get().expires_at is not None)

    def once_away(*given):
        look()
        if len(holds) == 1:
            raise redis.ConnectionError
        return real(*given)

    monkeypatch.setattr(worker, fails, once_away)
    monkeypatch.setattr(worker, "wait_for_redis", look)
    held = worker.lead()
    assert holds == [True, False, True] and lease.renew(held)


@pytest.mark.parametrize("queue", ["dialer_queue", "default"])
def test_a_worker_waits_for_a_redis_that_is_away_and_says_so(tmp_path, queue):
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with Processes(tmp_path, REDIS_URL=nowhere, CELERY_BROKER_URL=nowhere) as run:
        process = run.worker(queue)
        wait_until(lambda: "Redis is away; standing by" in run.log(queue), "it says why it waits", seconds=60)
        assert process.poll() is None


@pytest.mark.parametrize("queue", ["dialer_queue", "default"])
def test_a_worker_stands_by_while_redis_takes_no_writes(tmp_path, redis_empty, queue):
    """Celery would end, and be started again, and end."""
    redis_empty.config_set("min-replicas-to-write", 1)
    try:
        with Processes(tmp_path) as run:
            process = run.worker(queue)
            wait_until(lambda: "Redis takes no writes" in run.log(queue), "it says why it waits", seconds=60)
            assert process.poll() is None
            redis_empty.config_set("min-replicas-to-write", 0)
            component = "dialer" if queue == "dialer_queue" else queue
            wait_until(lambda: redis_empty.exists(f"heartbeat:{component}"), "at work", seconds=60)
            assert process.poll() is None
    finally:
        redis_empty.config_set("min-replicas-to-write", 0)


def test_a_task_that_never_ends_ends_its_worker_and_does_not_come_again(monkeypatch, redis_empty):
    [agent] = make_agents(1)
    ask(agent, "break", "lunch")
    ended = threading.Event()
    monkeypatch.setattr(worker.settings, "CELERY_TASK_TIME_LIMIT", -1)
    monkeypatch.setattr(worker.os, "kill", lambda pid, sent: ended.set() if sent == signal.SIGKILL else None)
    monkeypatch.setattr(worker, "_stop", ended)
    monkeypatch.setattr(worker.wake, "tick", lambda: None)
    monkeypatch.setattr(worker.lease, "current", lambda: lease.Held("here", 1))
    with current_app.connection_for_read() as broker:
        channel = broker.channel()
        taken = channel.basic_get("dialer_queue")
        assert redis_empty.hlen("unacked") == 1
        with at_hand.doing("handle_agent_state", taken.delivery_tag):
            worker._keep()
        assert ended.is_set() and redis_empty.hlen("unacked") == 0 and redis_empty.zcard("unacked_index") == 0
        channel.qos._delivered.clear()


@pytest.mark.parametrize("work", ["none is taken", "one is at hand", "others are taken", "none waits", "Redis is away"])
def test_a_worker_that_takes_no_task_although_some_wait_ends(monkeypatch, redis_empty, work):
    """Celery goes deaf when an acknowledgement did not reach Redis."""
    sent, looks = [], iter(range(1_000))
    ended = threading.Event()
    monkeypatch.setattr(worker.os, "kill", lambda pid, what: (sent.append(what), ended.set()))
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(worker, "_stop", ended)
    monkeypatch.setattr(worker.deaf, "DEAF_SECONDS", 0.1)
    at_hand = {object()} if work == "one is at hand" else set()
    monkeypatch.setattr(celery_state, "reserved_requests", at_hand)
    if work != "none waits":
        redis_empty.lpush("default", "a task")

    class Counted(list):
        def __getitem__(self, _):
            if (look := next(looks)) == 100:
                ended.set()
            return look if work == "others are taken" else 0

    monkeypatch.setattr(celery_state, "all_total_count", Counted())
    if work == "Redis is away":
        monkeypatch.setattr(
            worker.streams, "connect", lambda: redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0))
        )
    worker._beat_default()
    assert sent == ([signal.SIGTERM] if work == "none is taken" else [])


def test_a_task_that_meets_another_workers_lease_goes_back_to_the_queue(tmp_path):
    [agent] = make_agents(1)
    with Processes(tmp_path) as run:
        run.worker("dialer_queue", name="first")
        wait_until(holder, "the first holds the lease", seconds=60)
        queue = streams.shared()
        wait_until(lambda: queue.set(wake.PENDING_KEY, 1, nx=True), "no tick on the queue, and none to come")
        wait_until(lambda: not queue.llen("dialer_queue") and not queue.hlen("unacked"), "nothing in hand")
        with transaction.atomic():
            # The task begins, and waits for this row, before the lease has passed on; it fails after.
            taken = WorkerLease.objects.filter(name="dialer")
            taken.update(holder="another", token=F("token") + 1, expires_at=timezone.now() + dt.timedelta(hours=1))
            command = ask(agent, "break", "lunch")
            QueuedCommand.objects.all().delete()
            # Not all of the queue: a tick may be in hand, and comes back to it for as long as the row is ours.
            wait_until(
                lambda: not any(b"handle_agent_state" in raw for raw in queue.lrange("dialer_queue", 0, -1)),
                "the task taken",
            )
        wait_until(lambda: "given back to the queue" in run.log("first"), "the task given back")
        assert not applied(command)
        taken.update(expires_at=None)
        run.worker("dialer_queue", name="second")
        wait_until(lambda: applied(command), "the command applied by the next", seconds=60)


def test_a_transaction_in_which_a_worker_was_frozen_is_ended_so_that_another_can_take_the_lease(monkeypatch):
    assert lease.acquire("worker") is not None
    monkeypatch.setattr(worker, "LEASE_SECONDS", 1)
    frozen = connection.copy()
    try:
        worker._end_forgotten_transactions(frozen)
        with frozen.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT token FROM dialer_workerlease WHERE name = 'dialer' FOR SHARE")
        WorkerLease.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{int(PATIENCE)}s'")
        assert lease.acquire("another") is not None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
        frozen.close()


def test_a_worker_with_more_than_one_process_on_the_sequential_queue_refuses_to_start(tmp_path):
    with Processes(tmp_path) as run:
        process = run.worker("dialer_queue", concurrency=2)
        assert process.wait(60) != 0
        assert "-c 1" in run.log("dialer_queue")

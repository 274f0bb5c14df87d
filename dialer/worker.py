"""What makes a Celery worker on dialer_queue the sequential worker: it waits for the lease before it reads the queue,
renews it, ticks, and stops when it has lost it (whatever restarts it makes it a stand-by).

Its tasks run in the worker's own process, one after another: a pool's child could die alone, and be forked again beside
the threads that are begun here. Started by the signals below in any worker that is given the queue `dialer_queue`;
other workers only show a heartbeat.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, cast

import redis
from celery import signals
from django import db
from django.conf import settings
from django.db.backends import signals as signals_of_db
from kombu.utils.json import loads

from dialer import announce, at_hand, deaf, lease, queues
from dialer.limits import LEASE_RENEW_SECONDS, LEASE_SECONDS, TICK_SECONDS
from dialer.services import restoring, wake
from events import neighbours, streams

log = logging.getLogger(__name__)
QUEUE = streams.SEQUENTIAL_QUEUE
ROUTING_KEYS = {QUEUE, "dialer.sequential"}
BEAT_SECONDS = 2.0
# Between a stand-by's looks at the lease.
LOOK_SECONDS = 0.5
# Longest without PostgreSQL before a worker stands by.
AWAY_SECONDS = 32.0
# Longest that a worker may take to end when it has been asked to.
END_SECONDS = 30.0
# On a busy floor the tasks' thread waits for PostgreSQL a thousand times a second; each time the announcer could keep
# it waiting for as long as Python lets a thread go on, 5 ms unless told.
SWITCH_SECONDS = 0.0005
_stop = threading.Event()


@signals.worker_init.connect
def in_one_process(sender: Any, **_: Any) -> None:
    """Before the worker has a pool: whichever it was to have, the sequential queue needs none."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        sender.pool_cls = "solo"


@signals.celeryd_after_setup.connect
def prepare(sender: str, instance: Any, **_: Any) -> None:
    """Before the worker reads: a sequential worker waits here until the lease is its own."""
    queues = set(instance.app.amqp.queues.consume_from)
    wait_for_redis()
    if QUEUE not in queues:
        return
    concurrency = getattr(instance, "concurrency", None)
    if concurrency not in (1, None):
        sys.exit(
            f"{QUEUE} must be worked by exactly one process: start the worker with -c 1 (it was given {concurrency})"
        )
    signals_of_db.connection_created.connect(_end_forgotten_transactions)
    lease.adopt(lead())
    announce.defer()


@signals.worker_ready.connect
def ready(sender: Any, **_: Any) -> None:
    """The pool of a `default` worker has forked: only now may there be other threads. A lock that one of them held at
    that moment, of redis-py's or of an import, would stay locked in the child for ever, and the child hang in its first
    task."""
    if lease.current() is None:
        threading.Thread(target=_beat_default, name="heartbeat", daemon=True).start()
        return
    sys.setswitchinterval(SWITCH_SECONDS)
    threading.Thread(target=_keep, name="lease", daemon=True).start()
    announce.Announcer(_stop).start()


@signals.worker_shutting_down.connect
def stopping(**_: Any) -> None:
    _stop.set()


@signals.worker_shutdown.connect
def stopped(**_: Any) -> None:
    held = lease.current()
    if held is not None:
        _release(held)


def _release(held: lease.Held) -> None:
    try:
        lease.release(held)
    except db.Error:
        log.warning("the lease was not released; it runs out in %d s", LEASE_SECONDS)


def _end_forgotten_transactions(connection: Any, **_: Any) -> None:
    """A worker that is frozen within a transaction holds the lease's row with it: PostgreSQL ends that, or nobody could
    take over until it wakes."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'")


def lead() -> lease.Held:
    """The lease, and Redis's word on what a worker must know before it begins."""
    while True:
        held = wait_for_lease()
        try:
            refuse_restored(held)
            restore_unacknowledged()
        except redis.RedisError as error:
            log.warning("Redis is away (%s): the lease is given back", type(error).__name__)
            _release(held)
            wait_for_redis()
        else:
            return held


def wait_for_redis() -> None:
    """Stand by while Redis is away or refuses writes (a full memory, too few replicas): Celery ends on the latter, and
    a worker that is started again would only end again."""
    client, announced = streams.connect(), False
    try:
        while True:
            try:
                client.set(streams.PROBE, 1, ex=streams.HEARTBEAT_SECONDS)
                return
            except redis.RedisError as error:
                if not announced:
                    announced = True
                    away = not isinstance(error, redis.ResponseError)
                    log.error("Redis %s; standing by: %s", "is away" if away else "takes no writes", error)
            if _stop.wait(LOOK_SECONDS):
                sys.exit(0)
    finally:
        client.close()


def wait_for_lease() -> lease.Held:
    """Stand by until no other worker holds the lease."""
    holder, announced = neighbours.identity(), False
    while True:
        try:
            other = lease.holder_of()
            held = lease.acquire(holder, dead=other if neighbours.is_dead(other) else "")
        except db.Error as error:
            held = None
            log.warning("no lease: %s", str(error).splitlines()[0])
            db.connections.close_all()
        if held is not None:
            log.info("sequential worker %s holds the lease, token %d", holder, held.token)
            return held
        if not announced:
            announced = True
            log.info("another sequential worker is at work; standing by")
        if _stop.wait(LOOK_SECONDS):
            sys.exit(0)


def refuse_restored(held: lease.Held) -> None:
    """A database that was restored from a backup does not know whom it has dialled since: nobody dials by it before a
    person has looked. Raises RedisError."""
    if restoring.is_older_than_redis():
        lease.release(held)
        sys.exit(
            "the database is older than what Redis has seen: it was restored from a backup. Nothing is dialled until "
            "`manage.py after_restore` was run (docs/operations.md)"
        )


def restore_unacknowledged() -> int:
    """Give back at once what a killed sequential worker had taken: Celery alone would wait for the visibility timeout.

    Only the lease holder does this, so whatever is unacknowledged of this queue belongs to a dead worker (or to one
    whose transactions the fence refuses). Returned to the end that is read next, as tasks are in order. Raises
    RedisError.
    """
    client, restored = streams.connect(), 0
    try:
        for tag, raw in client.hgetall("unacked").items():
            message, _exchange, routing_key = loads(raw)
            if routing_key not in ROUTING_KEYS:
                continue
            pipe = client.pipeline(transaction=True)
            pipe.hdel("unacked", tag)
            pipe.zrem("unacked_index", tag)
            pipe.rpush(QUEUE, json.dumps(message))
            restored += bool(pipe.execute()[0])
        client.delete(wake.PENDING_KEY)
    finally:
        client.close()
    if restored:
        log.info("%d tasks of a worker that died are back on the queue", restored)
    return restored


def _keep() -> None:
    """Renew, tick, show life. Monotonic: a slow tick delays the next one and never piles up (wake.tick)."""
    held = lease.current()
    assert held is not None
    renewed = beaten = time.monotonic()
    outbox_client, ears = streams.connect(), deaf.Ears()
    while not _stop.is_set():
        begun = time.monotonic()
        try:
            if begun - renewed >= LEASE_RENEW_SECONDS:
                if not lease.renew(held):
                    _lost("the lease has passed to another worker")
                    return
                renewed = time.monotonic()
        except db.Error as error:
            log.warning("lease not renewed: %s", str(error).splitlines()[0])
            db.connections.close_all()
            # Past its end another worker may hold it. The fence refuses us anyway; stopping makes us a stand-by.
            if time.monotonic() - renewed > AWAY_SECONDS:
                _lost("the database has been away for too long")
                return
        if at_hand.seconds() > settings.CELERY_TASK_TIME_LIMIT:
            _give_up(outbox_client)
        if not wake.tick() and not at_hand.seconds():
            wake.again_if_lost(outbox_client)
        if begun - beaten >= BEAT_SECONDS:
            beaten = begun
            waiting = _beat(outbox_client, "dialer", {"holder": held.holder, "token": held.token})
            if _hears_nothing(ears, waiting, QUEUE):
                return
        longest = TICK_SECONDS - (time.monotonic() - begun)
        _stop.wait(max(0.02, wake.seconds_until_due(outbox_client, longest)))


def _lost(why: str) -> None:
    log.error("%s; this worker stops (it would stand by when restarted)", why)
    os.kill(os.getpid(), signal.SIGTERM)


def _hears_nothing(ears: deaf.Ears, waiting: int, queue: str) -> bool:
    """Whether tasks wait and this worker takes none: then it ends, to be started again."""
    if not ears.are_deaf(waiting, time.monotonic()):
        return False
    log.error("%d tasks wait on %s and this worker takes none; it ends, to be started again", waiting, queue)
    # Should it hang, it does not hear this, either.
    at_last = threading.Timer(END_SECONDS, os.kill, (os.getpid(), signal.SIGKILL))
    at_last.daemon = True
    at_last.start()
    os.kill(os.getpid(), signal.SIGTERM)
    return True


def _give_up(client: redis.Redis) -> None:
    """A task has hung for longer than any may last: its process ends, as a pool's child would, and the task does not
    come again."""
    name, tag = at_hand.task()
    log.critical("task %s has not ended within %d s: it is given up, and its worker ends", name, at_hand.seconds())
    try:
        client.hdel("unacked", tag)
        client.zrem("unacked_index", tag)
    except redis.RedisError as error:
        log.error("the next worker meets task %s again: %s", name, type(error).__name__)
    os.kill(os.getpid(), signal.SIGKILL)


def _beat(client: redis.Redis, component: str, more: dict[str, Any]) -> int:
    """Returns how many tasks wait; 0 while Redis is away."""
    queue = QUEUE if component == "dialer" else "default"
    try:
        now, waiting = time.time(), int(cast(int, client.llen(queue)))
        beat = {"at": now, "queue": waiting, "delay_ms": queues.delay_ms(client, queue, now), **more}
        client.set(f"{streams.HEARTBEAT_PREFIX}{component}", json.dumps(beat), ex=streams.HEARTBEAT_SECONDS)
    except redis.RedisError:
        return 0
    return waiting


def _beat_default() -> None:
    client, ears = streams.connect(), deaf.Ears()
    while not _stop.wait(BEAT_SECONDS):
        if _hears_nothing(ears, _beat(client, "default", {}), "default"):
            return

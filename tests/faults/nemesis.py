"""What breaks: seeded, in three lanes side by side (the sequential workers; the other processes; the two servers).

A worker or a bridge is not killed at any moment only: half the time in the moment in which PostgreSQL says that an
order is committed and not yet sent, and the bridge in that in which Redis says that one is read and not settled.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import psycopg2
import redis

from tests.faults.crew import Crew
from tests.faults.history import Fault, History

LANES = {
    "workers": ("worker", "freeze"),
    "parts": ("bridge", "ingest", "floor", "web", "default"),
    "servers": (
        "redis", "postgres", "flush", "redis_frozen", "postgres_frozen", "redis_refuses", "postgres_read_only",
        "network", "power",
    ),
}  # fmt: skip
KINDS = tuple(kind for kinds in LANES.values() for kind in kinds)
# The full suite, over all its seeds.
FULL = {"worker": 50, "freeze": 50, "bridge": 50, "ingest": 20, "floor": 20, "web": 20, "default": 20, "redis": 20,
        "postgres": 20, "flush": 5, "redis_frozen": 5, "postgres_frozen": 5, "redis_refuses": 5,
        "postgres_read_only": 5}  # fmt: skip
ROUND_SECONDS = 60.0
# Longest wait for the wanted moment.
MOMENT_SECONDS = 2.0
# How long a server is frozen, or takes no writes: Redis without its replicas or with a full memory, PostgreSQL as a
# stand-by or with a full disk (where a provider lets it be read only).
IDLE_SECONDS = (1.0, 12.0)
# How long a machine is gone: less and more than what any time-out lasts.
GONE_SECONDS = (2.0, 30.0)
# Longest wait until another worker has taken over: the lease lasts 4 s.
TAKEN_OVER_SECONDS = 40.0
_PENDING = "SELECT 1 FROM dialer_order WHERE status = 'pending' LIMIT 1"


def _nothing(_: float) -> None:
    raise NotImplementedError("the servers have no machine of their own")


@dataclass
class Broken:
    """What the nemesis may break, besides the crew's processes: each breaks a server, and mends it after so many
    seconds. frozen: a context in which a server is, by its name. network, power: of the machine of both servers, where
    they have one (tests/faults/machine.py)."""

    redis: Callable[[float], None]
    postgres: Callable[[float], None]
    frozen: Callable[[str], AbstractContextManager[None]] = nullcontext
    network: Callable[[float], None] = _nothing
    power: Callable[[float], None] = _nothing


@dataclass
class Nemesis:
    crew: Crew
    history: History
    broken: Broken
    environment: Mapping[str, str]
    counts: Mapping[str, int]
    seconds: float
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self, after_round: Callable[[str], object]) -> None:
        """In rounds of about a minute; after each everything is alive, and the last fault has just ended."""
        rounds = max(1, round(self.seconds / ROUND_SECONDS))
        for number in range(rounds):
            if self.ended.is_set():
                return
            until = time.monotonic() + self.seconds / rounds
            lanes = [
                threading.Thread(target=self._lane, args=(name, number, rounds, until), name=name) for name in LANES
            ]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            after_round(f"round {number + 1} of seed {self.history.seed}")

    def _lane(self, name: str, number: int, rounds: int, until: float) -> None:
        """This lane's part of the faults: the seed says which of them come in which round, and when."""
        chance = random.Random(f"{name} {self.history.seed}")
        every = [kind for kind in LANES[name] for _ in range(self.counts.get(kind, 0))]
        chance.shuffle(every)
        due = every[number::rounds]
        chance = random.Random(f"{name} {self.history.seed} {number}")
        while due and not self.ended.is_set():
            # What is left, spread over the time that is left.
            pause = max(0.0, until - time.monotonic()) / len(due)
            began = time.monotonic()
            self.ended.wait(chance.uniform(0, 0.6) * pause)
            self._do(due.pop(), chance)
            if due:
                self.ended.wait(max(0.0, chance.uniform(0.6, 1.0) * pause - (time.monotonic() - began)))

    def _do(self, kind: str, chance: random.Random) -> None:
        fault = Fault(kind, time.time())
        self.history.faults.append(fault)
        match kind:
            case "worker":
                self._kill_worker(fault, chance)
            case "freeze":
                self._freeze_worker(fault, chance)
            case "bridge":
                if chance.random() < 0.5:
                    fault.between_commit_and_send = self._order_in_hand()
                self.crew.kill("bridge", between=chance.choice((0.0, 0.0, 1.0, 4.0)))
            case "redis":
                self.broken.redis(chance.uniform(0.0, 3.0))
            case "postgres":
                self.broken.postgres(chance.uniform(0.0, 3.0))
            case "flush":
                self._redis().flushall()
            case "redis_frozen" | "postgres_frozen":
                with self.broken.frozen(kind.removesuffix("_frozen")):
                    self.ended.wait(chance.uniform(*IDLE_SECONDS))
            case "network":
                self.broken.network(chance.uniform(*GONE_SECONDS))
            case "power":
                self.broken.power(chance.uniform(*GONE_SECONDS))
            case "redis_refuses":
                with self._without_replicas():
                    self.ended.wait(chance.uniform(*IDLE_SECONDS))
            case "postgres_read_only":
                with self._read_only():
                    self.ended.wait(chance.uniform(*IDLE_SECONDS))
            case _:
                self.crew.kill(kind, between=chance.uniform(0.0, 1.5))
        fault.until = time.time()

    # --- workers ------------------------------------------------------------------------------------------------------

    def _kill_worker(self, fault: Fault, chance: random.Random) -> None:
        name, token = self._holder()
        if name is None:
            fault.detail = "nobody held the lease"
            return
        if chance.random() < 0.6 and self._commit_pending(self.crew.run.running[name].pid):
            # Stopped in that moment, and dead before it goes on.
            fault.between_commit_and_send = self._still_pending()
        self.crew.kill(name)
        self._wait_for_successor(token)

    def _freeze_worker(self, fault: Fault, chance: random.Random) -> None:
        """SIGSTOP the holder until the other has taken over; then both run."""
        name, token = self._holder()
        if name is None:
            fault.detail = "nobody held the lease"
            return
        process = self.crew.run.running[name]
        if chance.random() < 0.6 and self._commit_pending(process.pid):
            fault.between_commit_and_send = self._still_pending()
        self.crew.freeze(name)
        try:
            taken = self._wait_for_successor(token)
            fault.detail = "taken over" if taken else "not taken over"
            self.ended.wait(chance.uniform(0.0, 1.5))
        finally:
            self.crew.thaw(process)

    def _holder(self) -> tuple[str | None, int]:
        until = time.monotonic() + TAKEN_OVER_SECONDS
        while time.monotonic() < until and not self.ended.is_set():
            row = self._ask("SELECT holder, token FROM dialer_workerlease WHERE name = 'dialer'")
            if row and row[0].count("/") >= 3:
                name = self.crew.named(int(row[0].split("/")[2]))
                if name is not None:
                    return name, int(row[1])
            self.ended.wait(0.1)
        return None, 0

    def _wait_for_successor(self, token: int) -> bool:
        until = time.monotonic() + TAKEN_OVER_SECONDS
        while time.monotonic() < until and not self.ended.is_set():
            row = self._ask("SELECT token FROM dialer_workerlease WHERE name = 'dialer'")
            if row and int(row[0]) > token:
                return True
            self.ended.wait(0.1)
        return False

    def _commit_pending(self, group: int) -> bool:
        """Stop the worker in the moment in which a committed order is not yet sent; False when none came."""
        until = time.monotonic() + MOMENT_SECONDS
        try:
            with psycopg2.connect(**self._database()) as connection, connection.cursor() as cursor:
                connection.autocommit = True
                while time.monotonic() < until:
                    cursor.execute(_PENDING)
                    if cursor.fetchone():
                        os.killpg(group, signal.SIGSTOP)
                        return True
        except (psycopg2.Error, ProcessLookupError):
            pass
        return False

    def _still_pending(self) -> bool:
        return self._ask(_PENDING) is not None

    def _order_in_hand(self) -> bool:
        """Wait until the bridge has read an order that it has not settled; False when none came."""
        until = time.monotonic() + MOMENT_SECONDS
        try:
            client = self._redis()
            while time.monotonic() < until:
                if client.xpending("esl:orders", "bridge")["pending"]:
                    return True
        except redis.RedisError:
            pass
        return False

    # --- servers that take no writes ----------------------------------------------------------------------------------

    @contextmanager
    def _without_replicas(self) -> Iterator[None]:
        self._redis().config_set("min-replicas-to-write", 1)
        try:
            yield
        finally:
            self._redis().config_set("min-replicas-to-write", 0)

    @contextmanager
    def _read_only(self) -> Iterator[None]:
        self._tell_postgres("ALTER SYSTEM SET default_transaction_read_only = on")
        try:
            yield
        finally:
            self._tell_postgres("ALTER SYSTEM RESET default_transaction_read_only")

    def _tell_postgres(self, command: str) -> None:
        connection = psycopg2.connect(**self._database())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(command)
                cursor.execute("SELECT pg_reload_conf()")
        finally:
            connection.close()

    # --- looking ------------------------------------------------------------------------------------------------------

    def _database(self) -> dict[str, object]:
        env = self.environment
        return {"host": env["DB_HOST"], "port": env["DB_PORT"], "user": env["DB_USER"], "password": env["DB_PASSWORD"],
                "dbname": env["DB_NAME"], "connect_timeout": 3}  # fmt: skip

    def _ask(self, query: str) -> tuple[object, ...] | None:
        try:
            connection = psycopg2.connect(**self._database())
        except psycopg2.Error:
            return None
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchone()
        except psycopg2.Error:
            return None
        finally:
            connection.close()

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.environment["REDIS_URL"], socket_timeout=2)

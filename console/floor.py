"""The floor publisher: the only one who numbers frames. `manage.py run_floor_publisher`.

It reads announced changes from a position noted *before* it reads PostgreSQL, so nothing can fall between the two;
a second thread compares everything with PostgreSQL and the live legs every few seconds, so a lost announcement
mends itself and a slow database never delays a frame. A second publisher stands by on a lease. Whenever this
process cannot be sure that what it wrote was written once and in order (restart, takeover, any failed write), it
begins a new epoch.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import redis
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from console import alerts, protocol, round_trips
from console import health as health_words
from console.alert_watch import LOOK_SECONDS, Watch
from console.projection import Projection
from console.rows import Gone, Health
from dialer import census, floor_rows
from dialer.models import CallStatus
from events import call_state, counters, live, streams, trail
from events.lease import RedisLease

log = logging.getLogger(__name__)

LEASE = "floor"
LEASE_SECONDS = 6.0
# 6-7 frames a second are smooth to the eye, and a board costs by its frames, not by the switch's events.
FRAME_SECONDS = 0.15
# An empty frame at least this often: a silent board is a broken board.
IDLE_FRAME_SECONDS = 1.0
SNAPSHOT_SECONDS = 2.0
RECONCILE_SECONDS = 5.0
SLOW_READING_SECONDS = 8.0
HEALTH_SECONDS = 1.0
BEAT_SECONDS = 2.0
READ_COUNT = 2_000
# While Redis is away.
RETRY_SECONDS = 0.5


@dataclass
class Reading:
    """What PostgreSQL and the live legs said. `as_of`: the projection's count before they were asked."""

    as_of: int
    rows: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


def read_everything(connection: redis.Redis) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """All rows of the floor from their truths. Raises DatabaseError, RedisError."""
    rows = {
        "agent": [(row["id"], row) for row in floor_rows.agent_rows()],
        "campaign": [(row["id"], row) for row in floor_rows.campaign_rows()],
        "call": [(row["id"], row) for row in floor_rows.call_rows()],
        "alert": [(row["id"], row) for row in alerts.rows()],
    }
    with connection.pipeline(transaction=True) as pipe:
        pipe.hgetall(streams.LIVE_LEGS)
        pipe.exists(live.FOLDED)
        found, known = pipe.execute()
    legs: dict[str, dict[str, Any]] = {}
    for key, raw in found.items():
        leg = health_words.read_beat(raw)
        if leg is not None and leg.get("state") != "ended":
            legs[key.decode("utf-8", "replace")] = leg
    return rows | {"leg": [*legs.items(), *_over(connection, rows["call"], legs, known=bool(known))]}


def _over(
    connection: redis.Redis, calls: list[tuple[str, dict[str, Any]]], legs: Mapping[str, Any], *, known: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Legs that have ended while the dialer still holds their calls open: those are over, not waiting for an agent.
    `known`: the live legs are written down, so one that the switch had begun and that is not among them is over too,
    though Redis has forgotten how."""
    missing = {key: row for key, row in calls if key not in legs}
    ended = live.recall(connection, set(missing))
    for key, row in missing.items():
        if key in ended:
            yield key, call_state.to_row(ended[key])
        elif known and row["status"] != CallStatus.INITIATED:
            yield key, {"leg": key, "role": "customer", "state": "ended"}


class Reader(threading.Thread):
    """Reads everything when asked; one reading at a time."""

    def __init__(self) -> None:
        super().__init__(name="floor-reader", daemon=True)
        self.asked: queue.Queue[int | None] = queue.Queue(1)
        self.done: queue.Queue[Reading] = queue.Queue(1)
        self.redis = streams.connect()

    def run(self) -> None:
        while (as_of := self.asked.get()) is not None:
            started, reading = time.monotonic(), Reading(as_of)
            try:
                close_old_connections()
                reading.rows = read_everything(self.redis)
                census.keep_fresh()
            except (DatabaseError, InterfaceError, redis.RedisError) as error:
                # Shown on the board, so without addresses; the log has the rest.
                log.warning("the floor could not be read: %s", error)
                reading.error = f"no answer ({type(error).__name__})"
            except Exception as error:  # a bug in one row's making must be said on the board, not end the readings
                log.exception("the floor could not be read")
                reading.error = type(error).__name__
            reading.seconds = time.monotonic() - started
            self.done.put(reading)
        connection.close()


class Publisher:
    """`run` until `stop` is set. Nothing in it raises for a server that is away."""

    def __init__(
        self, stop: threading.Event, *, clock: Callable[[], float] = time.time, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.stop, self.clock = stop, clock
        self.redis = streams.connect()
        self.lease = RedisLease(self.redis, LEASE, lease_seconds)
        self.projection = Projection()
        self.reader = Reader()
        self.watch = Watch(self.lease.held)
        self.epochs = 0
        self.position = "0-0"
        self.database = Health(ok=False, detail="not read yet")
        self._reading = self._ready = self._preparing = False
        self._asked_at = 0.0
        self._next_lease = self._next_frame = self._next_idle = self._next_snapshot = 0.0
        self._next_reading = self._next_health = self._next_beat = self._next_look = 0.0
        self._snapshot_due = False
        self._late_ms = 0  # how old the newest change is that has been read, while more wait

    def run(self) -> None:
        self.reader.start()
        self.watch.start()
        try:
            while not self.stop.is_set():
                try:
                    if not self._leads():
                        self._ready = self._preparing = False
                        self.stop.wait(self.lease.ttl / 6)
                        continue
                    self._step()
                except redis.RedisError as error:
                    # What was being written may or may not have arrived: only a new epoch is certain to be in order.
                    log.warning("Redis is away (%s); a new epoch follows", type(error).__name__)
                    self._ready = self._preparing = False
                    self.stop.wait(RETRY_SECONDS)
        finally:
            self.lease.release()
            self.reader.asked.put(None)
            self.watch.end()

    # --- steps ---

    def _leads(self) -> bool:
        now = time.monotonic()
        if now >= self._next_lease or not self.lease.held():
            self._next_lease = now + self.lease.ttl / 3
            token = self.lease.token
            held = self.lease.keep()
            if held and self.lease.token != token:
                log.info("this process publishes the floor (token %d)", self.lease.token)
                self._ready, self._preparing, self.epochs = False, False, 0
            return held
        return True

    def _step(self) -> None:
        if not self._ready:
            self._prepare()
            return
        now = time.monotonic()
        until = self._next_frame if self.projection.dirty else self._next_idle
        self._read_changes(max(1, min(int((until - now) * 1000), 150)))
        self._take_reading()
        now = time.monotonic()
        if now >= self._next_health:
            self._next_health = now + HEALTH_SECONDS
            self._look_around()
        if now >= self._next_reading and not self._reading:
            self._ask()
        if (self.projection.dirty and now >= self._next_frame) or now >= self._next_idle:
            self._publish()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self.watch.look(self.projection.floor, self._ms())
        if now >= self._next_beat:
            self._next_beat = now + BEAT_SECONDS
            self._beat()

    def _prepare(self) -> None:
        """Note the position, read everything, then begin an epoch."""
        if not self._preparing and not self._reading:
            newest = self.redis.xrevrange(streams.CHANGES, count=1)
            self.position = newest[0][0].decode() if newest else "0-0"
            self.projection = Projection(self.projection)
            self._preparing = True
            self._ask()
        try:
            reading = self.reader.done.get(timeout=0.2)
        except queue.Empty:
            return
        self._reading = False
        if not self._preparing:
            return  # a reading asked for in an earlier epoch: too old to begin with
        self._preparing = False
        if not self._apply(reading):
            self.stop.wait(RETRY_SECONDS)
            return
        self._look_around()
        self._next_health = time.monotonic() + HEALTH_SECONDS
        self.epochs += 1
        counters.count("epochs")
        floor_epoch = f"{self.lease.token}.{self.epochs}"
        self.projection.start_epoch(floor_epoch, self._ms())
        if not self.lease.held():
            return
        self.redis.set(streams.SNAPSHOT, protocol.encode(self.projection.floor.snapshot()))
        self.watch.forget()
        self._ready, self._next_frame, self._next_idle = True, 0.0, 0.0
        self._next_reading = time.monotonic() + RECONCILE_SECONDS
        self._beat()
        log.info(
            "epoch %s: %d agents, %d calls", floor_epoch, len(self.projection.agents), len(self.projection.records)
        )

    def _ask(self) -> None:
        self._reading, self._asked_at = True, time.monotonic()
        self._next_reading = self._asked_at + RECONCILE_SECONDS
        self.reader.asked.put(self.projection.count)

    def _take_reading(self) -> None:
        try:
            reading = self.reader.done.get_nowait()
        except queue.Empty:
            return
        self._reading = False
        self._apply(reading)

    def _apply(self, reading: Reading) -> bool:
        if reading.error:
            self.database = Health(ok=False, detail=reading.error)
            return False
        self.database = Health(ok=True, detail="answers")
        for kind in ("agent", "campaign", "call", "leg", "alert"):
            for complaint in self.projection.replace(kind, reading.rows[kind], reading.as_of):
                log.error("not on the board: %s", complaint)
        self.projection.forget_touches(reading.as_of)
        return True

    def _read_changes(self, block_ms: int) -> None:
        found = self.redis.xread({streams.CHANGES: self.position}, count=READ_COUNT, block=block_ms)
        self._late_ms = 0
        for _, entries in found or ():
            if len(entries) == READ_COUNT:
                self._late_ms = max(0, self._ms() - int(entries[-1][0].partition(b"-")[0]))
            for entry_id, fields in entries:
                self.position = entry_id.decode()
                try:
                    change = orjson.loads(fields[streams.CHANGES_FIELD.encode()])
                    self.projection.change(str(change["kind"]), str(change["id"]), change["data"])
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    log.error("a change could not be read: %s", str(error)[:200])

    def _look_around(self) -> None:
        now = self.clock()
        said = streams.heartbeats(self.redis, health_words.BEATS, now)
        beats = {name: health_words.read_beat(raw) for name, raw in said.items()}
        beats["floor"] = {"at": now, "lag_ms": self._late_ms}
        beats[health_words.ORDERS] = streams.orders_waiting(self.redis, now)
        unanswered = time.monotonic() - self._asked_at
        if self._reading and unanswered > SLOW_READING_SECONDS:
            self.database = Health(ok=False, detail=f"no answer for {unanswered:.0f} s")
        words = {
            "database": self.database,
            "redis": Health(ok=True, detail="answers"),
            **health_words.assess(beats, now),
        }
        lag = health_words.behind_ms(beats)
        self._look_at_panels(now)
        # A change waits here, too, if only for a frame's time, and the board must not look fresher than it is.
        self.projection.set_health(words, None if lag is None else lag + self._late_ms + int(FRAME_SECONDS * 1000))

    def _look_at_panels(self, now: float) -> None:
        measured, over = round_trips.read(self.redis.hgetall(streams.ROUND_TRIPS), now)
        if over:
            self.redis.hdel(streams.ROUND_TRIPS, *over)
        self.projection.set_round_trips(measured)

    def _publish(self) -> None:
        if not self.lease.held():
            return
        now = time.monotonic()
        frame = self.projection.frame(self._ms())
        self._snapshot_due |= (
            bool(frame.agents or frame.calls or frame.campaigns or frame.alerts or frame.kpis) or frame.gone != EMPTY
        )
        pipe = self.redis.pipeline(transaction=True)
        fields = {"epoch": frame.epoch, "seq": frame.seq, "f": protocol.encode(frame)}
        pipe.xadd(streams.FRAMES, fields, maxlen=streams.FRAMES_LIMIT, approximate=True)
        if self._snapshot_due and now >= self._next_snapshot:
            self._next_snapshot, self._snapshot_due = now + SNAPSHOT_SECONDS, False
            pipe.set(streams.SNAPSHOT, protocol.encode(self.projection.floor.snapshot()))
        pipe.execute()
        counters.count("frames")
        for call_id in frame.gone.calls:
            trail.note("left the board", call_id=call_id)
        self._next_frame, self._next_idle = now + FRAME_SECONDS, now + IDLE_FRAME_SECONDS

    def _beat(self) -> None:
        floor = self.projection.floor
        beat = {"at": self.clock(), "epoch": floor.epoch, "seq": floor.seq}
        self.redis.set(streams.HEARTBEAT_PREFIX + "floor", json.dumps(beat), ex=streams.HEARTBEAT_SECONDS)
        counters.flush(self.redis)

    def _ms(self) -> int:
        return int(self.clock() * 1000)


EMPTY = Gone()

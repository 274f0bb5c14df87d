"""Results of commands, and what the switch says of them later, routed to the socket that waits for them.

The worker publishes each answer once. A publication can be lost, so what stays unanswered is looked up in the
worker's own record (AppliedCommand), and after a while the sender is told that nobody has answered yet: no command
ends in silence.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from console import codes, connections, protocol
from events import streams, trail

if TYPE_CHECKING:
    from console.outbox import Client

log = logging.getLogger(__name__)

LOOK_UP_SECONDS: Final = 3.0
NO_ANSWER_SECONDS: Final = 20.0
FORGET_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 0.5
READ_SECONDS: Final = 1.0
STATUSES: Final = ("applied", "rejected", "failed")
CONFIRMATIONS: Final = ("confirmed", "failed")


@dataclass(eq=False)
class Waiter:
    """A socket that waits for the result of its command `id`. `about`: the command in words."""

    client: Client
    id: str
    command_id: str
    about: str
    since: float = field(default_factory=time.monotonic)
    acked: bool = False
    told: bool = False
    result: protocol.Result | None = None
    confirmed: protocol.Confirmed | None = None


class Answers:
    def __init__(self, url: str) -> None:
        self.url = url
        self._waiting: dict[str, list[Waiter]] = {}
        self._looked_at = 0.0
        self.listening = asyncio.Event()

    def expect(self, client: Client, id_: str, command_id: str, about: str) -> Waiter:
        """Call before the command is enqueued: its result may be quicker than its ack."""
        waiter = Waiter(client, id_, command_id, about)
        self._waiting.setdefault(command_id, []).append(waiter)
        return waiter

    def acked(self, waiter: Waiter, queue_position: int) -> None:
        """The command is on the queue: tell the client, and then the result if it is there already."""
        ack = protocol.Ack(id=waiter.id, command_id=waiter.command_id, queue_position=queue_position)
        waiter.client.post(ack, waiter.about)
        waiter.acked = True
        result, waiter.result = waiter.result, None
        confirmed, waiter.confirmed = waiter.confirmed, None
        if result is not None:
            self._tell_result(waiter, result)
        if confirmed is not None:
            self._tell_confirmed(waiter, confirmed)

    def drop(self, waiter: Waiter) -> None:
        waiters = self._waiting.get(waiter.command_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiting.pop(waiter.command_id, None)

    def forget(self, client: Client) -> None:
        for waiters in list(self._waiting.values()):
            for waiter in [waiter for waiter in waiters if waiter.client is client]:
                self.drop(waiter)

    def deliver(self, answer: dict[str, Any]) -> None:
        """Give a published result to whoever waits for it."""
        command_id, status = str(answer.get("command_id", "")), answer.get("status")
        reason, second = str(answer.get("reason") or "")[:300], answer.get("confirmation") is True
        if status not in (CONFIRMATIONS if second else STATUSES):
            return
        for waiter in list(self._waiting.get(command_id, ())):
            about = {"id": waiter.id, "command_id": command_id, "status": status, "reason": reason}
            if second:
                self._tell_confirmed(waiter, protocol.Confirmed(**about))
            else:
                self._tell_result(waiter, protocol.Result(**about, awaits=bool(answer.get("awaits"))))

    def _tell_result(self, waiter: Waiter, result: protocol.Result) -> None:
        if waiter.result is not None:
            return  # looked up, and published late
        waiter.result = result
        if not waiter.acked:
            return
        trail.note(f"told its sender: {result.status}", command_id=waiter.command_id)
        waiter.client.post(result, waiter.about)
        if not result.awaits:
            self.drop(waiter)

    def _tell_confirmed(self, waiter: Waiter, confirmed: protocol.Confirmed) -> None:
        """After the result, never before it: one whose publication was lost is looked up first."""
        waiter.confirmed = confirmed
        if waiter.acked and waiter.result is not None:
            waiter.client.post(confirmed, waiter.about)
            self.drop(waiter)

    async def run(self) -> None:
        while True:
            try:
                connection = connections.connect(self.url, None)
                async with connection, connection.pubsub() as channel:
                    await asyncio.wait_for(channel.subscribe(streams.RESULTS_CHANNEL), streams.SOCKET_SECONDS)
                    self.listening.set()
                    heard = time.monotonic()
                    while True:
                        read = channel.get_message(ignore_subscribe_messages=True, timeout=READ_SECONDS)
                        message = await asyncio.wait_for(read, READ_SECONDS + 4)
                        if message is not None:
                            heard = time.monotonic()
                            if message["type"] == "message":
                                self._read(message["data"])
                        elif time.monotonic() - heard > streams.CHANNEL_SECONDS:
                            raise TimeoutError("the channel is silent")
                        else:
                            await asyncio.wait_for(channel.ping(), streams.SOCKET_SECONDS)
                        await self._look_after()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("no results: Redis is away (%s)", type(error).__name__)
            except Exception:
                log.exception("results could not be read")
            self.listening.clear()
            await self._look_after()
            await asyncio.sleep(RETRY_SECONDS)

    def _read(self, data: bytes) -> None:
        try:
            answer = json.loads(data)
        except ValueError:
            return
        if isinstance(answer, dict):
            self.deliver(answer)

    async def _look_after(self) -> None:
        """Look up old questions in the worker's record; tell who still waits that nobody has answered."""
        now = time.monotonic()
        if now - self._looked_at < 1.0:
            return
        self._looked_at = now
        old = [w for waiters in self._waiting.values() for w in waiters if w.acked and now - w.since > LOOK_UP_SECONDS]
        if not old:
            return
        try:
            for answer in await _recorded({waiter.command_id for waiter in old}):
                self.deliver(answer)
        except DatabaseError as error:
            log.warning("results could not be looked up: %s", type(error).__name__)
        for waiter in old:
            if now - waiter.since > FORGET_SECONDS:
                self.drop(waiter)
            elif waiter.result is not None:
                continue
            elif now - waiter.since > NO_ANSWER_SECONDS and not waiter.told:
                waiter.told = True
                words = "No answer from the dialer worker yet; it may still take effect."
                waiter.client.post(protocol.Error(id=waiter.id, code=codes.NO_ANSWER, message=words), waiter.about)


@database_sync_to_async
def _recorded(command_ids: set[str]) -> list[dict[str, Any]]:
    from dialer.models import AppliedCommand

    answers: list[dict[str, Any]] = []
    for row in AppliedCommand.objects.filter(command_id__in=[uuid.UUID(key) for key in command_ids]):
        about, awaits = {"command_id": str(row.command_id)}, bool(row.confirmation)
        answers.append({**about, "status": row.status, "reason": row.reason, "awaits": awaits})
        if row.confirmation in CONFIRMATIONS:
            answers.append(
                {**about, "status": row.confirmation, "reason": row.confirmation_reason, "confirmation": True}
            )
    return answers

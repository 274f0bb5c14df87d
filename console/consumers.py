"""The websockets: authentication, limits, messages. Frames are the hub's business.

/ws/v1/floor/ and /ws/v1/agent/ speak JSON; /ws/console/agent/ takes the same intents and answers in HTML for htmx.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from console import audit, codes, intents, protocol
from console.auth import Identity, identify
from console.encodings import Json, Panel
from console.hub import get_hub
from console.outbox import Client, Encoding
from console.permissions import Actor
from console.protocol import Bulk, Ping, Resume, Subscribe
from console.rates import Rate
from console.scopes import FLOOR, Scope, part_of
from console.transport import CONGESTED, DROP, LEAVE, STRAIGHT, TAKEN, never, stay, untold
from console.watch import Right
from dialer.services.audit import Source
from events import trail

log = logging.getLogger(__name__)

# A client that says neither `resume` nor `subscribe` gets the whole floor after this long.
GRACE_SECONDS: Final = 0.5
# A handshake that has waited longer than this is about to be given up beneath us (5 s). To ask the database for it
# would only make the next one wait, too: of a storm nobody would get in.
HANDSHAKE_SECONDS: Final = 4.0
ONE_AGENT: Final = protocol.Error(code=codes.FORBIDDEN, message="This socket shows one agent only.")


def now_ms() -> int:
    return int(time.time() * 1000)


class LiveSocket(AsyncWebsocketConsumer):
    """Common to all three. Subclasses say who may come in, what they see and in which language."""

    # The hub fans out; a channel layer subscription per socket would only be one more thing to lose.
    channel_layer_alias = "none"
    encoding: Encoding = Json()
    may_subscribe = False

    client: Client | None = None
    identity: Identity
    source: Source
    limited_messages = limited_commands = 0
    begun_by_itself = False

    def scope_of(self, actor: Actor, subscription: Scope = FLOOR) -> Scope | None:
        """What this user may see here, of what they have subscribed to; None: nothing, not even the socket."""
        raise NotImplementedError

    async def connect(self) -> None:
        self.hub, came = get_hub(), time.monotonic()
        async with self.hub.door:
            late = time.monotonic() - came > HANDSHAKE_SECONDS
            try:
                identity = None if late else await identify(self.scope)
            except DatabaseError:
                identity = None
        scope = self.scope_of(identity.actor) if identity is not None else None
        if identity is None or scope is None:
            await self.close()
            return
        self.identity, self.source = identity, audit.source_of(self.scope, identity)
        self.rate = Rate(time.monotonic())
        self.commands = Rate(time.monotonic(), protocol.COMMANDS_PER_MINUTE)
        self.client = Client(
            self.hub,
            self.encoding,
            identity.actor.user_id,
            self._send_text,
            self._close_with,
            scope=scope,
            congested=self.scope.get(CONGESTED, never),
            straight=self.scope.get(STRAIGHT),
            taken=self.scope.get(TAKEN, untold),
            drop=self.scope.get(DROP, untold),
        )
        self.client.right = Right(identity, self.scope_of)
        # Counted and taken in one go: of many that come at once none slips by.
        crowded = self.hub.sockets_of(identity.actor.user_id) >= protocol.SOCKETS_PER_USER
        if not crowded:
            self.hub.register(self.client)
        await self.accept()
        if crowded:
            self._refuse_socket("Too many open boards and panels of this user.")
            return
        if self.hub.leaving:
            self.client.end(codes.CLOSE_RESTART)
            return
        self.greet(self.client)

    def greet(self, client: Client) -> None:
        client.subscribe(client.scope)

    def _refuse_socket(self, words: str) -> None:
        if self.client is not None:
            error = protocol.Error(code=codes.RATE_LIMITED, message=words)
            self.client.end(codes.CLOSE_TOO_MANY, error)

    async def disconnect(self, code: int) -> None:
        if self.client is None:
            return
        self.hub.unregister(self.client)
        if self.limited_messages or self.limited_commands:
            # Counted, not written one by one: whoever floods us must not flood the audit log as well.
            await audit.limited(self.identity.actor, self.limited_messages, self.limited_commands, self.source)

    async def _send_text(self, text: str) -> None:
        await self.send(text_data=text)

    async def _close_with(self, code: int) -> None:
        if code != codes.CLOSE_RESTART or not self.scope.get(LEAVE, stay)(code):
            await self.close(codes.CLOSE_BROKEN if code == codes.CLOSE_RESTART else code)

    # --- messages ---

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        client = self.client
        if client is None or client.closed or self.hub.leaving:
            return
        if not self.rate.take(time.monotonic()):
            self.limited_messages += 1
            if self.rate.hopeless:
                client.end(codes.CLOSE_RATE)
            else:
                client.post(protocol.Error(code=codes.RATE_LIMITED, message="Too many messages; wait a moment."))
            return
        arrived = now_ms()
        raw = text_data.encode() if text_data is not None else bytes_data or b""
        if len(raw) > protocol.MESSAGE_BYTES:
            client.end(codes.CLOSE_TOO_LARGE, protocol.Error(code=codes.TOO_LARGE, message="Longer than 64 KiB."))
            return
        try:
            message = protocol.read_client(raw)
        except protocol.InvalidMessage as error:
            client.post(protocol.Error(code=codes.INVALID_MESSAGE, message=str(error)))
            return
        match message:
            case Ping():
                client.post(protocol.Pong(server_time=now_ms()))
                if message.round_trip_ms is not None and client.scope.agent:
                    self.hub.round_trips.note(client.scope.agent, message.round_trip_ms)
            case Resume():
                scope = client.scope
                if _chooses(message):
                    if not self.may_subscribe:
                        client.post(ONE_AGENT)
                        return
                    scope = _chosen(client, message)
                if self.begun_by_itself:
                    # The question took so long that a snapshot has gone out, perhaps of another part: frames after
                    # the place before it would follow nothing that the client has.
                    self.begun_by_itself = False
                    client.subscribe(scope)
                else:
                    client.resume(message.epoch, message.seq, scope)
            case Subscribe():
                if self.may_subscribe:
                    client.subscribe(_chosen(client, message))
                else:
                    client.post(ONE_AGENT)
            case Bulk(commands=commands):
                for intent in commands:
                    await self._command(client, intent, arrived)
            case intent:
                await self._command(client, intent, arrived)

    async def _command(self, client: Client, intent: protocol.Intent, arrived: int) -> None:
        """`arrived`: when its message came, in ms. The last of a bundle has not waited in an offline page."""
        with self.hub.working():
            await self._carry_out(client, intent, arrived)

    async def _carry_out(self, client: Client, intent: protocol.Intent, arrived: int) -> None:
        if not self.commands.take(time.monotonic()):
            self.limited_commands += 1
            words = "Too many commands; wait a moment."
            client.post(protocol.Error(id=intent.id, code=codes.RATE_LIMITED, message=words))
            return
        try:
            intents.check_fresh(intent, arrived)
            actor, about = await intents.authorise(self.identity, intent)
        except intents.Refused as refused:
            client.post(protocol.Error(id=intent.id, code=refused.code, message=refused.message))
            await self._write_down(intent, refused)
            return
        except DatabaseError as error:
            log.warning("rights could not be read: %s", type(error).__name__)
            words = "The database does not answer; nothing was done."
            client.post(protocol.Error(id=intent.id, code=codes.TRY_AGAIN, message=words))
            return
        command_id = intents.command_id(client.user_id, intent.id)
        with trail.about(command_id=command_id, **intents.ids(intent)):
            await self._enqueue(client, actor, intent, command_id, about)

    async def _enqueue(
        self, client: Client, actor: Actor, intent: protocol.Intent, command_id: str, about: str
    ) -> None:
        # Before it is enqueued: the worker may be quicker than we are.
        waiter = self.hub.answers.expect(client, intent.id, command_id, about)
        try:
            position = await intents.enqueue(actor, intent, command_id, self.source)
        except intents.Refused as refused:
            self.hub.answers.drop(waiter)
            client.post(protocol.Error(id=intent.id, code=refused.code, message=refused.message), about)
            await self._write_down(intent, refused)
            return
        except TimeoutError:
            words = "The queue answers too slowly; the command may still take effect."
            waiter.acked = waiter.told = True
            client.post(protocol.Error(id=intent.id, code=codes.NO_ANSWER, message=words), about)
            return
        trail.note(f"{intents.kind(intent)} accepted")
        self.hub.answers.acked(waiter, position)

    async def _write_down(self, intent: protocol.Intent, refused: intents.Refused) -> None:
        await audit.refused(self.identity.actor, intent, refused.code, refused.message, self.source)


def _chooses(message: Resume) -> bool:
    return bool(message.campaigns or message.teams or message.kinds)


def _chosen(client: Client, message: Resume | Subscribe) -> Scope:
    """The subscription, never wider than what the user may see."""
    return Scope(
        campaigns=frozenset(message.campaigns),
        teams=frozenset(message.teams),
        kinds=frozenset(message.kinds),
        part=client.scope.part,
    )


class JsonSocket(LiveSocket):
    """Says hello, then waits a moment for `resume` or `subscribe`."""

    _grace: asyncio.TimerHandle | None = None

    def greet(self, client: Client) -> None:
        client.post(protocol.Hello(server_time=now_ms()))
        loop = asyncio.get_running_loop()
        self._grace = loop.call_later(GRACE_SECONDS, self._start, client)

    def _start(self, client: Client) -> None:
        if not client.live and not client.closed:
            self.begun_by_itself = True
            client.subscribe(client.scope)

    async def disconnect(self, code: int) -> None:
        if self._grace is not None:
            self._grace.cancel()
        await super().disconnect(code)


class FloorSocket(JsonSocket):
    may_subscribe = True

    def scope_of(self, actor: Actor, subscription: Scope = FLOOR) -> Scope | None:
        return subscription.within(part_of(actor)) if actor.sees_floor else None


class _ForAgents(LiveSocket):
    def scope_of(self, actor: Actor, subscription: Scope = FLOOR) -> Scope | None:
        """Another agent than before means another panel: this one is closed."""
        if not actor.agent_id or subscription.agent not in ("", actor.agent_id):
            return None
        return Scope(agent=actor.agent_id)


class AgentSocket(_ForAgents, JsonSocket):
    pass


class PanelSocket(_ForAgents):
    encoding = Panel()

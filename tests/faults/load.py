"""The load: boards that listen and command, panels of agents, all over real websockets, in one thread of their own.

A board that is cut off comes back and resumes. A command whose answer has not come when the socket ends is said again
with the same id, as a client would; what counts as accepted is an acknowledged one.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from console import protocol
from console.floor_state import FloorState, OutOfSequence, apply_frame
from tests.faults.floor import Made, Size
from tests.faults.history import Command, History, Sample

RECONNECT_SECONDS = (0.3, 1.0)
SAMPLE_SECONDS = 2.0
# Said again on the same socket when neither an acknowledgement nor an error has come.
UNANSWERED_SECONDS = 8.0
# Nobody waits longer for an answer; what became of the command is the checker's to find.
GIVE_UP_SECONDS = 120.0
# Agents come back from a break after this.
BREAK_SECONDS = (1.0, 3.0)
# A paused campaign goes on after this.
PAUSE_SECONDS = (3.0, 6.0)


class Client:
    """One socket, opened again whenever it ends. `floor`: kept by the protocol's rules."""

    def __init__(self, name: str, url: str, key: str, history: History, chance: random.Random) -> None:
        self.name, self.floor = name, FloorState()
        self._url, self._key, self._history, self._chance = url, key, history, chance
        self._open: dict[str, Command] = {}
        self._text: dict[str, str] = {}
        self._connection: ClientConnection | None = None

    async def run(self) -> None:
        while True:
            try:
                headers = {"Authorization": f"Bearer {self._key}"}
                async with connect(
                    self._url, additional_headers=headers, max_size=None, open_timeout=10, close_timeout=1,
                    compression=None,
                ) as connection:  # fmt: skip
                    self._connection = connection
                    await self._greet(connection)
                    async for text in connection:
                        self._take(protocol.read_server(text))
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake):
                pass
            finally:
                self._connection = None
            await asyncio.sleep(self._chance.uniform(*RECONNECT_SECONDS))

    async def _greet(self, connection: ClientConnection) -> None:
        epoch, seq = self.floor.epoch, self.floor.seq
        first = protocol.Resume(epoch=epoch, seq=seq) if epoch else protocol.Subscribe()
        await connection.send(protocol.text(first))
        for key in list(self._open):
            await self._say(key)

    def _take(self, message: protocol.FromServer) -> None:
        match message:
            case protocol.Snapshot():
                self.floor = FloorState.of(message)
            case protocol.Frame():
                if message.epoch == self.floor.epoch and message.seq > self.floor.seq:
                    try:
                        apply_frame(self.floor, message)
                    except OutOfSequence as error:
                        # Never to happen: a gap in what is promised to be gap-free.
                        self._history.boards_differ.append(f"{self.name}: {error}")
                        self.floor = FloorState()
            case protocol.Ack():
                if (command := self._open.get(message.id)) is not None and command.acked_at is None:
                    command.acked_at, command.command_id = time.time(), message.command_id
            case protocol.Result():
                if (command := self._open.pop(message.id, None)) is not None:
                    command.answered_at, command.command_id = time.time(), message.command_id
                    command.status, command.reason = message.status, message.reason
            case protocol.Error(id=key, code=code) if key in self._open:
                if code != "no_answer":
                    # One that had been acknowledged before stays accepted; it is only not asked about any more.
                    self._open.pop(key).error = code

    async def command(self, intent: Any, kind: str, target: str, wish: str) -> Command:
        """Say it, and wait until it is answered, for as long as that takes; refused ones are said anew by nobody."""
        made = Command(intent.id, kind, target, wish, time.time())
        self._history.commands[intent.id] = made
        self._open[intent.id], self._text[intent.id] = made, protocol.text(intent)
        await self._say(intent.id)
        said = began = time.monotonic()
        while intent.id in self._open and time.monotonic() - began < GIVE_UP_SECONDS:
            await asyncio.sleep(0.05)
            if made.acked_at is None and time.monotonic() - said > UNANSWERED_SECONDS:
                said = time.monotonic()
                await self._say(intent.id)
        self._open.pop(intent.id, None)
        self._text.pop(intent.id, None)
        return made

    async def _say(self, key: str) -> None:
        command = self._open.get(key)  # None: answered while something else was waited for
        if command is not None and self._connection is not None:
            command.sayings += 1
            try:
                await self._connection.send(self._text[key])
            except (ConnectionClosed, OSError):
                pass  # said again with the next socket

    @property
    def busy(self) -> bool:
        return bool(self._open)

    def sample(self) -> Sample:
        now, health = time.time(), self.floor.kpis.health if self.floor.kpis else {}
        # What a board goes grey for: the others tell of work that waits, not of what is shown.
        told = {name: part for name, part in health.items() if name not in {"default", "orders"}}
        trouble = ", ".join(f"{name}: {part.detail}" for name, part in told.items() if not part.ok)
        calls = {key: row.state for key, row in self.floor.calls.items()}
        # As the pages have it: what is sent again to a board that comes back is as old as it was.
        return Sample(self.name, now, now - self.floor.at / 1000, trouble, calls)


def new_id() -> str:
    return uuid.uuid4().hex


class Load:
    """`with Load(...)`: everybody works until the end. `commanding`: cleared, nobody asks for anything new."""

    def __init__(self, size: Size, made: Made, history: History, port: int) -> None:
        self.size, self.made, self.history = size, made, history
        self.commanding = threading.Event()
        self._chance = random.Random(f"load {history.seed}")
        base = f"ws://127.0.0.1:{port}/ws/v1"
        self.boards = [self._client(f"board {n}", f"{base}/floor/", key) for n, key in enumerate(made.board_keys)]
        self.panels = [self._client(agent, f"{base}/agent/", key) for agent, key in made.panel_keys.items()]
        self._paused = 0  # campaigns that somebody has paused and will start again
        self._loop, self._end = asyncio.new_event_loop(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._error: BaseException | None = None

    def _client(self, name: str, url: str, key: str) -> Client:
        return Client(name, url, key, self.history, random.Random(f"{name} {self.history.seed}"))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._work())

    async def _work(self) -> None:
        for client in (*self.boards, *self.panels):
            self._go(client.run())
        for n, board in enumerate(self.boards):
            self._go(self._supervisor(n, board))
        for panel in self.panels:
            self._go(self._agent(panel))
        self._go(self._samples())
        await self._end.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _go(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error

    def check(self) -> None:
        """Raises what has ended a part of the load."""
        if self._error is not None:
            raise self._error

    def call(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function in the load's own thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    @property
    def busy(self) -> bool:
        return any(client.busy for client in (*self.boards, *self.panels))

    # --- what they do -------------------------------------------------------------------------------------------------

    async def _supervisor(self, number: int, board: Client) -> None:
        """First all of this board's agents to work; then breaks, hang-ups, pauses, at random moments."""
        mine = self.made.agents[number :: len(self.boards)]
        for agent in mine:
            await self._state(board, agent, "available")
        pause = len(self.boards) / max(0.1, self.size.commands_per_second)
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * pause)
            if not self.commanding.is_set():
                continue
            draw = self._chance.random()
            if draw < 0.55 and mine:
                agent = self._chance.choice(mine)
                await self._state(board, agent, self._chance.choice(("break", "break", "offline")))
                await asyncio.sleep(self._chance.uniform(*BREAK_SECONDS))
                await self._until_done(lambda a=agent: self._state(board, a, "available"))
            elif draw < 0.75 and board.floor.calls:
                call = self._chance.choice(list(board.floor.calls))
                intent = protocol.CallControl(id=new_id(), call_id=call, action="hangup")
                await board.command(intent, "call", call, "hangup")
            elif draw < 0.85:
                await self._pause(board, self._chance.choice(self.made.campaigns))
            else:
                # Nothing happens to the floor by these, and each must have its one answer.
                campaign = self._chance.choice(self.made.campaigns)
                intent = protocol.CampaignControl(
                    id=new_id(), campaign_id=campaign, action="set_limits", max_lines=self._chance.randint(400, 500)
                )
                await board.command(intent, "campaign", campaign, "set_limits")

    async def _agent(self, panel: Client) -> None:
        """An agent at their own panel: a break now and then."""
        while True:
            await asyncio.sleep(self._chance.uniform(5, 15))
            if self.commanding.is_set():
                await self._state(panel, panel.name, "break")
                await asyncio.sleep(self._chance.uniform(*BREAK_SECONDS))
                await self._until_done(lambda: self._state(panel, panel.name, "available"))

    async def _state(self, client: Client, agent: str, state: str) -> Command:
        intent = protocol.SetAgentState(id=new_id(), agent_id=agent, state=state)
        return await client.command(intent, "agent", agent, state)

    async def _pause(self, board: Client, campaign: str) -> None:
        async def say(action: str) -> Command:
            intent = protocol.CampaignControl(id=new_id(), campaign_id=campaign, action=action)
            return await board.command(intent, "campaign", campaign, action)

        self._paused += 1
        try:
            await say("pause")
            await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))
            await self._until_done(lambda: say("start"))
        finally:
            self._paused -= 1

    async def _until_done(self, say: Callable[[], Any]) -> None:
        """A refusal (the queue is away, the worker saw it too late) is answered by asking anew."""
        while True:
            said = await say()
            if said.status == "applied" or (said.status == "rejected" and "repeat it" not in said.reason):
                return
            await asyncio.sleep(1)

    async def _samples(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self.history.samples += [board.sample() for board in self.boards]

    async def pause_all(self) -> None:
        """The end: no campaign dials any more. Whoever has paused one is waited for: their start would come after."""
        while self._paused:
            await asyncio.sleep(0.1)
        board = self.boards[0]
        for campaign in self.made.campaigns:

            async def say(campaign: str = campaign) -> Command:
                intent = protocol.CampaignControl(id=new_id(), campaign_id=campaign, action="pause")
                return await board.command(intent, "campaign", campaign, "pause")

            await self._until_done(say)

"""An example client of the live floor: snapshot, frames, resume, commands with results. Needs only `websockets`.

    python floor_client.py wss://floor.example/ws/v1/floor/ --token TOKEN
    python floor_client.py ... --break agent_101 --reason lunch

A token is made with `manage.py create_api_token USER`. It prints one line of JSON for each thing that happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import websockets

KINDS = ("agents", "calls", "campaigns", "alerts")
LONGEST_PAUSE = 10.0
# A close code that says why it is no use to come back (docs/protocol.md).
FINAL = {4401: "the token is no longer valid", 4403: "the right to this was taken away"}


class Floor:
    """The floor as last told. `apply` is the whole protocol of snapshots and frames."""

    def __init__(self) -> None:
        self.epoch, self.seq = "", -1
        self.kpis: dict[str, Any] | None = None
        self.rows: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}

    def apply(self, message: dict[str, Any]) -> bool:
        """False: a frame was missed, ask for a snapshot."""
        if message["type"] == "snapshot":
            self.rows = {kind: {row["id"]: row for row in message[kind]} for kind in KINDS}
            self.kpis = message["kpis"]
        else:
            if message["epoch"] == self.epoch and message["seq"] <= self.seq:
                return True  # told already
            if message["epoch"] != self.epoch or message["seq"] != self.seq + 1:
                return False
            for kind in KINDS:
                self.rows[kind].update((row["id"], row) for row in message[kind])
                for key in message["gone"][kind]:
                    self.rows[kind].pop(key, None)
            self.kpis = message["kpis"] or self.kpis
        self.epoch, self.seq = message["epoch"], message["seq"]
        return True


class Client:
    """Stays connected. `changed(floor, message)` is called after each snapshot and frame."""

    def __init__(
        self,
        url: str,
        token: str,
        changed: Callable[[Floor, dict[str, Any]], None],
        *,
        campaigns: list[str] | None = None,
        teams: list[str] | None = None,
        kinds: list[str] | None = None,
    ) -> None:
        self.url, self.token, self.changed, self.floor = url, token, changed, Floor()
        self.part = {"campaigns": campaigns or [], "teams": teams or [], "kinds": kinds or []}
        self._socket: Any = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def run(self, ready: Callable[[], Awaitable[None]] | None = None) -> None:
        """For ever; raises PermissionError when there is no use in going on. `ready`: run at each connection."""
        pause = 0.5
        while True:
            try:
                headers = {"Authorization": f"Bearer {self.token}"}
                # Snapshots of a large floor are longer than the library's usual limit.
                async with websockets.connect(self.url, additional_headers=headers, max_size=None) as self._socket:
                    await self._greet()
                    waiting = asyncio.create_task(ready()) if ready else None
                    try:
                        async for text in self._socket:
                            pause = 0.5
                            await self._take(json.loads(text))
                    finally:
                        if waiting and not waiting.done():
                            waiting.cancel()
                code = self._socket.close_code
            except websockets.InvalidStatus as refused:
                if refused.response.status_code == 403:
                    raise PermissionError("the token is not valid, or may not see the floor") from None
                code = None
            except (OSError, websockets.ConnectionClosed) as lost:
                code = getattr(getattr(lost, "rcvd", None), "code", None)
            if code in FINAL:
                raise PermissionError(FINAL[code])
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the connection was lost; the command may have been done"))
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311  # so that not all come back at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def command(self, type_: str, id_: str = "", **fields: Any) -> dict[str, Any]:
        """Send a command and wait for its result or error. The same `id_` again has no second effect."""
        id_ = id_ or str(uuid.uuid4())
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        await self._say(type=type_, id=id_, **fields)
        try:
            return await answer
        finally:
            del self._answers[id_]

    async def _greet(self) -> None:
        if self.floor.epoch:
            await self._say(type="resume", epoch=self.floor.epoch, seq=self.floor.seq, **self.part)
        else:
            await self._say(type="subscribe", **self.part)

    async def _say(self, **message: Any) -> None:
        await self._socket.send(json.dumps(message))

    async def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "snapshot" | "frame":
                if self.floor.apply(message):
                    self.changed(self.floor, message)
                else:
                    await self._say(type="subscribe", **self.part)
            case "result" | "error":
                waiting = self._answers.get(message["id"])
                if waiting and not waiting.done():
                    waiting.set_result(message)
                elif message["type"] == "error":
                    print(json.dumps(message), file=sys.stderr, flush=True)
            case "hello" | "ack" | "confirmed" | "pong":
                pass


async def main() -> None:
    asked = argparse.ArgumentParser(description="Follow the live floor, or give one command.")
    asked.add_argument("url", help="e.g. wss://floor.example/ws/v1/floor/")
    asked.add_argument("--token", default=os.environ.get("FLOOR_TOKEN", ""), help="or the environment's FLOOR_TOKEN")
    asked.add_argument("--campaign", action="append", help="only this campaign's (id); may be repeated")
    asked.add_argument("--team", action="append", help="only this team's (code); may be repeated")
    asked.add_argument("--kind", action="append", choices=[*KINDS, "kpis"], help="only these; may be repeated")
    asked.add_argument("--break", dest="agent", help="send this agent on a break, print the result and stop")
    asked.add_argument("--reason", default="", help="reason code of the break")
    given = asked.parse_args()

    def changed(floor: Floor, message: dict[str, Any]) -> None:
        counts = {kind: len(floor.rows[kind]) for kind in KINDS}
        print(json.dumps({"type": message["type"], "seq": floor.seq, "epoch": floor.epoch, **counts}), flush=True)

    client = Client(given.url, given.token, changed, campaigns=given.campaign, teams=given.team, kinds=given.kind)
    if not given.agent:
        await client.run()
        return
    done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def give() -> None:
        command = {"agent_id": given.agent, "state": "break", "reason": given.reason}
        done.set_result(await client.command("set_agent_state", **command))

    running = asyncio.create_task(client.run(give))
    await asyncio.wait({running, done}, return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        running.result()
    running.cancel()
    print(json.dumps(done.result()), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except PermissionError as refusal:
        sys.exit(f"refused: {refusal}")
    except KeyboardInterrupt:
        pass

"""The anchor of the fan-out: `websockets` sends one text to all. `python -m tests.bench.speed.broadcast FILE RATE`.

Prints its port; a line `begin` on stdin starts it, the next line ends it, any number of times.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from websockets.asyncio.server import broadcast, serve


async def main(text: str, rate: float) -> None:
    connections = set()

    async def hold(connection):
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    loop = asyncio.get_running_loop()
    async with serve(hold, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            ended = loop.run_in_executor(None, sys.stdin.readline)
            at = loop.time()
            while not ended.done():
                broadcast(connections, text)
                at += 1 / rate
                await asyncio.sleep(max(0.0, at - loop.time()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text(), float(sys.argv[2])))

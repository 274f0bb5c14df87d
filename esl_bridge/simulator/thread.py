"""The simulator in a thread of its own, for tests and benchmarks in one process."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from esl_bridge.simulator.config import Config
from esl_bridge.simulator.server import Server

START_SECONDS = 10.0
"""Limit on starting and on stopping."""


class SimulatorThread:
    """`with SimulatorThread(Config(port=0)) as simulator: connect(simulator.port)`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="freeswitch-simulator", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the simulator is not running")
        return self._server.port

    def start(self) -> None:
        """Start and wait until it listens. Raises what starting raised."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError("the simulator did not start")
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Stop and wait for the thread to end."""
        if self._loop is not None and self._server is not None and self._thread.is_alive():
            server = self._server
            self._loop.call_soon_threadsafe(server.stopped.set)
        self._thread.join(START_SECONDS)

    def __enter__(self) -> SimulatorThread:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = Server(self.config)
        try:
            await server.start()
        except BaseException as error:  # noqa: BLE001  handed to the starting thread
            self._error = error
            self._ready.set()
            return
        self._server = server
        self._ready.set()
        await server.stopped.wait()
        await server.stop()

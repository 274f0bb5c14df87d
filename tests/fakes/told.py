"""A floor told row by row, for pages whose rows say more than a test wants to bring about."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from console import kpis, protocol
from console.floor_state import FloorState, apply_frame
from console.rows import AgentRow, CallRow, CampaignRow, Gone, Kpis
from events import streams
from tests.conftest import PATIENCE

BEAT_SECONDS = 0.5
_ROWS = {"agents": AgentRow, "calls": CallRow, "campaigns": CampaignRow}


class Told:
    """Publishes frames as the floor publisher does; `agents`, `calls`, `campaigns` take rows or changes of rows.

    `late_ms`: how old each frame is when it is told."""

    late_ms = 0

    def __init__(self) -> None:
        # Later than any epoch that a web process has seen.
        self.state = FloorState(epoch=f"{time.time_ns()}.1", at=self._now(), kpis=self._figures())
        self._lock = threading.Lock()
        streams.shared().set(streams.SNAPSHOT, protocol.encode(self.state.snapshot()))

    @staticmethod
    def _now() -> int:
        return int(time.time() * 1000)

    @staticmethod
    def _figures() -> Kpis:
        return kpis.compute((), (), (), {}, 200)

    def agent(self, key: str, **fields: Any) -> AgentRow:
        return self._tell("agents", key, fields)

    def call(self, key: str, **fields: Any) -> CallRow:
        return self._tell("calls", key, fields)

    def campaign(self, key: str, **fields: Any) -> CampaignRow:
        return self._tell("campaigns", key, fields)

    def _tell(self, kind: str, key: str, fields: dict[str, Any]) -> Any:
        made = self.made(kind, key, **fields)
        self.frame(**{kind: (made,)})
        return made

    def made(self, kind: str, key: str, **fields: Any) -> Any:
        """The row as it would be told, for a frame of many."""
        held = getattr(self.state, kind).get(key)
        return _ROWS[kind](id=key, **fields) if held is None else msgspec.structs.replace(held, **fields)

    def over(self, call: str) -> None:
        """The call has left the floor."""
        self.frame(gone=Gone(calls=(call,)))

    def frame(self, **parts: Any) -> None:
        with self._lock:
            state = self.state
            frame = protocol.Frame(epoch=state.epoch, seq=state.seq + 1, at=self._now() - self.late_ms, **parts)
            apply_frame(state, frame)
            fields: dict[Any, Any] = {"epoch": frame.epoch, "seq": frame.seq, "f": protocol.encode(frame)}
            streams.shared().xadd(streams.FRAMES, fields)
            streams.shared().set(streams.SNAPSHOT, protocol.encode(state.snapshot()))


@contextmanager
def telling() -> Iterator[Told]:
    told, stop = Told(), threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_SECONDS):
            told.frame()

    thread = threading.Thread(target=beat, name="told")
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(PATIENCE)

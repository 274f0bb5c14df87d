"""Everything a run of the simulated switch can be told, with the defaults of the real one."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mix:
    """How the numbers outside the reserved block behave: shares of 1 and mean durations in seconds.

    What the shares leave over is customers who let it ring. Durations are lognormal, because
    measured ring and talk times are: many short ones, a long tail.
    """

    answer_rate: float = 0.35
    machine_rate: float = 0.12
    busy_rate: float = 0.06
    rejected_rate: float = 0.03
    invalid_rate: float = 0.03
    ring_mean: float = 8.0
    ring_sigma: float = 0.5
    talk_mean: float = 60.0
    talk_sigma: float = 0.8
    patience_mean: float = 8.0
    """Seconds an answering customer waits for an agent before hanging up."""

    def __post_init__(self) -> None:
        shares = (
            self.answer_rate,
            self.machine_rate,
            self.busy_rate,
            self.rejected_rate,
            self.invalid_rate,
        )
        if min(shares) < 0 or sum(shares) > 1.000001:
            raise ValueError(f"the rates must be positive and sum to at most 1, not {sum(shares):g}")
        if min(self.ring_mean, self.talk_mean, self.patience_mean) <= 0:
            raise ValueError("mean durations must be positive")


@dataclass(frozen=True, slots=True)
class Config:
    """One simulated FreeSWITCH."""

    host: str = "127.0.0.1"
    port: int = 8021
    """0 asks the kernel for a free port."""
    password: str = "ClueCon"
    seed: int = 1
    speed: float = 1.0
    """Rings, talks and timeouts take 1/speed of their time. Time stamps stay real."""
    sessions_per_second: int = 200
    max_sessions: int = 5000
    throttle: bool = True
    heartbeat: float = 20.0
    """Seconds between HEARTBEATs, not scaled by speed."""
    register: float = 60.0
    """Seconds between two registrations of a telephone, not scaled by speed; 0: they never register again."""
    restart_after: float = 6.2
    """Seconds between the end of a `fsctl shutdown restart` and the next accepted connection,
    scaled by speed. 6.2 s was measured on FreeSWITCH 1.10.12."""
    queue_limit: int = 100_000
    """Events waiting for one client (MAX_QUEUE_LEN of mod_event_socket)."""
    agents: tuple[tuple[int, int], ...] = ((1100, 2999),)
    """Extensions beside 10NN that answer after 0.3 s and stay, as inclusive ranges."""
    machine_detection: bool = True
    """Whether mod_avmd is loaded."""
    log: str | None = None
    """JSONL file of every leg, or None."""
    domain: str = "127.0.0.1"
    hostname: str = "simulator"
    switchname: str = "fs-simulator"
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("speed must be positive")

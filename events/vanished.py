"""A peer that has vanished without a word (its power, its network) is noticed: an idle connection to it is tried after
10 s of silence, then each 5 s, thrice, and one on which it takes nothing is given up after 20 s. The kernel alone would
wait for two hours, or a quarter of one, and a process that waits for an answer as long.
"""

from __future__ import annotations

import socket
from typing import Final

_IDLE, _INTERVAL, _TIMES, _UNTAKEN_MS = 10, 5, 3, 20_000
_NAMES = {"TCP_KEEPIDLE": _IDLE, "TCP_KEEPINTVL": _INTERVAL, "TCP_KEEPCNT": _TIMES, "TCP_USER_TIMEOUT": _UNTAKEN_MS}
# Options of a TCP socket whose SO_KEEPALIVE is on; those that this system knows.
TCP: Final = {getattr(socket, name): value for name, value in _NAMES.items() if hasattr(socket, name)}
# The same for a connection to PostgreSQL, where keep-alive is on unless told.
POSTGRESQL: Final = {
    "keepalives_idle": _IDLE, "keepalives_interval": _INTERVAL, "keepalives_count": _TIMES,
    "tcp_user_timeout": _UNTAKEN_MS,
}  # fmt: skip
# And for one to Redis that may wait for ever. Those whose answers have a time of their own need it not.
REDIS: Final = {"socket_keepalive": True, "socket_keepalive_options": TCP}

"""Which process holds something, in words by which another on the same machine can tell that it is no more.

A lease must run out before another may take it, unless its holder is certainly dead: then a restart costs no pause.
"""

from __future__ import annotations

import os
import socket
import uuid
from functools import cache
from pathlib import Path
from typing import Final

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def identity() -> str:
    """Names this very process: host/boot and pid namespace/pid/start time, and nothing else on any machine, ever."""
    return "/".join((*_here(), str(os.getpid()), _started(os.getpid())))


def is_dead(holder: str) -> bool:
    """Whether a holder (an identity, with or without more behind a slash) is certainly no more.

    Only a process of this host, boot and pid namespace can be known to be dead; of all others nothing is known.
    """
    parts = holder.split("/")
    if len(parts) < 4 or tuple(parts[:2]) != _here() or not parts[2].isdigit():
        return False
    return _started(int(parts[2])) != parts[3]


@cache
def _here() -> tuple[str, str]:
    try:
        # Outside containers the namespace has the same number on every machine, and machines made from one image often
        # the same name.
        boot = BOOT.read_text().strip()
        place = f"{boot}@{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        # Not Linux: then no two processes are ever known to be neighbours.
        place = uuid.uuid4().hex
    return socket.gethostname().replace("/", "_"), place


def _started(pid: int) -> str:
    """The kernel's start time of a process, '' when there is none (or only its zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]

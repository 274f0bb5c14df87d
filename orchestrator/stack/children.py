"""Starting child processes so that none can outlive the stack, not even when the stack is killed with SIGKILL."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from .instance import kill
from .privileges import Account, as_account

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(signum: int, parent: int | None = None) -> None:
    """Ask the kernel for `signum` when our parent dies; checks that it has not died already."""
    expected = os.getppid() if parent is None else parent
    _libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != expected:
        os.kill(os.getpid(), signum)


def adopt_orphans() -> None:
    """Grandchildren whose parent dies become our children, so that `end_descendants` finds them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants() -> None:
    """SIGKILL everything below us: the last step of every stop."""
    kill(psutil.Process().children(recursive=True))


def _before_exec(signum: int) -> Callable[[], None]:
    parent = os.getpid()
    return lambda: die_with_parent(signum, parent)


async def spawn(
    command: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path,
    *,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    **streams: Any,
) -> asyncio.subprocess.Process:
    """A child in a session of its own: a Ctrl-C of the terminal reaches the stack alone, which stops all in order.

    Call it from the main thread only: the kernel ties the parent's death signal to the thread that forks.
    """
    program, *arguments = command
    return await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
        # Runs after the change of user, which would clear the death signal.
        preexec_fn=_before_exec(death_signal),
        **as_account(account),
        **streams,
    )

"""A stack that is killed leaves nothing behind, not even a process that ignores its signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.stack.instance import Known
from tests.conftest import wait_until

pytestmark = pytest.mark.stack

# A stack with one process that ignores SIGTERM and has a child; it prints both, waits for a line, and is killed.
STACK = """
import os, signal, subprocess, sys
from orchestrator.stack.instance import Known
from orchestrator.stack.minder import Minder

with Minder(grace=float(sys.argv[1])) as minder:
    shell = "trap '' TERM; sleep 600 & echo $!; wait; wait"
    child = subprocess.Popen(["sh", "-c", shell], start_new_session=True, stdout=subprocess.PIPE, text=True)
    print(child.pid, int(child.stdout.readline()), flush=True)
    for told in range(3):  # More than one word: the last one counts.
        minder.tell([Known.of("stubborn", child.pid)] if told else [])
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start(grace: float) -> tuple[subprocess.Popen[str], list[Known]]:
    stack = subprocess.Popen(
        [sys.executable, "-c", STACK, str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert stack.stdout is not None
    return stack, [Known.of("", int(pid)) for pid in stack.stdout.readline().split()]


def test_what_does_not_go_by_its_signal_is_killed_after_the_grace_with_all_below_it() -> None:
    stack, family = start(grace=0.3)
    assert all(process.lives() for process in family)
    os.kill(family[0].pid, signal.SIGTERM)
    stack.communicate("die\n")
    wait_until(lambda: not any(process.lives() for process in family), "the family is gone")


def test_a_child_that_outlives_its_dead_parent_is_ended_at_once() -> None:
    stack, family = start(grace=3600)
    os.kill(family[0].pid, signal.SIGKILL)
    stack.communicate("die\n")
    wait_until(lambda: not family[1].lives(), "the child is gone")

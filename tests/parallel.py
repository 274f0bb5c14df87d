"""Test workers side by side (`pytest -n 3`): a database and a Redis of its own for each, and whole files to one worker.

The database is pytest-django's work. The Redis is a server, not a number in a shared one: tests flush it, cut its
clients off, and publish on it, where numbers do not count.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from orchestrator import servers
from orchestrator.stack.children import die_with_parent
from orchestrator.stack.preflight import choose_port
from orchestrator.stack.redis_server import Redis, program
from tests.conftest import need_own_servers, wait_until

# Files of tests that start all of the product's processes: two at a time would wait for each other's processor.
WHOLE = (
    "test_faults.py",
    "test_link_restart.py",
    "test_stack_run.py",
    "test_whole_stack.py",
    "test_whole_stack_panel.py",
    "test_whole_stack_web.py",
)


class HandingOut:
    """A plugin of the process that hands out the tests."""

    def __init__(self) -> None:
        self._ends = contextlib.ExitStack()

    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        need_own_servers()
        for number, spec in enumerate(specs):
            spec.env = {**spec.env, **self._start(f"redis-gw{number}")}

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> "ByFile":
        config.option.loadscopereorder = False
        return ByFile(config, log)

    def pytest_unconfigure(self) -> None:
        self._ends.close()

    def _start(self, name: str) -> dict[str, str]:
        home = servers.var_dir() / name
        shutil.rmtree(home, ignore_errors=True)
        server = Redis(home, program(), choose_port(), secrets.token_hex(16), durable=False)
        server.create()
        service, parent = server.service(), os.getpid()
        process = subprocess.Popen(
            service.command,
            env=dict(service.environ),
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(signal.SIGKILL, parent),
        )
        self._ends.callback(process.wait)
        self._ends.callback(process.kill)
        wait_until(server.ready, "the Redis of a test worker")
        return server.environment()


class ByFile(LoadScopeScheduling):
    """The tests of a file on one worker, those of the whole stack on one, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "the whole stack" if path.endswith(WHOLE) else path

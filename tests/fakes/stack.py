"""`python -m orchestrator.stack` beside a test: a folder and an environment of its own."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIMIT = 60.0
STACK = [sys.executable, "-m", "orchestrator.stack"]
# What `make test` itself sets: a stack of these tests must not find the servers of the test run.
_OURS = ("DB_", "CELERY_", "CACHE_", "REDIS_", "FREESWITCH_", "VAR_DIR", "LOG_DIR", "PORT", "SWITCH", "HOST", "MAKE")


def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter too; pytest's own are closed, and then the data would go elsewhere."""
    with tempfile.TemporaryDirectory(prefix="voice-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def clean_environ(var: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | {"VAR_DIR": str(var), "LOG_DIR": str(var / "logs")}


def eventually(holds: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait for a condition that another process brings about."""
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit} s: {holds}"
        time.sleep(0.02)

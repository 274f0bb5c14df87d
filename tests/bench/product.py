"""Django, and a database that is made for a bench and dropped after it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django


@contextmanager
def database() -> Iterator[Path]:
    """Yields a folder of the bench's own. Import the product's modules within, not before."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    django.setup()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield Path(folder)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


@contextmanager
def floor(logs: Path | None = None) -> Iterator[Path]:
    """As `database`, with Redis emptied, numbers that may be dialled, a folder for messages. logs: another folder."""
    with database() as temporary:
        from django.conf import settings

        from events import streams

        folder = logs or temporary
        folder.mkdir(parents=True, exist_ok=True)
        settings.DIAL_ALLOWED_PREFIXES = ["+1"]
        settings.MESSAGES_DIR = f"{folder}/messages"
        streams.connect().flushdb()
        yield folder

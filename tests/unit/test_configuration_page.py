"""docs/configuration.md names every setting that is read from the environment, and none besides."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
READ = re.compile(r"""\benv(?:_bool|_int|_list|_text|\.get)?[(\[]\s*"([A-Z][A-Z0-9_]+)\"""")
# Of the stack that `make run` starts, not of the settings.
OF_THE_STACK = {"PORT", "HOST", "VAR_DIR"}

# Set to nothing, they mean it: silence, a unix socket or no password, an empty list, off.
MEANT = {"HOLD_MUSIC", "DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "WEBSOCKET_ORIGINS", "DIAL_ALLOWED_PREFIXES"}


def read_settings() -> set[str]:
    return set(READ.findall((ROOT / "orchestrator" / "settings.py").read_text()))


def settings_with(folder: Path, **environ: str) -> dict[str, str]:
    """Every setting of a process with this environment and no other."""
    words = "import json, orchestrator.settings as read; print(json.dumps({n: repr(v) for n, v in vars(read).items()}))"
    given = {"VAR_DIR": str(folder), "LOG_DIR": str(folder / "logs"), "PATH": os.environ["PATH"], **environ}
    said = subprocess.run(
        [sys.executable, "-c", words], cwd=ROOT, env=given, capture_output=True, text=True, check=True
    )
    return {name: value for name, value in json.loads(said.stdout).items() if name.isupper()}


def test_a_setting_that_is_set_to_nothing_is_not_set(tmp_path):
    """An empty line of an environment file changes no default and stops no process."""
    names = read_settings() - MEANT - {name for name in read_settings() if name.startswith("DB_")} - {"LOG_DIR"}
    production = {"DEBUG": "0", "SECRET_KEY": "x"}
    unset = settings_with(tmp_path, **production)
    assert unset["SECURE_SSL_REDIRECT"] == "True" and unset["EVENTS_KEEP_DAYS"] == "30"
    assert settings_with(tmp_path, **(dict.fromkeys(names, "") | production)) == unset


def test_set_to_nothing_hold_music_is_silence_and_debug_is_off(tmp_path):
    found = settings_with(tmp_path, HOLD_MUSIC="", DEBUG="")
    assert (found["HOLD_MUSIC"], found["DEBUG"]) == ("''", "False")


def test_the_page_names_every_setting_and_none_besides():
    read = read_settings()
    page = (ROOT / "docs" / "configuration.md").read_text()
    named = {
        name
        for row in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
        for name in re.findall(r"`([A-Z0-9_]+)`", row)
    }
    assert len(read) > 40
    assert (read - named, named - read - OF_THE_STACK) == (set(), set())

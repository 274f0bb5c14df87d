"""docs/configuration.md names every setting that is read from the environment, and none besides."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
READ = re.compile(r"""\benv(?:_bool|_list|\.get)?[(\[]\s*"([A-Z][A-Z0-9_]+)\"""")
# Of the stack that `make run` starts, not of the settings.
OF_THE_STACK = {"PORT", "HOST", "VAR_DIR"}


def test_the_page_names_every_setting_and_none_besides():
    read = set(READ.findall((ROOT / "orchestrator" / "settings.py").read_text()))
    page = (ROOT / "docs" / "configuration.md").read_text()
    named = {
        name
        for row in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
        for name in re.findall(r"`([A-Z0-9_]+)`", row)
    }
    assert len(read) > 40
    assert (read - named, named - read - OF_THE_STACK) == (set(), set())

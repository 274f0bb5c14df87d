"""`make check` notices an unsafe dependency, one that is not pinned or hashed, and a vendored file that was changed."""

import json
import shutil

import pytest
from django.conf import settings

from tests import audit

ROOT = settings.BASE_DIR
HASH = f"--hash=sha256:{'a' * 64}"


@pytest.fixture
def tree(tmp_path):
    for name in (*audit.LOCKS, audit.ADVISORIES, audit.VENDORED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for one in json.loads((ROOT / audit.VENDORED).read_text())["files"]:
        for name in (one["path"], one["licence_file"]):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_our_own_dependencies_are_pinned_hashed_and_of_no_version_that_is_known_to_be_unsafe(tree):
    assert audit.faults(ROOT) == audit.faults(tree) == []
    locked, _ = audit.pinned(ROOT)
    assert {"django", "twisted", "redis"} <= {one.name for one in locked}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"django==5.2.5 {HASH}", "CVE-2025-57833"),
        (f"Django==5.2rc1 \\\n    {HASH}", ""),
        (f"twisted==24.3.0 \\\n    {HASH} \\\n    {HASH}", "CVE-2024-41671"),
        (f"some-thing>=1.0 {HASH}", "not pinned to one version"),
        (f"some-thing=={'1.*'} {HASH}", "not one pinned requirement"),
        ("some-thing==1.0", "no hash"),
        ("some-thing==1.0 --hash=md5:abc", "not one pinned requirement"),
        (f"some-thing==1.0 --hash=sha256:{'a' * 63}", "not one pinned requirement"),
        ("git+https://example.com/x.git", "not one pinned requirement"),
        (f"some-thing @ https://example.com/x.whl {HASH}", "not one pinned requirement"),
        ("--extra-index-url https://example.com/simple", "not one pinned requirement"),
        ("-r other.txt", "not one pinned requirement"),
    ],
)
def test_a_requirement_that_must_not_be_is_told(tree, line, said):
    with (tree / "requirements.txt").open("a") as file:
        file.write(f"{line}\n")
    found = audit.faults(tree)
    assert [said in one for one in found[:1]] == ([True] if said else [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.pop("taken"), "names no date"),
        (lambda told: told.update(taken="lately"), "names no date"),
        (lambda told: told["advisories"].clear(), "no advisories"),
        (lambda told: told["advisories"][0].pop("id"), "without package"),
        (lambda told: told["advisories"][0].update(affected=""), "without package"),
        (lambda told: told["advisories"][0].update(affected="before 5"), "without package"),
    ],
)
def test_a_list_of_advisories_that_cannot_be_trusted_is_told(tree, change, said):
    told = json.loads((tree / audit.ADVISORIES).read_text())
    change(told)
    (tree / audit.ADVISORIES).write_text(json.dumps(told))
    assert said in audit.faults(tree)[0]


def test_a_vendored_file_that_was_changed_added_or_taken_away_is_told(tree):
    script = tree / "static/vendor/uplot/uPlot.esm.js"
    script.write_text(script.read_text() + "fetch('//evil.example')")
    (tree / "static/vendor/other.js").write_text("1")
    (tree / "tests/browser/vendor/axe.LICENSE.txt").unlink()
    found = audit.faults(tree)
    assert len(found) == 3
    for said in ("is not the file", "its licence is not there", "static/vendor/other.js is vendored"):
        assert any(said in one for one in found), found

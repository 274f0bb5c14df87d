"""What must hold before anything is started, each with one clear line when it does not."""

import os
import secrets
import shutil
import socket
from pathlib import Path

from .errors import StackError

# A new PostgreSQL cluster with its write-ahead log takes about 60 MB; below this an hour's run could fill the disk.
ENOUGH_BYTES = 300 * 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CONNECT_SECONDS = 2.0


def prepare(folder: Path, *, shared: bool = False) -> None:
    """Make a folder and prove that it can be written. `shared`: other users may pass through it, not list secrets."""
    try:
        folder.mkdir(mode=0o755 if shared else 0o700, parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        raise StackError(f"cannot write to {folder}: {error.strerror}; set VAR_DIR to a folder of yours") from error


def enough_disk(folder: Path, needed: int = ENOUGH_BYTES) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StackError(
            f"the disk of {folder} is nearly full: {free // 2**20} MB are free, {needed // 2**20} MB are needed"
        )


def port_is_free(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise StackError(f"PORT must be between 1 and 65535, not {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the web server does: a connection of the last run that lingers in TIME_WAIT is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise StackError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another port, as in `make run PORT=8001`"
        ) from error


def choose_port(preferred: int = 0) -> int:
    """A free port of the loopback address: the preferred one (the last run's) if it still is."""
    for port in (preferred, 0):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
        except (OSError, OverflowError):
            continue
    raise StackError("no free port on 127.0.0.1")


def is_loopback(host: str) -> bool:
    return host in _LOOPBACK


def switch_answers(host: str, port: int) -> str:
    """ "" if an event socket greets us there, else what is wrong (host and port, no secret)."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS) as link:
            link.settimeout(_CONNECT_SECONDS)
            greeting = link.recv(512)
    except OSError as error:
        return f"no event socket at {host}:{port} ({error.strerror or error})"
    if b"rude-rejection" in greeting:
        return f"FreeSWITCH at {host}:{port} refuses this machine: see apply-inbound-acl of its event_socket.conf.xml"
    return "" if b"auth/request" in greeting else f"what listens at {host}:{port} is not a FreeSWITCH event socket"


def executable(path: str | Path) -> bool:
    return os.access(path, os.X_OK) and Path(path).is_file()

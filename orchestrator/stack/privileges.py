"""PostgreSQL refuses to run as root: then it runs as a system user that owns nothing else."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import StackError

_ACCOUNTS = ("postgres", "nobody")  # The first that this machine has.
_CHECK_SECONDS = 10.0


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account for PostgreSQL, or None when we are not root and so run it as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise StackError("PostgreSQL does not run as root and there is no user `nobody`: use another user, or set DB_HOST")


def as_account(account: Account | None) -> dict[str, Any]:
    """The arguments of subprocess that start a program as this account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def allows(account: Account | None, test: str, path: Path) -> bool:
    """Whether the account passes `test` (-x, -w, ...) on the path; asked as that account, so every folder counts."""
    command = ["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)]
    try:
        done = subprocess.run(
            command, cwd="/", check=False, capture_output=True, timeout=_CHECK_SECONDS, **as_account(account)
        )
    except PermissionError as error:
        raise StackError(f"cannot run PostgreSQL as another user here ({error.strerror}): set DB_HOST") from error
    return done.returncode == 0


def give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)

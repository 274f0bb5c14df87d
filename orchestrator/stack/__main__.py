"""The command line of the stack; every expected trouble is one line on standard error and an exit code of 1."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .children import die_with_parent
from .errors import StackError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m orchestrator.stack", description=__doc__)
    top.add_argument("--with-parent", action="store_true", help="stop when the calling process dies")
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start every process and keep them running until Ctrl-C")
    run.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    run.add_argument("--port", default=os.environ.get("PORT") or "8000")
    run.add_argument("--switch", default=os.environ.get("SWITCH") or "simulator", help="simulator or freeswitch")
    serve = commands.add_parser("servers", help="start PostgreSQL and Redis for the time of one command")
    serve.add_argument("--data", type=Path, required=True, help="the folder for their files")
    serve.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return top


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if options.with_parent:
        die_with_parent(signal.SIGTERM)
    try:
        # Imported here: a missing package of the environment becomes one line, too.
        if options.command == "run":
            from . import run

            return run.main(options.host, options.port, options.switch)
        from . import serve

        return serve.main(options.data, options.rest[1:] if options.rest[:1] == ["--"] else options.rest)
    except StackError as error:
        return _failed(str(error))
    except ModuleNotFoundError as error:
        return _failed(f"the environment is not complete ({error.name} is missing): run `make clean` and try again")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        hint = "; free some space, or set VAR_DIR" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        return _failed(f"{error.strerror or error}{where}{hint}")
    except KeyboardInterrupt:
        return 130


def _failed(text: str) -> int:
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Whether a service of the composition works: `healthcheck.py SERVICE`, exit code 0 if so."""

import json
import os
import socket
import sys
import urllib.error
import urllib.request

_SECONDS = 5.0
# Services whose heartbeat /readyz reports, under the same name.
BEATING = ("bridge", "ingest", "floor", "dialer", "default")


def fetch(base: str, path: str) -> tuple[int, bytes]:
    """The answer of the web service, asked by a name that it accepts."""
    names = [name.strip() for name in os.environ.get("ALLOWED_HOSTS", "").split(",")]
    name = next((name for name in names if name.strip("*.")), "localhost")
    request = urllib.request.Request(base + path, headers={"Host": name})  # noqa: S310 - a fixed http address
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        # /readyz answers 503 when any part is down; its body says which.
        return error.code, error.read()


def healthy(service: str) -> bool:
    if service == "web":
        return fetch("http://127.0.0.1:8000", "/healthz")[0] == 200
    if service == "simulator":
        with socket.create_connection(("127.0.0.1", 8021), timeout=_SECONDS) as link:
            link.settimeout(_SECONDS)
            return b"auth/request" in link.recv(256)
    if service not in BEATING:
        raise ValueError(f"no such service: {service}")
    found = json.loads(fetch("http://web:8000", "/readyz")[1])
    return bool(found["components"][service]["ok"])


def main(arguments: list[str]) -> int:
    try:
        return 0 if healthy(*arguments) else 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Whether a service of the composition works: `healthcheck.py SERVICE`, exit code 0 if so.

Of a part that beats, only /readyz knows, at HEALTH_URL (by default the composition's web service). Where that cannot be
asked, or knows nothing itself, nothing is known of the part: exit code 0, and why on standard error. A supervisor would
otherwise restart every part of a healthy floor because the web is away.
"""

import http.client
import json
import os
import socket
import sys
import urllib.error
import urllib.request

_SECONDS = 5.0
# Services whose heartbeat /readyz reports, under the same name.
BEATING = ("bridge", "ingest", "floor", "dialer", "default")


class Unknown(Exception):
    """Nothing can be said of the part."""


def fetch(address: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - the operator's own address
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        # /readyz answers 503 when any part is down; its body says which.
        return error.code, error.read()


def healthy(service: str) -> bool:
    if service == "web":
        return fetch("http://127.0.0.1:8000/healthz")[0] == 200
    if service == "simulator":
        with socket.create_connection(("127.0.0.1", 8021), timeout=_SECONDS) as link:
            link.settimeout(_SECONDS)
            return b"auth/request" in link.recv(256)
    if service not in BEATING:
        raise ValueError(f"no such service: {service}")
    return part_ok(service)


def part_ok(part: str) -> bool:
    """As /readyz says. Raises Unknown when it does not say."""
    address = f"{(os.environ.get('HEALTH_URL') or 'http://web:8000').rstrip('/')}/readyz"
    try:
        parts = json.loads(fetch(address)[1])["components"]
        # The heartbeats are in Redis.
        known, ok = parts["redis"]["ok"], parts[part]["ok"]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise Unknown(f"{address} cannot be asked about {part}: {error!r}") from error
    if not known:
        raise Unknown(f"{address} knows nothing of {part}: Redis does not answer")
    return bool(ok)


def main(arguments: list[str]) -> int:
    try:
        return 0 if healthy(*arguments) else 1
    except Unknown as error:
        print(error, file=sys.stderr)
        return 0
    except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

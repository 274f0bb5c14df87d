"""What the simulated switch itself says: over a socket of its own, past everything that is tested."""

import json
import socket
from typing import Any

SECONDS = 10.0


class Truth:
    """Reads the simulator's records. Not shared between threads."""

    def __init__(self, port: int, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._file = self._socket.makefile("rb")
        self._headers()
        self._say(f"auth {password}")
        self._headers()

    def live(self) -> list[dict[str, Any]]:
        """A record of each leg that lives now (esl_bridge/simulator/log.py)."""
        self._say("api simulator live")
        length = int(self._headers()["Content-Length"])
        found: list[dict[str, Any]] = json.loads(self._file.read(length))
        return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _say(self, line: str) -> None:
        self._socket.sendall(f"{line}\n\n".encode())

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while (line := self._file.readline().decode().strip()) or not found:
            if not line:
                raise ConnectionError("the switch has closed the socket")
            name, _, value = line.partition(": ")
            found[name] = value
        return found

"""A wire to a server, that a test may cut: what one side says is carried to the other, byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Wire:
    """`port`: where clients connect. `cut_at_answer`: the next answer is lost, and its connection with it. `mute`:
    answers are lost, and nobody is told, as by a machine that has vanished. `taken`, `answered`: connections and pieces
    of answers so far."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = int(self._listening.getsockname()[1])
        self.cut_at_answer, self.mute = threading.Event(), threading.Event()
        self.taken = self.answered = 0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.taken += 1
            server = socket.create_connection(self._server)
            self._open += [client, server]
            threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, answers: bool) -> None:
        try:
            while said := one.recv(65536):
                if answers and self.cut_at_answer.is_set():
                    self.cut_at_answer.clear()
                    break
                if not (answers and self.mute.is_set()):
                    other.sendall(said)
                    self.answered += answers
        except OSError:
            pass
        hang_up(one, other)

    def close(self) -> None:
        for end in (self._listening, *self._open):
            end.close()


def hang_up(*ends: socket.socket) -> None:
    """Whoever reads from them is told, in whatever thread."""
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


@contextmanager
def wire(host: str, port: int) -> Iterator[Wire]:
    made = Wire(host, port)
    threading.Thread(target=made._accept, daemon=True).start()
    try:
        yield made
    finally:
        made.close()

"""A frame for many boards is framed once, as any client reads it; what cannot go straight goes the usual way."""

from types import SimpleNamespace

import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from console import transport


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_a_framed_message_is_read_back_whole_by_a_client(size):
    reader = Protocol(CLIENT, state=OPEN, max_size=None)
    text = ("é" * size).encode()[:size].decode("utf-8", "ignore").encode()
    reader.receive_data(transport.framed(text))
    [frame] = reader.events_received()
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, text)


class Line:
    """A daphne connection as far as it is asked; takes `room` bytes at once."""

    def __init__(self, room=1_000_000, **more):
        self.dataBuffer, self._tempDataBuffer = b"", []
        self.TLS = self.disconnecting = False
        self.sent, self.room, self.socket = b"", room, self
        self.protocol = SimpleNamespace(state=3, STATE_OPEN=3, send_queue=[])
        for name, value in more.items():
            setattr(self.protocol if hasattr(self.protocol, name) else self, name, value)

    def send(self, data):
        """As the system's own."""
        if not self.room:
            raise BlockingIOError
        self.sent += data[: self.room]
        return min(self.room, len(data))

    def write(self, data):
        self._tempDataBuffer.append(data)


def test_what_the_socket_does_not_take_waits_behind_what_it_took():
    line = Line(room=4)
    straight = transport.Straight(line.protocol, line)
    assert straight.free
    straight.write(b"abcdefgh"[straight.send(b"abcdefgh") :])
    assert line.sent + b"".join(line._tempDataBuffer) == b"abcdefgh"
    # And the next one may not overtake it.
    assert not straight.free


@pytest.mark.parametrize("way", ["write", "writeSequence"])
def test_whatever_the_server_writes_by_itself_is_told_of_first(way):
    """A pong, a close: what goes straight must not come between its pieces."""
    line, told = Line(), []
    straight = transport.Straight(line.protocol, line)
    straight.disturbed = lambda: told.append(list(line._tempDataBuffer))
    getattr(line, way)(b"pong" if way == "write" else [b"po", b"ng"])
    assert told == [[]]
    assert line._tempDataBuffer == [b"pong"]


@pytest.mark.parametrize(
    "state",
    [{"state": 1}, {"send_queue": [b"x"]}, {"TLS": True}, {"dataBuffer": b"x"}, {"_tempDataBuffer": [b"x"]},
     {"disconnecting": True}],
)  # fmt: skip
def test_a_connection_that_is_not_free_is_left_to_the_usual_way(state):
    line = Line(**state)
    assert not transport.Straight(line.protocol, line).free

"""The fake event socket of the bridge's tests keeps to what the captures show."""

import socket

from esl_bridge.framing import FrameSplitter
from tests.fakes.esl import DEADLINE, FakeSwitch


def test_the_fake_speaks_the_handshake_of_the_captures():
    with FakeSwitch() as switch, socket.create_connection(("127.0.0.1", switch.port)) as client:
        client.settimeout(DEADLINE)
        splitter = FrameSplitter()

        def frames():
            found = []
            while not found:
                found = splitter.feed(client.recv(65536))
            return found

        assert frames()[0].headers == {"Content-Type": "auth/request"}
        client.sendall(b"auth ClueCon\n\n")
        assert frames()[0].headers == {"Content-Type": "command/reply", "Reply-Text": "+OK accepted"}
        client.sendall(b"api uuid_exists 00000000-0000-4000-8000-000000000000\n\n")
        assert frames()[0].body == b"false"

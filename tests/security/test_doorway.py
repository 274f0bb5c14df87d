"""The web process's front door: slow, large and silent clients are sent away, whoever they are, and others get in."""

import asyncio
import itertools

import pytest
from daphne.http_protocol import WebRequest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from orchestrator import doorway
from orchestrator.doorway import BODY_BYTES, BODY_SECONDS, HEAD_SECONDS, MOST_WAITING, Doorway


class Transport(StringTransport):
    gone = False

    def abortConnection(self):
        self.gone = True

    def loseConnection(self):
        self.gone = True


class Server:
    """What daphne's server is to its connections; `answered`: the requests that reached the application."""

    root_path = ""
    proxy_forwarded_address_header = server_name = http_timeout = None
    request_buffer_size = 8192

    def __init__(self):
        self.answered = []

    def protocol_connected(self, protocol):
        pass

    def protocol_disconnected(self, protocol):
        pass

    def create_application(self, protocol, scope):
        self.answered.append(protocol)
        return asyncio.Queue()


class Door:
    def __init__(self):
        self.server, self.clock = Server(), Clock()
        self.factory = Doorway(self.server)
        self.factory.reactor = self.clock

    def knock(self):
        channel, transport = self.factory.buildProtocol(None), Transport()
        channel.makeConnection(transport)
        return channel, transport


@pytest.fixture
def door():
    return Door()


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_head_that_trickles_in_is_cut_off_however_busy_it_looks(door):
    """One byte a second: as daphne comes, each would win another minute."""
    channel, transport = door.knock()
    for byte in itertools.cycle(b"X"):
        if transport.gone or door.clock.seconds() > 10 * HEAD_SECONDS:
            break
        channel.dataReceived(bytes((byte,)))
        door.clock.advance(1)
    assert transport.gone and door.clock.seconds() <= HEAD_SECONDS + doorway.Channel.abortTimeout
    assert not door.server.answered


def test_whoever_says_nothing_is_sent_away(door):
    _, transport = door.knock()
    door.clock.advance(HEAD_SECONDS - 1)
    assert not transport.gone
    door.clock.advance(2)
    assert transport.gone


def test_a_slow_answer_is_not_a_slow_request_and_the_next_request_has_its_own_time(door):
    channel, transport = door.knock()
    channel.dataReceived(REQUEST)
    [request] = door.server.answered
    door.clock.advance(100 * HEAD_SECONDS)
    assert not transport.gone and channel not in door.factory.waiting
    request.finish()
    door.clock.advance(HEAD_SECONDS - 1)
    channel.dataReceived(REQUEST[:10])
    assert not transport.gone and channel in door.factory.waiting
    door.clock.advance(2)
    assert transport.gone and len(door.server.answered) == 1


def test_a_body_has_longer_but_not_for_ever(door):
    channel, transport = door.knock()
    channel.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(int(BODY_SECONDS) - 1):
        channel.dataReceived(b"x")
        door.clock.advance(1)
    assert not transport.gone
    door.clock.advance(3)
    assert transport.gone and not door.server.answered


@pytest.mark.parametrize("length", [BODY_BYTES + 1, 10**15])
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(door, length):
    channel, transport = door.knock()
    channel.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length)
    assert transport.gone and b" 413 " in transport.value() and not door.server.answered


def test_a_body_that_grows_too_large_piece_by_piece_is_cut_off(door):
    channel, transport = door.knock()
    channel.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"%x\r\n" % (1 << 20) + b"x" * (1 << 20) + b"\r\n"
    for _ in range(BODY_BYTES // (1 << 20) + 2):
        if transport.gone:
            break
        channel.dataReceived(piece)
    assert transport.gone and b" 413 " in transport.value() and not door.server.answered


def test_headers_without_end_are_cut_off(door):
    channel, transport = door.knock()
    channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n")
    for n in range(2_000):
        if transport.gone or transport.disconnecting:
            break
        channel.dataReceived(b"X-%d: %s\r\n" % (n, b"y" * 100))
    assert (transport.gone or transport.disconnecting) and not door.server.answered


def test_above_the_limit_the_connection_that_has_waited_longest_goes_and_a_request_still_gets_in(door):
    first, *others = (door.knock() for _ in range(MOST_WAITING))
    channel, transport = door.knock()
    assert first[1].gone and not any(other.gone for _, other in others)
    channel.dataReceived(REQUEST)
    assert len(door.server.answered) == 1 and not transport.gone
    many = [door.knock() for _ in range(3 * MOST_WAITING)]
    assert len(door.factory.waiting) == MOST_WAITING
    assert sum(not one.gone for _, one in many) == MOST_WAITING and not transport.gone


def test_a_request_is_read_as_daphne_reads_it(door):
    channel, _ = door.knock()
    channel.dataReceived(b"POST /x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    [request] = door.server.answered
    assert isinstance(request, WebRequest) and request.query_string == b"y=1"
    assert request.application_queue.get_nowait() == {"type": "http.request", "body": b"abc", "more_body": False}

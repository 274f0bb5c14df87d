"""Bytes of a switch that has gone wrong, against the framing and against the client that lives on it.

Streams of good frames hold one fault each: the frames before it must come out as they went in, and after it no event
may come out that was not sent, whatever the pieces the bytes arrive in. Sessions of a client meet switches that lose,
repeat or delay replies between good events, or end: every answer belongs to its question, or there is none, in time.
"""

import json
import random
import uuid
from collections.abc import Iterator
from typing import Final

import gevent
import gevent.event
import gevent.pool
from gevent.server import StreamServer
from greenswitch.esl import NotConnectedError

from esl_bridge import normalise
from esl_bridge.client import LATE_SECONDS, ESLClient
from esl_bridge.framing import Frame, FrameSplitter, FramingError

SIZE: Final = 1_000_000
# Frames of one stream, and of one session; one frame in so many goes through a client.
STREAM, SESSION, CLIENT_PART = 40, 60, 20
TOGETHER: Final = 40
# Beyond any deadline of the client's own: then it hangs.
HANGING: Final = 30.0
NAMES = ("CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE")
HOSTILE = (
    "\r\nUnique-ID: x",
    "\x00",
    "\x7f",
    "caf\u00e9",
    "\u2028Event-Name: Y",
    "%0AUnique-ID: x",
    "{}",
    "\n\n",
    '"}',
)


def encoded(value: str) -> str:
    """As in a plain event: latin-1, with % and what is no letter as %XX."""
    return "".join(
        f"%{byte:02X}" if byte < 33 or byte in b"%:" else chr(byte) for byte in value.encode("latin-1", "replace")
    )


class Stream:
    """One stream: `parts` of bytes, what the frames before its fault are, and every event in it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.before: list[tuple[str, bytes]] = []
        self.events: list[normalise.Headers] = []
        self.breaks = False
        count = rng.randint(1, STREAM)
        faulty = rng.randrange(count) if rng.random() < 0.7 else -1
        self.count, self.data = count, b""
        for place in range(count):
            kind, body, frame = self.frame()
            if place == faulty:
                frame = self.spoilt(frame, body)
            elif faulty < 0 or place < faulty:
                self.before.append((kind, body))
            self.data += b"\n" * (rng.random() < 0.05) + frame

    def frame(self) -> tuple[str, bytes, bytes]:
        """(content type, body, the whole frame)"""
        rng = self.rng
        draw = rng.random()
        if draw < 0.55:
            kind, body = "text/event-json", self.json_event()
        elif draw < 0.75:
            kind, body = "text/event-plain", self.plain_event()
        elif draw < 0.9:
            kind, body = "api/response", rng.choice((b"true", b"false", b"+OK\n", rng.randbytes(rng.randrange(300))))
        else:
            reply = f"Content-Type: command/reply\nReply-Text: +OK {rng.random()}\nJob-UUID: {self.leg()}"
            return "command/reply", b"", f"{reply}\n\n".encode()
        lines = [b"Content-Length: %d" % len(body), b"Content-Type: " + kind.encode()]
        if rng.random() < 0.3:
            lines.append(lines[rng.randrange(2)])  # the same header twice is no news
        if rng.random() < 0.5:
            lines.reverse()
        return kind, body, b"\n".join(lines) + b"\n\n" + body

    def headers(self) -> dict[str, str]:
        rng = self.rng
        more = {f"variable_{n}": rng.choice(HOSTILE) + "x" * rng.randrange(40) for n in range(rng.randrange(4))}
        return {
            "Event-Name": rng.choice(NAMES),
            **more,
            "Unique-ID": self.leg(),
        }

    def leg(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128)))

    def json_event(self) -> bytes:
        headers = self.headers()
        body = json.dumps(headers, ensure_ascii=self.rng.random() < 0.5).encode()
        if self.rng.random() < 0.2:
            body = body.replace(b"xx", b"\xe9\x01")
        self.events.append(json.loads(body.decode("utf-8", "replace"), strict=False))
        return body

    def plain_event(self) -> bytes:
        headers = self.headers()
        lines = [f"{name}: {encoded(value)}" for name, value in headers.items()]
        payload = b""
        if self.rng.random() < 0.3:
            payload = b"+OK " + self.leg().encode() + b"\n"
            lines.append(f"Content-Length: {len(payload)}")
        body = "\n".join(lines).encode("latin-1") + b"\n\n" + payload
        self.events.append(dict(normalise.event_of(Frame({"Content-Type": normalise.PLAIN_TYPE}, body)).headers))
        return body

    def spoilt(self, frame: bytes, body: bytes) -> bytes:
        """The frame with a fault; `breaks`: one that the framing itself must see."""
        rng = self.rng
        length = b"Content-Length: %d\n" % len(body)
        wrong = rng.choice(
            (b"-5", b"1e3", b"0x10", b"", b" ", b"99999999999", b"9" * 5_000, "\u0663".encode(), b"5\r", b"NaN")
        )
        match rng.randrange(7):
            case 0 if length in frame:  # a length that is none, or too large
                self.breaks = True
                return frame.replace(length, b"Content-Length: " + wrong + b"\n")
            case 1 if length in frame:  # two lengths
                self.breaks = True
                return frame.replace(length, length + b"Content-Length: %d\n" % (len(body) + 1))
            case 2 if length in frame:  # a length that is wrong by a little or by much
                off = max(0, len(body) + rng.choice((-200, -20, -3, -2, -1, 1, 2, 3, 20, 60, 200, 4_000)))
                return frame.replace(length, b"Content-Length: %d\n" % off)
            case 3:  # bytes of something else in between
                self.breaks = True
                noise = bytes(rng.choice(b"\x00\x01\xff\x16 <>HTTP/1.1\r{}") for _ in range(rng.randint(1, 200)))
                return noise + b"\n\n" + frame
            case 4:  # its end is missing
                return frame[: rng.randrange(len(frame))]
            case 5:  # its beginning is
                return frame[rng.randrange(1, len(frame)) :]
            case _:  # something in its middle is
                cut = rng.randrange(len(frame))
                return frame[:cut] + frame[cut + rng.randint(1, 30) :]

    def pieces(self) -> Iterator[bytes]:
        offset, most = 0, self.rng.choice((1, 7, 100, 1_448, 65_536))
        while offset < len(self.data):
            size = self.rng.randint(1, most)
            yield self.data[offset : offset + size]
            offset += size


def read(pieces: Iterator[bytes]) -> tuple[list[Frame], bool]:
    """(the frames, whether the framing broke)"""
    splitter, frames = FrameSplitter(), list[Frame]()
    for piece in pieces:
        try:
            frames += splitter.feed(piece)
        except FramingError:
            return frames, True
    return frames, splitter.broken is not None


def check_stream(stream: Stream) -> None:
    frames, broke = read(stream.pieces())
    got = [(frame.content_type, frame.body) for frame in frames]
    assert got[: len(stream.before)] == stream.before, "a frame before the fault has changed"
    assert broke or not stream.breaks, "what is no frame was taken for one"
    sent = iter(stream.events)
    for frame in frames:
        if frame.content_type.startswith("text/event-"):
            try:
                event = normalise.event_of(frame).headers
            except normalise.Unreadable:
                continue
            said = f"an event that was not sent: {str(event)[:300]}"
            if frame.content_type == normalise.JSON_TYPE:
                assert any(event == each for each in sent), said
            elif event.get("Event-Name") in NAMES and is_leg(event.get("Unique-ID")):
                # The plain form cannot show that a part of it is missing; which leg it is about, it must.
                assert any(about(event) == about(each) for each in sent), said


def about(event: normalise.Headers) -> tuple[object, object]:
    return event["Event-Name"], event["Unique-ID"]


def is_leg(text: object) -> bool:
    try:
        return str(uuid.UUID(str(text))) == text
    except ValueError:
        return False


class Session:
    """A client and a switch that goes wrong; `check()` raises AssertionError."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.fault = rng.choice(("none", "slow", "lose", "repeat", "strange", "end", "cut", "garbage", "notice"))
        self.at = rng.randint(1, SESSION)
        self.sent: list[str] = []
        self.got: list[str] = []
        self.count = 0

    def check(self) -> None:
        server = StreamServer(("127.0.0.1", 0), self.serve)
        server.start()
        client = ESLClient("127.0.0.1", server.server_port, "ClueCon", 20, on_frame=self.heard, silence=None)
        try:
            with gevent.Timeout(HANGING, AssertionError("it hangs")):
                client.connect()
                gevent.joinall([gevent.spawn(self.question, client) for _ in range(4)], raise_error=True)
                if self.fault in ("none", "slow"):
                    assert client.connected, client.reason
                if client.connected:
                    assert all(client.parts.alive().values()), "a dead part of a client that is connected"
                    assert not client._commands_sent, "a command nobody has answered"
                else:
                    assert client.reason, "it does not say why it is down"
                assert self.got == self.sent[: len(self.got)], "events are not those that were sent"
        finally:
            client.fail("over")
            server.stop(timeout=0)

    def heard(self, frame: Frame) -> bool:
        self.got.append(normalise.event_of(frame).text("Unique-ID"))
        return True

    def question(self, client: ESLClient) -> None:
        """Answers are their own question's, or there are none."""
        for _ in range(SESSION // 8):
            asked = [f"uuid_exists {uuid.UUID(int=self.rng.getrandbits(128))}" for _ in range(self.rng.randint(1, 3))]
            job = str(uuid.UUID(int=self.rng.getrandbits(128)))
            try:
                if self.rng.random() < 0.6:
                    assert client.ask(asked) == [f"+OK {line}" for line in asked], "an answer to another question"
                else:
                    reply = client.wait_for(client.submit("bgapi status", f"Job-UUID: {job}"))
                    assert reply.headers["Job-UUID"] == job, "a reply to another order"
            except NotConnectedError:
                assert not client.connected
                return

    # --- the switch ---

    def serve(self, sock: gevent.socket.socket, _: object) -> None:
        try:
            self.answer(sock)
        except OSError:
            return
        finally:
            sock.close()

    def answer(self, sock: gevent.socket.socket) -> None:
        self.send(sock, b"Content-Type: auth/request\n\n")
        buffer = b""
        while True:
            while b"\n\n" not in buffer:
                data = sock.recv(65_536)
                if not data:
                    return
                buffer += data
            command, _, buffer = buffer.partition(b"\n\n")
            out = self.reply(command.decode())
            self.count += not command.startswith(b"auth")
            if self.count == self.at and self.fault != "none":
                match self.fault:
                    case "lose":
                        out = b""
                    case "repeat":
                        out += out
                    case "slow":
                        gevent.sleep(2 * LATE_SECONDS)
                    case "strange":
                        out = b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: x\nJob-UUID: x\n\n" + out
                    case "end":
                        return
                    case "cut":
                        self.send(sock, out[: self.rng.randrange(len(out))])
                        return
                    case "garbage":
                        out = b"\x00\xff garbage\n\n" + out
                    case "notice":
                        out = b"Content-Type: text/disconnect-notice\nContent-Length: 4\n\nBye\n"
            self.send(sock, self.noise() + out + self.noise())

    def reply(self, command: str) -> bytes:
        if command.startswith("auth"):
            return b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
        if command.startswith("bgapi"):
            job = command.rpartition(": ")[2]
            return f"Content-Type: command/reply\nReply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n".encode()
        line = command.removeprefix("api ")
        body = (line.removeprefix("echo ") if line.startswith("echo ") else f"+OK {line}").encode()
        return b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body)

    def noise(self) -> bytes:
        """Good events, some of them with bytes that are no UTF-8."""
        data = b""
        for _ in range(self.rng.randrange(2)):
            self.sent.append(str(len(self.sent)))
            body = json.dumps({"Event-Name": "X", "Unique-ID": self.sent[-1]}).encode()[:-1] + b',"n":"caf\xe9\x00"}'
            data += b"Content-Length: %d\nContent-Type: text/event-json\n\n%s" % (len(body), body)
        return data

    def send(self, sock: gevent.socket.socket, data: bytes) -> None:
        most = self.rng.choice((3, 200, 65_536))
        while data:
            size = self.rng.randint(1, most)
            sock.sendall(data[:size])
            data = data[size:]
            if self.rng.random() < 0.1:
                gevent.sleep(0)


def run(seed: int, size: int) -> str:
    """`size`: frames in all."""
    frames = sessions = streams = 0
    while frames < size - size // CLIENT_PART:
        stream = Stream(random.Random(f"stream {seed} {streams}"))
        try:
            check_stream(stream)
        except AssertionError as error:
            raise AssertionError(f"stream {streams}: {error}") from error
        frames, streams = frames + stream.count, streams + 1
    pool, wrong = gevent.pool.Pool(TOGETHER), list[str]()

    def one(number: int) -> None:
        session = Session(random.Random(f"session {seed} {number}"))
        try:
            session.check()
        except AssertionError as error:
            wrong.append(f"session {number} ({session.fault}): {error}")

    while frames < size and not wrong:
        pool.spawn(one, sessions)
        frames, sessions = frames + SESSION, sessions + 1
    pool.join()
    assert not wrong, "; ".join(wrong[:3])
    return f"{frames} frames in {streams} streams and {sessions} sessions of a client"

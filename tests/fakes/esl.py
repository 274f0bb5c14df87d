"""A hand-written event socket for the bridge's tests: it speaks as the captures do, and misbehaves on request.

It runs in threads of its own and never waits for the client. `FakeSwitch.misbehave` is called in place of the usual
dialogue, with the connection, when a test wants one of the failures that real links show.
"""

import contextlib
import json
import re
import socket
import struct
import threading
import time
import uuid

DEADLINE = 10.0


class Connection:
    """One accepted client: raw sending, command reading."""

    def __init__(self, sock, switch):
        self.sock, self.switch = sock, switch
        self.subscribed = False
        self._lock = threading.Lock()
        self._buffer = b""

    def send(self, data):
        with self._lock:
            self.sock.sendall(data)

    def reply(self, text, **headers):
        more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
        self.send(f"Content-Type: command/reply\nReply-Text: {text}\n{more}\n".encode())

    def api_reply(self, text):
        body = text.encode()
        self.send(b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body))

    def event(self, headers):
        self.event_bytes(json.dumps(headers).encode())

    def event_bytes(self, body, kind="json"):
        self.send(b"Content-Length: %d\nContent-Type: text/event-%s\n\n%s" % (len(body), kind.encode(), body))

    def command(self):
        """The next command's text, '' at the end of the stream."""
        while b"\n\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                return ""
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\n\n")
        return text.decode()

    def login(self):
        self.send(b"Content-Type: auth/request\n\n")
        said = self.command()
        if said != f"auth {self.switch.password}":
            self.reply("-ERR invalid")
            return False
        self.reply("+OK accepted")
        return True

    def reset(self):
        """Close so that the other side gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end(socket.SHUT_RD)

    def close(self):
        self._end(socket.SHUT_RDWR)

    def _end(self, how):
        # A thread of ours may be inside recv(), which keeps the connection open until the shutdown wakes it.
        with contextlib.suppress(OSError):
            self.sock.shutdown(how)
        with contextlib.suppress(OSError):
            self.sock.close()

    def hang(self):
        """Neither read nor write nor close until the switch is stopped."""
        self.switch.stopped.wait(DEADLINE)


class FakeSwitch:
    def __init__(self, password="ClueCon", misbehave=None):
        self.password, self.misbehave = password, misbehave
        self.core_uuid = str(uuid.uuid4())
        self.channels = set()
        self.unlisted = set()  # channels that `show channels` does not list (yet)
        self.hung_up = set()  # listed still, and no longer known to anything else
        self.dumps = {}  # leg -> what its `uuid_dump` says besides
        self.parks = True  # whether an answered leg is said to have parked
        self.job_replies = {}  # first word or whole command -> reply of the job; None: no BACKGROUND_JOB at all
        self.commands = []
        self.connections = []
        self.accepted = 0
        self.sequence = 100
        self.stopped = threading.Event()
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopped.set()
        # A thread waits in accept(): closing alone would leave the port open until it returns.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_all()

    def drop_all(self):
        for connection in list(self.connections):
            connection.close()

    def wait(self, condition, what="", seconds=DEADLINE):
        """Wait until `condition()`; the value it returned."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"not within {seconds} s: {what}; commands so far: {self.commands}"
                self._changed.wait(min(left, 0.1))
            return value

    def said(self, start):
        return [command for command in list(self.commands) if command.startswith(start)]

    def event(self, name, **headers):
        """An event's headers with the switch's own identity."""
        self.sequence += 1
        return {
            "Event-Name": name,
            "Core-UUID": self.core_uuid,
            "Event-Date-Timestamp": str(int(time.time() * 1e6)),
            "Event-Sequence": str(self.sequence),
            **{key if key[0] == "_" else key.replace("_", "-"): value for key, value in headers.items()},
        }

    def broadcast(self, headers):
        for connection in list(self.connections):
            if connection.subscribed:
                with contextlib.suppress(OSError):
                    connection.event(headers)

    def _accept(self):
        while not self.stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, self)
            self.connections.append(connection)
            with self._changed:
                self.accepted += 1
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.misbehave is not None:
                if self.misbehave(connection) is not True:
                    return
            elif not connection.login():
                return
            while command := connection.command():
                with self._changed:
                    self.commands.append(command)
                    self._changed.notify_all()
                self.answer(connection, command)
        except OSError:
            return
        finally:
            connection.close()

    def answer(self, connection, command):
        if command.startswith("event json"):
            connection.subscribed = True
            connection.reply("+OK event listener enabled json")
        elif command.startswith("api "):
            connection.api_reply(self.api(command[4:]))
        elif command.startswith("bgapi "):
            self.background(connection, command[6:])
        elif command == "exit":
            connection.reply("+OK bye")
        else:
            connection.reply("-ERR command not found")

    def api(self, command):
        if command == "global_getvar core_uuid":
            return self.core_uuid
        if command.startswith("echo "):
            return command.removeprefix("echo ")
        if command == "show channels as json":
            rows = [{"uuid": leg} for leg in sorted(self.channels - self.unlisted | self.hung_up)]
            return json.dumps({"row_count": len(rows), "rows": rows}) if rows else '{"row_count": 0}\n'
        if command.startswith("uuid_exists "):
            return "true" if command.split()[1] in self.channels else "false"
        if command.startswith("uuid_dump "):
            leg = command.split()[1]
            if leg not in self.channels:
                return "-ERR No such channel!\n"
            known = {"Event-Name": "CHANNEL_DATA", "Unique-ID": leg, "Answer-State": "answered"}
            known["Channel-Name"] = "sofia/internal/1001"
            return json.dumps(known | self.dumps.get(leg, {}))
        return f"+OK {command}"

    def background(self, connection, command):
        line, _, header = command.partition("\n")
        job = header.partition(": ")[2]
        connection.reply(f"+OK Job-UUID: {job}", Job_UUID=job)
        reply = self.job_replies.get(line.split()[0], "+OK Success\n")
        if line.startswith("originate "):
            leg = re.search(r"origination_uuid=([0-9a-f-]{36})", line).group(1)
            reply = self.job_replies.get("originate", f"+OK {leg}\n")
            if reply is not None and reply.startswith("+OK"):
                self.channels.add(leg)
                self.broadcast(self.event("CHANNEL_CREATE", Unique_ID=leg))
                self.broadcast(self.event("CHANNEL_ANSWER", Unique_ID=leg))
                if self.parks:
                    self.broadcast(self.event("CHANNEL_PARK", Unique_ID=leg))
        if reply is not None:
            self.broadcast(self.event("BACKGROUND_JOB", Job_UUID=job, Job_Command=line.split()[0], _body=reply))

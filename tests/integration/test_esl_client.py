"""The hardened client against every way a link was seen to fail: noticed in time, said why, nothing left hanging."""

import json
import time
from pathlib import Path

import gevent
import greenswitch
import pytest
from greenswitch.esl import NotConnectedError

from esl_bridge.client import READ_BYTES, AuthenticationFailed, ESLClient
from tests.fakes.esl import DEADLINE, FakeSwitch

DATA = Path(__file__).resolve().parents[1] / "data" / "esl"


def client_of(switch, **options):
    return ESLClient("127.0.0.1", switch.port, "ClueCon", **{"timeout": 5, **options})


def wait_until(condition, what):
    """As the shared one, but lets the client's greenlets run."""
    with gevent.Timeout(DEADLINE, AssertionError(f"not in time: {what}")):
        while not condition():
            gevent.sleep(0.005)


def down(client, within=DEADLINE):
    assert client.closed.wait(within), "the failure was not noticed"
    assert not client.connected
    return client.reason


@pytest.fixture
def switch():
    with FakeSwitch() as fake:
        yield fake


def test_it_is_a_greenswitch_client_with_its_public_names(switch):
    client = client_of(switch)
    assert isinstance(client, greenswitch.InboundESL)
    with client:
        assert client.connected
        reply = client.send("api uuid_exists x")
        assert (reply.data, reply.headers["Content-Type"]) == ("false", "api/response")
        assert client.send("nosuchverb").headers["Reply-Text"] == "-ERR command not found"
    assert not client.connected
    with pytest.raises(NotConnectedError):
        client.send("api status")


def test_handlers_get_events_by_name_by_subclass_and_the_rest(switch):
    got, done = [], gevent.event.Event()
    client = client_of(switch)
    client.register_handle("CHANNEL_ANSWER", lambda event: got.append(("answer", event.headers["Unique-ID"])))
    client.register_handle("my::test", lambda event: 1 / 0)  # a failing handler harms nobody
    client.register_handle("my::test", lambda event: got.append(("custom", event.headers["Event-Subclass"])))
    client.register_handle("*", lambda event: (got.append(("rest", event.headers["Event-Name"])), done.set()))
    client.register_handle("DISCONNECT", lambda event: got.append(("gone", event.headers["Reason"])))
    client.connect()
    client.send("event json ALL")
    switch.broadcast(switch.event("CHANNEL_ANSWER", Unique_ID="leg"))
    switch.broadcast(switch.event("CUSTOM", Event_Subclass="my::test"))
    switch.broadcast(switch.event("HEARTBEAT"))
    assert done.wait(DEADLINE)
    client.stop()
    assert got == [("answer", "leg"), ("custom", "my::test"), ("rest", "HEARTBEAT"), ("gone", "stopped")]


def test_a_wrong_password_is_said_to_be_one():
    with FakeSwitch(password="other") as switch, pytest.raises(AuthenticationFailed, match="password") as caught:
        client_of(switch).connect()
    assert isinstance(caught.value, ValueError)  # as with greenswitch


def test_nobody_listening_is_an_error_at_once():
    with FakeSwitch() as switch:
        pass
    with pytest.raises(NotConnectedError, match="cannot connect"):
        client_of(switch).connect()


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (lambda c: c.hang(), "no login within"),
        (
            lambda c: c.send(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"),
            "address",
        ),
        (lambda c: c.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n\n\n"), "what is no frame"),
        (lambda c: c.send(b"Content-Type: auth/req"), "closed the connection inside a header"),
        (lambda c: (c.send(b"Content-Type: auth/request\n\n"), c.command(), c.hang()), "no login within"),
    ],
    ids=["silent", "rejected", "not-a-switch", "cut-short", "mute-after-password"],
)
def test_a_login_that_does_not_happen_is_given_up(behave, said):
    with FakeSwitch(misbehave=behave) as switch:
        client = client_of(switch, timeout=0.5)
        started = time.monotonic()
        with pytest.raises(NotConnectedError, match=said):
            client.connect()
        assert time.monotonic() - started < 5
        assert not client.connected


def after_login(behave):
    """A switch that logs the client in and then does `behave(connection)`."""
    return FakeSwitch(misbehave=lambda connection: connection.login() and behave(connection))


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (lambda c: c.close(), "the switch closed the connection"),
        (lambda c: c.send(b"Content-Length: 20\nContent-Ty"), "inside a header"),
        (lambda c: c.send(b"Content-Length: 20\nContent-Type: text/event-json\n\n{"), "inside a body"),
        (lambda c: c.reset(), "connection lost"),
        (lambda c: c.send(b"garbage without a colon\n\n"), "what is no frame"),
        (lambda c: c.send(b"Content-Length: 99999999\n\n"), "what is no frame"),
        (
            lambda c: c.send(
                b"Content-Type: text/disconnect-notice\nContent-Length: 31\n\nThe system is being shut down.\n"
            ),
            "The system is being shut down",
        ),
        (lambda c: c.hang(), "nothing heard for 0.4 s"),
    ],
    ids=["eof", "eof-in-header", "eof-in-body", "reset", "garbage", "absurd-length", "disconnect-notice", "half-open"],
)
def test_a_link_that_fails_is_noticed_and_says_why(behave, said):
    with after_login(behave) as switch:
        client = client_of(switch, silence=0.4)
        client.connect()
        assert said in down(client)


def test_what_arrived_before_a_reset_is_still_handled():
    def behave(connection):
        connection.command()
        connection.reply("+OK event listener enabled json")
        for number in range(200):
            connection.event({"Event-Name": "X", "Number": str(number)})
        connection.command()  # the client says it has begun to read
        connection.close()

    with after_login(behave) as switch:
        got, slow = [], gevent.event.Event()
        client = client_of(switch)
        client.register_handle("X", lambda event: (got.append(event.headers["Number"]), slow.wait(DEADLINE)))
        client.connect()
        client.send("event json ALL")
        client.submit("go on")
        down(client)
        slow.set()
        client._process_events_greenlet.join(DEADLINE)
        assert got == [str(number) for number in range(200)]


def test_every_pending_command_fails_with_the_link():
    with after_login(lambda c: (c.command(), c.command(), c.command(), c.close())) as switch:
        client = client_of(switch)
        client.connect()
        answers = [client.submit(f"api number {number}") for number in range(3)]
        for answer in answers:
            with pytest.raises(NotConnectedError, match="closed the connection"):
                client.wait_for(answer)


def test_a_missing_reply_ends_the_link_before_a_reply_reaches_the_wrong_command():
    with after_login(lambda c: (c.command(), c.hang())) as switch:
        client = client_of(switch, command_seconds=0.3)
        client.connect()
        with pytest.raises(NotConnectedError, match="no reply to a command"):
            client.send("api first")
        down(client)


@pytest.mark.parametrize("lost", ["api uuid_exists a", "bgapi status"])
def test_a_reply_of_the_other_kind_shows_that_one_was_lost(lost):
    def behave(connection):
        connection.command()  # never answered
        if connection.command().startswith("api"):
            connection.api_reply("true")
        else:
            connection.reply("+OK Job-UUID: j", Job_UUID="j")
        connection.hang()

    with after_login(behave) as switch:
        client = client_of(switch)
        client.connect()
        first = client.submit(lost)
        client.submit("bgapi status" if lost.startswith("api") else "api uuid_exists a")
        with pytest.raises(NotConnectedError, match="out of step"):
            client.wait_for(first)


def test_a_reply_nobody_waits_for_does_no_harm():
    def behave(connection):
        connection.reply("+OK who asked")
        connection.send(b"\n\n\n")
        connection.send(b"Content-Type: text/unheard-of\nContent-Length: 3\n\nxyz")
        return True

    with after_login(behave) as switch:
        client = client_of(switch)
        client.connect()
        wait_until(lambda: client.unexpected == 2, "both stray frames")
        assert client.send("api uuid_exists x").data == "false"
        client.stop()


def test_latin1_unreadable_and_16_mib_frames_do_not_stop_the_reader():
    big = 16 * 1024 * 1024

    def behave(connection):
        connection.command()
        connection.reply("+OK event listener enabled json")
        connection.event_bytes(b'{"Event-Name":"X","name":"caf\xe9"}')
        connection.event_bytes(b'{"Event-Name"')
        connection.event_bytes(b"Event-Name: X\nname: plain%0AUnique-ID: forged\n\n", "plain")
        connection.event_bytes(json.dumps({"Event-Name": "X", "name": "x" * big}).encode())
        return True

    with after_login(behave) as switch:
        got, enough = [], gevent.event.Event()
        client = client_of(switch)

        def handler(event):
            got.append(event.headers)
            if len(got) == 3:
                enough.set()

        client.register_handle("X", handler)
        client.connect()
        client.send("event json ALL")
        assert enough.wait(DEADLINE)
        assert client.send("api uuid_exists x").data == "false"
        assert got[0]["name"] == "caf\ufffd"
        assert got[1] == {"Event-Name": "X", "name": "plain\nUnique-ID: forged"}
        assert len(got[2]["name"]) == big
        assert client.unexpected == 1
        client.stop()


def test_when_nobody_takes_the_events_the_socket_is_closed_instead_of_left_unread():
    def behave(connection):
        connection.command()
        connection.reply("+OK event listener enabled json")
        for number in range(200):
            connection.event({"Event-Name": "X", "Number": str(number)})
        connection.hang()

    with after_login(behave) as switch:
        never = gevent.event.Event()
        client = client_of(switch, queue_events=50)
        client.register_handle("X", lambda event: never.wait(DEADLINE))
        client.connect()
        client.send("event json ALL")
        assert "50 events wait" in down(client)
        never.set()
    with after_login(behave) as switch:
        client = client_of(switch, on_frame=lambda frame: False)
        client.connect()
        client.submit("event json ALL")
        assert "not taken fast enough" in down(client)


@pytest.mark.parametrize("line", ["api x\n\nexit", "api x\rexit", "exit\n"])
def test_no_command_holds_a_line_break(switch, line):
    with client_of(switch) as client:
        with pytest.raises(ValueError, match="line break"):
            client.send(line)
        with pytest.raises(ValueError, match="line break"):
            client.bgapi([("status", line)], lambda job, reply: None)
        assert client.connected
    assert switch.commands == ["exit"]


def test_a_switch_that_does_not_read_is_given_up_within_the_deadline():
    with after_login(lambda c: c.hang()) as switch:
        client = client_of(switch, write_seconds=0.3)
        client.connect()
        started = time.monotonic()

        def flood():
            for _ in range(3_000):
                client.submit("api " + "x" * 10_000)

        with pytest.raises(NotConnectedError, match="cannot write|are waiting for their reply"):
            flood()
        assert time.monotonic() - started < DEADLINE


def test_commands_written_by_many_do_not_mix_and_get_their_own_replies(switch):
    with client_of(switch) as client:
        asked = [f"api say {number} {'y' * 5_000}" for number in range(200)]
        tasks = [gevent.spawn(client.send, line) for line in asked]
        gevent.joinall(tasks, timeout=DEADLINE)
        assert [task.value.data for task in tasks] == [f"+OK {line[4:]}" for line in asked]


def test_a_flood_of_events_leaves_the_others_their_turn():
    """The reader must not keep the whole process to itself while data never ends."""
    event = json.dumps({"Event-Name": "X", "pad": "x" * 4_000}).encode()
    frame = b"Content-Length: %d\nContent-Type: text/event-json\n\n%s" % (len(event), event)

    def behave(connection):
        chunk = frame * (2 * READ_BYTES // len(frame))
        while not connection.switch.stopped.is_set():
            connection.send(chunk)

    with after_login(behave) as switch:
        count = 0

        def on_frame(_):
            nonlocal count
            count += 1
            return True

        client = client_of(switch, on_frame=on_frame)
        client.connect()
        turns = 0
        deadline = time.monotonic() + DEADLINE
        while turns < 20 and time.monotonic() < deadline:
            gevent.sleep(0.001)
            turns += 1
        assert turns == 20
        assert count > 1_000
        client.fail("enough")


def test_a_client_can_connect_again_after_its_link_went_down(switch):
    client = client_of(switch)
    client.connect()
    switch.drop_all()
    down(client)
    client.connect()
    assert client.send("api uuid_exists x").data == "false"
    client.stop()

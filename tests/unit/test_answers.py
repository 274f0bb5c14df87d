"""A command's answers reach the socket that waits for them, in their order, whatever order they come in."""

from console import protocol
from console.answers import Answers


class Client:
    def __init__(self) -> None:
        self.got: list[protocol.FromServer] = []

    def post(self, message: protocol.FromServer, about: str = "") -> None:
        self.got.append(message)


def waiting():
    client, answers = Client(), Answers("redis://nowhere")
    return client, answers, answers.expect(client, "1", "c", "hold")


APPLIED = {"command_id": "c", "status": "applied", "awaits": True}
CONFIRMED = {"command_id": "c", "status": "confirmed", "confirmation": True}
FAILED = {"command_id": "c", "status": "failed", "reason": "no such leg", "confirmation": True}


def kinds(client: Client) -> list[str]:
    return [str(message.__struct_config__.tag) for message in client.got]


def test_what_the_switch_says_comes_after_what_the_worker_said():
    client, answers, waiter = waiting()
    answers.acked(waiter, 1)
    answers.deliver(APPLIED)
    answers.deliver(FAILED)
    assert kinds(client) == ["ack", "result", "confirmed"]
    assert client.got[1].awaits and (client.got[2].status, client.got[2].reason) == ("failed", "no such leg")
    answers.deliver(CONFIRMED)
    assert len(client.got) == 3, "it is answered once"


def test_answers_quicker_than_the_ack_follow_it():
    client, answers, waiter = waiting()
    answers.deliver(APPLIED)
    answers.deliver(CONFIRMED)
    assert client.got == []
    answers.acked(waiter, 1)
    assert kinds(client) == ["ack", "result", "confirmed"]


def test_a_confirmation_whose_result_was_lost_waits_for_it_to_be_looked_up():
    client, answers, waiter = waiting()
    answers.acked(waiter, 1)
    answers.deliver(CONFIRMED)
    assert kinds(client) == ["ack"]
    answers.deliver(APPLIED)
    answers.deliver(CONFIRMED)
    assert kinds(client) == ["ack", "result", "confirmed"]


def test_a_result_that_awaits_nothing_is_the_last_word():
    client, answers, waiter = waiting()
    answers.acked(waiter, 1)
    answers.deliver({"command_id": "c", "status": "applied", "awaits": False})
    answers.deliver(CONFIRMED)
    answers.deliver({"command_id": "c", "status": "applied"})
    assert kinds(client) == ["ack", "result"]

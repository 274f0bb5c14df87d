"""Redis or the publisher dies and comes back: boards stay connected, commands are refused, nothing is stuck."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
import redis

from console import codes, protocol
from console.models import ApiToken
from tests.conftest import wait_until
from tests.fakes.console import Socket, make_user
from tests.fakes.console_web import answers
from tests.fakes.floor import make_agents
from tests.fakes.own_redis import OwnRedis
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]


@pytest.fixture
def own_redis(tmp_path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def run(tmp_path, own_redis) -> Iterator[Processes]:
    names = ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL", "CACHE_URL")
    with Processes(tmp_path, **dict.fromkeys(names, own_redis.url)) as processes:
        processes.web()
        processes.manage("floor", "run_floor_publisher")
        wait_until(lambda: answers(processes.web_port), "daphne")
        yield processes


@pytest.fixture
def board(run) -> Iterator[Socket]:
    _, secret = ApiToken.issue(make_user("sup", supervisor=True))
    url = f"ws://127.0.0.1:{run.web_port}/ws/v1/floor/"
    with Socket(url, additional_headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client


def test_a_redis_that_died_with_everything_brings_the_same_socket_a_new_epoch(board, own_redis):
    agents = make_agents(2)
    board.until_floor(lambda f: len(f.agents) == 2)
    epoch = board.floor.epoch
    own_redis.kill()
    command = protocol.SetAgentState(id="1", agent_id=agents[0].agent_id, state="break")
    began = time.monotonic()
    board.say(command)
    error = board.until(protocol.Error)
    assert error.code in (codes.QUEUE_UNAVAILABLE, codes.NO_ANSWER)
    assert time.monotonic() - began < 10
    own_redis.start()
    after = board.until_floor(lambda f: f.epoch != epoch and f.seq > 2, 40)
    assert len(after.agents) == 2
    board.say(protocol.SetAgentState(id="2", agent_id=agents[0].agent_id, state="break"))
    assert board.until(protocol.Ack).id == "2"


def test_a_redis_that_freezes_delays_frames_and_loses_none_that_matter(board, own_redis):
    make_agents(1)
    board.until_floor(lambda f: f.agents and f.seq > 2)
    os.kill(own_redis.process.pid, signal.SIGSTOP)
    try:
        board.say(protocol.Ping())
        board.until(protocol.Pong)
    finally:
        os.kill(own_redis.process.pid, signal.SIGCONT)
    seq, epoch = board.floor.seq, board.floor.epoch
    board.until_floor(lambda f: f.epoch != epoch or f.seq > seq + 2, 40)


def test_a_killed_publisher_is_followed_by_the_one_that_stood_by(board, run):
    make_agents(1)
    board.until_floor(lambda f: len(f.agents) == 1)
    epoch = board.floor.epoch
    run.manage("floor-2", "run_floor_publisher")
    run.kill("floor")
    after = board.until_floor(lambda f: f.epoch != epoch and f.seq > 1, 40)
    assert len(after.agents) == 1


def test_a_publisher_told_to_stop_gives_its_place_up_at_once(board, run, own_redis):
    board.until_floor(lambda f: f.epoch)
    assert redis.Redis.from_url(own_redis.url).get("lease:floor")
    process = run.running["floor"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert redis.Redis.from_url(own_redis.url).get("lease:floor") is None

"""The lease: one holder, who knows by its own clock when to stop; with a real Redis."""

import subprocess
from pathlib import Path

import pytest
import redis

from events import neighbours, streams
from events.lease import KEY_PREFIX, RedisLease, steady_clock

NAME = "test-lease"
KEY = KEY_PREFIX + NAME


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pair(redis_empty, clock):
    return RedisLease(redis_empty, NAME, 10, clock=clock), RedisLease(redis_empty, NAME, 10, clock=clock)


def test_one_holds_and_the_other_waits(pair):
    first, second = pair
    assert first.keep()
    assert not second.keep()
    assert (first.held(), second.held()) == (True, False)
    assert first.token > 0
    assert second.token == 0


def test_it_expires_in_redis_by_itself(pair, redis_empty):
    pair[0].acquire()
    assert 9_000 < redis_empty.pttl(KEY) <= 10_000


def test_released_it_goes_to_the_next_with_a_greater_token(pair):
    first, second = pair
    first.acquire()
    old = first.token
    first.release()
    assert not first.held()
    assert second.acquire()
    assert second.token > old


def test_only_the_holder_can_release_or_renew(pair, redis_empty):
    first, second = pair
    first.acquire()
    redis_empty.delete(KEY)  # as if it had expired
    second.acquire()
    assert not first.renew()
    assert not first.held()
    first.release()
    assert redis_empty.get(KEY) == second.owner.encode()


def test_who_still_believes_to_hold_it_releases_nobody_elses(pair, redis_empty):
    first, second = pair
    first.acquire()
    redis_empty.delete(KEY)
    second.acquire()
    first.release()
    assert redis_empty.get(KEY) == second.owner.encode()


def test_it_ends_by_the_holders_clock_before_it_ends_in_redis(pair, clock):
    first, _ = pair
    first.acquire()
    clock.now += 7.9
    assert first.held()
    clock.now += 0.2
    assert not first.held()  # Redis would give it away at 10 s
    assert first.renew()
    assert first.held()


@pytest.mark.parametrize("ask", ["acquire", "renew"])
def test_the_time_the_question_took_is_not_counted_as_held(redis_empty, clock, monkeypatch, ask):
    lease = RedisLease(redis_empty, NAME, 10, clock=clock)
    lease.acquire()
    script = "_acquire" if ask == "acquire" else "_renew"
    answered = getattr(lease, script)

    def slowly(**asked):
        clock.now += 5  # 1005
        return answered(**asked)

    monkeypatch.setattr(lease, script, slowly)
    if ask == "acquire":
        lease.release()
    assert getattr(lease, ask)()  # asked at 1000, so held until 1008
    clock.now = 1_007.9
    assert lease.held()
    clock.now = 1_008.1
    assert not lease.held()


def test_tokens_grow_even_after_redis_was_flushed(pair, redis_empty):
    first, second = pair
    first.acquire()
    redis_empty.flushdb()
    assert second.acquire()
    assert second.token > first.token
    assert not first.renew()


def test_while_redis_is_away_the_clock_alone_decides(clock, unused_tcp_port):
    away = streams.connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    lease = RedisLease(away, NAME, 10, clock=clock)
    assert not lease.keep()
    with pytest.raises(redis.RedisError):
        lease.acquire()
    lease.token, lease._until = 5, clock.now + 8  # it was held when Redis went away
    assert lease.keep()
    clock.now += 9
    assert not lease.keep()
    lease.release()  # silent


def test_the_real_clock_moves_forward():
    first = steady_clock()
    assert steady_clock() >= first


def test_a_process_of_another_machine_of_the_same_name_is_not_taken_for_dead(redis_empty, monkeypatch, tmp_path):
    """Machines made from one image: the same name, the same number of the first pid namespace, other processes."""
    here = tmp_path / "boot_id"
    here.write_text("41d3f1c5-0000-4000-8000-000000000000\n")
    with monkeypatch.context() as there:
        there.setattr(neighbours, "BOOT", here)
        neighbours._here.cache_clear()
        theirs = RedisLease(redis_empty, NAME, 60, owner=neighbours.identity().rpartition("/")[0] + "/0/x")
    neighbours._here.cache_clear()
    assert theirs.acquire()
    assert theirs.owner.split("/")[0] == neighbours.identity().split("/")[0]
    assert not neighbours.is_dead(theirs.owner)
    assert not RedisLease(redis_empty, NAME, 60).acquire()
    assert theirs.renew()


def test_a_killed_neighbours_lease_is_taken_at_once_and_a_living_ones_is_not(redis_empty):
    child = subprocess.Popen(["sleep", "60"])
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    host, namespace, _, _ = neighbours.identity().split("/")
    theirs = RedisLease(redis_empty, NAME, 60, owner=f"{host}/{namespace}/{child.pid}/{started}/x")
    assert theirs.acquire()
    ours = RedisLease(redis_empty, NAME, 60)
    assert not ours.acquire()
    child.kill()
    child.wait()
    assert ours.acquire()
    assert ours.token > theirs.token
    assert not theirs.renew()

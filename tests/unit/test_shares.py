"""Agents of several campaigns are shared out by weight."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.shares import Assigned, Sibling, order


def serve(weights: dict[int, int], rounds: int, agents: int = 1, idle: int = 1) -> Counter[int]:
    """Let `idle` of the agents become free each round; the first campaign in order takes them all."""
    assigned = [Assigned(campaign, agent, weight) for agent in range(agents) for campaign, weight in weights.items()]
    calls: Counter[tuple[int, int]] = Counter()
    for turn in range(rounds):
        first = order(list(weights), assigned, calls)[0]
        for n in range(idle):
            calls[first, (turn * idle + n) % agents] += 1
    total: Counter[int] = Counter()
    for (campaign, _), n in calls.items():
        total[campaign] += n
    return total


def test_calls_go_out_in_proportion_to_the_weights():
    assert serve({1: 10, 2: 30}, 400) == Counter({2: 300, 1: 100})
    assert serve({1: 10, 2: 10}, 100) == Counter({1: 50, 2: 50})


def test_bursts_of_free_agents_even_out():
    served = serve({1: 10, 2: 30}, 200, agents=40, idle=10)
    assert abs(served[2] - 1500) <= 20


def test_a_campaign_of_its_own_agents_keeps_its_place_and_takes_nothing_from_anyone():
    assert order([1, 2], [Assigned(1, 7, 10), Assigned(2, 8, 10)], {(1, 7): 50}) == [1, 2]


def test_only_shared_agents_count():
    # Campaign 1 has had many calls of agents that nobody else wants; of the shared one it has had none.
    assigned = [Assigned(1, 7, 10), Assigned(1, 8, 10), Assigned(2, 8, 10)]
    assert order([1, 2], assigned, {(1, 7): 500, (2, 8): 5}) == [1, 2]


def test_a_campaign_that_is_not_active_does_not_count():
    assigned = [Assigned(1, 7, 10), Assigned(2, 7, 10), Assigned(3, 7, 80)]
    assert order([1, 2], assigned, {(1, 7): 1}) == [2, 1]


@settings(max_examples=50)
@given(st.dictionaries(st.integers(1, 6), st.integers(1, 100), min_size=2, max_size=4))
def test_whatever_the_weights_each_gets_its_share_within_a_call_or_two(weights):
    rounds = 300
    served = serve(weights, rounds)
    for campaign, weight in weights.items():
        assert abs(served[campaign] - rounds * weight / sum(weights.values())) <= len(weights)


def test_of_a_siblings_calls_those_count_that_are_dialled_for_agents_of_both():
    ten = list(range(10))
    assert len(Sibling(crew=5, idle=5, shared=1, shared_idle=1).ringing_for_ours(ten)) == 2
    # Its own are all talking: what rings is meant for the shared one.
    assert Sibling(crew=5, idle=1, shared=1, shared_idle=1).ringing_for_ours(ten) == ten
    # The shared one talks, and may be free when it is answered.
    assert len(Sibling(crew=5, idle=4, shared=1, shared_idle=0).ringing_for_ours(ten)) == 2
    assert Sibling(crew=5, idle=5, shared=5, shared_idle=5).ringing_for_ours(ten) == ten
    assert Sibling(crew=5, idle=5).ringing_for_ours(ten) == []
    # Old and new ones alike.
    assert Sibling(crew=5, shared=1).ringing_for_ours(ten) == [0, 5]


def test_of_a_siblings_waiting_customers_no_more_count_than_there_are_agents_of_both():
    assert Sibling(crew=9, shared=2).waiting_for_ours("abc") == "ab"


@given(st.integers(1, 40), st.data())
def test_a_sibling_counts_for_its_share_rounded_up(crew, data):
    idle, shared = data.draw(st.integers(0, crew)), data.draw(st.integers(1, crew))
    both = data.draw(st.integers(max(0, idle + shared - crew), min(idle, shared)))
    calls = list(range(data.draw(st.integers(0, 200))))
    counted = Sibling(crew, idle, shared, both).ringing_for_ours(calls)
    assert counted == sorted(set(counted))
    assert len(counted) >= len(calls) * shared / crew
    assert not idle or len(counted) >= len(calls) * both / idle - 1e-9
    assert len(counted) <= max(len(calls) * shared / crew, len(calls) * both / idle if idle else 0) + 1

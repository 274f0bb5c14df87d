"""A supervisor sets what bounds a campaign's dialling: taken whole or refused whole, and the dialer decides anew."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from dialer import tasks
from dialer.services import wake
from events import streams
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]


def limit(campaign: Any, **fields: Any) -> dict[str, Any]:
    command = {"command_id": str(uuid.uuid4()), "actor": "sup", "kind": "campaign_control", "action": "set_limits"}
    answer = tasks.handle_command({**command, "campaign_id": str(campaign.campaign_id), **fields})
    campaign.refresh_from_db()
    return answer


def test_the_limits_that_are_given_change_and_the_others_stay():
    campaign = make_campaign(make_agents(1), max_lines=50, max_calls_per_second=3)
    answer = limit(campaign, max_lines=7, power_ratio=1.5)
    assert answer["status"] == "applied"
    assert (campaign.max_lines, campaign.max_calls_per_second, campaign.power_ratio) == (7, 3, Decimal("1.5"))
    limit(campaign, calls_per_second=9)
    assert (campaign.max_lines, campaign.max_calls_per_second) == (7, 9)
    limit(campaign, calls_per_second=0)
    assert campaign.max_calls_per_second is None, "0: only the system's limit"


def test_a_changed_limit_is_announced_and_asks_for_a_decision_at_once(redis_empty, django_capture_on_commit_callbacks):
    campaign = make_campaign(make_agents(1), max_lines=50)
    with django_capture_on_commit_callbacks(execute=True):
        limit(campaign, max_lines=50)
    assert not redis_empty.exists(wake.PENDING_KEY), "nothing has changed"
    version = campaign.version
    with django_capture_on_commit_callbacks(execute=True):
        limit(campaign, max_lines=51)
    assert redis_empty.exists(wake.PENDING_KEY)
    assert campaign.version == version + 1
    assert b'"max_lines": 51' in redis_empty.xrevrange(streams.CHANGES, count=1)[0][1][streams.CHANGES_FIELD.encode()]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no limit is named"),
        ({"max_lines": -1}, "lines: a whole number"),
        ({"max_lines": 10_001}, "lines: a whole number"),
        ({"max_lines": True}, "lines: a whole number"),
        ({"calls_per_second": 2.5}, "calls per second: a whole number"),
        ({"power_ratio": 0.99}, "calls for each idle agent: a number from 1 to 10"),
        ({"power_ratio": 10.01}, "a number from 1 to 10"),
        ({"power_ratio": "nan"}, "a number from 1 to 10"),
        ({"power_ratio": "many"}, "a number from 1 to 10"),
        ({"max_lines": 7, "power_ratio": 99}, "a number from 1 to 10"),
    ],
)
def test_a_limit_out_of_its_bounds_is_refused_with_them_and_nothing_changes(fields, words):
    campaign = make_campaign(make_agents(1), max_lines=50)
    answer = limit(campaign, **fields)
    assert answer["status"] == "rejected" and words in answer["reason"]
    assert (campaign.max_lines, campaign.max_calls_per_second, campaign.power_ratio) == (50, None, Decimal(2))

"""What a transaction writes once, at its end."""

import datetime as dt
from decimal import Decimal

import pytest

from dialer import rules
from dialer.models import AgentDay, AgentState, CallLog, CampaignDay, CampaignMinute, DialerCampaign
from dialer.services import closing, drops
from dialer.services.acting import acting
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
DAY = dt.date(2026, 3, 31)
MINUTE = dt.datetime(2026, 3, 31, 15, 20, tzinfo=dt.UTC)


@pytest.fixture
def campaign() -> DialerCampaign:
    return make_campaign([])


def add_to_day(campaign: DialerCampaign, day: dt.date = DAY, **amounts: int | Decimal) -> None:
    closing.add(CampaignDay, amounts, campaign_id=campaign.pk, day=day)


def test_all_that_was_added_is_written_by_one_statement_whatever_the_rows(campaign, django_assert_num_queries):
    [agent] = make_agents(1)
    other, yesterday = make_campaign([], name="Other", offset=100), DAY - dt.timedelta(days=1)
    for day in (DAY, yesterday):
        for one in (campaign, other):
            CampaignDay.objects.create(campaign=one, day=day, attempts=1, waits=[0, 4] + [0] * 14)
    CampaignMinute.objects.create(campaign=campaign, minute=MINUTE, answered=2)
    AgentDay.objects.create(agent=agent, day=DAY)
    with acting("test"):
        for n in range(3):
            add_to_day(campaign, attempts=1, spent=Decimal("0.0150"))
            closing.add(CampaignDay, {"waits[2]": 1}, campaign_id=other.pk, day=yesterday)
            closing.add(CampaignMinute, {"answered": n}, campaign_id=campaign.pk, minute=MINUTE)
            closing.add(AgentDay, {"talk_ms": 1_000, "handled": 1}, agent_id=agent.pk, day=DAY)
        with django_assert_num_queries(1):
            closing.write()
    told = {(row.campaign_id, row.day): (row.attempts, row.spent, row.waits[1]) for row in CampaignDay.objects.all()}
    assert told == {
        (campaign.pk, DAY): (4, Decimal("0.0450"), 4),
        (campaign.pk, yesterday): (1, 0, 4),
        (other.pk, DAY): (1, 0, 4),
        (other.pk, yesterday): (1, 0, 7),
    }
    assert CampaignMinute.objects.get().answered == 5
    assert (AgentDay.objects.get().talk_ms, AgentDay.objects.get().handled) == (3_000, 3)


def test_rows_that_are_missing_are_made_beside_those_that_are_there(campaign):
    CampaignDay.objects.create(campaign=campaign, day=DAY, answered=1)
    with acting("test"):
        for days in range(3):
            add_to_day(campaign, DAY + dt.timedelta(days=days), answered=1, **{"waits[16]": 1})
    rows = CampaignDay.objects.order_by("day")
    assert [(row.answered, len(row.waits), row.waits[15]) for row in rows] == [(2, 16, 1), (1, 16, 1), (1, 16, 1)]


def test_no_count_falls_below_nothing(campaign):
    with acting("test"):
        add_to_day(campaign, tried=-1, attempts=1)
    day = CampaignDay.objects.get()
    assert (day.tried, day.attempts) == (0, 1)


def test_what_was_added_in_a_transaction_that_came_to_nothing_is_lost_with_it(campaign):
    def fails() -> None:
        with acting("test"):
            add_to_day(campaign, attempts=1)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    with acting("test"):
        add_to_day(campaign, answered=1)
    day = CampaignDay.objects.get()
    assert (day.attempts, day.answered) == (0, 1)


def test_outside_of_a_transaction_all_is_written_at_once(campaign):
    [agent] = make_agents(1)
    with acting("test"):
        add_to_day(campaign, attempts=1)
    add_to_day(campaign, attempts=1)
    closing.create(AgentState(agent=agent, state="break", timestamp=MINUTE))
    assert CampaignDay.objects.get().attempts == 2 and AgentState.objects.filter(agent=agent).count() == 1


def test_who_reads_the_caps_counts_what_this_transaction_has_added(campaign):
    call = CallLog(campaign=campaign, answered_at=MINUTE)
    with acting("test"):
        drops.count(call, {"answered": 1, "abandoned": 1})
        assert [found.people for found in drops.counts(campaign.pk, MINUTE)] == [0, 1, 1], "the day is not told here"


def test_who_reads_the_days_spending_counts_what_this_transaction_has_added(campaign):
    campaign.daily_spend_cap = Decimal(10)
    with acting("test") as act:
        add_to_day(campaign, act.now.date(), spent=Decimal("0.25"))
        assert rules.campaign_view(campaign, act.now).own.spent == Decimal("0.25")


def test_rows_are_created_in_their_order_at_the_end(campaign):
    [agent] = make_agents(1)
    with acting("test"):
        for state in ("available", "break", "offline"):
            closing.create(AgentState(agent=agent, state=state, timestamp=MINUTE))
        assert not AgentState.objects.filter(agent=agent).exists()
    assert list(AgentState.objects.filter(agent=agent).order_by("id").values_list("state", flat=True)) == [
        "available", "break", "offline",
    ]  # fmt: skip


def test_one_transaction_does_not_begin_within_another(campaign):
    with acting("test"), pytest.raises(AssertionError, match="one transaction at a time"), acting("test"):
        pass

"""What the pages of calls read of a long past: by an index, a page's worth and no more, whatever is asked for."""

import datetime as dt

import pytest
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dialer import call_search
from dialer.call_search import Asked, Place
from dialer.models import Agent, CallLog, DialerCampaign
from tests.fakes import history
from tests.fakes.console import make_user
from tests.fakes.history import Past

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
CALLS, PAGE = 20_000, 50
# Of a filter that is met by one call in twenty, a page may look at this many.
MOST = 25 * PAGE
FILTERS = (
    "nothing", "agent", "campaign", "number", "contact", "outcome", "rare outcome", "no such outcome", "open",
    "disposition", "rare disposition", "missing disposition", "time", "agent and outcome", "campaign and outcome",
)  # fmt: skip


def asked(name: str, past: Past) -> Asked:
    agent = Agent.objects.get(agent_id="agent_33").pk
    campaign = DialerCampaign.objects.get(name="Campaign 5").pk
    call = CallLog.objects.filter(agent=agent).order_by("-initiated_at")[0]
    start = past.end - dt.timedelta(hours=30)
    return {
        "nothing": Asked(),
        "agent": Asked(agent=agent),
        "campaign": Asked(campaign=campaign),
        "number": Asked(number=call.to_number),
        "contact": Asked(contact=call.contact_id),
        "outcome": Asked(outcome="busy"),
        "rare outcome": Asked(outcome=past.rare),
        "no such outcome": Asked(outcome="invalid"),
        "open": Asked(outcome="open"),
        "disposition": Asked(disposition="sale"),
        "rare disposition": Asked(disposition=past.rare_disposition),
        "missing disposition": Asked(disposition="none"),
        "time": Asked(since=start, until=start + dt.timedelta(hours=1)),
        "agent and outcome": Asked(agent=agent, outcome="conversation"),
        "campaign and outcome": Asked(campaign=campaign, outcome="conversation"),
    }[name]


def plans_of(statements: list[str]) -> list[dict]:
    """Every node of the plans of those statements that read calls."""
    nodes = []
    with connection.cursor() as cursor:
        for statement in statements:
            if '"dialer_calllog"' not in statement or not statement.startswith("SELECT"):
                continue
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            waiting = [cursor.fetchone()[0][0]["Plan"]]
            while waiting:
                node = waiting.pop()
                nodes.append(node)
                waiting += node.get("Plans", [])
    return nodes


def looked_at(nodes: list[dict]) -> int:
    """Rows of calls that were read, the ones that were put aside among them."""
    reads = [node for node in nodes if node.get("Relation Name") == "dialer_calllog"]
    return sum(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in reads)


@pytest.fixture
def past() -> Past:
    return history.make(CALLS)


def test_every_filter_reads_along_an_index_and_a_page_only(past):
    found = {}
    for name in FILTERS:
        wanted = asked(name, past)
        for place in (None, Place(past.end - CALLS / 2 * history.STEP, 0)):
            with CaptureQueriesContext(connection) as captured:
                call_search.page(wanted, place, PAGE, Q())
            nodes = plans_of([query["sql"] for query in captured])
            assert nodes
            seen = {node["Node Type"] for node in nodes if node.get("Relation Name") == "dialer_calllog"}
            assert "Seq Scan" not in seen, (name, place)
            found[name, place is not None] = looked_at(nodes)
    assert {key: rows for key, rows in found.items() if rows > MOST} == {}


def test_a_call_an_agents_day_a_contact_and_a_leg_are_found_by_an_index(past):
    browser = Client()
    browser.force_login(make_user("sup", supervisor=True))
    call = CallLog.objects.exclude(agent=None).select_related("agent").order_by("-initiated_at")[0]
    day = f"{call.initiated_at:%Y-%m-%d}"
    for address in (
        f"/console/calls/{call.call_id}/",
        f"/console/agents/{call.agent.agent_id}/?day={day}",
        f"/console/contacts/{call.contact_id}/",
        f"/console/search?q={call.freeswitch_uuid}",
        "/console/search?q=00000000-0000-4000-8000-000000000000",
    ):
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(address).status_code in (200, 302)
        nodes = plans_of([query["sql"] for query in captured])
        assert nodes, address
        read = [node for node in nodes if node.get("Relation Name") == "dialer_calllog"]
        assert "Seq Scan" not in {node["Node Type"] for node in read}, address
        assert looked_at(nodes) < MOST, address

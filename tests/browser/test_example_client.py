"""The JavaScript example client in a signed-in page of the real server, as an integrator would begin."""

import pytest
from playwright.sync_api import Page

from tests.conftest import wait_until
from tests.fakes.console import make_team, make_user, publishing, set_status
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

START = """
async () => {
  const { FloorClient } = await import("/docs/examples/floor_client.js");
  delete Crypto.prototype.randomUUID;  // as in a page that came by plain http from another machine
  window.seen = [];
  window.client = new FloorClient("/ws/v1/floor/", {
    changed: (floor, message) => window.seen.push([message.type, floor.seq]),
    ended: (why) => { window.ended = why; },
  }).start();
}
"""


def until(page: Page, expression: str) -> None:
    """Playwright's own way would evaluate a string in the page, which its policy forbids."""
    wait_until(lambda: page.evaluate(expression), expression)


def test_the_javascript_client_follows_commands_and_resumes(tab, web, supervisor):
    agents = make_agents(3)
    make_team("north", agents)
    make_campaign(agents)
    web.worker("dialer_queue")
    try:
        with publishing():
            page = tab(supervisor).open("/docs/protocol/")
            page.evaluate(START)
            until(page, "client.floor.rows.agents.size === 3 && client.floor.kpis.agents.total === 3")
            ask = """([type, fields]) => client.command(type, fields)"""
            command = {"agent_id": agents[0].agent_id, "state": "break"}
            result = page.evaluate(ask, ["set_agent_state", command])
            assert (result["type"], result["status"]) == ("result", "applied")
            name = agents[0].agent_id
            until(page, f"client.floor.rows.agents.get('{name}').status === 'break'")
            error = page.evaluate(ask, ["set_agent_state", {**command, "agent_id": "nobody"}])
            assert (error["type"], error["code"]) == ("error", "not_found")
            # Cut off and back: every missed frame, and no second snapshot.
            seen = page.evaluate("seen.length")
            page.evaluate("() => { client.stop(); client.start(); }")
            set_status(agents[1], "break")
            other = agents[1].agent_id
            until(page, f"client.floor.rows.agents.get('{other}').status === 'break'")
            kinds, seqs = zip(*page.evaluate("seen"), strict=True)
            assert len(kinds) > seen and kinds.count("snapshot") == 1
            assert list(seqs) == list(range(seqs[0], seqs[0] + len(seqs)))
            page.evaluate("client.stop()")
    finally:
        web.kill("dialer_queue")


def test_the_javascript_client_gives_up_when_the_right_is_taken(tab, supervisor):
    with publishing():
        page = tab(supervisor).open("/docs/protocol/")
        page.evaluate(START)
        until(page, "client.floor.seq >= 0")
        supervisor.groups.clear()
        until(page, "window.ended")
        assert "taken away" in page.evaluate("ended")


def test_the_page_leads_to_the_document_and_the_examples(tab, supervisor):
    page = tab(supervisor).open("/docs/protocol/")
    for link in ("AsyncAPI 3 document", "floor_client.py", "floor_client.js"):
        address = page.get_by_role("link", name=link).get_attribute("href")
        answer = page.request.get(page.url.partition("/docs/")[0] + address)
        assert answer.status == 200 and len(answer.body()) > 1_000
    assert page.request.get(page.url.partition("/docs/")[0] + "/docs/examples/x.py").status == 404


@pytest.fixture
def supervisor():
    return make_user("sup", supervisor=True)

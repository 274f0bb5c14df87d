"""Django's admin works under the same strict policy: no page of it reports a violation."""

import pytest
from playwright.sync_api import expect

from tests.fakes.console import make_user
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


def test_the_admin_runs_under_the_content_security_policy(tab):
    agents = make_agents(2)
    campaign = make_campaign(agents)
    root = make_user("root", is_staff=True, is_superuser=True)
    opened = tab(root)
    for path in (
        "/admin/",
        "/admin/dialer/agent/",
        f"/admin/dialer/agent/{agents[0].pk}/change/",
        f"/admin/dialer/dialercampaign/{campaign.pk}/change/",
        "/admin/dialer/calllog/",
        "/admin/console/apitoken/",
    ):
        page = opened.open(path)
        expect(page.locator("#content")).to_be_visible()

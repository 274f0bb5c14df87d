"""The pages that explain, in a real browser: by keyboard, on a phone, in both themes."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from dialer import whatif
from dialer.models import Contact, DoNotCall, PacingDecision
from dialer.whatif_runs import run
from tests.browser.conftest import PHONE
from tests.fakes.console import make_user
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]
SMALL = {"agents": 3, "hours": 0.25, "modes": ["progressive", "power"]}


@pytest.fixture
def supervisor():
    return make_user("sup", supervisor=True)


def test_a_campaign_is_chosen_and_a_number_asked_about_by_keyboard(tab, supervisor):
    campaign = make_campaign(make_agents(2), contacts=2, status="paused")
    number = Contact.objects.first().number
    DoNotCall.objects.create(number=number, source="letter")
    page = tab(supervisor).open("/console/decisions/")
    page.get_by_label("Campaign").select_option(campaign.name)
    expect(page.locator(".headline")).to_contain_text("Not dialling: the campaign is paused")
    assert str(campaign.campaign_id) in page.url
    page.get_by_role("link", name="Explain").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Phone number")).to_be_focused()
    page.keyboard.type(number.replace("+1", "(1) "))
    page.keyboard.press("Enter")
    expect(page.locator(".gates").first).to_contain_text("do_not_call")
    assert number[-7:] not in page.url


def test_the_page_of_a_campaign_follows_without_a_reload(tab, supervisor):
    campaign = make_campaign([], contacts=2)
    page = tab(supervisor).open(f"/console/decisions/?campaign={campaign.campaign_id}")
    expect(page.locator(".headline")).to_contain_text("nothing has been decided")
    now = timezone.now()
    PacingDecision.objects.create(
        campaign=campaign, decided_at=now, last_at=now, binding_reason="no_agents", summary="placed none: nobody"
    )
    expect(page.locator("#live-decisions")).to_contain_text("placed none: nobody", timeout=20_000)


def test_nothing_runs_off_a_phone_in_either_theme(tab, supervisor):
    campaign = make_campaign(make_agents(2), contacts=2, name="Renewals " + "long" * 40)
    now = timezone.now()
    made = PacingDecision.objects.create(
        campaign=campaign,
        decided_at=now,
        last_at=now,
        binding_reason="price",
        summary="word " * 50,
        inputs={"k" * 90: 1},
    )
    asked = whatif.Parameters.of(SMALL)
    run(asked.as_dict(), "whatif:busy", 60)
    ask = "answer_rate=25&talk=120&wrap_up=15&ring=8&ring_timeout=25&cap=3&ratio=3&seed=1&modes=progressive&modes=power"
    opened = tab(supervisor, PHONE)
    for path in (
        f"/console/decisions/?campaign={campaign.campaign_id}", f"/console/decisions/{made.pk}/",
        f"/console/why/contacts/{Contact.objects.first().pk}/", f"/console/what-if/?agents=3&hours=0.25&{ask}",
    ):  # fmt: skip
        page = opened.open(path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], (path, scheme)
    expect(page.locator(".chart")).to_have_count(3)

"""What every page promises a browser, and what no page may hold."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from dialer.models import CallLog, Contact, DialerCampaign, PacingDecision, ReasonCode
from tests.fakes.console import make_user, publishing, wait_published
from tests.fakes.floor import make_agents, make_campaign
from tests.unit.test_console_render import HOSTILE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

TEMPLATES = Path(settings.BASE_DIR) / "templates"
SCRIPTS = Path(settings.BASE_DIR) / "static" / "console"


class Forbidden(HTMLParser):
    """Collects whatever the content security policy would have to stop."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.script = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.script = tag == "script" and "src" not in named
        if tag in ("style", "iframe", "object", "embed", "base"):
            self.found.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith(("on", "hx-on")):
                self.found.append(f"{tag} {name}")
            if name in ("src", "href", "action") and re.match(r"\s*(https?:|//|javascript:|data:)", value or ""):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data):
        if self.script and data.strip():
            self.found.append("inline script")


def signed_in(name: str, **fields) -> Client:
    browser = Client()
    browser.force_login(make_user(name, **fields))
    return browser


def hostile_floor():
    agents = make_agents(len(HOSTILE))
    campaign = make_campaign(agents, contacts=len(agents))
    campaign.name = HOSTILE[0]
    campaign.save()
    ReasonCode.objects.create(code="lunch", label=HOSTILE[1], status="break")
    for agent, contact, text in zip(agents, Contact.objects.all(), HOSTILE, strict=True):
        agent.name = contact.name = text.replace("\x00", "")[:120]
        agent.status_reason = text.replace("\x00", "")[:40]
        agent.save()
        contact.save()
        CallLog.objects.create(
            to_number=contact.number,
            freeswitch_uuid=f"leg {agent.pk}",
            agent=agent,
            contact=contact,
            campaign=campaign,
            initiated_at=timezone.now(),
        )
        PacingDecision.objects.create(
            campaign=campaign,
            decided_at=timezone.now(),
            last_at=timezone.now(),
            binding_reason="agents",
            summary=agent.name,
            inputs={agent.name: agent.name, "blocked": {agent.name: 1}, "windows": {agent.name: [agent.name]}},
        )
    return agents


def test_no_page_holds_anything_that_runs_whatever_the_names_say():
    agents = hostile_floor()
    supervisor = signed_in("sup", supervisor=True)
    agent = signed_in("ann", agent=agents[0])
    with publishing():
        wait_published(lambda f: len(f.calls) == len(HOSTILE), "the hostile floor")
        pages = [supervisor.get(page) for page in ("/console/", "/console/decisions/", "/docs/protocol/")]
        pages += [supervisor.get(f"/console/agents/{one.agent_id}/menu/") for one in agents]
        pages += [supervisor.get(f"/console/why/contacts/{pk}/") for pk in Contact.objects.values_list("pk", flat=True)]
        pages += [supervisor.get(f"/console/decisions/{one.pk}/") for one in PacingDecision.objects.all()]
        pages += [supervisor.post("/console/why/", {"number": text}) for text in (*HOSTILE, "+12125550000")]
        campaign = DialerCampaign.objects.get().campaign_id
        pages += [supervisor.get(page, {"campaign": campaign}) for page in ("/console/decisions/", "/console/what-if/")]
        pages += [supervisor.get("/console/what-if/", {"agents": text, "seed": text}) for text in HOSTILE]
        pages += [agent.get("/console/agent/"), Client().get("/login/", {"next": HOSTILE[1]}), agent.get("/console/")]
    for page in pages:
        text = page.content.decode()
        assert Forbidden(text).found == []
        assert "<script>window" not in text and "<img src=x" not in text and 'hx-trigger="load"' not in text


def test_every_page_carries_the_policy_and_is_never_kept_by_a_cache():
    root = signed_in("root", is_staff=True, is_superuser=True)
    for page in ("/login/", "/console/", "/console/decisions/", "/admin/", "/healthz", "/readyz", "/nothing-here/"):
        headers = root.get(page).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "http:" not in policy and "https:" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "no-" in headers["Cache-Control"]


def test_a_foreign_host_name_is_refused():
    answer = Client().get("/login/", headers={"host": "evil.test"})
    assert answer.status_code == 400
    assert "evil" not in answer.content.decode()


def test_forms_need_their_token():
    browser = Client(enforce_csrf_checks=True)
    user = make_user("sup", supervisor=True)
    assert browser.post("/login/", {"username": "sup", "password": "not-secret-1"}).status_code == 403
    browser.force_login(user)
    assert browser.post("/logout/").status_code == 403
    assert browser.get("/console/session/").status_code == 204


def test_no_template_switches_escaping_off_and_no_script_writes_html():
    for template in TEMPLATES.rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape off|safeseq", text), template
    for script in SCRIPTS.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML\s*=|outerHTML\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        ), script


def test_pages_name_no_number_in_full():
    agents = hostile_floor()
    supervisor = signed_in("sup", supervisor=True)
    with publishing():
        wait_published(lambda f: len(f.calls) == len(HOSTILE), "the floor")
        text = supervisor.get("/console/").content.decode()
    text += supervisor.get(f"/console/why/contacts/{Contact.objects.first().pk}/").content.decode()
    for number in Contact.objects.values_list("number", flat=True):
        assert number not in text
    assert agents

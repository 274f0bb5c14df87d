"""What every page promises a browser, and what no page may hold."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from django.utils.html import json_script

from dialer.models import CallLog, Contact, DialerCampaign, PacingDecision, ReasonCode
from tests.fakes.console import make_user, publishing, wait_published
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.hostile import FEW as HOSTILE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

TEMPLATES = Path(settings.BASE_DIR) / "templates"
SCRIPTS = Path(settings.BASE_DIR) / "static" / "console"


class Forbidden(HTMLParser):
    """Collects whatever the content security policy would have to stop: all that runs inline. A block of JSON does not
    run, if it says exactly so, is JSON, and holds no sign that could end it or begin a tag (json_script escapes them).
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.script = self.json = False
        self.content = ""
        self.feed(html)
        self.close()
        if self.script:  # what nothing ends is not even told as data
            self.found.append("inline script")

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.script = tag == "script" and "src" not in named
        self.json = self.script and attrs == [("id", named.get("id")), ("type", "application/json")]
        self.content = ""
        if tag in ("style", "iframe", "object", "embed", "base"):
            self.found.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith(("on", "hx-on")):
                self.found.append(f"{tag} {name}")
            if name in ("src", "href", "action") and re.match(r"\s*(https?:|//|javascript:|data:)", value or ""):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data):
        if self.script:
            self.content += data

    def handle_endtag(self, tag):
        if tag != "script" or not self.script:
            return
        if self.content.strip() and not (self.json and self._is_inert()):
            self.found.append("inline script")
        self.script = self.json = False

    def _is_inert(self) -> bool:
        try:
            json.loads(self.content)
        except ValueError:
            return False
        return not re.search(r"[<>&]", self.content)


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script id="w" type="application/json">{"a": "\\u003Cb\\u003E"}</script>', []),
        ('<script id="w" type="application/json">{"a": "<b>"}</script>', ["inline script"]),
        ('<script id="w" type="application/json">{"a": "&amp;"}</script>', ["inline script"]),
        ('<script id="w" type="application/json">alert(1)</script>', ["inline script"]),
        ('<script id="w" type="application/json" async>{}</script>', ["inline script"]),
        ('<script type="application/JSON">{}</script>', ["inline script"]),
        ('<script type="text/javascript">{}</script>', ["inline script"]),
        ('<script type="importmap">{}</script>', ["inline script"]),
        ('<script type="module">{}</script>', ["inline script"]),
        ("<script>1", ["inline script"]),
        ('<script src="/a.js"></script>', []),
        ('<p style="a" onclick="b">', ["p style", "p onclick"]),
    ],
)
def test_a_block_of_json_is_allowed_and_nothing_that_runs(html, found):
    assert Forbidden(html).found == found


@pytest.mark.parametrize("words", HOSTILE)
def test_words_given_to_the_board_stay_words(words):
    block = json_script({words: [words]}, "words")
    assert Forbidden(block).found == []
    assert json.loads(block.partition(">")[2].removesuffix("</script>")) == {words: [words]}


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

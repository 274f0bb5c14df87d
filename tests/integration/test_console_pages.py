"""The pages: who sees which, what they hold, and that the answers about health name every part."""

import json
import time
from importlib import import_module
from io import StringIO
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from console.health import LABELS
from console.models import ApiToken, digest
from console.permissions import GROUPS
from dialer import census
from dialer.models import Agent, PacingDecision, ReasonCode
from events import streams
from orchestrator import health
from tests.fakes.console import make_user, publishing, wait_published
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

PAGES = ("/console/", "/console/agent/", "/console/decisions/", "/docs/protocol/")


@pytest.fixture
def browser() -> Client:
    return Client()


@pytest.fixture
def supervisor(browser) -> User:
    user = make_user("sup", supervisor=True)
    browser.force_login(user)
    return user


def test_signed_out_people_are_sent_to_sign_in(browser):
    for page in ("/", *PAGES):
        answer = browser.get(page)
        assert answer.status_code == 302 and answer.headers["Location"].startswith("/login/")
    assert browser.get("/console/session/").status_code == 401


def test_a_part_of_a_page_that_a_signed_out_person_asks_for_sends_the_whole_page_to_sign_in_and_back(browser):
    at = "/console/decisions/?campaign=spring"
    asked = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{at}"}
    doors = {"/console/decisions/": "/login/", "/admin/dialer/importrun/1/status/": "/admin/login/"}
    for part, door in doors.items():
        answer = browser.get(part, headers=asked)
        assert answer.headers["HX-Redirect"] == f"{door}?next={quote(at)}"
        assert (answer.status_code, answer.content) == (200, b"")
    elsewhere = browser.get("/console/decisions/", headers={**asked, "HX-Current-URL": "https://evil.example/x"})
    assert elsewhere.headers["HX-Redirect"] == "/login/?next=/console/decisions/"


def test_signing_in_and_out_and_wrong_passwords(browser):
    make_user("sup", supervisor=True)
    wrong = browser.post("/login/", {"username": "sup", "password": "wrong"})
    assert "do not match" in wrong.content.decode()
    right = browser.post("/login/", {"username": "sup", "password": "not-secret-1", "next": "/console/decisions/"})
    assert right.headers["Location"] == "/console/decisions/"
    assert browser.get("/console/session/").status_code == 204
    assert browser.get("/logout/").status_code == 405
    assert browser.post("/logout/").status_code == 302
    assert browser.get("/console/session/").status_code == 401


def test_sign_in_never_leads_to_another_host(browser):
    make_user("sup", supervisor=True)
    answer = browser.post("/login/", {"username": "sup", "password": "not-secret-1", "next": "https://evil.test/"})
    assert answer.headers["Location"] == "/"


def test_everyone_is_led_to_their_own_page(browser):
    agent = make_agents(1)[0]
    people = {
        "/console/": make_user("sup", supervisor=True),
        "/console/agent/": make_user("ann", agent=agent),
        "/admin/": make_user("root", is_staff=True),
    }
    for page, user in people.items():
        browser.force_login(user)
        assert browser.get("/").headers["Location"] == page
    browser.force_login(make_user("bob"))
    assert "neither a supervisor nor" in browser.get("/").content.decode()


def test_page_matrix(browser):
    agent = make_agents(1)[0]
    ann = make_user("ann", agent=agent)
    sup = make_user("sup", supervisor=True)
    for user, expected in (
        (sup, {"/console/": 200, "/console/agent/": 403, "/console/decisions/": 200, "/docs/protocol/": 200}),
        (ann, {"/console/": 403, "/console/agent/": 200, "/console/decisions/": 403, "/docs/protocol/": 200}),
    ):
        browser.force_login(user)
        assert {page: browser.get(page).status_code for page in PAGES} == expected


def test_the_migration_makes_the_groups_that_give_rights():
    # A transactional test finds the tables emptied, so the migration is run again.
    migration = import_module("console.migrations.0002_groups")
    migration.create(apps, None)
    assert set(Group.objects.values_list("name", flat=True)) == set(GROUPS)


def test_the_board_holds_the_words_and_no_data_of_people(browser, supervisor):
    agent = make_agents(1)[0]
    with publishing():
        wait_published(lambda floor: len(floor.agents) == 1, "the floor")
        text = browser.get("/console/").content.decode()
    assert agent.name not in text and 'data-socket="/ws/v1/floor/"' in text
    words = json.loads(text.split('<script id="words" type="application/json">')[1].split("</script>")[0])
    assert words["agent_states"]["on_call"][0] == "On call"
    assert set(words["parts"]) == set(LABELS)


def test_a_refused_page_is_told_why(browser):
    browser.force_login(make_user("ann", agent=make_agents(1)[0]))
    assert browser.get("/console/session/").status_code == 204
    assert browser.get("/console/session/?floor").status_code == 403
    assert browser.get("/console/session/?agent").status_code == 204
    browser.force_login(make_user("sup", supervisor=True))
    assert browser.get("/console/session/?floor").status_code == 204
    assert browser.get("/console/session/?agent").status_code == 403


def test_the_board_knows_every_state_with_its_reasons_and_who_looks_at_it(browser, supervisor):
    Agent.objects.create(agent_id="sup", extension="1999", user=supervisor)
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    ReasonCode.objects.create(code="old", label="Old", status="break", is_active=False)
    ReasonCode.objects.create(code="wrap_up", label="Wrap-up", status="busy")
    words = browser.get("/console/").context["words"]
    choices = [(choice["status"], choice["reason"]) for choice in words["choices"]]
    assert choices == [("available", ""), ("break", "lunch"), ("busy", ""), ("offline", "")]
    assert words["me"] == {"user": "sup", "extension": "1999"}


def test_the_chosen_campaigns_gates_and_census_stand_beside_its_decisions(browser, supervisor):
    campaign = make_campaign([], contacts=3, name="One", status="paused")
    address = "/console/decisions/", {"campaign": str(campaign.campaign_id)}
    assert "Contacts are being counted." in browser.get(*address).content.decode()
    census.refresh(campaign)
    text = browser.get(*address).content.decode()
    assert "Not dialling: the campaign is paused and the bridge has no connection" in text
    assert "<b>status:</b> the campaign is paused" in text and "<b>link:</b> the bridge has no connection" in text
    assert "of the first 3: 3 may be called now" in text


def test_decisions_newest_first_and_by_campaign(browser, supervisor):
    one, two = make_campaign([], name="One"), make_campaign([], name="Two", offset=50)
    for n, campaign in enumerate((one, two, one)):
        PacingDecision.objects.create(
            campaign=campaign,
            decided_at=timezone.now(),
            last_at=timezone.now(),
            binding_reason="agents",
            summary=f"s{n}",
        )
    text = browser.get("/console/decisions/").content.decode()
    assert text.index("s2") < text.index("s1") < text.index("s0")
    only = browser.get("/console/decisions/", {"campaign": str(two.campaign_id)}).content.decode()
    assert ">s1<" in only and ">s0<" not in only
    assert browser.get("/console/decisions/", {"campaign": "x"}).status_code == 404


def test_healthz_asks_nobody_and_readyz_names_every_part(browser):
    assert browser.get("/healthz").content == b"ok\n"
    health._last = None
    answer = browser.get("/readyz")
    body = json.loads(answer.content)
    assert answer.status_code == 503 and body["ready"] is False
    assert list(body["components"]) == ["database", "redis", "bridge", "ingest", "floor", "dialer", "default", "orders"]
    assert body["components"]["database"]["ok"] and not body["components"]["dialer"]["ok"]
    for name in ("ingest", "floor", "dialer", "default"):
        streams.shared().set(f"heartbeat:{name}", json.dumps({"at": time.time()}))
    streams.shared().set("heartbeat:bridge", json.dumps({"at": time.time(), "link": "up"}))
    health._last = None
    assert browser.get("/readyz").status_code == 200
    health._last = None


def test_create_api_token_shows_it_once_and_stores_a_hash():
    user = make_user("integrator", supervisor=True)
    out = StringIO()
    call_command("create_api_token", "integrator", "--days", "1", "--name", "reports", stdout=out)
    secret = out.getvalue().strip()
    token = ApiToken.objects.get()
    assert token.digest == digest(secret) and secret not in str(token.__dict__)
    assert token.user == user and token.expires_at > timezone.now()
    assert ApiToken.objects.find(secret) == token
    with pytest.raises(CommandError):
        call_command("create_api_token", "nobody")


def test_tokens_can_be_revoked_in_the_admin(browser):
    root = make_user("root", is_staff=True, is_superuser=True)
    token, secret = ApiToken.issue(root)
    browser.force_login(root)
    page = browser.get("/admin/console/apitoken/")
    assert token.hint in page.content.decode() and token.digest not in page.content.decode()
    browser.post("/admin/console/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    assert ApiToken.objects.find(secret) is None
    assert browser.get("/admin/console/apitoken/add/").status_code == 403

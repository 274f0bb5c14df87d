"""Every address of the product by every role: what each is answered, as one table. A new address without a row fails.

The admin asks for staff and Django's own permissions: one row holds for all of its addresses.
"""

import uuid
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, reverse
from django.urls.converters import UUIDConverter
from django.utils import timezone

from dialer.models import CallLog, Contact, PacingDecision
from tests.fakes.console import make_team, make_user
from tests.fakes.floor import make_agents, make_campaign
from tests.security.addresses import addresses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

ROLES = ("anonymous", "nobody", "viewer", "agent", "team", "floor", "administrator")
ANSWERS = {200: ".", 204: ".", 301: ">", 302: ">", 401: "?", 403: "x", 404: "-", 405: "m", 503: "."}
# . a page  > to another page  s to sign in  x not for them  - not there  ? a password first  m not with GET
TABLE = {
    "login": ".>>>>>>",
    "logout": "mmmmmmm",
    "healthz": ".......",
    "readyz": ".......",
    "metrics": "???????",
    "favicon.ico": ">>>>>>>",
    "home": "s.>>>>>",
    "board": "sx.x...",
    "panel": "sxx.xxx",
    "preview": "sxx-xxx",
    "mycall (the agent's)": "sxx.xxx",
    "mycall (of the team)": "sxx-xxx",
    "mycall (elsewhere)": "sxx-xxx",
    "callback_times (the agent's)": "sxx.xxx",
    "callback_times (of the team)": "sxx-xxx",
    "callback_times (elsewhere)": "sxx-xxx",
    "decisions": "sx.x...",
    "decision (of the team)": "sx.x...",
    "decision (elsewhere)": "sx.x-..",
    "why": "sx.xx..",
    "why_contact (of the team)": "sx.xx..",
    "why_contact (elsewhere)": "sx.xx..",
    "whatif": "sx.xx..",
    "disposition (the agent's)": "sxx.-..",
    "disposition (of the team)": "sxx-...",
    "disposition (elsewhere)": "sxx--..",
    "trends": "sx.x...",
    "calls": "sx.x...",
    "call (the agent's)": "sx.x-..",
    "call (of the team)": "sx.x...",
    "call (elsewhere)": "sx.x-..",
    "recording (of the team)": "sxxx---",
    "recording (elsewhere)": "sxxx---",
    "agent_day (the agent's)": "sx..-..",
    "agent_day (of the team)": "sx.-...",
    "agent_day (elsewhere)": "sx.--..",
    "contact (of the team)": "sx.x...",
    "contact (elsewhere)": "sx.x-..",
    "search": "sx.x...",
    "export": "sxxx...",
    "audit": "sxxxx..",
    "session": "?......",
    "asyncapi": ".......",
    "example": "s......",
    "protocol": "s......",
}


class Floor:
    def __init__(self) -> None:
        ann, bob, cid = agents = make_agents(3)
        tom = make_user("tom")
        make_team("north", [bob], [tom])
        make_team("south", [cid])
        ours, other = (make_campaign(agents, name=name, offset=n) for n, name in ((0, "Ours"), (100, "Other")))
        ours.supervisors.add(tom)
        self.users: dict[str, User | None] = {
            "anonymous": None,
            "nobody": make_user("nobody"),
            "viewer": make_user("vic", group="viewer"),
            "agent": make_user("ann", agent=ann),
            "team": tom,
            "floor": make_user("sup", supervisor=True),
            "administrator": make_user("root", is_staff=True, is_superuser=True),
        }
        self.calls, self.agents, self.decisions, self.contacts = {}, {}, {}, {}
        for n, (where, agent, campaign) in enumerate(
            (("the agent's", ann, other), ("of the team", bob, ours), ("elsewhere", cid, other))
        ):
            contact = Contact.objects.filter(target_list=campaign.target_list)[n]
            self.calls[where] = CallLog.objects.create(
                to_number=contact.number, freeswitch_uuid=f"leg{n}", agent=agent, campaign=campaign, contact=contact,
                initiated_at=timezone.now(), answered_at=timezone.now(),
            )  # fmt: skip
            self.agents[where], self.contacts[where] = agent, contact
            self.decisions[where] = PacingDecision.objects.create(
                campaign=campaign, decided_at=timezone.now(), last_at=timezone.now(), binding_reason="agents"
            )

    def at(self, pattern: URLPattern, where: str) -> dict[str, Any] | None:
        """The arguments of this address for what is there; None: there is nothing of this kind."""
        known = {
            "call_id": {where: one.call_id for where, one in self.calls.items()},
            "agent_id": {where: one.agent_id for where, one in self.agents.items()},
            "pk": self.contacts if "contacts" in str(pattern.pattern) else self.decisions,
            "what": {"": "calls"},
            "form": {"": "csv"},
            "name": {"": "floor_client.py"},
            "preview_id": {"": "00000000-0000-0000-0000-000000000000"},
        }
        wanted = list(pattern.pattern.converters)
        found = {name: known[name].get(where) for name in wanted}
        if any(value is None for value in found.values()) or (where and not wanted):
            return None
        return {name: getattr(value, "pk", value) for name, value in found.items()}


@pytest.fixture
def floor(settings, tmp_path) -> Floor:
    settings.RECORDINGS_DIR = str(tmp_path)
    return Floor()


def browser_of(user: User | None, **options: Any) -> Client:
    browser = Client(**options)
    if user is not None:
        browser.force_login(user)
    return browser


def answer(client: Client, address: str) -> str:
    got = client.get(address)
    if got.status_code == 302 and got.headers["Location"].startswith("/login/?next="):
        return "s"
    return ANSWERS.get(got.status_code, str(got.status_code))


def test_every_address_answers_every_role_as_the_table_says(floor):
    found: dict[str, str] = {}
    browsers = [browser_of(user) for user in floor.users.values()]
    for space, name, pattern in addresses():
        if space == "admin":
            continue
        for where in ("", "the agent's", "of the team", "elsewhere"):
            given = floor.at(pattern, where)
            row = f"{name} ({where})" if where else name
            if given is None or (where and row not in TABLE and f"{name} (elsewhere)" in TABLE):
                continue
            path = reverse(f"{space}:{name}" if space else name, kwargs=given) if pattern.name else f"/{name}"
            found[row] = "".join(answer(browser, path) for browser in browsers)
    assert found == TABLE


def of_the_admin(name: str, pattern: URLPattern) -> str:
    """This address of it, for whatever has the key 1."""
    if not pattern.name:
        return f"/admin/{pattern.pattern}".replace("<path:object_id>", "1").replace("(?P<url>.*)$", "nowhere/")
    converters = pattern.pattern.converters.items()
    given = {key: str(uuid.UUID(int=1)) if isinstance(one, UUIDConverter) else "1" for key, one in converters}
    return reverse(f"admin:{name}", kwargs=given | ({"app_label": "dialer"} if name == "app_list" else {}))


def test_the_admin_is_for_staff_and_each_of_its_pages_for_those_who_may_see_it(floor):
    """An address of it that lets others in, or staff without a permission, fails here by its name."""
    people = {role: floor.users[role] for role in ("anonymous", "agent", "floor")}
    people["clerk"] = make_user("clerk", is_staff=True)
    browsers = {role: browser_of(user) for role, user in people.items()}
    open_to_staff = {
        "index", "login", "logout", "password_change", "password_change_done", "jsi18n", "app_list",
    }  # fmt: skip
    tried, wrong = 0, []
    for space, name, pattern in addresses():
        if space != "admin":
            continue
        path = of_the_admin(name, pattern)
        if name == "logout":
            continue
        for role, browser in browsers.items():
            got = browser.get(path)
            tried += 1
            to_sign_in = got.status_code == 302 and got.headers["Location"].startswith("/admin/login/")
            if name == "login":
                right = got.status_code in (200, 302)
            elif role == "clerk":
                right = name in open_to_staff or got.status_code in (301, 302, 403, 404)
            else:
                right = to_sign_in
            if not right:
                wrong.append((role, name, path, got.status_code))
    assert not wrong, wrong
    assert tried > 4 * 200


def test_nothing_is_changed_by_a_form_without_its_token_wherever_it_is_sent(floor):
    browser = browser_of(floor.users["administrator"], enforce_csrf_checks=True)
    for space, name, pattern in addresses():
        if space == "admin":
            path = of_the_admin(name, pattern)
        elif pattern.name:
            given = next(found for where in ("", "elsewhere") if (found := floor.at(pattern, where)) is not None)
            path = reverse(f"{space}:{name}" if space else name, kwargs=given)
        else:
            continue
        # 405: it takes no forms at all.
        assert browser.post(path, {"post": "yes"}).status_code in (403, 405), path


PROBED = ("/healthz", "/readyz", "/metrics")


def test_a_foreign_host_is_refused_at_every_address_but_those_that_probes_ask(floor):
    browser, answered = browser_of(floor.users["administrator"]), set()
    for space, name, pattern in addresses():
        if space == "admin":
            path = of_the_admin(name, pattern)
        elif pattern.name:
            given = next(found for where in ("", "elsewhere") if (found := floor.at(pattern, where)) is not None)
            path = reverse(f"{space}:{name}" if space else name, kwargs=given)
        else:
            path = f"/{pattern.pattern}"
        if browser.get(path, headers={"host": "evil.test"}).status_code != 400:
            answered.add(path)
    assert answered == set(PROBED)


@pytest.mark.parametrize("path", ["/readyz/", "//readyz", "/login/?/readyz", "/console/../readyz", "/healthz%2f"])
def test_what_only_looks_like_a_probe_is_refused(path):
    assert Client().get(path, headers={"host": "evil.test"}).status_code == 400


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "web:8000", "evil.test", "", "a b"])
def test_probes_may_ask_by_an_address_and_are_told_nothing_of_it(host, settings):
    settings.METRICS_TOKEN = "a-token"
    for path, status in zip(PROBED, (200, 503, 401), strict=True):
        got = Client().get(path, headers={"host": host})
        assert got.status_code == status, path
        told = got.content.decode() + str(got.headers)
        assert not host or host.partition(":")[0] not in told, path
        # As every page's.
        assert got.headers["X-Frame-Options"] == "DENY" and "frame-ancestors 'none'" in told


# --- sign-in and its cookies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["/login/", "/admin/login/"])
def test_a_session_that_somebody_else_has_prepared_is_not_the_one_that_is_signed_in(form):
    make_user("root", is_staff=True, is_superuser=True)
    browser = Client()
    session = browser.session
    session["planted"] = "1"
    session.save()
    planted = session.session_key
    browser.cookies["sessionid"] = planted
    assert browser.post(form, {"username": "root", "password": "not-secret-1"}).status_code == 302
    assert browser.cookies["sessionid"].value != planted
    thief = Client()
    thief.cookies["sessionid"] = planted
    assert answer(thief, "/console/") == "s"


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(settings):
    make_user("sup", supervisor=True)
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    browser = Client()
    browser.get("/login/")
    browser.post("/login/", {"username": "sup", "password": "not-secret-1"})
    for name in ("sessionid", "browser"):
        cookie = browser.cookies[name]
        assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["secure"], name
        assert not cookie["domain"]
    assert browser.cookies["csrftoken"]["samesite"] == "Lax" and browser.cookies["csrftoken"]["secure"]


@pytest.fixture
def quick_passwords(settings) -> None:
    """A password that is right is not stored again with a million rounds."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


FOREIGN = (
    "http://evil.test/", "//evil.test/", "///evil.test", "/\\evil.test", "\\\\evil.test", "http:evil.test",
    "javascript:1", "https://testserver@evil.test/", "http://testserver.evil.test/", " //evil.test", "\t//evil.test",
    "data:text/html,x", "/%09/evil.test", "http:///evil.test", "//evil.test%2f..", "\x00//evil.test",
    "ftp://testserver/",
)  # fmt: skip


@pytest.mark.parametrize("form", ["/login/", "/admin/login/"])
def test_sign_in_leads_to_no_other_place(form, quick_passwords):
    make_user("root", is_staff=True, is_superuser=True)
    for target in FOREIGN:
        for browser, send in ((Client(), "body"), (Client(), "address")):
            fields = {"username": "root", "password": "not-secret-1"}
            where = form if send == "body" else f"{form}?next={quote(target)}"
            got = browser.post(where, fields | ({"next": target} if send == "body" else {}))
            assert got.status_code == 302
            place = got.headers["Location"]
            assert place.startswith("/") and not place.startswith(("//", "/\\")) and "evil" not in place.split("/")[1]

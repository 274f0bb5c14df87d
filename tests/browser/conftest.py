"""A headless Chromium and the product's processes. Skipped where there is none, unless REQUIRE_BROWSER is set."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from dialer.models import Agent, ReasonCode
from tests.conftest import PATIENCE
from tests.fakes.console import beating, make_user, session_cookie
from tests.fakes.console_web import web_process
from tests.fakes.processes import Processes

# Playwright's sync door keeps an event loop in this thread, and Django would refuse its database there. Nothing runs in
# that loop but the browser's own messages.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
# Its own five seconds are too few for a page that reconnects to a process that is just starting.
expect.set_options(timeout=1000 * PATIENCE)
LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 360, "height": 780}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.stack)


def executable() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


# No longer than the tests of this folder: Playwright's loop would stand in the way of tests with a loop of their own.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = executable()
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set and there is no Chromium")
        pytest.skip("there is no Chromium")
    playwright: Playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator[Processes]:
    # Scripts and styles are fetched once: see Profiles.
    with web_process(tmp_path_factory.mktemp("web"), django_db_blocker, STATIC_MAX_AGE="3600") as run:
        yield run


class Profiles:
    """Browser profiles, as many as a test has at a time. One that is given back forgets who was signed in and whatever
    pages have stored, and keeps the scripts and styles that it has fetched for the tests that follow."""

    def __init__(self, chromium: Browser) -> None:
        self.chromium = chromium
        self.free: list[BrowserContext] = []

    def take(self, **options: Any) -> BrowserContext:
        """options: of a browser context; one that has any is nobody else's."""
        return self.free.pop() if self.free and not options else self.chromium.new_context(**options)

    def give_back(self, profile: BrowserContext, origin: str, *, again: bool) -> None:
        if not again:
            profile.close()
            return
        page = (profile.pages or [profile.new_page()])[0]
        stored = {"origin": origin, "storageTypes": "cookies,local_storage,indexeddb,cache_storage,service_workers"}
        profile.new_cdp_session(page).send("Storage.clearDataForOrigin", stored)
        profile.clear_cookies()
        profile.clear_permissions()
        for page in profile.pages:
            page.close()
        self.free.append(profile)


@pytest.fixture(scope="module")
def profiles(chromium: Browser, web: Processes) -> Iterator[Profiles]:
    found = Profiles(chromium)
    yield found
    for profile in found.free:
        profile.close()


@pytest.fixture
def switch(redis_empty: Any) -> Iterator[dict[str, Any]]:
    """A switch link and an ingest that are well, as far as their heartbeats tell; change the values to break them."""
    with beating() as values:
        yield values


class Tab:
    """A signed-in page that remembers what went wrong in it."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)
        page.set_default_timeout(1000 * PATIENCE)

    def _heard(self, message: Any) -> None:
        # A lost connection is told on the page itself ("[object Event]" is htmx's word for it); all else is a fault.
        lost = ("WebSocket", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "[object Event]")
        address = str((message.location or {}).get("url", ""))
        # A panel may ask for what has ended a moment ago: it is told so, and Chromium notes every 404 as an error.
        asked = ("/console/mycall/", "/preview/", "/disposition/")
        over = "status of 404" in message.text and any(part in address for part in asked)
        if message.type == "error" and not over and not any(word in message.text for word in lost):
            self.errors.append(f"{message.text} {address}")

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page


@pytest.fixture
def tab(profiles: Profiles, web: Processes) -> Iterator[Callable[..., Tab]]:
    """`tab(user, viewport)`: a page of a browser profile of its own, signed in as `user` (or not). No page may have had
    a fault."""
    taken: list[tuple[BrowserContext, bool]] = []
    tabs: list[Tab] = []
    base = f"http://127.0.0.1:{web.web_port}"

    def make(user: Any = None, viewport: Any = LAPTOP, **options: Any) -> Tab:
        profile = profiles.take(**options)
        taken.append((profile, not options))
        if user is not None:
            name, _, value = session_cookie(user).partition("=")
            profile.add_cookies([{"name": name, "value": value, "url": base}])
        made = Tab(profile.new_page(), base)
        made.page.set_viewport_size(viewport)
        tabs.append(made)
        return made

    yield make
    for profile, again in taken:
        profiles.give_back(profile, base, again=again)
    assert [error for made in tabs for error in made.errors] == []


@pytest.fixture
def worker(web: Processes) -> Iterator[None]:
    """The sequential worker, for tests of what it answers."""
    web.worker("dialer_queue")
    yield
    web.kill("dialer_queue")


@pytest.fixture
def watcher(redis_empty: Any) -> Any:
    """A supervisor with a softphone of their own."""
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    user = make_user("sup", supervisor=True)
    Agent.objects.create(agent_id="sup", name="Sup", extension="1999", user=user)
    return user


@pytest.fixture
def board(tab: Callable[..., Tab], watcher: Any) -> Callable[..., Page]:
    """`board()`: the watcher's board, live."""

    def opened(**options: Any) -> Page:
        page = tab(watcher, **options).open("/console/")
        expect(page.locator("#fresh")).to_have_attribute("data-state", "live")
        return page

    return opened

"""The panel's line to a server that is away, hangs, or does not know its user any more."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from dialer.models import Agent
from tests.browser.panel_page import live
from tests.conftest import wait_until
from tests.fakes.console import make_user, publishing
from tests.fakes.floor import make_agents

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]

SOCKET = "/ws/console/agent/"


class Hanging(BaseHTTPRequestHandler):
    """A proxy that takes everything and never answers."""

    asked: ClassVar[list[str]] = []
    over: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.over.wait()

    def log_message(self, *told: Any) -> None:
        pass


@pytest.fixture
def agent() -> Agent:
    agent = make_agents(1)[0]
    make_user("ann", agent=agent)
    return agent


def test_a_handshake_that_hangs_is_given_up_and_tried_again(tab, agent, web):
    with publishing():
        opened = tab(agent.user)
        page = opened.open("/")
        live(page)
        web.kill("web")
        proxy = ThreadingHTTPServer(("127.0.0.1", web.web_port), Hanging)
        proxy.daemon_threads = True
        serving = threading.Thread(target=proxy.serve_forever)
        serving.start()
        try:
            wait_until(lambda: Hanging.asked.count(SOCKET) >= 2, "two handshakes", 45)
            expect(page.locator("#banner")).to_contain_text("Connection lost")
        finally:
            Hanging.over.set()
            proxy.shutdown()
            proxy.server_close()
            serving.join()
        web.web()
        live(page)
    opened.errors = [text for text in opened.errors if "ERR_SOCKET_NOT_CONNECTED" not in text]


def test_who_was_signed_out_while_the_server_was_away_is_told_however_long_that_was(tab, agent, web):
    with publishing():
        opened = tab(agent.user)
        tries: list[str] = []
        opened.page.on("websocket", lambda socket: tries.append(socket.url))
        page = opened.open("/")
        live(page)
        web.kill("web")
        Session.objects.all().delete()
        # Playwright hears while it waits in the page.
        wait_until(lambda: page.evaluate("1") and len(tries) >= 4, "three tries in vain", 45)
        web.web()
        expect(page.locator("#banner")).to_contain_text("You are signed out.")
    opened.errors = [text for text in opened.errors if "401" not in text]


def test_who_is_no_agent_any_more_is_told_although_the_server_was_away(tab, agent, web):
    with publishing():
        opened = tab(agent.user)
        page = opened.open("/")
        live(page)
        web.kill("web")
        Agent.objects.update(user=None)
        web.web()
        expect(page.locator("#banner")).to_contain_text("You may not see this any more.")
    opened.errors = [text for text in opened.errors if "403" not in text]

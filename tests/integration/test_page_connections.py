"""A burst of pages takes a bounded number of PostgreSQL's connections, and gives them back when it is over."""

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from console import protocol
from console.models import ApiToken
from orchestrator import page_connections
from tests.conftest import wait_until
from tests.fakes.console import Socket, make_user, session_cookie
from tests.fakes.console_web import answers
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty"), pytest.mark.stack]

NAME = "pages-under-test"
PAGES = 60
# daphne, in which nothing is closed by the garbage collector.
UNCOLLECTED = "import gc, sys; gc.disable(); from daphne.cli import CommandLineInterface as C; C().run(sys.argv[1:])"


def sessions(what: str = "TRUE") -> set[int]:
    """Process ids of PostgreSQL's for the web process."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pid FROM pg_stat_activity WHERE application_name = %s AND {what}", [NAME])
        return {row[0] for row in cursor.fetchall()}


def waiting() -> set[int]:
    return sessions("wait_event_type = 'Lock'")


@pytest.fixture
def web(tmp_path):
    with Processes(tmp_path, PGAPPNAME=NAME) as run:
        run.start("web", "-c", UNCOLLECTED, "-b", "127.0.0.1", "-p", str(run.web_port), "orchestrator.asgi:application")
        wait_until(lambda: answers(run.web_port), "daphne")
        yield run


def get(web: Processes, cookie: str, path: str = "/") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{web.web_port}{path}", headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=90) as answer:
        return int(answer.status)


def test_a_burst_of_pages_holds_a_bounded_number_of_connections_and_leaves_none(web):
    supervisor = make_user("sup", supervisor=True)
    cookie, (_, secret) = session_cookie(supervisor), ApiToken.issue(supervisor)
    held, let_go = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
                held.set()
                let_go.wait(60)
        finally:
            connections.close_all()

    url = f"ws://127.0.0.1:{web.web_port}/ws/v1/floor/"
    with (
        Socket(url, additional_headers={"Authorization": f"Bearer {secret}"}) as board,
        ThreadPoolExecutor(PAGES + 1) as pool,
    ):
        board.until(protocol.Hello)
        wait_until(lambda: len(sessions()) == 2, "one to ask who it is, one to watch their rights")
        of_the_sockets = sessions()
        holder = pool.submit(hold)
        assert held.wait(20)
        burst = [pool.submit(get, web, cookie) for _ in range(PAGES)]
        try:
            wait_until(lambda: len(waiting()) >= page_connections.AT_ONCE, "pages that wait for the lock")
            assert len(sessions() - of_the_sockets) <= page_connections.AT_ONCE
            assert get(web, "", "/healthz") == 200, "the process is well meanwhile"
        finally:
            let_go.set()
        assert {page.result(90) for page in burst} == {200}, "the others had their turn"
        holder.result(20)
        wait_until(lambda: sessions() == of_the_sockets, "the sockets' own, and none of a page")

"""Which pages may open a websocket, and with what: every route of the routing table, through a real daphne."""

import datetime as dt
import socket

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from console.routing import websocket_urlpatterns
from tests.fakes.console import make_user, session_cookie
from tests.fakes.console_web import Door
from tests.fakes.floor import make_agents

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]
ROUTES = [f"/{route.pattern}" for route in websocket_urlpatterns]


@pytest.fixture
def everyone() -> User:
    """Somebody whom every route would let in."""
    return make_user("sup", supervisor=True, agent=make_agents(1)[0])


def knock(door: Door, route: str, *headers: tuple[str, str], host: str = "") -> int:
    """The status of the answer to a handshake with exactly these headers; 101: it was accepted."""
    own = door.own.partition("://")[2]
    lines = [
        f"GET {route} HTTP/1.1", f"Host: {host or own}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers),
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", door.web.web_port), 20) as raw:
        raw.sendall("\r\n".join((*lines, "", "")).encode())
        answer = raw.makefile("rb").readline()
    return int(answer.split()[1])


def foreign(own: str) -> list[str]:
    """Every way to be another origin than `own`, or none, or something that a careless reader takes for it."""
    scheme, _, rest = own.partition("://")
    host, _, port = rest.partition(":")
    return [
        "", "null", "NULL", "*", "about:blank", "file://", "data:text/html,x", "http://", "https://",
        f"https://{rest}", f"ws://{rest}", f"ftp://{rest}", f"//{rest}", rest,
        f"{scheme}://{host}", f"{scheme}://{host}:80", f"{scheme}://{host}:{int(port) + 1}", f"{scheme}://{host}:{port}0",
        f"{scheme}://localhost:{port}", "http://evil.test", f"http://evil.test:{port}", f"{own}.evil.test",
        f"{scheme}://{host}.evil.test:{port}", f"{scheme}://evil.test/{rest}", f"{scheme}://{host}@evil.test:{port}",
        f"{scheme}://evil.test:{port}#{own}", f"{scheme}://evil.test:{port}?{own}", f"{scheme}://x@{rest}", f"{own}/",
        f"{own}/console/", f"{own}, http://evil.test", f"{own} http://evil.test", f"http://evil.test {own}",
        f"{scheme}://[::1]:{port}", f"{scheme}://127.1:{port}", f"{scheme}://2130706433:{port}", f"{own}\u00e9",
        f"{scheme}://{host}:", f"{scheme}://{host}:{port}:{port}", f"{scheme}:{rest}", f"{scheme}:\\\\{rest}",
    ]  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_no_other_origin_is_let_in_anywhere_and_none_at_all_neither(door, everyone, route):
    cookie = ("Cookie", session_cookie(everyone))
    assert knock(door, route, cookie, ("Origin", door.own)) == 101
    assert knock(door, route, cookie) == 403
    answers = {origin: knock(door, route, cookie, ("Origin", origin)) for origin in foreign(door.own)}
    # 400: what is no header at all does not even get as far as us.
    assert set(answers.values()) <= {403, 400}, {key: value for key, value in answers.items() if value == 101}
    # Twice is as good as not at all, whichever comes first.
    for pair in ((door.own, "http://evil.test"), ("http://evil.test", door.own), (door.own, door.own)):
        assert knock(door, route, cookie, *(("Origin", one) for one in pair)) in (400, 403)


@pytest.mark.parametrize("route", ROUTES)
def test_the_host_header_makes_no_origin_ours(door, everyone, route):
    """Any name can be pointed at this machine: a page of that name would be its own origin."""
    cookie = ("Cookie", session_cookie(everyone))
    port = door.web.web_port
    assert knock(door, route, cookie, ("Origin", f"http://localhost:{port}"), host=f"localhost:{port}") == 101
    for host in (f"evil.test:{port}", "evil.test", f"127.0.0.1.evil.test:{port}", f"localhost.evil.test:{port}", "*"):
        assert knock(door, route, cookie, ("Origin", f"http://{host}"), host=host) == 403, host
    # What a proxy would say counts only where we are behind one.
    forwarded = (("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "https"))
    assert knock(door, route, cookie, *forwarded, ("Origin", "https://evil.test")) == 403


@pytest.mark.parametrize("route", ROUTES)
def test_a_session_that_is_not_good_any_more_opens_nothing(door, everyone, route):
    name, origin = settings.SESSION_COOKIE_NAME, ("Origin", door.own)
    cookie = session_cookie(everyone)
    key = cookie.partition("=")[2]
    assert knock(door, route, origin) == 403
    for value in ("", "x", "x" * 32, key[:-1], key.upper(), f"{key}x", "'; DROP TABLE x; --", "\u00e9" * 32):
        assert knock(door, route, ("Cookie", f"{name}={value}"), origin) in (400, 403), value
    empty = SessionStore()
    empty.create()
    assert knock(door, route, ("Cookie", f"{name}={empty.session_key}"), origin) == 403
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - dt.timedelta(seconds=1))
    assert knock(door, route, ("Cookie", cookie), origin) == 403
    # One whose password was changed since, and one of a user who may not sign in any more.
    other = session_cookie(everyone)
    assert knock(door, route, ("Cookie", other), origin) == 101
    everyone.set_password("another one")
    everyone.save()
    assert knock(door, route, ("Cookie", other), origin) == 403
    other = session_cookie(everyone)
    everyone.is_active = False
    everyone.save()
    assert knock(door, route, ("Cookie", other), origin) == 403


@pytest.mark.parametrize("route", [*ROUTES, "/ws/", "/ws/v1/floor", "/ws/v2/floor/", "/", "/console/"])
def test_without_anything_no_route_opens_and_there_is_no_other_route(door, everyone, route):
    assert knock(door, route) == 403
    if route not in ROUTES:
        assert knock(door, route, ("Cookie", session_cookie(everyone)), ("Origin", door.own)) in (403, 404)

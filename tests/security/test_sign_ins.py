"""Passwords cannot be guessed, and guessing them locks nobody out of their own browser."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.db import connections
from django.test import Client

from console import sign_ins
from dialer.models import AuditEntry
from events import streams
from tests.fakes.console import make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

FORMS = ["/login/", "/admin/login/"]
RIGHT, WRONG = "not-secret-1", "wrong"
TOO_MANY = "Too many failed sign-ins"


def tried(client: Client, name: str, password: str, form: str = "/login/", address: str = "192.0.2.1"):
    client.get(form)
    return client.post(form, {"username": name, "password": password}, REMOTE_ADDR=address)


def is_in(answer) -> bool:
    return answer.status_code == 302


@pytest.fixture(autouse=True)
def quick(settings):
    """One round of hashing in place of a million, also for names that nobody has."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher",
                                 "django.contrib.auth.hashers.PBKDF2PasswordHasher"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_after_ten_wrong_passwords_the_right_one_is_refused_too_and_told_for_how_long(form):
    make_user("sup", supervisor=True, is_staff=True)
    for _ in range(sign_ins.PAIR.attempts):
        answer = tried(Client(), "sup", WRONG, form)
        assert not is_in(answer) and TOO_MANY not in answer.content.decode()
    answer = tried(Client(), "SUP", RIGHT, form)
    assert not is_in(answer) and "Please wait 15 minutes" in answer.content.decode()
    # The other form is no way around it; another address is another matter.
    assert all(not is_in(tried(Client(), "sup", RIGHT, other)) for other in FORMS)
    assert is_in(tried(Client(), "sup", RIGHT, form, address="192.0.2.2"))


def test_a_name_that_nobody_has_is_limited_like_any_other():
    answers = [tried(Client(), "nobody", WRONG).content.decode() for _ in range(sign_ins.PAIR.attempts + 1)]
    assert [TOO_MANY in answer for answer in answers] == [False] * sign_ins.PAIR.attempts + [True]


def test_many_addresses_do_not_help_against_one_user():
    make_user("sup", supervisor=True)
    for n in range(sign_ins.USER.attempts):
        assert TOO_MANY not in tried(Client(), "sup", WRONG, address=f"198.51.100.{n}").content.decode()
    assert TOO_MANY in tried(Client(), "sup", RIGHT, address="203.0.113.9").content.decode()


def test_many_names_do_not_help_from_one_address(monkeypatch):
    monkeypatch.setattr(sign_ins, "ADDRESS", sign_ins.Limit("address", 20, 900))
    for n in range(20):
        assert TOO_MANY not in tried(Client(), f"user{n}", WRONG).content.decode()
    assert TOO_MANY in tried(Client(), "user99", WRONG).content.decode()


def test_nobody_can_lock_a_floor_out_not_even_from_the_floors_own_address():
    """Everyone behind one address, and somebody there tries every name until nothing is let in any more."""
    floor = {f"agent{n}": Client() for n in range(5)}
    for name, browser in floor.items():
        make_user(name)
        assert is_in(tried(browser, name, RIGHT))
        browser.post("/logout/")
    attacker = Client()
    for name in floor:
        for _ in range(sign_ins.USER.attempts):
            tried(attacker, name, WRONG)
        assert TOO_MANY in tried(attacker, name, RIGHT).content.decode()
    for name, browser in floor.items():
        assert is_in(tried(browser, name, RIGHT))
        browser.post("/logout/")
    # A browser is no way in for other users than those who have signed in with it, and has a limit of its own.
    assert TOO_MANY in tried(floor["agent0"], "agent1", RIGHT).content.decode()
    for _ in range(sign_ins.BROWSER.attempts):
        tried(floor["agent2"], "agent2", WRONG)
    assert TOO_MANY in tried(floor["agent2"], "agent2", RIGHT).content.decode()


def test_a_cookie_that_we_did_not_give_is_worth_nothing():
    make_user("sup")
    browser = Client()
    assert is_in(tried(browser, "sup", RIGHT))
    given = browser.cookies[sign_ins.COOKIE]
    assert given["httponly"] and given["samesite"] == "Lax"
    for _ in range(sign_ins.PAIR.attempts):
        tried(Client(), "sup", WRONG)
    for value in ("x", given.value[:-2], given.value.swapcase()):
        forger = Client()
        forger.cookies[sign_ins.COOKIE] = value
        assert TOO_MANY in tried(forger, "sup", RIGHT).content.decode()


def test_who_signs_in_starts_anew_and_does_not_use_up_what_the_address_has():
    make_user("sup")
    for _ in range(3):
        for _ in range(sign_ins.PAIR.attempts - 1):
            tried(Client(), "sup", WRONG)
        assert is_in(tried(Client(), "sup", RIGHT))
    keys = [key for key in streams.shared().scan_iter(f"{streams.SIGN_IN_PREFIX}*") if b"known" not in key]
    counts = {key.decode().split(":")[1]: int(streams.shared().get(key)) for key in keys}
    assert counts == {"user": 3 * (sign_ins.PAIR.attempts - 1), "address": 3 * (sign_ins.PAIR.attempts - 1)}
    assert all(0 < streams.shared().ttl(key) <= sign_ins.USER.seconds for key in keys)
    assert not any(b"sup" in key or b"192" in key for key in keys)


def test_attempts_side_by_side_are_no_more_than_one_after_the_other():
    make_user("sup")

    def attempt(n: int) -> bool:
        try:
            return TOO_MANY in tried(Client(), "sup", WRONG).content.decode()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        refused = list(pool.map(attempt, range(24)))
    assert refused.count(False) == sign_ins.PAIR.attempts


def test_the_audit_log_has_what_was_tried_and_not_what_was_sent_away():
    make_user("sup")
    for _ in range(sign_ins.PAIR.attempts + 20):
        tried(Client(), "sup", WRONG)
    assert AuditEntry.objects.filter(action="sign_in", result="refused").count() == sign_ins.PAIR.attempts


def test_without_redis_people_still_sign_in(monkeypatch, caplog):
    make_user("sup")

    class Away:
        def __getattr__(self, name):
            raise redis.ConnectionError

    monkeypatch.setattr(sign_ins.streams, "shared", Away)
    with caplog.at_level(logging.WARNING, "console.sign_ins"):
        assert is_in(tried(Client(), "sup", RIGHT))
    assert not is_in(tried(Client(), "sup", WRONG))

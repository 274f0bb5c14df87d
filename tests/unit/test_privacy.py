"""No secret and no full phone number reaches a log."""

import io
import logging
import sys
import threading

import pytest
from django.conf import settings

from events.privacy import address, clean, mask
from orchestrator.logs import Private, log_what_nobody_catches


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("call to +12125551234 failed", "call to +1212***34 failed"),
        ("12125551234", "12125***34"),
        ("Not Found: /x/%2B12125551234", "Not Found: /x/%2B12***34"),
        ("leg 4c024dda-2909-493a-a447-15a6414fc251", "leg 4c024dda-2909-493a-a447-15a6414fc251"),
        ("redis://:hunter2@localhost:6379/0", "redis://:***@localhost:6379/0"),
        ("auth ClueCon", "auth ***"),
        ("password=hunter2, next", "password=***, next"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("lease with fencing token 7", "lease with fencing token 7"),
        ("3 calls in 120 s", "3 calls in 120 s"),
    ],
)
def test_numbers_and_secrets_are_masked(said, logged):
    assert clean(said) == logged


@pytest.mark.parametrize("number", ["555 0123", "55501234", "030123456", "+4930123456", "+12125551234", "1234567", "0"])
def test_at_least_four_signs_of_a_number_are_hidden(number):
    shown = mask(number).replace("***", "")
    assert len(shown) <= max(0, len(number) - 4) and len(shown) <= 7


def test_short_numbers_are_hidden_whole():
    assert mask("12345") == "***"


@pytest.mark.parametrize(
    ("asked", "logged"),
    [
        ("/console/calls/?page=2&before=", "/console/calls/?page=2&before="),
        ("/static/console/board.js", "/static/console/board.js"),
        ("/calls/4c024dda-2909-493a-a447-151234567890/", "/calls/4c024dda-2909-493a-a447-151234567890/"),
        ("/calls/?q=+12125551234&page=2", "/calls/?q=***&page=2"),
        ("/calls/?q=%2B1%20(212)%20555-1234", "/calls/?q=***"),
        ("/calls/?q=%31%32%31%32%35%35%35%31%32%33%34", "/calls/?q=***"),
        ("/ws/v1/floor/?token=hunter2", "/ws/v1/floor/?token=***"),
        ("/?hunter2", "/?***"),
        ("/?2125551234=1&hunter2=1", "/?***&***"),
        ("/x/%2B12125551234/", "/x/+1212***34/"),
        ("/x/a12125551234b", "/x/a12125***34b"),
        ("/x/%252B12125551234", "/x/+1212***34"),
        ("/x/%31%32%31%32%35%35%35%31%32%33%34", "/x/12125***34"),
        ("/token=hunter2/x", "/token=***"),
        ("http://root:hunter2@floor.example/", "http://root:***@floor.example/"),
        ('/x%0D%0A127.0.0.1 "GET', "/x%0D%0A127.0.0.1%20%22GET"),
    ],
)
def test_an_address_shows_no_number_no_secret_and_no_second_line(asked, logged):
    assert address(asked) == logged


def test_an_endless_address_is_cut_short():
    assert len(address("/" + "%25" * 100_000)) < 10_000 and len(address("/?" + "&" * 100_000)) < 10_000


def test_a_caller_cannot_start_a_line_of_the_log():
    record = logging.LogRecord("x", logging.INFO, "", 0, "name %s", ("a\r\n2026-01-01 ERROR forged",), None)
    assert Private().filter(record)
    assert "\n" not in record.getMessage() and "\r" not in record.getMessage()


@pytest.fixture
def written():
    """What the product's own console handler and format make of a record of this logger."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Private())
    simple = settings.LOGGING["formatters"]["simple"]
    handler.setFormatter(logging.Formatter(simple["format"], style=simple["style"]))
    log = logging.getLogger("orchestrator")
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


CONFIDENTIAL = "Key (number)=(+12125551234) already exists\nCRITICAL forged: password=hunter2 redis://:hunter2@host/0"


def hold_to(text: str) -> None:
    assert "2125551234" not in text and "hunter2" not in text
    assert "+1212***34" in text and "Traceback" in text
    first, *others = text.splitlines()
    assert first.startswith(("ERROR", "CRITICAL")) and all(line.startswith("    ") for line in others)


def test_a_traceback_is_masked_like_a_message_and_forges_no_line(written):
    for extra in ({"exc_info": True}, {"exc_info": True, "stack_info": True}):
        try:
            raise ValueError(CONFIDENTIAL)
        except ValueError:
            logging.getLogger("orchestrator").error("a row was refused", **extra)
        hold_to(written.getvalue())
        written.truncate(0)
        written.seek(0)


def test_a_crash_and_a_crash_of_a_thread_are_masked_too(written, monkeypatch):
    for place, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(place, name, getattr(place, name))
    log_what_nobody_catches()

    def crash() -> None:
        raise ValueError(CONFIDENTIAL)

    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    hold_to(written.getvalue())
    written.truncate(0)
    written.seek(0)
    try:
        crash()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    hold_to(written.getvalue())


def test_a_message_is_masked_where_it_is_written(written):
    logging.getLogger("orchestrator").error("call to %s failed, %s", "+12125551234", "redis://:hunter2@host/0")
    assert written.getvalue() == "ERROR orchestrator call to +1212***34 failed, redis://:***@host/0\n"


def test_every_handler_of_the_log_masks():
    assert settings.LOGGING["handlers"]
    for name, handler in settings.LOGGING["handlers"].items():
        assert handler["filters"] == ["private"], name
    used = {
        name for log in (*settings.LOGGING["loggers"].values(), settings.LOGGING["root"]) for name in log["handlers"]
    }
    assert used == set(settings.LOGGING["handlers"])

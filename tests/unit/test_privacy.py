"""No secret and no full phone number reaches a log."""

import logging

import pytest

from events.privacy import clean, mask
from orchestrator.logs import Private


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("call to +12125551234 failed", "call to +1212***34 failed"),
        ("12125551234", "12125***34"),
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


def test_short_numbers_are_hidden_whole():
    assert mask("12345") == "***"


def test_a_caller_cannot_start_a_line_of_the_log():
    record = logging.LogRecord("x", logging.INFO, "", 0, "name %s", ("a\r\n2026-01-01 ERROR forged",), None)
    assert Private().filter(record)
    assert "\n" not in record.getMessage() and "\r" not in record.getMessage()

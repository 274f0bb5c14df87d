"""Unsafe production settings refuse to start, each by name."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator import checks

SAFE = {
    "DEBUG": False,
    "SECRET_KEY": "x9" * 30,
    "INSECURE_SECRET_KEY": "insecure",
    "FREESWITCH_ESL_PASSWORD": "a-long-one",
    "ALLOWED_HOSTS": ["calls.example.com"],
    "DIAL_ALLOWED_PREFIXES": ["+1212"],
    "WEBSOCKET_ORIGINS": ["https://calls.example.com"],
    "ALERT_WEBHOOK_URL": "https://alerts.example.com/in",
    "DATABASES": {"default": {"PASSWORD": "long"}},
}


def test_safe_settings_start():
    assert checks.problems(SimpleNamespace(**SAFE)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "insecure"),
        ("SECRET_KEY", "short"),
        ("FREESWITCH_ESL_PASSWORD", "ClueCon"),
        ("ALLOWED_HOSTS", ["*"]),
        ("ALLOWED_HOSTS", []),
        ("DIAL_ALLOWED_PREFIXES", []),
        ("DIAL_ALLOWED_PREFIXES", ["+1212", ""]),
        ("DIAL_ALLOWED_PREFIXES", ["+"]),
        ("WEBSOCKET_ORIGINS", ["*"]),
        ("ALERT_WEBHOOK_URL", "http://alerts.example.com/in"),
        ("ALERT_WEBHOOK_URL", "http://10.0.0.5:9000/"),
        ("ALERT_WEBHOOK_URL", "ftp://alerts.example.com/"),
        ("ALERT_WEBHOOK_URL", "file:///etc/passwd"),
        ("ALERT_WEBHOOK_URL", "https://host:port/"),
    ],
)
def test_each_unsafe_setting_is_refused_by_name(name, value):
    found = checks.problems(SimpleNamespace(**{**SAFE, name: value}))
    assert len(found) == 1 and name in found[0][1]


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9000/", "http://localhost/x", "http://[::1]:80/"])
def test_alerts_may_be_posted_in_plain_http_to_this_machine(url):
    assert checks.problems(SimpleNamespace(**{**SAFE, "ALERT_WEBHOOK_URL": url})) == []


def test_the_default_database_password_is_refused():
    found = checks.problems(SimpleNamespace(**{**SAFE, "DATABASES": {"default": {"PASSWORD": "postgres"}}}))
    assert "DB_PASSWORD" in found[0][1]


def test_while_debugging_nothing_is_refused():
    assert checks.problems(SimpleNamespace(**{**SAFE, "DEBUG": True, "SECRET_KEY": "insecure"})) == []


@pytest.mark.parametrize("program", [["manage.py", "showmigrations"], ["-m", "celery", "-A", "orchestrator", "report"]])
def test_a_process_refuses_to_start_and_names_the_settings(program):
    environment = {
        **os.environ,
        "DEBUG": "0",
        "SECRET_KEY": "x",
        "DIAL_ALLOWED_PREFIXES": "",
        "FREESWITCH_ESL_PASSWORD": "ClueCon",
    }
    done = subprocess.run([sys.executable, *program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    for name in ("SECRET_KEY", "FREESWITCH_ESL_PASSWORD", "DIAL_ALLOWED_PREFIXES"):
        assert name in done.stderr

"""Unsafe production settings refuse to start, each by name."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings

from orchestrator import checks

SAFE = {
    "DEBUG": False,
    "SECRET_KEY": "0123456789" * 6,
    "INSECURE_SECRET_KEY": "insecure",
    "FREESWITCH_ESL_PASSWORD": "a-long-one",
    "ALLOWED_HOSTS": ["calls.example.com"],
    "DIAL_ALLOWED_PREFIXES": ["+1212"],
    "WEBSOCKET_ORIGINS": ["https://calls.example.com"],
    "ALERT_WEBHOOK_URL": "https://alerts.example.com/in",
    "DATABASES": {"default": {"PASSWORD": "long"}},
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "CSRF_TRUSTED_ORIGINS": ["https://calls.example.com"],
    "METRICS_TOKEN": "x9" * 10,
    "CELERY_BROKER_URL": "redis://:secret@redis.example.com:6379/0",
    "CELERY_RESULT_BACKEND": "rediss://user:secret@redis.example.com/0",
    "REDIS_URL": "redis://localhost:6379/0",
    "CACHE_URL": "unix:///run/redis.sock?db=1",
    "STATIC_ROOT": "/srv/static",
    "STATICFILES_DIRS": ["/app/static"],
    "RECORDINGS_DIR": "/var/lib/freeswitch/recordings",
    "MESSAGES_DIR": "/var/lib/freeswitch/messages",
    "IMPORT_DIR": "/var/imports",
    "LOG_DIR": "/var/log",
    "RECORDINGS_KEEP_DAYS": 0,
    "EVENTS_KEEP_DAYS": 30,
    "PANEL_GRACE_SECONDS": 0,
    "WHITENOISE_MAX_AGE": 60,
    "SECURE_HSTS_SECONDS": 0,
    "ORIGINATE_CUSTOMER": "sofia/gateway/carrier/{number}",
    "ORIGINATE_AGENT": "user/{extension}",
    "CALLER_ID_NUMBER": "+12125550100",
}


def test_safe_settings_start():
    assert checks.problems(SimpleNamespace(**SAFE)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "insecure"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 60),
        ("SECRET_KEY", "django-insecure-" + "x9" * 30),
        ("FREESWITCH_ESL_PASSWORD", "ClueCon"),
        ("ALLOWED_HOSTS", ["*"]),
        ("ALLOWED_HOSTS", []),
        ("DIAL_ALLOWED_PREFIXES", []),
        ("DIAL_ALLOWED_PREFIXES", ["+1212", ""]),
        ("DIAL_ALLOWED_PREFIXES", ["+"]),
        ("DIAL_ALLOWED_PREFIXES", ["+1212", "1646"]),
        ("DIAL_ALLOWED_PREFIXES", ["+1*"]),
        ("DIAL_ALLOWED_PREFIXES", ["+0"]),
        ("SESSION_COOKIE_SECURE", False),
        ("CSRF_TRUSTED_ORIGINS", ["http://calls.example.com"]),
        ("WEBSOCKET_ORIGINS", ["https://a.example.com", "http://10.0.0.5:8000"]),
        ("METRICS_TOKEN", "short"),
        ("CELERY_BROKER_URL", "redis://redis.example.com:6379/0"),
        ("CELERY_RESULT_BACKEND", "rediss://10.0.0.5/0"),
        ("REDIS_URL", "redis://user@redis.example.com/0"),
        ("CACHE_URL", "redis://redis.example.com:6379/1"),
        ("RECORDINGS_DIR", "/app/static/recordings"),
        ("MESSAGES_DIR", "/srv/static"),
        ("IMPORT_DIR", "/srv/static/../static/imports"),
        ("LOG_DIR", "/srv/static/logs"),
        ("ORIGINATE_CUSTOMER", "sofia/gateway/carrier/"),
        ("ORIGINATE_CUSTOMER", "sofia/gateway/a/{number},sofia/gateway/b/{number}"),
        ("ORIGINATE_AGENT", "user/{extension} &system(x)"),
        ("RECORDINGS_DIR", "recordings"),
        ("MESSAGES_DIR", "/var/a b"),
        ("CALLER_ID_NUMBER", "anonymous"),
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


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("RECORDINGS_KEEP_DAYS", "RECORDINGS_KEEP_DAYS"),
        ("EVENTS_KEEP_DAYS", "EVENTS_KEEP_DAYS"),
        ("PANEL_GRACE_SECONDS", "PANEL_GRACE_SECONDS"),
        ("STATIC_MAX_AGE", "WHITENOISE_MAX_AGE"),
        ("SECURE_HSTS_SECONDS", "SECURE_HSTS_SECONDS"),
    ],
)
def test_a_time_below_zero_is_refused_by_name_also_while_debugging(name, here, debug):
    near = {"DEBUG": debug, "ALLOWED_HOSTS": ["localhost"], here: -1}
    [(_, wrong, _)] = checks.problems(SimpleNamespace(**{**SAFE, **near}))
    assert wrong.startswith(f"{name} is -1")


def test_every_setting_that_says_how_long_something_is_kept_is_looked_at(settings):
    kept = [name for name in dir(django_settings) if name.endswith("_KEEP_DAYS")]
    assert len(kept) >= 8
    for name in kept:
        setattr(settings, name, -1)
    assert {wrong.split()[0] for _, wrong, _ in checks.problems(django_settings)} >= set(kept)


def test_the_default_database_password_is_refused():
    found = checks.problems(SimpleNamespace(**{**SAFE, "DATABASES": {"default": {"PASSWORD": "postgres"}}}))
    assert "DB_PASSWORD" in found[0][1]


def test_while_debugging_nothing_is_refused():
    near = ["localhost", "127.0.0.1", "[::1]", "10.0.0.5", "192.168.1.9", "box", "box.local", "a.test", "testserver"]
    values = {**SAFE, "DEBUG": True, "SECRET_KEY": "insecure", "ALLOWED_HOSTS": near, "METRICS_TOKEN": "x"}
    assert checks.problems(SimpleNamespace(**values)) == []


@pytest.mark.parametrize("host", ["calls.example.com", ".example.com", "*", "8.8.8.8", "localhost.example.com"])
def test_debug_is_refused_where_others_can_reach_it(host):
    [(_, wrong, _)] = checks.problems(SimpleNamespace(**{**SAFE, "DEBUG": True, "ALLOWED_HOSTS": ["localhost", host]}))
    assert "DEBUG" in wrong and host in wrong


def test_plain_http_is_for_this_machine_only():
    here = {"SESSION_COOKIE_SECURE": False, "CSRF_COOKIE_SECURE": False, "ALLOWED_HOSTS": ["localhost", "127.0.0.1"]}
    here |= {"CSRF_TRUSTED_ORIGINS": ["http://localhost:8000"], "WEBSOCKET_ORIGINS": ["http://localhost:8000"]}
    assert checks.problems(SimpleNamespace(**{**SAFE, **here})) == []
    [(_, wrong, _)] = checks.problems(SimpleNamespace(**{**SAFE, **here, "ALLOWED_HOSTS": ["calls.example.com"]}))
    assert "BEHIND_TLS" in wrong


PROGRAMS = {
    "web": ["-m", "daphne", "-p", "0", "orchestrator.asgi:application"],
    "bridge": ["manage.py", "run_esl_bridge"],
    "ingest": ["manage.py", "run_event_ingest"],
    "publisher": ["manage.py", "run_floor_publisher"],
    "worker": ["-m", "celery", "-A", "orchestrator", "worker", "-Q", "dialer_queue", "-c", "1"],
}


def test_every_process_refuses_to_start_and_names_the_settings():
    environment = {
        **os.environ,
        "DEBUG": "0",
        "SECRET_KEY": "x",
        "DIAL_ALLOWED_PREFIXES": "",
        "FREESWITCH_ESL_PASSWORD": "ClueCon",
    }
    running = {
        name: subprocess.Popen(
            [sys.executable, *program], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for name, program in PROGRAMS.items()
    }
    try:
        for name, process in running.items():
            _, said = process.communicate(timeout=60)
            assert process.returncode not in (0, None), name
            for setting in ("SECRET_KEY", "FREESWITCH_ESL_PASSWORD", "DIAL_ALLOWED_PREFIXES"):
                assert setting in said, (name, said[-500:])
    finally:
        for process in running.values():
            process.kill()

"""Whatever stands in an address or a form, a page answers: it may refuse, it never breaks. Every page is found."""

import inspect
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from console import pages_audit, pages_calls
from console.pages_exports import ROWS
from dialer.models import PacingDecision
from tests.fakes.console import make_user
from tests.fakes.floor import make_agents, make_campaign
from tests.security.addresses import addresses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

# Of each page so many addresses; more for a longer look.
EACH = 4
NAMES = (
    *pages_calls.FIELDS, *pages_audit.FIELDS, "q", "p", "o", "all", "e", "before", "day", "list", "number",
    "campaign", "agents", "seed", "window", "minutes", "next", "status__exact", "id__in", "_facets", "_popup",
    "_to_field", "_changelist_filters", "floor", "range", "step", "password__startswith", "target_list__id__exact",
    "is_active__exact", "name__regex", "user__password", "created_at__gte", "page",
)  # fmt: skip
VALUES = (
    "", "0", "-1", "1", "9" * 30, "1e309", "NaN", "x", "x" * 3000, "'", '"', "' OR 1=1 --", "'; DROP TABLE x; --",
    "%", "%%", "\\", "\x00", "a\x00b", "\ud7ff", "\U0010ffff", "\u202e", "../../etc/passwd", "<script>1</script>",
    "{{7*7}}", "${7*7}", "00000000-0000-0000-0000-000000000000", "2026-11-28", "2026-11-28T10:00", "0000-00-00",
    "9999-12-31T23:59:59Z", "2026-02-30", "10000-01-01", "+12125551234", "(212) 555-1234", "١٢٣", "²", "1.5.-2",
    "-.-", "1,2,3", "true", "[]", "{}", "2026-11-28T10:00:00+99:99", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "~", "2026-11-28~1", "2026-11-28~x", "1~" + "9" * 20,
    "1 UNION SELECT password FROM auth_user", "pg_sleep(5)", "__class__", "id__exact", "*", "(" * 500, "[" * 500,
)  # fmt: skip


def pages() -> Iterator[str]:
    """Every page that takes no argument, and the lists of every model of the admin."""
    for space, name, pattern in addresses():
        if space != "admin" and pattern.name and not pattern.pattern.converters and name not in ("logout", "metrics"):
            yield reverse(f"{space}:{name}" if space else name)
    for model in admin.site._registry:
        yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    yield from (f"/console/export/{what}.csv" for what in ROWS)


@pytest.fixture
def boss() -> Client:
    agents = make_agents(2)
    campaign = make_campaign(agents, contacts=2)
    PacingDecision.objects.create(
        campaign=campaign, decided_at="2026-01-01T00:00Z", last_at="2026-01-01T00:00Z", binding_reason="agents"
    )
    client = Client(raise_request_exception=False)
    client.force_login(make_user("root", is_staff=True, is_superuser=True, agent=agents[0]))
    return client


def test_no_page_breaks_whatever_its_parameters_are(boss, caplog):
    rng, broken, tried = random.Random(11), [], 0
    for page in pages():
        for _ in range(EACH):
            asked = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randint(1, 4))}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                answer = boss.get(page, asked)
            tried += 1
            if answer.status_code >= 500 and page != "/readyz":
                broken.append((page, asked))
    assert not broken, broken
    assert tried > EACH * 60


@pytest.mark.parametrize("page", ["/console/search", "/console/calls/", "/console/why/", "/login/", "/admin/login/"])
def test_no_form_breaks_whatever_is_sent(boss, page):
    rng = random.Random(page)
    client = Client(raise_request_exception=False) if "login" in page else boss
    for _ in range(5 * EACH):
        sent = {rng.choice((*NAMES, "username", "password")): rng.choice(VALUES) for _ in range(rng.randint(1, 4))}
        assert client.post(page, sent).status_code < 500, sent


# --- patterns that text of people is matched against ------------------------------------------------------------------

ROOMS = ("console", "dialer", "events", "esl_bridge", "orchestrator")


def patterns() -> dict[str, Callable[[Any], object]]:
    """Every compiled pattern of every loaded module of the product, as it is used: anywhere or from the start."""
    found: dict[str, Callable[[Any], object]] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ROOMS or ".simulator" in name:
            continue
        for attribute, value in vars(module).items():
            if isinstance(value, re.Pattern):
                anywhere = re.search(rf"{attribute}\.(search|sub|finditer|findall|split)\(", inspect.getsource(module))
                use = value.search if anywhere else value.match
                found[f"{name}.{attribute}"] = lambda text, use=use, of=value: use(
                    text.encode() if isinstance(of.pattern, bytes) else text
                )
    return found


def test_no_pattern_takes_longer_than_its_text(boss):
    """A pattern that tries every way to split a text takes a thousand times longer for ten times the text."""
    assert apps.ready
    found = patterns()
    assert len(found) >= 20
    pieces = (
        "a", "0", " ", "+", "-", ".", "/", "'", "=", ",", "x1", "a=", "1 ", "ext", "\n", "{", "://", ":@", "auth ",
        "1e",
    )  # fmt: skip
    slow = []
    for name, use in found.items():
        for piece in pieces:
            text = piece * (20_000 // len(piece)) + "\x01!"
            began = time.process_time()
            use(text)
            if time.process_time() - began > 1.0:
                slow.append((name, piece))
    assert not slow, slow

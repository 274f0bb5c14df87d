"""Whatever is exported, in every column of every kind of export there is, no spreadsheet runs it and no browser reads
it as a page: the kinds and their columns are read from the code."""

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import models
from django.test import Client
from django.utils import timezone

from console.pages_exports import ROWS, TYPES
from dialer import exports
from dialer.models import AgentDay, CallLog, CampaignDay, Contact, Disposition
from dialer.target_import.errors import inert
from tests.fakes.console import make_team, make_user
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "|",
    "%",
    " =",
    "\u00a0=",
    "'=",
    "＝",
    "＋",
    "－",
    "＠",
    '"=',
    "\ufeff=",
    "\u200b=",
)
RUN = "1+1|' /C calc'!A0</script><b>"
HOSTILE = [f"{start}{RUN}" for start in STARTS]
# What begins a formula, for Excel, LibreOffice and Sheets, wherever the eye or the program does not see what is before.
RUNS = tuple("=+-@|%＝＋－＠\t\r\n")
UNSEEN = " \u00a0\u200b\ufeff\u2003\u3000\t\r\n"


def runs(cell: str) -> bool:
    """As a spreadsheet decides it: a number is one, an apostrophe in front makes it text."""
    try:
        Decimal(cell)
        return False
    except ArithmeticError:
        pass
    return cell.startswith(RUNS) or cell.strip(UNSEEN).startswith(RUNS)


# What the database itself holds to a pattern, or to be once.
_KEPT = {"number", "extension", "code", "hot_key"}


def written_over(row: models.Model, text: str) -> None:
    """Every text of this row that the database takes."""
    for field in row._meta.concrete_fields:
        free = field.name not in _KEPT and not field.unique and not field.choices
        if isinstance(field, models.CharField | models.TextField) and free:
            setattr(row, field.attname, text[: field.max_length or len(text)])
        elif isinstance(field, models.JSONField) and field.name == "custom_fields":
            setattr(row, field.attname, {text: text})
    row.save()


def floor(text: str, n: int) -> None:
    [agent] = make_agents(1, first=101 + n)
    team = make_team(f"t{n}", [agent])
    agent.team = team
    campaign = make_campaign([agent], contacts=1, name=f"C{n}", offset=n)
    disposition = Disposition.objects.create(code=f"d{n}", label=text[:60])
    call = CallLog.objects.create(
        to_number=f"+1212555{n:04}", freeswitch_uuid=f"leg {n}", agent=agent, campaign=campaign,
        initiated_at=timezone.now(), disposition=disposition, disposed_by="x", disposed_at=timezone.now(),
    )  # fmt: skip
    today = timezone.now().date() - dt.timedelta(days=n % 20)
    day = AgentDay.objects.create(agent=agent, day=today)
    of_campaign = CampaignDay.objects.create(campaign=campaign, day=today)
    for row in (
        agent,
        team,
        campaign,
        campaign.target_list,
        disposition,
        call,
        day,
        of_campaign,
        Contact.objects.last(),
    ):
        written_over(row, text)


@pytest.fixture
def hostile_floor() -> None:
    for n, text in enumerate(HOSTILE):
        floor(text, n)


def exported(kind: str, form: exports.Form) -> str:
    model: Any = exports.KINDS[kind].model
    run = exports.begin(kind, actor="x", filters={}, full_numbers=True)
    return "".join(exports.pieces(run, model.objects.all(), form=form, explained=True))


@pytest.mark.usefixtures("hostile_floor")
def test_no_cell_of_any_kind_of_export_begins_what_a_spreadsheet_would_run():
    for kind in exports.KINDS:
        rows = list(csv.reader(io.StringIO(exported(kind, "csv").removeprefix("\ufeff"), newline="")))
        assert len(rows) >= 2 + min(20, len(HOSTILE)), kind
        found = [cell for row in rows for cell in row if runs(cell)]
        assert not found, (kind, found[:3])
        # It is all there, behind the apostrophe.
        assert any(RUN[:8] in cell for row in rows for cell in row), kind


@pytest.mark.usefixtures("hostile_floor")
def test_the_json_of_any_kind_of_export_is_json_with_the_words_as_they_are():
    for kind in exports.KINDS:
        told = json.loads(exported(kind, "json"))
        assert any(RUN[:8] in str(value) for row in told["rows"] for value in row.values()), kind


@pytest.mark.usefixtures("hostile_floor")
def test_a_browser_saves_what_it_is_sent_and_never_shows_it_as_a_page():
    browser = Client()
    browser.force_login(make_user("sup", supervisor=True))
    assert set(TYPES) == set(exports.FORMS)
    for what in ROWS:
        for form in TYPES:
            answer = browser.get(f"/console/export/{what}.{form}")

            async def whole(answer: Any = answer) -> bytes:
                return b"".join([part async for part in answer.streaming_content])

            assert async_to_sync(whole)()
            assert answer.headers["Content-Type"].partition(";")[0] in ("text/csv", "application/json")
            assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_list_of_refused_rows_is_as_inert_as_an_export(text):
    assert not runs(inert(text)) and not runs(exports.guarded(text))

"""An agent types a number that an import has just written, or is writing: the sequential worker waits for nobody."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from dialer import limits
from dialer.models import CallLog, Contact, DialerCampaign, DialerTargetList
from dialer.services import manual
from tests.conftest import wait_until
from tests.fakes.dialling import link, ready_agents, say
from tests.fakes.floor import Switch, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
NUMBER = "+12125557777"
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture
def other() -> Iterator[BaseDatabaseWrapper]:
    """Another connection, within a transaction: as an import is."""
    found = connection.copy()
    found.set_autocommit(False)
    found.inc_thread_sharing()
    try:
        yield found
    finally:
        found.rollback()
        found.close()


def by_hand() -> DialerCampaign:
    link()
    return make_campaign(ready_agents(Switch()), contacts=0, mode="manual")


def write_number(other: BaseDatabaseWrapper, campaign: DialerCampaign) -> None:
    with other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dialer_contact (target_list_id, number, name, time_zone, custom_fields, priority, status,"
            " attempts, next_attempt_at, last_outcome, created_at, updated_at)"
            " VALUES (%s, %s, 'Imported', '', '{}', 0, 'ready', 0, now(), '', now(), now())",
            [campaign.target_list_id, NUMBER],
        )


def dial(campaign: DialerCampaign) -> dict:
    return say("manual_dial", agent_id="agent_101", campaign_id=str(campaign.campaign_id), number=NUMBER)


def test_a_number_that_an_import_has_written_and_not_committed_is_refused_at_once_and_dialled_when_it_has(other):
    campaign = by_hand()
    write_number(other, campaign)
    begun = time.monotonic()
    answer = dial(campaign)
    assert time.monotonic() - begun < limits.CONTACT_WAIT_MS / 1000 + 2, "the worker does not wait for the import"
    assert answer["status"] == "rejected" and "being imported" in answer["reason"], answer
    assert not CallLog.objects.exists() and DialerTargetList.objects.get().total_contacts == 0
    other.commit()
    assert dial(campaign)["status"] == "applied"
    assert CallLog.objects.get().contact == Contact.objects.get(name="Imported")
    assert DialerTargetList.objects.get().total_contacts == 0, "the import counts its own"


def test_where_the_import_ends_while_it_is_waited_for_its_contact_is_dialled(other, monkeypatch):
    monkeypatch.setattr(limits, "CONTACT_WAIT_MS", 30_000)
    campaign = by_hand()
    write_number(other, campaign)

    def end_it() -> None:
        with other.cursor() as cursor:
            wait_until(lambda: cursor.execute(_WAITS) or cursor.fetchone()[0], "the worker waits")
        other.commit()

    thread = threading.Thread(target=end_it)
    thread.start()
    answer = dial(campaign)
    thread.join()
    assert answer["status"] == "applied", answer
    assert CallLog.objects.get().contact == Contact.objects.get(name="Imported")
    assert DialerTargetList.objects.get().total_contacts == 0


def test_the_short_wait_is_of_that_number_only(monkeypatch):
    """What follows in the transaction waits as long as anything of the worker's."""
    campaign, seen = by_hand(), []

    def told(*_):
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            seen.extend(cursor.fetchone())
        return "enough", ()

    monkeypatch.setattr(manual.previews, "refusal", told)
    assert dial(campaign)["reason"] == "enough"
    Contact.objects.create(target_list=campaign.target_list, number=NUMBER, next_attempt_at=timezone.now())
    assert dial(campaign)["reason"] == "enough"
    assert seen == ["10s", "10s"]

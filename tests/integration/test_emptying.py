"""Every test that commits finds the database as the migrations left it, whatever the one before it did."""

import threading

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction

from dialer.models import Agent, Contact, DialerCampaign
from tests import emptying
from tests.conftest import PATIENCE, wait_until
from tests.fakes.floor import make_agents, make_campaign

pytestmark = pytest.mark.django_db(transaction=True)


def migrated() -> tuple[set[str], set[str]]:
    return set(Group.objects.values_list("name", flat=True)), set(Permission.objects.values_list("name", flat=True))


@pytest.mark.parametrize("contacts", [3, 5_000])
def test_what_a_test_wrote_is_gone_and_what_the_migrations_wrote_is_back(contacts):
    before = migrated()
    make_campaign(make_agents(2), contacts)
    Group.objects.get(name="agent").delete()
    Group.objects.create(name="stray")
    Permission.objects.update(name="changed")
    emptying.restore()
    assert [model.objects.count() for model in (Agent, Contact, DialerCampaign)] == [0, 0, 0]
    assert migrated() == before
    assert "agent" in before[0]


def test_who_is_still_writing_is_waited_for():
    def restore() -> None:
        try:
            emptying.restore()
        finally:
            connection.close()

    thread = threading.Thread(target=restore)
    with transaction.atomic(), connection.cursor() as cursor:
        make_agents(1)
        thread.start()

        def waiting() -> bool:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid "
                "WHERE NOT granted AND datname = current_database()"
            )
            return cursor.fetchone()[0] > 0

        wait_until(waiting, "the other waits for us")
    thread.join(PATIENCE)
    assert not Agent.objects.exists()

"""What a transaction of the sequential worker knows is what is committed, however often it was read before."""

import pytest
from django.db import connection, transaction

from dialer.models import ComplianceProfile, DialerCampaign
from dialer.services.acting import CAMPAIGNS, VERSIONS, acting, campaigns_of, seen
from tests.fakes.floor import make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def campaign() -> DialerCampaign:
    return make_campaign([])


def known(campaign: DialerCampaign) -> DialerCampaign:
    with acting("test"):
        return campaigns_of([campaign.pk])[campaign.pk]


def name_of(campaign: DialerCampaign) -> str:
    return known(campaign).name


def rename(campaign: DialerCampaign, name: str) -> None:
    DialerCampaign.objects.filter(pk=campaign.pk).update(name=name)


def test_a_campaign_is_read_once_for_as_long_as_it_stays_as_it_is(campaign, django_assert_num_queries):
    known(campaign)
    with acting("test"), django_assert_num_queries(1):
        first, again = (campaigns_of([campaign.pk])[campaign.pk] for _ in range(2))
        assert first.profile == again.profile


def test_a_change_of_a_campaign_is_known_to_the_next_transaction(campaign):
    known(campaign)
    rename(campaign, "Autumn")
    assert name_of(campaign) == "Autumn"


def test_which_versions_one_transaction_has_seen_says_nothing_beyond_it(campaign, django_assert_num_queries):
    known(campaign)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT c.id, {VERSIONS} FROM {CAMPAIGNS}")
        versions = dict(cursor.fetchall())
    with acting("test"):
        seen(versions)
        with django_assert_num_queries(0):
            assert campaigns_of([campaign.pk])[campaign.pk] == campaign
    rename(campaign, "Autumn")
    assert campaigns_of([campaign.pk])[campaign.pk].name == "Autumn"
    assert name_of(campaign) == "Autumn"


def test_so_are_two_changes_of_one_transaction_that_has_read_it_in_between(campaign):
    with transaction.atomic():
        rename(campaign, "Spring")
        known(campaign)
        rename(campaign, "Autumn")
    assert name_of(campaign) == "Autumn"


def test_what_was_read_and_rolled_back_is_forgotten(campaign):
    before = name_of(campaign)
    with transaction.atomic():
        rename(campaign, "Autumn")
        assert name_of(campaign) == "Autumn"
        transaction.set_rollback(True)
    assert name_of(campaign) == before


def test_so_is_a_change_of_its_profile_and_another_profile(campaign):
    known(campaign)
    ComplianceProfile.objects.filter(pk=campaign.profile_id).update(name="of another name")
    assert known(campaign).profile.name == "of another name"
    other = ComplianceProfile.objects.create(name="Other hours")
    DialerCampaign.objects.filter(pk=campaign.pk).update(profile=other)
    assert known(campaign).profile == other
    DialerCampaign.objects.filter(pk=campaign.pk).update(profile=None)
    assert known(campaign).profile is None


def test_nothing_that_a_transaction_does_with_it_is_seen_by_the_next(campaign):
    one = known(campaign)
    one.name = "mine"
    two = known(campaign)
    assert two is not one and two.name == campaign.name


def test_a_campaign_that_is_gone_is_gone(campaign):
    known(campaign)
    pk = campaign.pk
    campaign.delete()
    with acting("test"), pytest.raises(DialerCampaign.DoesNotExist):
        campaigns_of([pk])

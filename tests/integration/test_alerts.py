"""Alerts on the real floor publisher, PostgreSQL, Redis and daphne: raised once, taken on by one, ended, never lost."""

import datetime as dt
import threading
import uuid

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from console import alert_control, alerts, codes, protocol
from console.models import Alert, AlertEvent, AlertThreshold
from dialer.models import Agent, AppliedCommand
from tests.conftest import wait_until
from tests.fakes.console import announce_agent, make_user, published, publishing, set_status, wait_published
from tests.fakes.floor import make_agents

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def rule() -> AlertThreshold:
    """The only threshold in force: a break is too long after 10 s, much too long after an hour."""
    AlertThreshold.objects.update(is_active=False)
    return AlertThreshold.objects.create(
        name="Break", measure="agent_state", state="break", warning=10, critical=3600, clear=None
    )


def on_break(agent: Agent, seconds: float) -> None:
    since = timezone.now() - dt.timedelta(seconds=seconds)
    Agent.objects.filter(pk=agent.pk).update(status="break", status_since=since, version=agent.version + 1)
    agent.refresh_from_db()
    announce_agent(agent)


def make_alert(rule: AlertThreshold, subject: str = "agent_101", **fields: object) -> Alert:
    values = {
        "threshold": rule, "name": rule.name, "measure": rule.measure, "level": "warning", "subject_kind": "agent",
        "subject_id": subject, "text": f"{subject}: break longer than 10 s", "raised_at": timezone.now(), **fields,
    }  # fmt: skip
    return Alert.objects.create(**values)


def test_the_seeded_thresholds_are_valid_and_name_every_measure():
    from console.alert_figures import MEASURES

    for threshold in AlertThreshold.objects.all():
        threshold.full_clean()
    assert set(AlertThreshold.objects.values_list("measure", flat=True)) == set(MEASURES)


@pytest.mark.parametrize(
    "values",
    [
        {"measure": "agent_state", "warning": 20, "critical": 10},
        {"measure": "agent_state", "warning": 20, "clear": 25},
        {"measure": "answer_rate", "warning": 5, "critical": 10},
        {"measure": "answer_rate", "warning": 10, "clear": 5},
        {"measure": "call_ringing", "warning": 10, "state": "break"},
        {"measure": "behind", "warning": 10, "hold_seconds": -1},
    ],
)
def test_thresholds_that_make_no_sense_are_refused(values):
    with pytest.raises(ValidationError):
        AlertThreshold(name="x", **values).full_clean()


def test_an_alert_is_on_the_board_once_gets_worse_in_place_and_leaves_when_it_is_over(rule):
    agent = make_agents(1)[0]
    with publishing():
        wait_until(published, "a snapshot")
        on_break(agent, 60)
        floor = wait_published(lambda f: f.alerts, "the alert")
        (row,) = floor.alerts.values()
        assert (row.threshold, row.level, row.subject_kind, row.subject_id, row.state) == (
            "Break", "warning", "agent", "agent_101", "raised",
        )  # fmt: skip
        assert row.text == "Agent 101: break longer than 10 s"
        on_break(agent, 4000)
        floor = wait_published(lambda f: f.alerts and f.alerts[row.id].level == "critical", "the worse level")
        assert set(floor.alerts) == {row.id}
        set_status(agent, "available")
        wait_published(lambda f: not f.alerts, "the end")
    alert = Alert.objects.get()
    assert (alert.state, alert.resolved_by, alert.over_at) == ("resolved", "", alert.resolved_at)
    assert alert.figure["value"] >= 3600 and alert.figure["limit"] == 3600
    assert list(alert.events.values_list("kind", flat=True)) == ["raised", "escalated", "resolved"]


def test_a_publisher_that_takes_over_goes_on_with_what_is_open(rule):
    agent = make_agents(1)[0]
    on_break(agent, 60)
    with publishing(lease_seconds=1.0):
        (row,) = wait_published(lambda f: f.alerts, "the alert").alerts.values()
        first = published().epoch
    with publishing(lease_seconds=1.0) as second:
        wait_until(lambda: published().epoch != first, "the next epoch")
        wait_published(lambda f: set(f.alerts) == {row.id}, "the same alert")
        looked = second.watch.evaluator
        wait_until(lambda: second.watch.evaluator is not looked or second.watch.evaluator._timers, "a look of its own")
    assert Alert.objects.count() == 1 and AlertEvent.objects.count() == 1


def test_the_database_itself_refuses_a_second_open_alert_of_one_trouble(rule):
    make_alert(rule)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_alert(rule)
    Alert.objects.update(resolved_at=timezone.now(), over_at=timezone.now())
    make_alert(rule)


def test_what_a_person_resolved_is_not_raised_again_while_it_lasts(rule):
    agent = make_agents(1)[0]
    with publishing() as publisher:
        wait_until(published, "a snapshot")
        on_break(agent, 60)
        (row,) = wait_published(lambda f: f.alerts, "the alert").alerts.values()
        alert_control.carry_out(said(row.id, "resolve"), str(uuid.uuid4()), "ann")
        wait_published(lambda f: not f.alerts, "its leaving")
        handed = []
        looking = publisher.watch.look
        publisher.watch.look = lambda floor, now: (looking(floor, now), handed.append(now))
        wait_until(lambda: len(handed) >= 3, "three further looks")
        assert Alert.objects.get().over_at is None
        set_status(agent, "available")
        wait_until(lambda: Alert.objects.get().over_at, "the end of the trouble itself")
        assert Alert.objects.get().resolved_by == "ann"
        on_break(agent, 60)
        wait_published(lambda f: f.alerts, "the next trouble")
    assert Alert.objects.count() == 2


def test_an_unanswered_database_delays_no_frame(rule):
    agents = make_agents(2)
    with publishing(), connection.cursor() as cursor:
        wait_until(published, "a snapshot")
        with transaction.atomic():
            cursor.execute("LOCK TABLE console_alert, console_alertthreshold IN ACCESS EXCLUSIVE MODE")
            for _ in range(3):
                set_status(agents[0], "break")
            version = agents[0].version
            # Announced inside the transaction: the row is told as this connection sees it.
            wait_published(lambda f: f.agents[agents[0].agent_id].version == version, "frames while alerts wait")


def said(alert_id: str, action: str, minutes: int = 15, id_: str = "1") -> protocol.AlertControl:
    return protocol.AlertControl(id=id_, alert_id=alert_id, action=action, minutes=minutes)


def test_two_who_take_it_on_at_once_one_owns_it_and_the_other_is_told_who(rule):
    alert = make_alert(rule)
    commands, gate = [str(uuid.uuid4()) for _ in range(6)], threading.Barrier(6)

    def take(command: str, name: str) -> None:
        try:
            gate.wait()
            alert_control.carry_out(said(str(alert.pk), "acknowledge"), command, name)
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=(one, f"user{n}")) for n, one in enumerate(commands)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    alert.refresh_from_db()
    applied = AppliedCommand.objects.get(status="applied")
    assert applied.actor == alert.owner and alert.state == "acknowledged"
    refused = AppliedCommand.objects.filter(status="rejected")
    assert refused.count() == 5
    assert {row.reason for row in refused} == {f"{alert.owner} has taken it on already"}
    assert alert.events.count() == 1


def test_one_command_said_twice_at_once_has_one_effect_and_one_answer(rule):
    alert, command, gate = make_alert(rule), str(uuid.uuid4()), threading.Barrier(4)

    def take() -> None:
        try:
            gate.wait()
            alert_control.carry_out(said(str(alert.pk), "snooze", 5), command, "ann")
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert AppliedCommand.objects.get().status == "applied"
    assert alert.events.count() == 1


def test_a_snooze_ends_by_itself_and_an_alert_that_gets_worse_ends_it_before(rule):
    agent = make_agents(1)[0]
    with publishing():
        wait_until(published, "a snapshot")
        on_break(agent, 60)
        (row,) = wait_published(lambda f: f.alerts, "the alert").alerts.values()
        alert_control.carry_out(said(row.id, "snooze", 5), str(uuid.uuid4()), "ann")
        floor = wait_published(lambda f: f.alerts[row.id].state == "snoozed", "the snooze")
        assert floor.alerts[row.id].owner == "ann"
        Alert.objects.update(snoozed_until=timezone.now())
        wait_published(lambda f: f.alerts[row.id].state == "raised", "its end")
        alert_control.carry_out(said(row.id, "snooze", 5), str(uuid.uuid4()), "ann")
        wait_published(lambda f: f.alerts[row.id].state == "snoozed", "the second snooze")
        on_break(agent, 4000)
        floor = wait_published(lambda f: f.alerts[row.id].level == "critical", "the worse level")
        assert floor.alerts[row.id].state == "raised"


def test_what_is_resolved_or_unknown_is_not_controlled(rule):
    alert = make_alert(rule, resolved_at=timezone.now(), over_at=timezone.now())
    for action, target in (("acknowledge", alert.pk), ("snooze", alert.pk), ("resolve", 10**9)):
        alert_control.carry_out(said(str(target), action), str(uuid.uuid4()), "ann")
    assert set(AppliedCommand.objects.values_list("status", "reason")) == {
        ("rejected", "it was resolved by itself already"),
        ("rejected", "there is no such alert"),
    }


def test_alerts_and_their_history_are_kept_so_long(rule, settings, capsys):
    settings.ALERTS_KEEP_DAYS = 30
    old = timezone.now() - dt.timedelta(days=31)
    gone = make_alert(rule, "a", raised_at=old, resolved_at=old, over_at=old)
    AlertEvent.objects.create(alert=gone, kind="raised", at=old)
    open_ = make_alert(rule, "b", raised_at=old)
    fresh = make_alert(rule, "c", raised_at=old, resolved_at=timezone.now(), over_at=timezone.now())
    call_command("retention", "--dry-run")
    assert "alerts: 1 would be removed (kept 30 days)" in capsys.readouterr().out
    call_command("retention")
    assert set(Alert.objects.values_list("pk", flat=True)) == {open_.pk, fresh.pk} and not AlertEvent.objects.exists()


@pytest.mark.stack
def test_two_sockets_acknowledge_and_both_boards_show_the_same_owner(door, rule):
    users = [make_user("ann", supervisor=True), make_user("bea", supervisor=True)]
    make_agents(1)
    # A trouble that this floor really has, or the watch would end it.
    AlertThreshold.objects.filter(pk=rule.pk).update(state="offline", warning=0)
    alert = make_alert(rule)
    with publishing(), door.token(users[0]) as ann, door.token(users[1]) as bea:
        for client in (ann, bea):
            client.until_current()
        ann.until_floor(lambda f: str(alert.pk) in f.alerts)
        for client in (ann, bea):
            client.say(said(str(alert.pk), "acknowledge"))
        results = [client.until(protocol.Result) for client in (ann, bea)]
        assert sorted(result.status for result in results) == ["applied", "rejected"]
        owner = Alert.objects.get().owner
        for client in (ann, bea):
            client.until_floor(lambda f: f.alerts[str(alert.pk)].owner == owner)
        refused = next(result for result in results if result.status == "rejected")
        assert refused.reason == f"{owner} has taken it on already"
        ann.say(said("999999", "acknowledge", id_="2"))
        assert ann.until(protocol.Error).code == codes.NOT_FOUND


@pytest.mark.stack
def test_an_agent_may_not_touch_alerts(door, rule):
    ann = make_user("ann", agent=make_agents(1)[0])
    alert = make_alert(rule)
    with door.token(ann, "/ws/v1/agent/") as client:
        client.say(said(str(alert.pk), "resolve"))
        assert client.until(protocol.Error).code == codes.FORBIDDEN
    alert.refresh_from_db()
    assert alert.state == "raised" and alerts.rows()

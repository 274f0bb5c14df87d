"""Writes and reads of alerts. Two writers meet in a row: the floor publisher's watch raises, worsens and ends; people
acknowledge, snooze and resolve. Each change is one transaction on the locked row, then it is announced."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from console import webhook
from console.alert_fields import fields
from console.alert_figures import MEASURES
from console.alerting import Change, Clear, Escalate, Key, Open, Raise
from console.models import Alert, AlertEvent
from dialer import announce
from dialer.selectors import ms

log = logging.getLogger(__name__)
Kind = AlertEvent.Kind

# More than this of one look are left for the next: a floor where everything is wrong must not hold the watch.
RAISED_AT_ONCE: Final = 200


def rows(pks: Iterable[int] | None = None) -> list[dict[str, Any]]:
    """Rows of the board for these alerts, or for all that are open."""
    found = Alert.objects.filter(resolved_at=None) if pks is None else Alert.objects.filter(pk__in=list(pks))
    return [fields(alert) | {"version": alert.version} for alert in found.order_by("pk")]


def announce_(pks: Iterable[int]) -> None:
    """Tell the floor publisher how these alerts are now; what is resolved leaves the boards."""
    messages = []
    for row in rows(pks):
        open_ = row["state"] != "resolved"
        messages.append({"kind": "alert", "id": row["id"], "data": row if open_ else None})
    announce.send(messages)


def announce_on_commit(*pks: int) -> None:
    transaction.on_commit(lambda: announce_(pks), robust=True)


def not_over() -> dict[Key, tuple[int, Open]]:
    """Every alert whose trouble still lasts, with its primary key."""
    found = Alert.objects.filter(over_at=None)
    return {
        (alert.threshold_id or 0, alert.subject_kind, alert.subject_id): (
            alert.pk,
            Open(alert.level, ms(alert.since), alert.resolved_at is not None),  # type: ignore[arg-type]
        )
        for alert in found
    }


def apply(changes: Iterable[Change], known: Mapping[Key, tuple[int, Open]], now: dt.datetime) -> None:
    """Make the evaluation's changes so. Repeated or done by two at once, each has one effect."""
    raised = 0
    for change in changes:
        with transaction.atomic():
            match change:
                case Clear(key):
                    _clear(known[key][0], now)
                case Escalate(key):
                    _escalate(known[key][0], change, now)
                case Raise():
                    raised += 1
                    if raised <= RAISED_AT_ONCE:
                        _raise(change, now)


def wake(now: dt.datetime) -> None:
    """End the snoozes whose time is over."""
    for pk in Alert.objects.filter(over_at=None, snoozed_until__lte=now).values_list("pk", flat=True):
        with transaction.atomic():
            alert = Alert.objects.select_for_update().filter(pk=pk, snoozed_until__lte=now).first()
            if alert is not None and alert.resolved_at is None:
                alert.snoozed_until = None
                _save(alert, Kind.WOKEN, now)


def figure_of(change: Raise) -> dict[str, Any]:
    """The figure that reached the level: the same numbers as the board's, with where they come from."""
    measured, rule = change.measured, change.rule
    ratio = measured.figure
    return {
        "measure": rule.measure,
        "label": MEASURES[rule.measure].label,
        "value": round(measured.value, 3),
        "unit": MEASURES[rule.measure].unit,
        "limit": rule.limit(change.level),
        "numerator": ratio.numerator if ratio else None,
        "denominator": ratio.denominator if ratio else None,
        "window": ratio.window if ratio else "",
    }


def _raise(change: Raise, now: dt.datetime) -> None:
    measured = change.measured
    since = dt.datetime.fromtimestamp(measured.since / 1000, dt.UTC) if measured.since is not None else None
    alert = Alert(
        threshold_id=change.rule.key,
        name=change.rule.name,
        measure=change.rule.measure,
        level=change.level,
        subject_kind=measured.kind,
        subject_id=measured.subject_id[:100],
        campaign=measured.campaign_id or "",
        team=measured.team,
        text=change.text,
        figure=figure_of(change),
        since=since,
        raised_at=now,
    )
    # Another publisher may have been as quick in the moment of a takeover: the constraint lets one through.
    Alert.objects.bulk_create([alert], ignore_conflicts=True)
    made = Alert.objects.filter(
        threshold=change.rule.key, subject_kind=alert.subject_kind, subject_id=alert.subject_id, over_at=None,
        raised_at=now,
    ).first()  # fmt: skip
    if made is None:
        return
    AlertEvent.objects.create(alert=made, kind=Kind.RAISED, at=now, note=change.text)
    announce_on_commit(made.pk)
    webhook.tell(made, "raised", now)


def _escalate(pk: int, change: Escalate, now: dt.datetime) -> None:
    alert = Alert.objects.select_for_update().filter(pk=pk, over_at=None).first()
    if alert is None or alert.level == change.level:
        return
    alert.level, alert.text, alert.figure = change.level, change.text, figure_of(change)
    # Worse than what was put off or closed: it is shown again. Its owner stays.
    alert.snoozed_until = alert.resolved_at = None
    alert.resolved_by = ""
    _save(alert, Kind.ESCALATED, now, note=change.text)
    webhook.tell(alert, "escalated", now)


def _clear(pk: int, now: dt.datetime) -> None:
    alert = Alert.objects.select_for_update().filter(pk=pk, over_at=None).first()
    if alert is None:
        return
    alert.over_at = now
    if alert.resolved_at is not None:
        alert.save(update_fields=["over_at"])
        return
    alert.resolved_at, alert.snoozed_until = now, None
    _save(alert, Kind.RESOLVED, now)
    webhook.tell(alert, "resolved", now)


def _save(alert: Alert, kind: str, now: dt.datetime, by: str = "", note: str = "") -> None:
    alert.version = F("version") + 1  # type: ignore[assignment]
    alert.save()
    alert.refresh_from_db(fields=["version"])
    AlertEvent.objects.create(alert=alert, kind=kind, at=now, by=by, note=note[:300])
    announce_on_commit(alert.pk)


class Refusal(Exception):
    """It may not be done now; the message is for the person who asked."""


def control(pk: int, action: str, minutes: int, by: str, now: dt.datetime) -> str:
    """Acknowledge, snooze or resolve in the caller's transaction; returns what was done, in words. Raises Refusal."""
    alert = Alert.objects.select_for_update().filter(pk=pk).first()
    if alert is None:
        raise Refusal("there is no such alert")
    if alert.resolved_at is not None:
        who = f"by {alert.resolved_by}" if alert.resolved_by else "by itself"
        raise Refusal(f"it was resolved {who} already")
    match action:
        case "acknowledge":
            if alert.acknowledged_at is not None and alert.snoozed_until is None:
                raise Refusal("you have it already" if alert.owner == by else f"{alert.owner} has taken it on already")
            alert.acknowledged_at, alert.owner, alert.snoozed_until = now, by, None
            kind, note, done = Kind.ACKNOWLEDGED, "", "acknowledged"
        case "snooze":
            alert.snoozed_until, alert.owner = now + dt.timedelta(minutes=minutes), by
            kind, note, done = Kind.SNOOZED, f"{minutes} min", f"snoozed for {minutes} min"
        case "resolve":
            alert.resolved_at, alert.resolved_by, alert.snoozed_until = now, by, None
            kind, note, done = Kind.RESOLVED, "", "resolved"
        case _:
            raise Refusal("this is not done to alerts")
    _save(alert, kind, now, by, note)
    webhook.tell(alert, "snoozed" if kind == Kind.SNOOZED else done, now)
    return done

"""Alerts posted to a real HTTP server: signed, with the board's figures, tried again within limits, nowhere else."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from console import alerts, tasks, webhook
from console.alerting import Clear, Evaluator, Open, Raise
from console.floor_state import FloorState
from console.kpis import ratio
from console.models import Alert, AlertDelivery, AlertEvent, AlertThreshold
from console.rows import CampaignRow, Drops
from dialer import figures
from dialer.models import Agent
from events import streams
from tests.conftest import wait_until
from tests.fakes.floor import make_agents
from tests.fakes.own_redis import OwnRedis
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


class Receiver:
    """A real HTTP server. `answers`: status codes in turn, then 204. `said`: (headers, body) of each request."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.said: list[tuple[dict[str, str], bytes]] = []
        self.location, self.wait = "", threading.Event()
        self.wait.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.said.append((dict(self.headers), body))
                outer.wait.wait(20)
                try:
                    self.send_response(outer.answers.pop(0) if outer.answers else 204)
                    if outer.location:
                        self.send_header("Location", outer.location)
                    self.end_headers()
                except OSError:
                    return  # The sender has given up waiting.

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    made = Receiver()
    settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = made.url, "s3cret"
    yield made
    made.wait.set()
    made.server.shutdown()
    made.server.server_close()


def raised(**fields: object) -> Alert:
    """An abandon-rate alert, raised by the real evaluation of a floor."""
    threshold = AlertThreshold.objects.create(name="Rate", measure="abandon_cap", warning=80, critical=100, **fields)
    drops = Drops(abandoned=9, answered=300, window="30 d", cap=0.03, left=0)
    campaign = CampaignRow(id="c", name="Spring <b>", status="active", drops=drops)
    floor = FloorState("1.1", 0, 0, {}, {}, {"c": campaign}, {})
    changes = Evaluator().step([threshold.rule()], floor, {}, int(time.time() * 1000))
    alerts.apply(changes, {}, timezone.now())
    return Alert.objects.get()


def queued(later: float = 0) -> list[int]:
    """Keys of the deliveries on the queue `default`, once what is due in so many seconds has been put there."""
    webhook.sweep(timezone.now() + dt.timedelta(seconds=later))
    found = []
    for raw in streams.shared().lrange("default", 0, -1):
        (pk,), _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
        found.append(pk)
    return found[::-1]


def test_a_raised_alert_is_posted_from_the_default_queue_with_the_figure_of_the_board(receiver):
    alert = raised()
    (pk,) = queued()
    assert tasks.send_alert(pk) is True
    assert tasks.send_alert(pk) is False, "it is delivered: a task too many posts nothing"
    assert not AlertDelivery.objects.exists()
    ((headers, body),) = receiver.said
    told = json.loads(body)
    assert (told["event"], told["id"]) == ("raised", f"alert-{alert.pk}-1")
    assert told["alert"]["text"] == "Spring <b>: abandon rate 3.0 % (9 of 300, 30 d), cap 3 %"
    assert (told["alert"]["level"], told["alert"]["subject_kind"]) == ("critical", "campaign")
    same = ratio(figures.abandon_rate(9, 300, "30 d"))
    figure = told["figure"]
    assert (figure["numerator"], figure["denominator"], figure["window"]) == (
        same.numerator, same.denominator, same.window,
    )  # fmt: skip
    assert (figure["value"], figure["unit"], figure["limit"]) == (100, "%", 100)
    signature = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["X-Alert-Signature"] == f"sha256={signature}"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.stack
def test_an_alert_that_is_raised_while_the_broker_is_away_is_told_when_it_is_back(receiver, tmp_path):
    """By the publisher's own sweep and a real worker, and once more after a refusal."""
    broker = OwnRedis(tmp_path)
    environment = {"CELERY_BROKER_URL": broker.url, "REDIS_URL": settings.REDIS_URL}
    since = timezone.now() - dt.timedelta(hours=2)
    Agent.objects.filter(pk=make_agents(1)[0].pk).update(status="break", status_since=since)
    receiver.answers = [503]
    with Processes(tmp_path, **environment, ALERT_WEBHOOK_URL=receiver.url) as run:
        run.manage("floor", "run_floor_publisher")
        waiting = AlertDelivery.objects.filter(alert__name="Long break")
        delivery = wait_until(waiting.first, "the alert")
        wait_until(lambda: "the queue is away" in run.log("floor"), "a sweep without a broker")
        assert waiting.exists() and receiver.said == []
        broker.start()
        try:
            run.worker("default")
            wait_until(lambda: not waiting.exists(), "the delivery, after a refusal", 60)
        finally:
            run.stop("default")
            broker.kill()
    told = [json.loads(body)["id"] for _, body in receiver.said]
    assert told.count(f"alert-{delivery.alert_id}-1") == 2


def test_what_the_broker_has_forgotten_is_put_on_the_queue_again(receiver):
    raised()
    assert len(queued()) == 1
    assert len(queued(60)) == 1, "the worker may be busy"
    streams.shared().flushdb()
    (pk,) = queued(121)
    assert tasks.send_alert(pk) is True and len(receiver.said) == 1


def test_each_change_is_posted_and_none_without_an_address_or_where_the_threshold_says_so(receiver, settings):
    alert = raised()
    key = (alert.threshold_id, "campaign", "c")
    with_open = {key: (alert.pk, Open("critical"))}
    with transaction.atomic():
        alerts.control(alert.pk, "acknowledge", 15, "ann", timezone.now())
    alerts.apply([Clear(key)], with_open, timezone.now())
    for pk in queued():
        tasks.send_alert(pk)
    assert [json.loads(body)["event"] for _, body in receiver.said] == ["raised", "acknowledged", "resolved"]
    streams.shared().delete("default")
    settings.ALERT_WEBHOOK_URL = ""
    Alert.objects.all().delete()
    AlertThreshold.objects.filter(name="Rate").delete()
    raised()
    settings.ALERT_WEBHOOK_URL = receiver.url
    Alert.objects.all().delete()
    AlertThreshold.objects.filter(name="Rate").delete()
    raised(webhook=False)
    assert queued() == []


def test_a_receiver_that_is_away_is_asked_again_with_growing_pauses_and_then_given_up(receiver):
    alert = raised()
    (pk,) = queued()
    receiver.answers = [500] * 99
    now, pauses = timezone.now(), []
    while not webhook.deliver(pk, now) and (row := AlertDelivery.objects.filter(pk=pk).first()):
        pauses.append((row.due_at - now).total_seconds())
        now = row.due_at
    assert pauses == list(webhook.RETRY_SECONDS) == sorted(pauses)
    assert len(receiver.said) == len(webhook.RETRY_SECONDS) + 1
    assert len({body for _, body in receiver.said}) == 1
    event = alert.events.last()
    assert (event.kind, event.note) == (AlertEvent.Kind.NOT_SENT, "webhook: answered 500")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver, code):
    raised()
    other = Receiver()
    try:
        receiver.answers, receiver.location = [code], other.url
        with pytest.raises(webhook.NotDelivered, match=f"answered {code}"):
            webhook.post("{}")
        assert other.said == []
    finally:
        other.server.shutdown()
        other.server.server_close()


def test_a_receiver_that_does_not_answer_is_left_after_a_limit(receiver, monkeypatch):
    monkeypatch.setattr(webhook, "SEND_SECONDS", 0.2)
    receiver.wait.clear()
    with pytest.raises(webhook.NotDelivered, match="TimeoutError"):
        webhook.post("{}")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "gopher://host", "//host", "http://"])
def test_only_http_addresses_are_called(settings, url):
    settings.ALERT_WEBHOOK_URL = url
    with pytest.raises(ValueError):
        webhook.post("{}")


def test_without_a_secret_nothing_is_signed(receiver, settings):
    settings.ALERT_WEBHOOK_SECRET = ""
    webhook.post("{}")
    assert "X-Alert-Signature" not in receiver.said[0][0]


def test_raising_twice_at_once_sends_once(receiver):
    alert = raised()
    floor_change = Raise(
        (alert.threshold_id, "campaign", "c"), "critical", alert.threshold.rule(),
        measured=_measured(), text=alert.text,
    )  # fmt: skip
    alerts.apply([floor_change], {}, timezone.now() + dt.timedelta(seconds=1))
    assert Alert.objects.count() == 1 and len(queued()) == 1


def _measured():
    from console.alert_figures import Measured

    return Measured("abandon_cap", "c", "Spring", 100.0)


def test_an_address_that_is_none_any_more_is_given_up_at_once(receiver, settings):
    alert = raised()
    settings.ALERT_WEBHOOK_URL = ""
    (pk,) = queued()
    assert tasks.send_alert(pk) is False
    assert not AlertDelivery.objects.exists() and alert.events.last().kind == AlertEvent.Kind.NOT_SENT


def test_two_workers_at_one_delivery_post_it_once(receiver, monkeypatch):
    monkeypatch.setattr(webhook, "SEND_SECONDS", 60.0)
    raised()
    (pk,) = queued()
    receiver.wait.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(in_a_thread, pk)
        wait_until(lambda: receiver.said, "the first worker's request")
        assert tasks.send_alert(pk) is False
        receiver.wait.set()
        assert first.result(20) is True
    assert len(receiver.said) == 1


def in_a_thread(pk: int) -> bool:
    try:
        return tasks.send_alert(pk)
    finally:
        connection.close()

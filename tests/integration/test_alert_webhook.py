"""Alerts posted to a real HTTP server: signed, with the board's figures, tried again within limits, nowhere else."""

import datetime as dt
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from celery.exceptions import Retry
from django.utils import timezone

from console import alerts, tasks, webhook
from console.alerting import Clear, Evaluator, Open, Raise
from console.floor_state import FloorState
from console.kpis import ratio
from console.models import Alert, AlertEvent, AlertThreshold
from console.rows import CampaignRow, Drops
from dialer import figures
from events import streams
from tests.conftest import wait_until
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


def queued() -> list[dict]:
    """Arguments of the tasks that wait on the queue `default`."""
    import base64

    found = []
    for raw in streams.shared().lrange("default", 0, -1):
        args, _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
        found.append(args)
    return found[::-1]


def test_a_raised_alert_is_posted_from_the_default_queue_with_the_figure_of_the_board(receiver):
    alert = raised()
    (args,) = queued()
    assert tasks.send_alert(*args) is True
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
def test_a_real_worker_of_the_default_queue_delivers_it(receiver, tmp_path):
    with Processes(tmp_path, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET="s3cret") as run:
        run.worker("default")
        receiver.answers = [503]
        alert = raised()
        wait_until(lambda: len(receiver.said) == 2, "the delivery, and once more after a refusal", 60)
    assert {json.loads(body)["id"] for _, body in receiver.said} == {f"alert-{alert.pk}-1"}


def test_each_change_is_posted_and_none_without_an_address_or_where_the_threshold_says_so(receiver, settings):
    alert = raised()
    key = (alert.threshold_id, "campaign", "c")
    with_open = {key: (alert.pk, Open("critical"))}
    from django.db import transaction

    with transaction.atomic():
        alerts.control(alert.pk, "acknowledge", 15, "ann", timezone.now())
    alerts.apply([Clear(key)], with_open, timezone.now())
    assert [json.loads(args[1])["event"] for args in queued()] == ["raised", "acknowledged", "resolved"]
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
    (args,) = queued()
    receiver.answers = [500] * 99
    pauses = []
    for attempt in range(len(webhook.RETRY_SECONDS) + 1):
        tasks.send_alert.push_request(retries=attempt, called_directly=False, args=args, kwargs={}, id="x")
        try:
            assert tasks.send_alert.run(*args) is False
        except Retry as retry:
            pauses.append(retry.when)
        finally:
            tasks.send_alert.pop_request()
    # The first message and one for each further try.
    assert len(queued()) == 1 + len(webhook.RETRY_SECONDS)
    assert pauses == list(webhook.RETRY_SECONDS) == sorted(pauses)
    assert len(receiver.said) == len(webhook.RETRY_SECONDS) + 1
    assert len({body for _, body in receiver.said}) == 1
    event = alert.events.last()
    assert (event.kind, event.note) == (AlertEvent.Kind.NOT_SENT, "webhook: answered 500")


def test_a_redirect_is_not_followed(receiver):
    raised()
    other = Receiver()
    try:
        receiver.answers, receiver.location = [307], other.url
        with pytest.raises(webhook.NotDelivered, match="answered 307"):
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

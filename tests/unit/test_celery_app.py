"""How the Celery application differs from a bare one."""

import logging

import kombu.utils.functional
import pytest
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from orchestrator.celery import app
from orchestrator.logs import NotGivenBack


def test_a_broker_that_is_away_is_tried_again_within_two_seconds_however_long_it_has_been_away(monkeypatch):
    waited: list[float] = []

    def failed(_: Exception, interval: float) -> None:
        waited.append(interval)
        if len(waited) == 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(kombu.utils.functional, "sleep", lambda _: None)
    # Port 1: nobody listens.
    with pytest.raises(KeyboardInterrupt), app.connection_for_read("redis://127.0.0.1:1") as connection:
        connection.ensure_connection(failed, app.conf.broker_connection_max_retries)
    assert max(waited) <= 2 and waited[0] <= 0.5
    assert app.conf.broker_connection_max_retries is None, "for ever"


def test_who_publishes_to_a_broker_that_is_away_is_told_so():
    with app.connection_for_write("redis://127.0.0.1:1") as connection, pytest.raises(OperationalError):
        app.send_task("t", connection=connection, retry=True, retry_policy={"max_retries": 1, "interval_start": 0})


@pytest.mark.parametrize(("error", "said"), [(Reject("away", requeue=True), False), (ValueError("a defect"), True)])
def test_a_task_that_is_given_back_is_told_of_in_one_line_and_a_defect_with_its_traceback(error, said):
    record = logging.LogRecord("celery.app.trace", logging.WARNING, "", 1, "failed", (), (type(error), error, None))
    assert NotGivenBack().filter(record) is said

"""SIGTERM: each process finishes what it holds and gives its lease up at once; what was accepted, the next one does."""

import signal
import threading
import urllib.error
import urllib.request
import uuid

import pytest
from celery import current_app
from django.db import connection, connections, transaction
from django.utils import timezone

from console import codes, protocol
from console.models import ApiToken
from dialer.models import AppliedCommand, CallLog, QueuedCommand, WorkerLease
from events import streams
from events.ingest import Ingest
from events.models import FreeSwitchEvent
from tests.conftest import wait_until
from tests.fakes.console import Socket, make_user
from tests.fakes.console_web import answers, closed_with
from tests.fakes.dialling import ask
from tests.fakes.events import TALKING
from tests.fakes.floor import make_agents, reason_code
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty"), pytest.mark.stack]
# Each one's stop_grace_period in docker-compose.yml is longer.
STOPS_WITHIN = 30.0


def stop(run: Processes, name: str) -> int:
    process = run.running[name]
    process.send_signal(signal.SIGTERM)
    return process.wait(STOPS_WITHIN)


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s",
                       [connection.settings_dict["NAME"]])  # fmt: skip
        return bool(cursor.fetchone()[0])


def in_another_thread(work):
    """With a database connection of its own."""

    def run():
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_web_process_finishes_its_commands_and_ends_its_sockets_so_that_boards_come_back(tmp_path):
    [agent] = make_agents(1)
    reason_code("break", "lunch")
    _, secret = ApiToken.issue(make_user("sup", supervisor=True))
    held, let_go = threading.Event(), threading.Event()

    def hold():
        # The command's way into the inbox waits for this.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {QueuedCommand._meta.db_table} IN EXCLUSIVE MODE")
            held.set()
            let_go.wait(20)

    with Processes(tmp_path) as run:
        run.web()
        wait_until(lambda: answers(run.web_port), "daphne")
        url = f"ws://127.0.0.1:{run.web_port}/ws/v1/floor/"
        with Socket(url, additional_headers={"Authorization": f"Bearer {secret}"}) as board:
            board.until(protocol.Hello)
            holder = in_another_thread(hold)
            assert held.wait(20)
            board.say(protocol.SetAgentState(id="1", agent_id=agent.agent_id, state="break", reason="lunch"))
            wait_until(waits_for_a_lock, "the command under way")
            run.running["web"].send_signal(signal.SIGTERM)
            wait_until(lambda: not answers(run.web_port), "no new connections")
            let_go.set()
            assert board.until(protocol.Ack).id == "1", "accepted before it went"
            assert closed_with(board) == codes.CLOSE_RESTART == 1012
            holder.join(20)
        assert run.running["web"].wait(STOPS_WITHIN) == 0
    assert QueuedCommand.objects.count() == streams.shared().llen("dialer_queue") == 1


def test_a_web_process_finishes_a_request_that_it_has_begun(tmp_path):
    held, let_go, answer = threading.Event(), threading.Event(), []

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE auth_user IN ACCESS EXCLUSIVE MODE")
            held.set()
            let_go.wait(20)

    def sign_in(port):
        form = b"username=nobody&password=wrong"
        request = urllib.request.Request(f"http://127.0.0.1:{port}/login/", data=form, headers=HEADERS)
        try:
            answer.append(urllib.request.urlopen(request, timeout=20).status)
        except urllib.error.HTTPError as error:
            answer.append(error.code)

    with Processes(tmp_path) as run:
        run.web()
        wait_until(lambda: answers(run.web_port), "daphne")
        holder = in_another_thread(hold)
        assert held.wait(20)
        client = in_another_thread(lambda: sign_in(run.web_port))
        wait_until(waits_for_a_lock, "the request under way")
        run.running["web"].send_signal(signal.SIGTERM)
        wait_until(lambda: not answers(run.web_port), "no new connections")
        let_go.set()
        client.join(20), holder.join(20)
        assert run.running["web"].wait(STOPS_WITHIN) == 0
    assert answer == [200], "the form again: wrong password"


# A form of our own page, with the token that its cookie says.
TOKEN = "a" * 32
HEADERS = {"Cookie": f"csrftoken={TOKEN}", "X-CSRFToken": TOKEN}


def test_an_ingest_records_what_it_has_folded_and_gives_its_lease_up(redis_empty):
    ending = threading.Event()
    one = Ingest(stop=ending)
    thread = in_another_thread(one.run)
    try:
        wait_until(lambda: one.lease.held() and redis_empty.exists(streams.JOURNAL), "it works")
        one.journal.append(TALKING)
        wait_until(lambda: one.counts["events"] == len(TALKING), "folded")
    finally:
        ending.set()
        thread.join(STOPS_WITHIN)
    assert not thread.is_alive()
    assert redis_empty.get("lease:ingest") is None
    assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == 0, "recorded, not left for the next"


def test_a_dialer_worker_gives_its_lease_up_and_leaves_its_queue_to_the_next(tmp_path):
    [agent] = make_agents(1)
    commands = [ask(agent, *wish) for wish in 60 * [("break", "lunch"), ("offline", "")]]
    with Processes(tmp_path) as run:
        run.worker("dialer_queue", name="first")
        wait_until(lambda: AppliedCommand.objects.exists(), "it works", 60)
        assert stop(run, "first") == 0
        assert WorkerLease.objects.get(name="dialer").expires_at is None, "nobody has to wait for it to run out"
        done = AppliedCommand.objects.count()
        waiting = streams.shared().llen("dialer_queue")
        assert done < len(commands), "stopped in the middle"
        assert done + waiting >= len(commands) and not streams.shared().hlen("unacked")
        run.worker("dialer_queue", name="second")
        wait_until(lambda: AppliedCommand.objects.count() == len(commands), "all commands applied once", 60)
    assert set(AppliedCommand.objects.values_list("status", flat=True)) == {"applied"}


def test_a_default_worker_finishes_its_task(tmp_path):
    call = CallLog.objects.create(
        freeswitch_uuid=str(uuid.uuid4()), to_number="+12125550100", initiated_at=timezone.now()
    )
    said = {"Event-Name": "CHANNEL_HANGUP_COMPLETE", "variable_orch_call": str(call.call_id)}
    event = FreeSwitchEvent.objects.create(event_data=said, timestamp=timezone.now(), core_uuid="c", event_sequence=1)
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            CallLog.objects.select_for_update().get(pk=call.pk)
            held.set()
            let_go.wait(20)

    with Processes(tmp_path) as run:
        run.worker("default")
        holder = in_another_thread(hold)
        assert held.wait(20)
        current_app.send_task("dialer.tasks.store_cdr", args=[[event.pk]], queue="default")
        wait_until(waits_for_a_lock, "the task under way", 60)
        run.running["default"].send_signal(signal.SIGTERM)
        let_go.set()
        holder.join(20)
        assert run.running["default"].wait(STOPS_WITHIN) == 0
    call.refresh_from_db()
    assert call.cdr_data == said
    assert not streams.shared().hlen("unacked") and not streams.shared().llen("default")

"""The sequential worker as a real Celery process: one acts, one stands by, and a killed one loses nothing."""

import subprocess
from pathlib import Path

import pytest
from celery import current_app

from dialer import lease
from dialer.models import AppliedCommand, QueuedCommand, WorkerLease
from events import neighbours, streams
from tests.conftest import wait_until
from tests.fakes.dialling import ask
from tests.fakes.floor import make_agents
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty"), pytest.mark.stack]


def applied(command_id: str) -> bool:
    return AppliedCommand.objects.filter(command_id=command_id, status="applied").exists()


def holder() -> str:
    lease = WorkerLease.objects.filter(name="dialer").first()
    return lease.holder if lease else ""


def test_commands_reach_the_worker_and_its_heartbeat_shows(tmp_path):
    [agent] = make_agents(1)
    with Processes(tmp_path) as run:
        command = ask(agent, "break", "lunch")
        run.worker("dialer_queue")
        wait_until(lambda: applied(command), "the command applied", seconds=60)
        wait_until(lambda: streams.shared().get(f"{streams.HEARTBEAT_PREFIX}dialer"), "a heartbeat", seconds=60)
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "lunch")


def test_a_second_worker_stands_by_and_takes_over_without_losing_a_command(tmp_path):
    [agent] = make_agents(1)
    with Processes(tmp_path) as run:
        run.worker("dialer_queue", name="first")
        first = wait_until(holder, "the first holds the lease", seconds=60)
        run.worker("dialer_queue", name="second")
        wait_until(lambda: "standing by" in run.log("second"), "the second stands by", seconds=60)
        run.kill("first")
        commands = [
            ask(agent, state, reason) for state, reason in (("break", "lunch"), ("offline", ""), ("break", "tea"))
        ]
        wait_until(lambda: all(map(applied, commands)), "all commands applied by the second", seconds=60)
        assert holder() != first
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "tea")


def test_a_dead_neighbours_lease_need_not_run_out_and_a_living_or_distant_ones_must():
    child = subprocess.Popen(["sleep", "60"])
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    host, namespace, _, _ = neighbours.identity().split("/")
    neighbour = f"{host}/{namespace}/{child.pid}/{started}"
    assert lease.acquire(neighbour) is not None
    assert not neighbours.is_dead(neighbour) and lease.acquire("me", dead="") is None
    child.kill()
    child.wait()
    assert neighbours.is_dead(neighbour)
    assert not neighbours.is_dead(neighbour.replace(host, "elsewhere", 1)) and not neighbours.is_dead("anything")
    assert lease.acquire("me", dead=neighbour) is not None


def test_what_a_killed_worker_had_taken_is_done_by_the_next_at_once(tmp_path, redis_empty):
    """Celery alone would give it back after the visibility timeout, minutes later. The inbox, which carries out what
    the queue has lost, comes seconds later, and knows of commands only: here of none."""
    [agent] = make_agents(1)
    command = ask(agent, "break", "lunch")
    QueuedCommand.objects.all().delete()
    # As a worker leaves it when it dies between taking a task and acknowledging it.
    with current_app.connection_for_read() as connection:
        channel = connection.channel()
        assert channel.basic_get("dialer_queue") is not None
        assert redis_empty.hlen("unacked") == 1 and redis_empty.llen("dialer_queue") == 0
        channel.qos._delivered.clear()  # a killed process restores nothing
        with Processes(tmp_path) as run:
            run.worker("dialer_queue")
            wait_until(lambda: applied(command), "the command applied", seconds=60)


def test_a_worker_with_more_than_one_process_on_the_sequential_queue_refuses_to_start(tmp_path):
    with Processes(tmp_path) as run:
        process = run.worker("dialer_queue", concurrency=2)
        assert process.wait(60) != 0
        assert "-c 1" in run.log("dialer_queue")

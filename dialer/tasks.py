"""The Celery tasks of the dialer: fetch, call a service, nothing else. All but the last six run on dialer_queue, in
order."""

import logging
import time
from typing import Any

import redis
from celery import Task, shared_task
from celery.exceptions import Reject
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from dialer import at_hand, census, outbox, whatif_runs
from dialer.lease import LeaseLost
from dialer.limits import PRESENCE_EVERY_SECONDS
from dialer.models import DialerCampaign
from dialer.queues import QUEUED_AT
from dialer.services import (
    agents,
    answering,
    call_silence,
    calls,
    cdr,
    commands,
    dialing,
    doubts,
    freeing,
    hearing,
    insisting,
    observing,
    panels,
    preview,
    rounds,
    sharing,
    withdrawing,
)
from dialer.services import facts as told
from dialer.services.acting import acting
from dialer.target_import import ImportRefusedError, runs, undo
from events import counters

log = logging.getLogger(__name__)

# In-doubt questions are asked every so many ticks: they are rare, and each costs two queries.
DOUBTS_EVERY_SECONDS = 2.0
UPKEEP_EVERY_SECONDS = 0.5
OVERLOOKED_EVERY_SECONDS = 2.0
_last_doubts = _last_upkeep = _last_overlooked = _last_panels = -100.0
GIVEN_BACK = (LeaseLost, OperationalError, InterfaceError)


class Sequential(Task):
    """A task of the sequential queue: first the facts that wait, then its own work. Given back, not lost, when the
    lease has passed on or PostgreSQL is away."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name, begun = self.name.rpartition(".")[2], time.monotonic()
        if isinstance(queued_at := self.request.get(QUEUED_AT), int | float):
            counters.observe("dialer_task_wait_seconds", time.time() - queued_at, task=name)
        try:
            with at_hand.doing(name, (self.request.properties or {}).get("delivery_tag", "")):
                _hear()
                begun = time.monotonic()
                return super().__call__(*args, **kwargs)
        except GIVEN_BACK as error:
            log.warning(
                "%s given back to the queue: %s", self.name, str(error).splitlines()[0] if str(error) else error
            )
            if self.request.called_directly:
                raise
            # A moment's pause, or a queue with one task in it would spin while the database is away.
            time.sleep(0.5)
            raise Reject(str(error), requeue=True) from error
        finally:
            counters.observe("dialer_task_seconds", time.monotonic() - begun, task=name)
            counters.flush()


def _hear() -> None:
    try:
        hearing.catch_up()
    except redis.RedisError as error:
        log.warning("facts wait: %s", type(error).__name__)


@shared_task(name="dialer.tasks.process_dialer_logic", base=Sequential, ignore_result=True)
def process_dialer_logic() -> int:
    """One tick: waiting customers, wrap-ups, softphones, panels, doubts; then each active campaign dials, the one
    furthest below its share of the agents first. Returns how many."""
    global _last_upkeep, _last_doubts, _last_overlooked, _last_panels
    if outbox.waiting():
        with acting("dialer") as act:
            withdrawing.stopped(act)
        outbox.flush()
    now = time.monotonic()
    with acting("dialer") as act:
        calls.overdue_answers(act)
        # A tick may come many times a second, whenever an agent is free; what waits for time to pass need not.
        if now - _last_upkeep >= UPKEEP_EVERY_SECONDS:
            _last_upkeep = now
            agents.due_wrap_ups(act)
            agents.due_limits(act)
            agents.due_softphones(act)
            dialing.follow_schedules(act)
            call_silence.overdue(act)
        if now - _last_panels >= PRESENCE_EVERY_SECONDS:
            _last_panels = now
            panels.sweep(act)
        if now - _last_doubts >= DOUBTS_EVERY_SECONDS:
            _last_doubts = now
            doubts.settle(act)
            told.missed(act)
            insisting.overdue(act)
            answering.overdue(act)
        preview.upkeep(act)
    if now - _last_overlooked >= OVERLOOKED_EVERY_SECONDS:
        _last_overlooked = now
        commands.overlooked(timezone.now())
    active = sharing.in_order()
    rounds.current.begin([str(campaign_id) for campaign_id in active])
    return len(active)


@shared_task(name="dialer.tasks.execute_dial", base=Sequential, ignore_result=True)
def execute_dial(campaign_id: str) -> list[str]:
    """Decide for one campaign and place the calls it may have now; returns their call_ids."""
    begun = time.monotonic()
    try:
        with acting("dialer") as act:
            placed = dialing.dial(act, campaign_id, observing.link())
    except GIVEN_BACK:
        raise
    except BaseException:
        # One that cannot decide keeps no other from it.
        rounds.current.decided(campaign_id, time.monotonic() - begun)
        raise
    rounds.current.decided(campaign_id, time.monotonic() - begun)
    return [str(call.call_id) for call in placed]


@shared_task(name="dialer.tasks.handle_agent_state", base=Sequential, ignore_result=True)
def handle_agent_state(command: dict[str, Any]) -> dict[str, Any]:
    """Change an agent's state: see services.commands.set_agent_state. Returns {command_id, status, reason, result}."""
    return commands.set_agent_state(command)


@shared_task(name="dialer.tasks.handle_command", base=Sequential, ignore_result=True)
def handle_command(command: dict[str, Any]) -> dict[str, Any]:
    """Control a campaign or a call: see services.commands.control. Returns {command_id, status, reason, result}."""
    return commands.control(command)


@shared_task(name="dialer.tasks.handle_facts", base=Sequential, ignore_result=True)
def handle_facts() -> None:
    """Facts wait: with this task as with any other they have been applied by now (Sequential)."""


@shared_task(name="dialer.tasks.free_contacts", ignore_result=True)
def free_contacts(target_list: int) -> int:
    """Set a list's blocked contacts free after a rule has changed (queue `default`). Returns how many."""
    return freeing.target_list(target_list)


@shared_task(name="dialer.tasks.refresh_census", ignore_result=True)
def refresh_census(campaign: int) -> None:
    """Count a campaign's contacts by their gates, for whoever looks (queue `default`)."""
    found = DialerCampaign.objects.select_related("profile", "target_list").filter(pk=campaign).first()
    if found is not None:
        census.refresh(found)


@shared_task(name="dialer.tasks.simulate_pacing", ignore_result=True, soft_time_limit=whatif_runs.MOST_SECONDS)
def simulate_pacing(parameters: dict[str, Any], busy_key: str, keep_seconds: int) -> None:
    """Run a simulation and keep what it gave in the cache (queue `default`): see whatif_runs.run."""
    whatif_runs.run(parameters, busy_key, keep_seconds)


@shared_task(name="dialer.tasks.store_cdr", ignore_result=True)
def store_cdr(event_ids: list[int], batch_id: str | None = None) -> int:
    """What these raw events (HANGUP_COMPLETE of customers' legs) say into CallLog.cdr_data (queue `default`). Returns
    rows changed. batch_id: see cdr.store."""
    return cdr.store(event_ids, batch_id)


@shared_task(name="dialer.tasks.run_import", ignore_result=True)
def run_import(pk: int) -> str:
    """Do the work of a queued ImportRun (queue `default`). Returns the state it has then."""
    return runs.perform(pk)


@shared_task(name="dialer.tasks.undo_import", ignore_result=True)
def undo_import(pk: int, actor: str) -> int:
    """Take back what an import brought (queue `default`). Returns how many contacts it has removed."""
    try:
        return undo.undo(pk, actor).removed
    except ImportRefusedError as refusal:
        # Delivered twice: it is undone already.
        log.info("import %s was not undone: %s", pk, refusal)
        return 0

"""What operators rely on."""

from tests.guards.guard import Guard

_STOPPING = "tests/integration/test_stopping.py::"
_RESTORE = "tests/integration/test_restore.py::"
_RETENTION = "tests/integration/test_retention.py::"

GUARDS: list[Guard] = [
    Guard(
        "a log line carries the ids that are bound",
        "orchestrator/log_lines.py",
        'found = {**trail.bound(), **getattr(record, "about", {})}',
        'found = {**getattr(record, "about", {})}',
        "tests/unit/test_log_lines.py::test_a_line_is_one_json_object_with_the_ids_that_are_bound",
    ),
    Guard(
        "a log's traceback names no number",
        "orchestrator/log_lines.py",
        "        return clean(text)\n",
        "        return text\n",
        "tests/unit/test_log_lines.py::test_an_error_is_told_in_the_same_line_without_the_number_that_it_names",
    ),
    Guard(
        "sockets are closed with 1012 when their process stops",
        "orchestrator/leaving.py",
        "        hub.send_away()\n",
        "",
        _STOPPING + "test_a_web_process_finishes_its_commands_and_ends_its_sockets_so_that_boards_come_back",
    ),
    Guard(
        "a command under way is acknowledged before its process stops",
        "console/hub.py",
        "        self.under_way += 1\n",
        "",
        _STOPPING + "test_a_web_process_finishes_its_commands_and_ends_its_sockets_so_that_boards_come_back",
    ),
    Guard(
        "the dialer's lease is given up on stop",
        "dialer/worker.py",
        "            lease.release(held)\n        except db.Error:",
        "            pass\n        except db.Error:",
        _STOPPING + "test_a_dialer_worker_gives_its_lease_up_and_leaves_its_queue_to_the_next",
    ),
    Guard(
        "the ingest's lease is given up on stop",
        "events/ingest.py",
        "        self.lease.release()\n",
        "",
        _STOPPING + "test_an_ingest_records_what_it_has_folded_and_gives_its_lease_up",
    ),
    Guard(
        "what failed to be stored and is tried again counts as late",
        "orchestrator/metrics.py",
        "filter(NOT_STORED)",
        "filter(NOT_STORED, attempts=0)",
        "tests/integration/test_metrics.py::"
        "test_events_that_failed_and_are_tried_again_are_late_and_only_those_given_up_have_failed",
    ),
    Guard(
        "an entry of the journal that cannot be read keeps no other from being stored",
        "events/batches.py",
        "except Exception:  # As the ingest does",
        "except ZeroDivisionError:  # As the ingest does",
        "tests/integration/test_ingest_crashes.py::test_malformed_events_are_kept_for_people_and_the_call_goes_on",
    ),
    Guard(
        "events that the database has no time or room for are never given up",
        "events/batches.py",
        "int(not isinstance(error, OperationalError) or",
        "int(True or",
        "tests/integration/test_store.py::"
        "test_a_batch_that_the_database_has_only_no_time_or_room_for_is_never_given_up",
    ),
    Guard(
        "after a restore every campaign is paused",
        "dialer/services/restoring.py",
        "        dialing.set_status(campaign, CampaignStatus.PAUSED)\n",
        "        pass\n",
        _RESTORE + "test_after_a_restore_campaigns_are_paused_and_open_attempts_are_settled_by_asking_the_switch",
    ),
    Guard(
        "after a restore a call that the switch has goes on",
        "dialer/services/restoring.py",
        "        if exists(leg):\n",
        "        if False:\n",
        _RESTORE + "test_after_a_restore_campaigns_are_paused_and_open_attempts_are_settled_by_asking_the_switch",
    ),
    Guard(
        "nobody dials by a restored database before a person has looked",
        "dialer/worker.py",
        "    refuse_restored(held)\n",
        "",
        _RESTORE + "test_a_backup_taken_while_calls_go_on_is_restored_and_its_worker_dials_nobody",
    ),
    Guard(
        "a decision that a call points to is kept",
        "dialer/retention.py",
        " also=_UNUSED,",
        "",
        _RETENTION + "test_old_decisions_go_but_those_that_placed_a_call_stay_as_long_as_its_record",
    ),
    Guard(
        "an order of a call that goes on is kept",
        "dialer/retention.py",
        " also=_CALL_OVER,",
        "",
        _RETENTION + "test_old_orders_go_unless_their_call_goes_on",
    ),
    Guard(
        "a command that waits for the switch is kept",
        "dialer/retention.py",
        "confirmation <> 'waiting'",
        "TRUE",
        _RETENTION + "test_old_commands_go_unless_the_switch_owes_an_answer",
    ),
    Guard(
        "an event that waits to be processed is kept",
        "events/retention.py",
        "p.status IN ('pending', 'processing')",
        "p.status IN ('none')",
        _RETENTION + "test_old_events_go_with_what_was_made_of_them_unless_they_wait",
    ),
    Guard(
        "a bridge takes no leg of another node for lost",
        "esl_bridge/resync.py",
        "        if node and there != node:\n            continue\n",
        "",
        "tests/unit/test_nodes.py::test_a_bridge_compares_its_own_legs_only",
    ),
    Guard(
        "two bridges without FREESWITCH_NODES never serve two switches",
        "events/nodes.py",
        "    return heartbeat(node)\n",
        '    return f"bridge:{node}"\n',
        "tests/integration/test_esl_bridge.py::test_a_second_bridge_stands_by_and_takes_over_when_the_first_stops",
    ),
    Guard(
        "after a restore an answer of the switch that is none settles nothing",
        "orchestrator/management/commands/after_restore.py",
        "        if None in answers:\n",
        "        if False:\n",
        _RESTORE + "test_an_answer_of_the_switch_that_is_none_settles_nothing",
    ),
    Guard(
        "a database is not restored to beside a running worker",
        "dialer/lease.py",
        "AND (holder IN (%s, %s) OR",
        "AND (TRUE OR holder IN (%s, %s) OR",
        _RESTORE + "test_it_refuses_beside_a_running_worker",
    ),
    Guard(
        "a worker keeps its connection to PostgreSQL between tasks",
        "orchestrator/settings.py",
        "CELERY_DB_REUSE_MAX = 2**62",
        "CELERY_DB_REUSE_MAX = 0",
        "tests/integration/test_worker_connections.py::test_tasks_share_a_connection",
    ),
    Guard(
        "a connection that is no more costs no task",
        "orchestrator/celery.py",
        "    close_old_connections()\n",
        "    pass\n",
        "tests/integration/test_worker_connections.py::test_a_connection_that_was_lost_between_two_tasks_costs_neither",
    ),
    Guard(
        "a worker's pool forks before there are other threads",
        "dialer/worker.py",
        "    if QUEUE not in queues:\n        return\n",
        "    if QUEUE not in queues:\n        threading.Thread(target=_beat_default).start()\n        return\n",
        "tests/unit/test_worker_threads.py::test_a_default_worker_has_no_thread_before_its_pool_has_forked",
    ),
    Guard(
        "a name like no uuid of another's leg takes no fact of ours with it",
        "dialer/services/facts.py",
        "for leg in legs if orders.is_uuid(leg)]",
        "for leg in legs if len(leg) == 36]",
        "tests/integration/test_late_facts.py::"
        "test_a_leg_of_somebody_elses_with_a_name_like_no_other_stops_no_fact_of_ours",
    ),
]

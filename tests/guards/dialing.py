"""Never dial twice, stop means stop."""

from tests.guards.guard import Guard

RUNNER = "esl_bridge/order_runner.py"
ORDERS = "tests/integration/test_esl_orders.py::"
CALLS = "tests/integration/test_dialer_calls.py::"
LATE = "tests/integration/test_late_facts.py::"
STOPS = "tests/integration/test_stops.py::"
WORKER = "tests/integration/test_dialer_worker.py::"

GUARDS: list[Guard] = [
    Guard(
        "an order is claimed before it leaves",
        "esl_bridge/order_stream.py",
        "redis.call('set', key, ARGV[at + 1], 'NX', 'EX', ARGV[1])",
        "redis.call('set', key, ARGV[at + 1], 'EX', ARGV[1])",
        ORDERS + "test_an_order_that_another_bridge_has_claimed_is_passed_over",
    ),
    Guard(
        "a bridge remembers what it took, should Redis lose the claim",
        RUNNER,
        "self._taken[order.order_id] = order.expires_at",
        "pass",
        ORDERS + "test_an_order_that_comes_again_is_executed_once_even_if_redis_has_lost_its_claim[True]",
    ),
    Guard(
        "after a restart of Redis nothing is dialled that may have been dialled",
        RUNNER,
        "        if memory is Memory.RESTARTED:\n",
        "        if False:\n",
        ORDERS + "test_a_bridge_begun_after_redis_was_restarted_dials_nothing_that_its_predecessor_may_have_dialled",
    ),
    Guard(
        "after a flush of Redis nothing is dialled again that was sent before",
        RUNNER,
        "        if memory is not Memory.WHOLE:\n",
        "        if False:\n",
        ORDERS + "test_after_redis_was_flushed_only_what_was_sent_before_may_have_been_dialled",
    ),
    Guard(
        "an order that a dead bridge had claimed is never repeated",
        RUNNER,
        "            elif holder != entry:\n",
        "            elif True:\n",
        "tests/integration/test_esl_bridge.py::test_orders_left_by_a_dead_bridge_are_in_doubt_or_executed_never_both",
    ),
    Guard(
        "an order is not executed after its time",
        RUNNER,
        "if order.expires_at <= time.time():",
        "if False:",
        ORDERS + "test_an_order_is_not_executed_after_its_time",
    ),
    Guard(
        "a transaction of one who has lost the lease commits nothing",
        "dialer/lease.py",
        '        if cursor.fetchone() is None:\n            raise LeaseLost(f"the lease with',
        '        if False:\n            raise LeaseLost(f"the lease with',
        CALLS + "test_a_worker_that_lost_its_lease_commits_nothing",
    ),
    Guard(
        "nobody takes the lease in the middle of a transaction",
        "dialer/lease.py",
        " AND token = %s FOR SHARE",
        " AND token = %s",
        LATE + "test_nobody_takes_the_lease_in_the_middle_of_a_transaction",
    ),
    Guard(
        "one who has lost the lease sends nothing",
        "dialer/outbox.py",
        "            lease.fence()\n",
        "",
        LATE + "test_a_worker_that_lost_the_lease_after_its_commit_sends_nothing",
    ),
    Guard(
        "one who has lost the lease writes nothing about orders",
        "dialer/services/facts.py",
        "            lease.fence()\n",
        "",
        LATE + "test_a_worker_that_lost_the_lease_writes_nothing_about_orders_either",
    ),
    Guard(
        "an order leaves after the commit, and only then",
        "dialer/outbox.py",
        "transaction.on_commit(lambda: _committed().extend(rows))",
        "_send(rows)",
        LATE + "test_an_order_whose_transaction_is_rolled_back_never_leaves",
    ),
    Guard(
        "what a dead worker had committed is sent by the next",
        "dialer/tasks.py",
        "        outbox.flush()\n",
        "",
        STOPS + "test_an_order_left_by_a_dead_worker_is_sent_otherwise_and_says_that_it_may_be_a_repetition",
    ),
    Guard(
        "a number has one open attempt",
        "dialer/migrations/0001_initial.py",
        "condition=models.Q(('ended_at__isnull', True)), fields=('to_number',), name='call_one_open_per_number'",
        "condition=models.Q(('ended_at__isnull', True)), fields=('to_number', 'id'), name='call_one_open_per_number'",
        CALLS + "test_the_database_refuses_a_second_open_attempt_for_a_number",
    ),
    Guard(
        "an attempt is given back only when the switch does not know its leg",
        "dialer/services/doubts.py",
        "    if call is not None and call.ended_at is None:\n        if exists:",
        "    if call is not None and call.ended_at is None:\n        if False:",
        CALLS + "test_an_attempt_in_doubt_that_exists_is_kept",
    ),
    Guard(
        "an accepted command is written down before it is queued",
        "dialer/services/commands.py",
        "        (set_agent_state if row.task == inbox.AGENT_STATE else control)(row.payload)\n",
        "",
        CALLS + "test_an_accepted_command_whose_task_is_lost_is_carried_out_all_the_same",
    ),
    Guard(
        "a command has one effect",
        "dialer/services/commands.py",
        "    if earlier is not None:\n",
        "    if False:\n",
        CALLS + "test_the_same_command_id_has_one_effect_and_one_answer",
    ),
    Guard(
        "what a killed worker had in hand is done by the next",
        "dialer/worker.py",
        "            if routing_key not in ROUTING_KEYS:\n",
        "            if True:\n",
        WORKER + "test_what_a_killed_worker_had_taken_is_done_by_the_next_at_once",
    ),
    Guard(
        "lost facts are made up from the live state",
        "dialer/services/facts.py",
        "        for fact in facts:\n            apply(act, fact)\n",
        "",
        CALLS + "test_facts_that_were_lost_on_the_way_are_made_up_from_the_live_state",
    ),
    Guard(
        "a customer who may be joined is not hung up unless the switch says no",
        RUNNER,
        "        if resync.names_a_leg(joined_to):\n",
        "        if False:\n",
        ORDERS + "test_an_order_for_a_customer_who_waits_is_refused_once_the_switch_has_joined_them[hangup]",
    ),
    Guard(
        "a customer whom the live state shows as joined is not abandoned",
        "dialer/services/calls.py",
        "        if live_legs.is_joined(call.freeswitch_uuid):\n",
        "        if False:\n",
        LATE + "test_a_customer_whom_the_live_state_shows_as_joined_is_not_abandoned",
    ),
    Guard(
        "a bridge in doubt moves nobody to another agent",
        "dialer/services/calls.py",
        "    if in_doubt:\n",
        "    if False:\n",
        LATE + "test_a_bridge_in_doubt_is_ordered_once_more_to_the_same_agent_unless_it_was_made",
    ),
    Guard(
        "stop: the bridge refuses what was decided before",
        RUNNER,
        "if any(decided_at <= stopped.get(target, 0.0) for target in targets):",
        "if False:",
        ORDERS + "test_a_call_that_was_decided_before_its_campaign_or_number_was_stopped_does_not_leave",
    ),
    Guard(
        "stop: a campaign is marked before the answer",
        "dialer/services/dialing.py",
        "        stops.mark(str(campaign.campaign_id))\n",
        "        pass\n",
        STOPS + "test_a_stop_is_marked_for_the_bridge_before_it_is_answered",
    ),
    Guard(
        "stop: a forbidden number is marked",
        "dialer/services/freeing.py",
        "    transaction.on_commit(lambda: stops.mark_if_possible([instance.number]), robust=True)\n",
        "",
        STOPS + "test_a_forbidden_number_is_marked_as_its_entry_is_made",
    ),
    Guard(
        "stop: what a dead worker had committed is not sent",
        "dialer/tasks.py",
        "            withdrawing.stopped(act)\n",
        "            pass\n",
        STOPS + "test_an_order_left_by_a_dead_worker_is_not_sent_when_its_call_was_stopped_meanwhile",
    ),
    Guard(
        "what was decided while Redis was away does not leave: a stop may have left no mark",
        "esl_bridge/order_runner.py",
        "if targets and decided_at <= self._blind_until:",
        "if targets and decided_at <= 0:",
        "tests/integration/test_esl_orders.py::"
        "test_a_call_that_was_decided_while_redis_was_away_does_not_leave_since_a_stop_may_have_left_no_mark",
    ),
]

"""The link to the switch."""

from tests.guards.guard import Guard

FAULTS = "tests/integration/test_link_faults.py"
BRIDGE = "tests/integration/test_esl_bridge.py"
CLIENT = "tests/integration/test_esl_client.py"
FRAMING = "tests/unit/test_esl_framing.py::test_what_is_no_frame_is_refused_for_good"
RENDER = "tests/unit/test_esl_render.py"

GUARDS: list[Guard] = [
    Guard(
        "bytes that are no header end the link instead of being read on",
        "esl_bridge/framing.py",
        "if not colon or not _NAME.fullmatch(name):",
        "if not colon or not name:",
        FRAMING,
    ),
    Guard(
        "a frame that says two things of itself ends the link",
        "esl_bridge/framing.py",
        "if headers.setdefault(name, value) != value:",
        "if headers.setdefault(name, value) is None:",
        FRAMING,
    ),
    Guard(
        "an event without a length ends the link",
        "esl_bridge/framing.py",
        'if not kind or kind.startswith("text/event-"):',
        "if not kind:",
        FRAMING,
    ),
    Guard(
        "half an event is no event about another leg",
        "esl_bridge/normalise.py",
        "    if not end:\n",
        "    if end is None:\n",
        "tests/unit/test_esl_normalise.py::test_a_plain_event_that_is_cut_short_is_unreadable_instead_of_about_another_leg",
    ),
    Guard(
        "an answer belongs to its question",
        "esl_bridge/pending.py",
        "return self.is_api and (said == self.echo if self.echo else not said.startswith(_ECHO))",
        "return self.is_api",
        f"{FAULTS}::test_a_lost_answer_is_never_made_good_by_the_next_question_of_somebody_else",
    ),
    Guard(
        "a reply belongs to its order",
        "esl_bridge/pending.py",
        'return self.job is None or reply.headers["Job-UUID"] == self.job',
        "return True",
        f"{FAULTS}::test_a_reply_with_another_orders_id_is_not_believed",
    ),
    Guard(
        "a lost reply is asked after",
        "esl_bridge/client.py",
        "elif self._late(now) and not any(",
        "elif self._late(now) and any(",
        f"{FAULTS}::test_a_lost_reply_shows_within_a_second_although_nobody_asks_anything_more",
    ),
    Guard(
        "silence ends the link",
        "esl_bridge/client.py",
        "if now - self._heard_at >= silence:",
        "if now - self._heard_at < 0:",
        f"{CLIENT}::test_a_link_that_fails_is_noticed_and_says_why",
    ),
    Guard(
        "the socket is closed before the switch gets stuck on us",
        "esl_bridge/client.py",
        "if not self._on_frame(event):",
        "if self._on_frame(event) is None:",
        f"{CLIENT}::test_when_nobody_takes_the_events_the_socket_is_closed_instead_of_left_unread",
    ),
    Guard(
        "no part of the bridge is dead while it is connected",
        "esl_bridge/parts.py",
        'greenlet.link(lambda ended: self._told(name, _why(ended) or "it has stopped"))',
        "greenlet.link(lambda ended: None)",
        f"{FAULTS}::test_a_part_that_ends_or_fails_ends_the_link_and_is_counted",
    ),
    Guard(
        "a part that fails for an order ends the link, and with it the order",
        "esl_bridge/parts.py",
        "greenlet.link(lambda ended: self._told(name, why) if (why := _why(ended)) else None)",
        "greenlet.link(lambda ended: None)",
        f"{FAULTS}::test_a_passing_part_that_fails_ends_the_link_too_and_its_log_holds_no_number",
    ),
    Guard(
        "the pings go on after one that could not be sent",
        "esl_bridge/link.py",
        '                log.warning("the switch was not asked whether it is there: %s", error)',
        "                return",
        f"{FAULTS}::test_a_question_that_cannot_be_asked_ends_neither_the_pings_nor_the_comparisons",
    ),
    Guard(
        "a dead part shows on the board, in /metrics and to doctor",
        "console/health.py",
        'if dead := beat.get("parts_dead"):',
        'if dead := beat.get("parts_gone"):',
        f"{FAULTS}::test_a_bridge_with_a_dead_part_is_not_well_although_it_says_connected",
    ),
    Guard(
        "a switch that ends every link is not stormed",
        "esl_bridge/bridge.py",
        "                self._stopping.wait(wait)\n",
        "                self._stopping.wait(0)\n",
        f"{FAULTS}::test_a_switch_that_ends_every_link_at_once_is_not_stormed",
    ),
    Guard(
        "a leg is gone when the switch has said so twice",
        "esl_bridge/sync.py",
        "            absent = self._absent(link, absent)\n",
        "",
        f"{BRIDGE}::test_a_leg_the_switch_no_longer_has_is_reported_gone_and_an_unknown_one_found",
    ),
    Guard(
        "a call that began just before its switch died ends with it",
        "esl_bridge/resync.py",
        "young = min(YOUNG_SECONDS, now - opened)",
        "young = YOUNG_SECONDS",
        "tests/unit/test_esl_resync.py::test_a_leg_from_before_the_link_is_never_too_young_to_be_missing",
    ),
    Guard(
        "a late hang-up is not overruled",
        "esl_bridge/sync.py",
        "            if not self.tracker.has_ended(leg):\n                cause",
        "            if True:\n                cause",
        f"{BRIDGE}::test_a_hangup_that_was_only_late_is_not_overruled",
    ),
    Guard(
        "a refused listing ends no leg",
        "esl_bridge/resync.py",
        'raise BadListing(f"not a channel list: {type(error).__name__}") from None',
        "return frozenset()",
        f"{BRIDGE}::test_a_refused_listing_ends_no_leg",
    ),
    Guard(
        "a refusal of a call is asked about before it is believed",
        "esl_bridge/order_runner.py",
        "if item and not item.settling and render.is_originate(order):",
        "if item and item.settling and render.is_originate(order):",
        f"{FAULTS}::test_a_refusal_of_a_call_is_not_believed_before_the_switch_was_asked_for_the_leg",
    ),
    Guard(
        "music for who waits never plays into the next conversation",
        "esl_bridge/order_runner.py",
        "        self.apart.difference_update(render.legs_moved(order))\n",
        "",
        f"{FAULTS}::test_a_parked_customer_hears_music_once_parked_never_over_a_conversation_and_a_missing_file_harms_nothing",
    ),
    Guard(
        "the music's name runs nothing on the switch",
        "esl_bridge/render.py",
        'if not _MUSIC.match(plan.hold_music) or ".." in plan.hold_music.split("/"):',
        "if not plan.hold_music:",
        f"{RENDER}::test_music_that_is_more_than_a_stream_or_a_file_is_refused",
    ),
    Guard(
        "a second recording of a call is not written over the first",
        "esl_bridge/render.py",
        '        "RECORD_APPEND": "true",\n',
        "",
        f"{RENDER}::test_each_order_is_one_known_line",
    ),
    Guard(
        "a leg that both know is asked how far it has come",
        "esl_bridge/sync.py",
        "if belief is not None and said != belief.condition:",
        "if belief is None and said != belief:",
        f"{BRIDGE}::test_an_answer_a_joining_and_a_parting_that_nobody_heard_are_told_once_asked_for",
    ),
    Guard(
        "what was only on its way is not told again",
        "esl_bridge/sync.py",
        "if (now.belief, now.said) == (first[leg].belief, first[leg].said) and",
        "if",
        f"{BRIDGE}::test_what_was_only_on_its_way_is_not_told_again",
    ),
    Guard(
        "a Redis that has lost its memory is compared with at once",
        "esl_bridge/sync.py",
        "and not self._redis_has_lost(link):",
        "and self.commands:",
        f"{BRIDGE}::test_a_redis_that_was_emptied_is_compared_with_the_switch_at_once",
    ),
]

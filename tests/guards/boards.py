"""Boards and commands."""

from tests.guards.guard import Guard

OUTBOX = "tests/unit/test_console_outbox.py::"
WATCH = "tests/integration/test_console_watch.py::"
SILENCE = "tests/integration/test_board_silence.py::"
BOARD = "tests/browser/test_board.py::"

GUARDS: list[Guard] = [
    Guard(
        "a place that the ring has lost is answered with a snapshot",
        "console/outbox.py",
        "            or not hub.can_follow(place.seq, self.scope)\n",
        "",
        OUTBOX + "test_a_place_that_is_not_at_hand_is_answered_with_a_snapshot",
    ),
    Guard(
        "a floor that has gone back within its epoch is told anew",
        "console/outbox.py",
        "            or place.seq > hub.state.seq\n",
        "",
        OUTBOX + "test_a_floor_that_has_gone_back_within_its_epoch_is_told_anew",
    ),
    Guard(
        "a place of another epoch or part is answered with a snapshot",
        "console/outbox.py",
        "place.epoch != self.scope.epoch(hub.state.epoch)\n",
        "False\n",
        OUTBOX + "test_a_place_that_is_not_at_hand_is_answered_with_a_snapshot",
    ),
    Guard(
        "a resume is answered with every frame, however many",
        "console/outbox.py",
        " and place.seq >= self._catch_up:",
        ":",
        OUTBOX + "test_who_falls_behind_gets_the_latest_state_and_who_resumes_gets_every_frame",
    ),
    Guard(
        "a resume that comes too late is answered with a snapshot",
        "console/consumers.py",
        "                if self.begun_by_itself:\n",
        "                if False:\n",
        "tests/integration/test_console_sockets.py::"
        "test_a_resume_that_comes_after_a_snapshot_that_came_by_itself_is_answered_with_another",
    ),
    Guard(
        "what the server writes by itself takes a client out of those who are level",
        "console/outbox.py",
        "            straight.disturbed = self._leave\n",
        "            pass\n",
        OUTBOX + "test_what_happens_to_one_of_those_who_are_level_is_nothing_to_the_others",
    ),
    Guard(
        "a frame goes past the server only where nothing waits in it",
        "console/lanes.py",
        " or not straight.free:",
        ":",
        OUTBOX + "test_what_happens_to_one_of_those_who_are_level_is_nothing_to_the_others",
    ),
    Guard(
        "who is level and whose socket is full gets the frame by its writer",
        "console/lanes.py",
        "        for client in refused:\n            client.stir()\n",
        "",
        OUTBOX + "test_what_happens_to_one_of_those_who_are_level_is_nothing_to_the_others",
    ),
    Guard(
        "answers that nobody takes are bounded",
        "console/outbox.py",
        "if len(self._controls) >= CONTROLS:",
        "if False:",
        OUTBOX + "test_answers_that_nobody_takes_are_not_kept_without_end",
    ),
    Guard(
        "a client whose machine takes nothing is closed",
        "console/outbox.py",
        "elif now - self._took_at >= self._slow and not self._stuck:",
        "elif False:",
        OUTBOX + "test_a_client_whose_machine_takes_nothing_is_closed_and_its_connection_dropped",
    ),
    Guard(
        "and its connection dropped, with what waits for it",
        "console/outbox.py",
        "            if self._stuck:\n                self._drop()",
        "            if False:\n                self._drop()",
        OUTBOX + "test_a_client_whose_machine_takes_nothing_is_closed_and_its_connection_dropped",
    ),
    Guard(
        "a frame that does not follow is refused by the reference fold",
        "console/floor_state.py",
        "if frame.epoch != state.epoch or frame.seq != state.seq + 1:",
        "if False:",
        "tests/unit/test_console_floor.py::test_a_frame_of_another_epoch_or_after_a_gap_is_refused_and_changes_nothing",
    ),
    Guard(
        "a frame that does not follow is refused by the page",
        "static/console/floor.js",
        "if (frame.epoch !== this.epoch || frame.seq !== this.seq + 1) {",
        "if (false) {",
        "tests/browser/test_floor_js.py::test_a_frame_that_does_not_follow_is_refused_and_changes_nothing",
    ),
    Guard(
        "a page ignores a frame that it has had",
        "static/console/link.js",
        "(this.#stray || this.#repeated(message))",
        "this.#stray",
        BOARD + "test_a_frame_that_comes_twice_is_ignored_and_one_that_is_missing_asks_for_everything",
    ),
    Guard(
        "a handshake that has waited too long costs nothing",
        "console/consumers.py",
        "None if late else await identify(self.scope)",
        "await identify(self.scope)",
        "tests/unit/test_console_door.py::"
        "test_who_has_waited_longer_than_the_server_waits_is_not_asked_for_in_the_database",
    ),
    Guard(
        "a user has ten sockets",
        "console/consumers.py",
        "self.hub.sockets_of(identity.actor.user_id) >= protocol.SOCKETS_PER_USER",
        "False",
        "tests/integration/test_console_limits.py::"
        "test_of_many_sockets_that_a_user_opens_at_once_no_more_than_ten_stay",
    ),
    Guard(
        "a command said again, on whatever socket, is the same command",
        "console/intents.py",
        'return str(uuid.uuid5(NAMESPACE, f"{user_id}:{client_id}"))',
        "return str(uuid.uuid4())",
        "tests/integration/test_console_commands.py::test_the_same_id_twice_has_one_effect_and_the_same_answer",
    ),
    Guard(
        "a command that is said on two sockets at once is no error on either",
        "dialer/inbox.py",
        "    except IntegrityError:\n",
        "    except ZeroDivisionError:\n",
        "tests/integration/test_command_ids.py::"
        "test_a_command_that_is_written_down_and_crossed_out_beside_us_is_no_error",
    ),
    Guard(
        "a right that is taken narrows the open socket",
        "console/watch.py",
        "elif scope != client.scope:",
        "elif False:",
        WATCH + "test_from_the_first_look_after_a_change_on_no_forbidden_row_is_sent",
    ),
    Guard(
        "an open socket is looked at again when its part has changed",
        "console/watch.py",
        "if client.judged[0] is actor and client.judged[1] is client.scope:",
        "if client.judged[0] is actor:",
        WATCH + "test_a_wider_part_that_is_asked_for_again_is_cut_down_again_though_no_right_has_changed_since",
    ),
    Guard(
        "a revoked token closes the open socket",
        "console/watch.py",
        "            client.end(codes.CLOSE_SIGNED_OUT)\n",
        "",
        WATCH + "test_from_the_first_look_after_a_change_on_no_forbidden_row_is_sent",
    ),
    Guard(
        "looks at rights do not drift apart when they take long",
        "console/watch.py",
        "max(0.0, began + EVERY_SECONDS - time.monotonic())",
        "EVERY_SECONDS",
        WATCH + "test_a_look_begins_every_half_second_whatever_the_last_one_took_or_came_to",
    ),
    Guard(
        "a part that falls silent is named on the board",
        "console/health.py",
        "if age > SILENT_SECONDS:",
        "if False:",
        SILENCE + "test_a_part_that_falls_silent_is_named_within_its_limit_and_the_others_are_not[bridge]",
    ),
    Guard(
        "a publisher that is behind says so",
        "console/floor.py",
        "if len(entries) == READ_COUNT:",
        "if False:",
        SILENCE + "test_a_publisher_that_is_behind_with_the_changes_says_how_much",
    ),
    Guard(
        "a board whose frames are old greys",
        "static/console/board/freshness.js",
        "else if (age > words.stale_ms)",
        "else if (false)",
        BOARD + "test_a_board_to_which_everything_comes_late_does_not_get_used_to_it",
    ),
    Guard(
        "frames that are always late do not pass for the time",
        "static/console/link.js",
        "this.#offset = Math.max(this.#offset, at - Date.now());",
        "this.#offset = at - Date.now();",
        BOARD + "test_a_board_to_which_everything_comes_late_does_not_get_used_to_it",
    ),
    Guard(
        "an ended leg that memory has forgotten does not rise again",
        "events/intake.py",
        "dict(lookup(strangers)) if strangers else {}",
        "{}",
        "tests/unit/test_events_intake.py::"
        "test_an_ended_leg_that_memory_has_forgotten_is_looked_up_before_it_could_rise_again",
    ),
    Guard(
        "an old bridge does not replace a new one",
        "events/call_state.py",
        "if leg.bridge_at is None or at >= leg.bridge_at:",
        "if True:",
        "tests/unit/test_call_state.py::test_an_old_bridge_that_comes_late_does_not_replace_a_new_one",
    ),
    Guard(
        "an ingest that has just taken over says what it has before it",
        "events/ingest.py",
        "if waiting := self.journal.first_after(self.folded):",
        "if waiting := None:",
        "tests/integration/test_ingest_crashes.py::"
        "test_an_ingest_that_has_just_taken_over_says_how_much_it_has_before_it",
    ),
    Guard(
        "what Redis has lost is not believed to have happened",
        "events/live.py",
        "            if _place(place) != folded:\n",
        "            if False:\n",
        "tests/integration/test_ingest_crashes.py::"
        "test_redis_back_without_its_last_second_knows_again_of_an_end_that_was_folded_in_it",
    ),
    Guard(
        "who takes over does not go by a memory that Redis does not share",
        "events/ingest.py",
        "                self.legs, self.window = intake.Legs(), Window()\n",
        "                pass\n",
        "tests/integration/test_ingest_crashes.py::test_an_ingest_whose_lease_ran_out_meanwhile_begins_anew_as_well",
    ),
    Guard(
        "what Redis has lost is not acknowledged before it is folded again",
        "events/ingest.py",
        "lambda: live.folded_upto(self.redis), self.lease.held",
        "lambda: self.folded, self.lease.held",
        "tests/integration/test_ingest_crashes.py::"
        "test_what_redis_has_lost_is_not_acknowledged_before_it_is_folded_again",
    ),
    Guard(
        "an acknowledgement that Redis has lost does not hinder the recording",
        "events/recorder.py",
        "for chosen in (batches, batches.filter(first_journal_id=journal_id)):",
        "for chosen in (batches,):",
        "tests/integration/test_ingest_crashes.py::"
        "test_batches_whose_acknowledgement_redis_has_lost_are_only_acknowledged",
    ),
    Guard(
        "events that are folded and wait for PostgreSQL do not count as waiting for the board",
        "events/ingest.py",
        '"depth": waiting,',
        '"depth": pending + waiting,',
        "tests/integration/test_ingest_crashes.py::"
        "test_what_is_folded_and_only_waits_to_be_stored_does_not_wait_for_the_board",
    ),
    Guard(
        "a publisher that begins knows which open calls are over",
        "console/floor.py",
        "        if key in ended:\n",
        "        if key in ():\n",
        "tests/integration/test_console_publisher.py::"
        "test_a_call_that_is_over_for_the_switch_is_over_for_a_publisher_that_begins_now",
    ),
    Guard(
        "a call that is over stays over in the next epoch",
        "console/projection.py",
        "dict(before._ended) if before else {}",
        "{}",
        "tests/integration/test_console_publisher.py::test_a_call_that_is_over_stays_over_when_redis_is_emptied",
    ),
    Guard(
        "a place to resume from is judged once the process has read the floor",
        "console/outbox.py",
        "        if self.hub.ready:\n            self._promise()\n",
        "        self._promise()\n",
        "tests/unit/test_console_outbox.py::"
        "test_who_resumes_at_a_process_that_has_not_read_the_floor_yet_is_answered_once_it_has",
    ),
    Guard(
        "a call without a leg is over though Redis has forgotten how",
        "console/floor.py",
        'elif known and row["status"]',
        'elif not key and row["status"]',
        "tests/integration/test_console_publisher.py::test_a_call_without_a_leg_is_over_though_redis_has_forgotten_how",
    ),
    Guard(
        "a dialer worker whose tasks wait is not called well",
        "console/health.py",
        'return name != "dialer" or delay <= DELAY_SECONDS, f',
        "return True, f",
        "tests/integration/test_board_silence.py::test_a_dialer_worker_whose_tasks_wait_is_not_well_although_it_lives",
    ),
    Guard(
        "a part that is asked for by somebody who is signed out sends the whole page to the sign-in",
        "console/middleware.py",
        "if not part or response.status_code != 302:",
        "if True:",
        "tests/integration/test_console_pages.py::"
        "test_a_part_of_a_page_that_a_signed_out_person_asks_for_sends_the_whole_page_to_sign_in_and_back",
    ),
]

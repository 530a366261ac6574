"""Every row of the contract, and the tests that hold it.

`tests/house/test_contract.py` asks that each test named here exists, and that each test of this folder is named. A row
is written as the contract has it, cut short; a test is `file::name`, from `tests/` on.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["ROWS"]

ROWS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "the whole": {
        "names, order and defaults": (
            "contract/test_signatures.py::test_what_the_contract_gives_by_position_may_be_given_so_and_has_its_default",
            "contract/test_signatures.py::test_what_the_contract_gives_by_keyword_has_its_default",
            "contract/test_signatures.py::test_every_option_and_filter_of_the_contract_is_there",
            "contract/test_signatures.py::test_what_the_contract_lets_one_see_and_do_is_there",
        ),
        "types": (
            "typing/test_types.py::test_every_part_of_the_public_surface_has_its_type",
            "typing/test_types.py::test_a_mistake_is_found_at_its_line_and_nowhere_else",
        ),
    },
    "tasks": {
        "@task, @task(name=): any positional and keyword arguments": (
            "contract/test_tasks.py::test_a_task_takes_any_positional_and_keyword_arguments",
            "contract/test_tasks.py::test_a_task_of_another_name_and_one_named_after_its_function",
        ),
        "await t.start(run, ...): durably, typed": (
            "worker/test_execution.py::test_a_task_and_the_end_of_its_run_travel_in_one_turn",
            "typing/test_types.py::test_a_mistake_is_found_at_its_line_and_nowhere_else",
        ),
        "t(...): the plain function outside, DirectTaskCall inside": (
            "sdk/test_task.py::test_outside_a_workflow_a_task_is_its_plain_function",
            "sdk/test_task.py::test_in_workflow_code_a_direct_call_is_refused_with_the_line_to_write",
            "sdk/test_task.py::test_inside_another_task_a_task_is_its_plain_function",
        ),
        "t.options(...): a copy": (
            "sdk/test_task.py::test_options_give_a_copy_and_leave_the_original",
            "contract/test_tasks.py::test_a_copy_with_other_options_is_retried_as_it_says_and_the_original_is_unchanged",
        ),
        "timeout=": (
            "system/test_embedded_retry.py::test_an_attempt_of_an_async_task_is_cancelled_at_its_timeout_and_retried",
            "system/test_embedded_retry.py::test_an_attempt_of_a_sync_task_is_given_up_at_its_timeout",
        ),
        "retry_on=, dont_retry_on=": (
            "contract/test_tasks.py::test_which_errors_are_retried_is_said_by_their_classes",
        ),
        "NonRetryable(details=)": (
            "contract/test_tasks.py::test_a_task_that_is_not_retryable_is_tried_once_and_its_details_reach_the_workflow",
        ),
        "RetryAfter(seconds | timedelta)": (
            "contract/test_tasks.py::test_retry_after_is_no_sooner_than_what_it_says_in_seconds_or_as_a_timedelta",
            "system/test_embedded_retry.py::test_retry_after_is_no_sooner_than_asked_nor_than_the_policy",
        ),
        "current_task()": (
            "contract/test_tasks.py::test_the_current_task_tells_what_it_is_and_its_key_is_stable_within_an_attempt_of_the_run",
            "contract/test_tasks.py::test_the_key_of_a_task_is_new_in_each_attempt_of_the_run",
            "worker/test_attempts.py::test_the_idempotency_key_is_that_of_the_call_across_attempts_and_workers",
            "system/test_embedded_events.py::test_a_task_sends_events_and_starts_runs_through_its_client",
        ),
        "heartbeat(progress): seen while it runs": (
            "contract/test_tasks.py::test_progress_is_reported_from_async_tasks_and_from_threads_and_is_any_json",
            "worker/test_session.py::test_what_a_task_reports_is_told_within_a_second_and_at_most_once_in_one",
        ),
        "Retry.never, fixed, exponential, jittered": (
            "system/test_embedded_retry.py::test_a_task_without_a_policy_is_tried_once",
            "system/test_embedded_retry.py::test_a_fixed_delay_stays_the_same_until_an_attempt_succeeds",
            "system/test_embedded_retry.py::test_short_and_long_delays_are_waited_for_exactly",
            "contract/test_tasks.py::test_a_policy_with_jitter_works_for_every_delay",
        ),
        "a worker that dies in the middle of a task uses up no attempt": (
            "contract/test_tasks.py::test_a_crash_inside_a_task_without_a_policy_executes_it_again",
            "worker/test_retries.py::test_a_worker_that_dies_in_an_attempt_uses_none_up",
        ),
        "TaskFailed, the same on replay": (
            "contract/test_tasks.py::test_a_failed_task_tells_all_of_its_last_attempt_the_same_on_replay",
            "worker/test_machine_answers.py::test_a_failed_task_is_the_same_error_on_replay",
        ),
        "two task functions with one name: NameTaken": (
            "worker/test_machine_answers.py::test_two_tasks_of_one_name_are_refused_with_both_places",
        ),
        "only decoded values": (
            "contract/test_tasks.py::test_what_a_task_does_to_its_arguments_and_a_caller_to_a_result_is_seen_by_nobody_else",
            "worker/test_machine_answers.py::test_an_integer_key_that_json_makes_a_string_shows_at_once",
        ),
        "cancellation on terminate": (
            "contract/test_tasks.py::test_a_terminated_run_cancels_its_async_task_and_lets_a_thread_end_unheard",
            "worker/test_retries.py::test_a_cancelled_call_lets_its_thread_run_on_and_drops_the_result",
        ),
    },
    "workflows": {
        "workflow(name).version(...): a run is pinned to its version": (
            "contract/test_workflows.py::test_versions_run_side_by_side_on_one_worker_and_each_run_stays_on_its_own",
            "contract/test_workflows.py::test_versions_run_on_different_workers_and_a_run_waits_for_one_that_serves_its_own",
            "contract/test_workflows.py::test_a_run_under_way_stays_on_its_version_when_a_newer_one_is_deployed_beside_it",
        ),
        "retry=, timeout=, pool=, priority=": (
            "contract/test_workflows.py::test_a_versions_defaults_hold_for_its_runs_until_options_say_otherwise",
            "system/test_embedded_control.py::test_a_run_that_takes_longer_than_its_timeout_cleans_up_and_has_failed",
            "system/test_embedded_starts.py::test_a_run_of_a_pool_is_taken_by_a_worker_of_that_pool_only",
            "system/test_embedded_starts.py::test_runs_begin_by_priority_then_by_age",
            "system/test_embedded_retry.py::test_a_run_is_tried_again_without_doing_again_what_succeeded",
        ),
        "v.start: accepted even if no worker serves it yet": (
            "system/test_embedded_starts.py::test_a_run_that_no_worker_serves_yet_is_accepted_with_a_warning_and_runs_once_one_does",
        ),
        "v.start_as_child": (
            "contract/test_children.py::test_a_child_that_nobody_waits_for_outlives_its_parent",
            "contract/test_children.py::test_a_hundred_children_are_gathered_in_order",
            "contract/test_children.py::test_a_childs_input_that_does_not_fit_is_refused_by_who_executes_it",
        ),
        "v.options(...): a copy; inherited or overridden": (
            "contract/test_workflows.py::test_options_give_a_copy_and_the_original_starts_as_before",
            "contract/test_children.py::test_a_childs_options_are_those_of_its_version_unless_the_start_says_otherwise",
        ),
        "start_at, delay": (
            "system/test_embedded_starts.py::test_a_delayed_run_begins_at_its_time_and_not_before",
            "system/test_embedded_starts.py::test_a_run_begins_at_the_moment_that_it_is_given",
        ),
        "tags": ("system/test_embedded_starts.py::test_runs_are_found_by_tags_status_workflow_version_and_page",),
        "options of one single run are refused by a worker": (
            "system/test_embedded_starts.py::test_a_worker_refuses_two_of_one_name_and_copies_that_mean_one_run",
        ),
        "parent_close": (
            "contract/test_children.py::test_a_child_is_cancelled_with_the_end_of_its_parent_only_where_parent_close_says_so",
            "contract/test_children.py::test_a_cancelled_parent_cancels_even_children_that_it_would_abandon",
        ),
        "v.handle, v.handle_by_reference": (
            "contract/test_workflows.py::test_a_reference_id_finds_the_run_on_whatever_version_it_runs",
        ),
        "client.runs.start by name": (
            "system/test_embedded_example.py::test_an_order_is_started_by_name_with_its_arguments_as_an_object",
            "contract/test_workflows.py::test_each_version_has_the_schema_that_its_worker_announced_and_input_of_another_is_refused",
        ),
        "reference ids across versions; conflict=": (
            "system/test_embedded_starts.py::test_a_start_repeated_after_a_deploy_is_the_same_run_on_the_version_that_it_began_on",
            "system/test_embedded_starts.py::test_a_reference_id_with_other_input_is_refused_or_taken_as_it_is",
            "contract/test_children.py::test_a_child_found_by_its_reference_id_tells_the_version_that_it_runs_on",
            "contract/test_children.py::test_a_reference_id_in_use_is_refused_in_the_parents_code_or_the_run_is_taken_as_it_is",
        ),
        "definitions are plain objects": (
            "contract/test_workflows.py::test_definitions_are_plain_objects_and_two_of_one_name_live_beside_one_another",
        ),
        "asyncio works; asyncio.sleep is durable": (
            "contract/test_workflows.py::test_asyncio_works_in_workflow_code_and_sleeping_there_is_durable",
            "worker/test_loop_asyncio.py::test_gather_returns_results_in_the_order_of_its_arguments",
        ),
        "I/O raises NotAllowedInWorkflow": (
            "system/test_embedded_context.py::test_what_cannot_be_replayed_is_refused_in_workflow_code_with_advice",
            "worker/test_guard.py::test_io_in_workflow_code_is_refused_with_the_way_out",
        ),
        "a divergence by time or chance is guessed": (
            "system/test_embedded_context.py::test_a_divergence_by_time_or_chance_is_guessed",
        ),
    },
    "refactoring": {
        "sleeps: longer, the remainder once; shorter, at once": (
            "contract/test_refactoring.py::test_a_sleep_that_is_lengthened_while_it_is_slept_sleeps_its_remainder",
            "contract/test_refactoring.py::test_a_sleep_that_is_shortened_ends_at_its_new_time_or_at_once",
            "contract/test_refactoring.py::test_a_sleep_that_was_slept_and_is_lengthened_sleeps_the_remainder_once",
        ),
        "timers of asyncio, timeouts of waits: as the code says now": (
            "contract/test_refactoring.py::test_timers_of_asyncio_last_as_long_as_the_code_says_now",
            "contract/test_refactoring.py::test_a_timeout_does_not_strike_for_a_timer_that_was_removed",
            "contract/test_refactoring.py::test_an_open_wait_has_the_timeout_that_the_code_says_now",
        ),
        "waits added and removed": (
            "contract/test_refactoring.py::test_waits_are_added_and_removed_under_a_run_that_waits",
        ),
        "children reordered; renamed ones are caught": (
            "contract/test_refactoring.py::test_children_that_are_reordered_are_found_again",
            "contract/test_refactoring.py::test_a_child_of_another_name_stalls_the_parent_before_it_is_started",
        ),
        "new optional parameters": (
            "contract/test_refactoring.py::test_a_new_optional_parameter_of_a_task_keeps_its_recorded_results",
            "sdk/test_serial_address.py::test_a_new_field_with_a_default_keeps_the_address",
        ),
        "results whose type has changed: stalled, never a wrong value": (
            "contract/test_refactoring.py::test_a_result_whose_type_has_changed_stalls_the_run_and_is_never_a_wrong_value",
            "contract/test_refactoring.py::test_code_cannot_catch_that_a_result_has_another_type",
            "contract/test_refactoring.py::test_a_type_that_takes_what_the_old_one_wrote_is_no_change",
            "contract/test_refactoring.py::test_input_whose_type_has_changed_stalls_a_run_that_has_begun",
            "contract/test_children.py::test_a_childs_output_whose_type_has_changed_stalls_the_parent_and_is_never_a_wrong_value",
        ),
        "run.attempt in code": (
            "contract/test_refactoring.py::test_code_that_leaves_out_what_an_earlier_attempt_did_stalls_and_is_told_why",
            "contract/test_refactoring.py::test_code_that_does_more_in_a_later_attempt_goes_on",
        ),
        "tasks reordered, removed, appended; inserted and changed ones are caught": (
            "contract/test_refactoring.py::test_tasks_whose_results_have_come_may_be_removed_nested_and_followed_by_new_ones",
            "system/test_embedded_refactoring.py::test_a_parked_run_goes_on_with_changed_code_and_repeats_nothing",
            "system/test_embedded_refactoring.py::test_a_run_whose_recorded_past_was_changed_stalls_until_the_old_code_is_back",
            "worker/test_divergence.py::test_a_result_that_came_just_before_a_divergence_is_recorded_and_its_task_does_not_run_again",
        ),
    },
    "inside a run": {
        "run.id, .workflow, .version, ...": ("system/test_embedded_starts.py::test_a_run_knows_what_it_is",),
        "run.context": (
            "system/test_embedded_context.py::test_the_context_is_entered_once_and_seen_by_runs_and_tasks",
        ),
        "run.logger": ("system/test_embedded_context.py::test_a_logger_is_silent_on_replay_and_knows_its_run",),
        "current_run()": (
            "contract/test_inside_a_run.py::test_the_run_is_found_where_it_cannot_be_passed_and_is_the_same_object",
            "system/test_embedded_context.py::test_the_current_run_is_found_in_helpers_and_in_asyncio_tasks_of_a_run",
        ),
        "run.now(), .random, .uuid4()": (
            "system/test_embedded_context.py::test_time_chance_and_ids_are_the_same_on_replay_and_others_in_another_run",
        ),
        "run.sleep": (
            "contract/test_inside_a_run.py::test_a_sleep_takes_seconds_a_timedelta_or_its_parts_and_lasts_that_long",
            "system/test_embedded_control.py::test_a_woken_sleep_tells_so_and_the_next_one_sleeps_on",
        ),
        "run.events.NAME.wait": (
            "contract/test_waits.py::test_gather_waits_for_several_events_in_whatever_order_they_come",
            "contract/test_waits.py::test_the_first_of_several_events_goes_on_and_the_wait_that_is_dropped_takes_none",
            "contract/test_waits.py::test_an_event_and_a_task_race_and_the_loser_leaves_no_trace",
            "contract/test_waits.py::test_an_event_one_moment_before_its_deadline_is_taken_and_one_after_it_is_left",
            "contract/test_waits.py::test_the_timeout_of_one_of_two_waits_takes_nothing_from_the_other",
            "contract/test_waits.py::test_a_timeout_of_asyncio_withdraws_the_wait_and_the_event_is_there_for_the_next",
            "system/test_embedded_events.py::test_the_data_of_a_wait_that_timed_out_raises",
            "system/test_embedded_events.py::test_an_event_that_carries_nothing_carries_none",
        ),
        "no except Exception swallows a suspension": (
            "contract/test_waits.py::test_no_except_and_no_gather_swallows_a_suspension",
        ),
        "run.set": (
            "contract/test_inside_a_run.py::test_a_published_value_replaces_the_one_before_and_is_read_while_the_run_lives_and_after",
            "worker/test_replay.py::test_published_values_and_log_lines_are_told_once",
        ),
        "run.continue_as_new": (
            "contract/test_inside_a_run.py::test_a_next_chapter_keeps_parent_reference_waiters_and_unread_events_and_its_history_does_not_grow",
            "system/test_embedded_events.py::test_a_new_chapter_begins_with_an_empty_journal_and_other_keys",
        ),
        "cancellation": (
            "contract/test_inside_a_run.py::test_a_cancellation_arrives_at_the_current_await_and_finally_may_run_tasks",
            "worker/test_races.py::test_a_withdrawn_wait_takes_no_event",
        ),
    },
    "handles": {
        "result(timeout=)": (
            "contract/test_handles.py::test_a_result_is_the_output_or_raises_how_the_run_ended",
            "contract/test_handles.py::test_the_result_of_a_run_that_ended_long_ago_is_there_at_once",
        ),
        "wait_for_status": ("contract/test_handles.py::test_waiting_for_a_status_tells_how_it_ended_and_never_raises",),
        "info()": ("sdk/test_client.py::test_info_is_a_picture_with_moments_and_plain_values",),
        "cancel, terminate, wake, requeue": (
            "system/test_embedded_control.py::test_the_reason_of_a_cancellation_reaches_code_and_waiter",
            "system/test_embedded_control.py::test_a_terminated_run_ends_at_once_without_clean_up",
            "system/test_embedded_control.py::test_waking_what_does_not_sleep_does_nothing",
            "system/test_embedded_control.py::test_requeuing_what_is_not_stalled_does_nothing",
            "engine/test_requests.py::test_a_copy_of_a_wake_that_started_a_run_does_not_end_its_first_sleep",
        ),
        "pause, resume": (
            "system/test_embedded_pause.py::test_a_running_run_stops_after_its_current_task_and_goes_on_where_it_was",
            "system/test_embedded_pause.py::test_a_paused_sleep_sleeps_on_and_is_over_when_its_time_has_passed",
            "system/test_embedded_pause.py::test_events_that_came_while_a_run_was_paused_are_taken_in_order",
            "system/test_embedded_pause.py::test_a_child_that_ends_while_its_parent_is_paused_is_heard_of_when_that_goes_on",
            "system/test_embedded_pause.py::test_a_pause_that_is_lifted_before_it_was_answered_leaves_no_trace",
            "system/test_embedded_pause.py::test_a_cancellation_lifts_a_pause_and_the_code_cleans_up",
        ),
        "retry": (
            "system/test_embedded_again.py::test_only_what_failed_and_what_followed_it_is_done_again",
            "system/test_embedded_again.py::test_retry_goes_on_from_clean_up_that_failed_after_a_cancellation",
            "system/test_embedded_again.py::test_a_run_that_timed_out_goes_on_from_there_with_a_whole_new_timeout",
            "system/test_embedded_again.py::test_what_has_not_failed_is_not_tried_again",
        ),
        "each command in each status": (
            "engine/test_commands_by_status.py::test_each_command_leaves_a_run_where_the_table_says",
            "engine/test_commands_by_status.py::test_each_command_when_repeated_changes_nothing_more",
            "engine/test_commands_by_status.py::test_the_table_is_of_every_status_and_every_command_on_runs",
            "engine/test_commands_by_status.py::test_each_outcome_of_a_commit_leaves_a_run_where_the_table_says",
        ),
        "events.NAME.send(value, reference_id=)": (
            "system/test_embedded_events.py::test_a_second_send_with_the_same_reference_id_is_ignored",
            "system/test_embedded_events.py::test_an_event_that_its_workers_cannot_take_is_refused_at_once",
        ),
        "the wrong end of an event": (
            "system/test_embedded_events.py::test_the_wrong_end_of_an_event_says_which_is_the_right_one",
        ),
        "ChildHandle: result, wait_for_status": (
            "contract/test_children.py::test_a_parent_that_waits_for_completed_on_a_child_that_fails_is_woken_and_told_so",
            "contract/test_children.py::test_any_end_of_a_child_wakes_whoever_waits_for_whatever_status",
            "contract/test_children.py::test_a_wait_for_a_child_has_a_timeout_and_the_child_goes_on",
            "contract/test_children.py::test_the_result_of_a_child_that_ended_long_ago_is_there_at_once",
            "contract/test_children.py::test_the_result_of_a_child_that_did_not_complete_raises_how_it_ended",
            "contract/test_children.py::test_the_first_of_several_children_is_waited_for_and_the_others_go_on",
        ),
        "ChildHandle: cancel, events": (
            "contract/test_children.py::test_an_event_that_is_sent_to_a_child_twice_under_one_reference_id_is_taken_once",
            "contract/test_children.py::test_a_reference_id_of_an_event_is_one_whether_a_parent_or_a_client_sends",
            "system/test_embedded_control.py::test_a_run_cancels_its_child_and_sees_how_that_ended",
        ),
    },
    "many runs": {
        "client.runs.list(...), .count(...)": (
            "store/test_reading.py::test_a_filter_narrows_a_list_and_a_count_alike",
            "store/test_reading.py::test_a_list_has_the_newest_first_and_goes_on_where_the_page_ended",
        ),
        ".cancel_many(filter) and the like": (
            "http/test_bulk.py::test_a_filter_is_given_as_one_object_or_as_keywords",
            "http/test_bulk.py::test_a_client_begins_a_job_and_waits_for_it",
            "http/test_bulk.py::test_each_verb_is_asked_of_many",
            "server/test_bulk.py::test_a_part_that_is_driven_twice_is_done_once",
            "system/test_kill_bulk.py::test_a_job_goes_on_after_its_server_was_killed_in_the_middle_of_it",
        ),
        "client.events.multicast(v, event, value, run_ids= | reference_ids= | filter=)": (
            "server/test_many.py::test_by_ids_each_run_has_its_outcome_in_order",
            "server/test_many.py::test_by_reference_ids_those_that_name_no_run_are_told",
            "server/test_many.py::test_by_a_filter_open_runs_are_meant_page_by_page",
            "server/test_many.py::test_a_multicast_that_is_repeated_is_one",
            "http/test_events.py::test_a_client_over_http_casts_as_one_in_the_process",
        ),
    },
    "schedules": {
        "cron, timezone": (
            "system/test_embedded_schedules.py::test_a_daily_schedule_starts_a_run_each_day_at_its_hour_on_the_wall",
        ),
        "every=": (
            "contract/test_schedules.py::test_an_interval_counts_from_the_activation_and_does_not_drift",
            "contract/test_schedules.py::test_an_interval_is_seconds_or_a_timedelta",
            "contract/test_schedules.py::test_the_same_interval_again_ticks_as_before_and_another_counts_from_now",
            "contract/test_schedules.py::test_an_interval_goes_on_counting_while_no_server_runs_and_makes_the_latest_tick_good",
            "contract/test_schedules.py::test_a_tick_of_an_interval_is_passed_over_while_a_run_of_it_is_open",
            "contract/test_schedules.py::test_an_interval_is_tried_out_without_moving_its_ticks",
            "contract/test_schedules.py::test_a_schedule_has_an_interval_or_a_cron_expression_and_an_interval_has_a_least_length",
        ),
        "activate: the same again changes nothing; another definition, on_change=": (
            "system/test_embedded_schedules.py::test_activating_the_same_again_changes_nothing",
            "system/test_embedded_schedules.py::test_another_definition_counts_from_the_next_tick",
            "system/test_embedded_schedules.py::test_another_definition_is_refused_where_the_schedule_says_so",
            "store/test_two_servers.py::test_a_schedule_that_two_servers_activate_at_once_is_that_of_the_faster_one",
        ),
        "pause, resume, trigger, deactivate": (
            "system/test_embedded_schedules.py::test_paused_it_rests_and_resumed_it_makes_the_latest_tick_good",
            "system/test_embedded_schedules.py::test_triggered_it_starts_a_run_now_and_ticks_as_before",
            "system/test_embedded_schedules.py::test_deactivated_it_is_gone_and_its_runs_stay",
        ),
        "Worker(schedules=[...]) activates at start": (
            "system/test_embedded_schedules.py::test_a_worker_activates_its_schedules_at_start",
        ),
        "options of one single run are refused": (
            "system/test_embedded_schedules.py::test_a_version_with_options_of_one_run_is_refused",
        ),
        "overlap=": ("system/test_embedded_schedules.py::test_overlap_says_what_a_tick_does_while_a_run_is_open",),
        "catch_up=": (
            "system/test_embedded_schedules.py::test_what_was_missed_while_paused_is_made_good_as_the_schedule_says",
            "system/test_embedded_schedules.py::test_all_that_is_made_good_is_a_hundred_ticks",
        ),
        "each tick once": (
            "server/test_schedules.py::test_two_looks_at_one_tick_start_one_run",
            "server/test_schedules.py::test_a_tick_after_its_schedule_was_deactivated_starts_nothing",
            "server/test_schedules.py::test_a_due_tick_is_neither_lost_nor_repeated_by_another_timing",
            "server/test_schedules.py::test_a_restart_in_the_middle_of_catching_up_repeats_no_tick",
        ),
    },
    "command line": {
        "aiki demo": ("cli/test_demo.py::test_it_ends_well_and_says_nothing_else",),
        "aiki dev: one command, reload, a syntax error is shown, what a stalled run needs": (
            "cli/test_dev_command.py::test_a_change_is_served_and_a_syntax_error_is_shown_while_the_old_code_goes_on",
            "cli/test_dev_command.py::test_what_happens_to_runs_is_told_and_what_a_stalled_one_needs",
        ),
        "aiki server; a taken port names who holds it": (
            "cli/test_server_command.py::test_it_says_a_line_when_it_begins_and_one_when_it_ends_and_none_for_a_request",
            "cli/test_server_command.py::test_a_port_that_is_taken_is_refused_with_who_holds_it",
        ),
        "aiki web": ("cli/test_web_command.py::test_it_shows_the_page_and_sends_on_what_the_page_asks",),
        "aiki worker module:worker; Ctrl-C": (
            "cli/test_worker_command.py::test_a_target_that_is_none_is_told_with_what_would_work",
            "cli/test_worker_command.py::test_ctrl_c_lets_tasks_finish_and_a_second_one_hands_them_to_the_next_worker_at_once",
            "cli/test_interruption.py::test_the_exit_status_says_which_signal_it_was",
        ),
        "aiki migrate": (
            "store/test_postgres.py::test_a_database_with_pending_migrations_is_refused_with_the_command_that_applies_them",
            "store/test_postgres.py::test_of_two_who_migrate_at_once_one_applies_and_the_other_finds_nothing_to_do",
        ),
        "aiki runs ...": (
            "cli/test_runs_command.py::test_the_program_completes_its_sleeps_shortened_by_wake",
            "cli/test_runs_command.py::test_a_run_is_held_and_let_go",
            "cli/test_runs_command.py::test_a_failed_run_is_tried_again",
            "cli/test_runs_command.py::test_many_runs_are_steered_by_filters_and_counted",
        ),
        "aiki schedules ...": ("cli/test_schedules_command.py::test_a_schedule_is_listed_shown_and_steered",),
        "--json everywhere": (
            "cli/test_runs_command.py::test_with_json_exactly_one_document_is_printed_refused_or_not",
            "cli/test_schedules_command.py::test_each_answer_is_one_document_with_json",
        ),
    },
    "client, worker, server": {
        "Client(url=...): no I/O when built, Unavailable within timeout": (
            "sdk/test_client.py::test_a_client_takes_its_servers_address_from_the_environment",
            "sdk/test_client.py::test_where_no_server_is_a_call_says_so_in_time_and_how_to_start_one",
        ),
        "BlockingClient": (
            "sdk/test_blocking.py::test_a_program_that_does_not_await_starts_sends_and_waits",
            "sdk/test_blocking.py::test_runs_are_started_shown_and_listed_by_name",
            "sdk/test_blocking.py::test_a_run_is_found_again_by_id_and_by_reference",
            "sdk/test_blocking.py::test_a_run_is_steered",
            "sdk/test_blocking.py::test_a_run_is_held_let_go_and_tried_again",
            "sdk/test_blocking.py::test_a_schedule_is_activated_looked_at_and_steered",
            "sdk/test_blocking.py::test_an_event_is_sent_to_a_run_whose_code_is_not_at_hand_and_once_by_its_reference",
            "sdk/test_blocking.py::test_what_goes_wrong_is_raised_as_by_the_client_that_awaits",
            "sdk/test_blocking.py::test_where_an_event_loop_runs_the_call_is_refused_and_the_client_that_awaits_is_named",
            "house/test_derived.py::test_a_coroutine_method_has_its_blocking_one",
        ),
        "RedisSubscriber: falls back to the long poll while Redis is away": (
            "system/test_redis.py::test_a_worker_finds_its_work_in_redis",
            "system/test_redis.py::test_while_redis_is_away_polls_bring_the_work_and_then_redis_again",
        ),
        "async with worker, worker.run()": (
            "worker/test_worker.py::test_a_signal_lets_tasks_finish",
            "worker/test_worker.py::test_a_fatal_error_cancels_the_body_once_and_is_raised_at_its_end",
        ),
        "max_concurrent_runs, max_parked_runs": (
            "worker/test_session.py::test_a_worker_that_was_full_asks_for_work_the_moment_that_it_has_room",
            "system/test_embedded_many.py::test_results_do_not_depend_on_how_many_runs_are_kept_in_memory",
        ),
        "shutdown_grace": (
            "system/test_embedded_end.py::test_tasks_under_way_get_the_grace_to_end_and_what_they_returned_is_kept",
        ),
        "context=, around_task=": (
            "system/test_embedded_context.py::test_the_context_is_entered_once_and_seen_by_runs_and_tasks",
            "system/test_embedded_context.py::test_around_task_is_entered_around_each_attempt_and_sees_its_error",
        ),
        "Server: opens no port, mounts, refuses foreign hosts": (
            "http/test_mounting.py::test_it_is_mounted_at_a_prefix_and_refuses_foreign_hosts_there_too",
            "http/test_mounting.py::test_a_client_speaks_with_its_server_without_a_network",
        ),
        "aiki.local, DatabaseInUse": (
            "system/test_embedded_end.py::test_a_file_that_another_process_serves_is_refused_and_names_it_until_it_is_killed",
            "http/test_local_port.py::test_who_comes_second_to_the_file_is_told_the_url_while_there_is_one",
        ),
        "aiki.testing.local": ("testing/test_environment.py::test_days_pass_in_tests_of_any_kind",),
    },
    "errors": {
        "one tree, each with a stable code": (
            "contract/test_errors.py::test_each_error_is_an_aiki_error_with_a_stable_code",
            "contract/test_errors.py::test_no_two_errors_share_a_code",
        ),
        "TimedOut is a TimeoutError": ("contract/test_errors.py::test_what_has_timed_out_is_a_timeout_error_too",),
        "over HTTP: the same code": (
            "sdk/test_failures.py::test_a_refusal_is_raised_as_the_class_that_its_code_names",
        ),
    },
}

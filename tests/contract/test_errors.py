"""The tree of errors: every name of 1-api.md, its code, and what it is beside an `AikiError`."""

import pytest

import aiki

CODES = {
    "RunFailed": "run_failed",
    "RunCancelled": "run_cancelled",
    "TimedOut": "timed_out",
    "RunNotFound": "run_not_found",
    "RunEnded": "run_ended",
    "ReferenceConflict": "reference_conflict",
    "ScheduleConflict": "schedule_conflict",
    "TaskFailed": "task_failed",
    "NonRetryable": "non_retryable",
    "RetryAfter": "retry_after",
    "Diverged": "diverged",
    "PayloadTooLarge": "payload_too_large",
    "NotSerializable": "not_serializable",
    "InvalidInput": "invalid_input",
    "Unauthorized": "unauthorized",
    "Unavailable": "unavailable",
    "DatabaseInUse": "database_in_use",
    "NameTaken": "name_taken",
    "DirectTaskCall": "direct_task_call",
    "NotAllowedInWorkflow": "not_allowed_in_workflow",
}


@pytest.mark.parametrize("name", CODES)
def test_each_error_is_an_aiki_error_with_a_stable_code(name: str) -> None:
    error = getattr(aiki, name)
    assert issubclass(error, aiki.AikiError)
    assert error.code == CODES[name]


def test_what_has_timed_out_is_a_timeout_error_too() -> None:
    assert issubclass(aiki.TimedOut, TimeoutError)


def test_no_two_errors_share_a_code() -> None:
    exported = [getattr(aiki, name) for name in aiki.__all__]
    codes = [found.code for found in exported if isinstance(found, type) and issubclass(found, aiki.AikiError)]
    assert len(codes) == len(set(codes))

"""What the demo makes of what it is told, without any process."""

import pytest

from aiki.cli.demo.record import Record, Step
from aiki.cli.demo.report import Death, Seen, faults, sentences


def request(task: str, *, number: int = 1, run: str = "r", pid: int = 1, key: str = "k") -> dict[str, object]:
    return {"kind": "request", "number": number, "run": run, "task": task, "key": key, "pid": pid, "message": ""}


def entry(of: str, name: str, *, run: str = "r", failed: bool = False) -> dict[str, object]:
    return {"kind": "entry", "run": run, "of": of, "name": name, "failed": failed, "at": 0}


def child(run: str, *, of: str | None) -> dict[str, object]:
    return {"kind": "run", "run": run, "workflow": f"workflow-of-{run}", "parent": of, "at": 0}


def sleeping(name: str, *, due_ms: int) -> dict[str, object]:
    return {"kind": "waits", "run": "r", "waits": [{"of": "sleep", "name": name, "due_ms": due_ms}]}


def step(record: Record, name: str) -> Step:
    found = record.step(name)
    assert found is not None
    return found


def test_a_task_is_under_way_until_its_result_is_in_the_journal() -> None:
    record = Record(wall_ms=0)

    record.see(request("cook"), now_s=1)
    assert step(record, "cook").is_under_way

    record.see(entry("task", "cook"), now_s=2)
    assert not step(record, "cook").is_under_way
    assert step(record, "cook").status == "recorded"


def test_a_task_that_failed_is_not_shown_as_one_that_did_not() -> None:
    record = Record(wall_ms=0)
    record.see(request("cook"), now_s=1)

    record.see(entry("task", "cook", failed=True), now_s=2)

    assert step(record, "cook").status == "failed, recorded"


def test_the_death_of_the_process_cuts_off_what_is_not_recorded() -> None:
    record = Record(wall_ms=0)
    record.see(request("cook", number=1), now_s=1)
    record.see(entry("task", "cook"), now_s=2)
    record.see(request("deliver", number=2), now_s=3)

    record.see_death(1, now_s=4)

    assert (step(record, "cook").status, step(record, "deliver").status) == ("recorded", "cut off by kill -9")


def test_what_is_told_again_changes_nothing() -> None:
    record = Record(wall_ms=0)
    told = [
        child("r", of=None),
        request("cook"),
        entry("task", "cook"),
        child("c", of="r"),
        sleeping("ride", due_ms=5_000),
        entry("sleep", "ride"),
        entry("child_result", "c"),
    ]
    for line in told:
        record.see(line, now_s=1)
    record.take_changes()

    for line in told:
        record.see(line, now_s=9)

    assert record.take_changes() == []
    assert {found.changed_s for found in record.steps.values()} == {1}
    assert step(record, "cook").processes == [1]


def test_a_childs_result_completes_the_step_that_started_it() -> None:
    record = Record(wall_ms=0)
    record.see(child("r", of=None), now_s=0)
    record.see(child("c", of="r"), now_s=1)

    record.see(entry("child", "workflow-of-c"), now_s=2)
    record.see(entry("child_result", "c"), now_s=3)

    assert [(found.of, found.name, found.status) for found in record.steps.values()] == [
        ("child", "workflow-of-c", "completed, recorded")
    ]


def test_steps_of_a_child_are_told_from_those_of_its_parent() -> None:
    record = Record(wall_ms=0)
    record.see(child("r", of=None), now_s=0)
    record.see(child("c", of="r"), now_s=0)

    record.see(request("cook", number=1, run="r"), now_s=1)
    record.see(request("ride", number=2, run="c"), now_s=1)

    assert [record.is_of_child(found) for found in record.steps.values()] == [False, False, True]


def test_a_sleeps_end_is_counted_from_when_the_demo_began() -> None:
    record = Record(wall_ms=1_000_000)

    record.see(sleeping("ride", due_ms=1_006_500), now_s=1)

    assert step(record, "ride").due_s == 6.5


def test_a_line_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="surprise"):
        Record(wall_ms=0).see({"kind": "surprise"}, now_s=0)


def seen(
    *,
    cooked: int = 1,
    delivered: int = 2,
    keys: tuple[str, str] = ("k-1", "k-1"),
    bookings: int = 1,
    survivor: int | None = None,
) -> Seen:
    record = Record(wall_ms=0)
    for pid in range(1, cooked + 1):
        record.see(request("cook", number=pid, pid=pid), now_s=pid)
    record.see(entry("task", "cook"), now_s=2)
    for pid in range(1, delivered + 1):
        record.see(request("send-courier", number=cooked + pid, pid=pid, key=keys[pid - 1]), now_s=3)
    record.see(sleeping("ride", due_ms=10_000), now_s=3)
    record.see(entry("sleep", "ride"), now_s=10.14)
    record.see({"kind": "result", "result": {"status": "completed"}}, now_s=11)
    death = Death(
        who="Process 101",
        pid=101,
        status=-9,
        at_s=2.5,
        cut_off="send-courier",
        cut_off_after_s=1.24,
        recorded=("cook",),
        ride_left_s=4.7,
    )
    return Seen(record, death, pid=102, away_s=1.5, bookings=bookings, survivor=survivor)


def test_the_account_answers_what_died_at_which_step_what_ran_twice_and_why_that_is_safe() -> None:
    account = dict(sentences(seen()))

    assert "101" in account["What died"]
    assert "1.2 s into the task send-courier" in account["What died"]
    assert "cook did not run again" in account["What went on"]
    assert account["What ran twice"].startswith("send-courier:")
    assert "same idempotency key" in account["What ran twice"]
    assert "2 requests, 1 booking." in account["What ran twice"]
    assert "0.1 s after the moment" in account["What waited"]
    assert account["Times run"] == "cook 1, send-courier 2"
    assert account["Result"] == '{"status": "completed"}'


def test_an_account_of_what_has_to_be_has_no_faults() -> None:
    assert faults(seen()) == []


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (seen(cooked=2), "cook ran 2 times, and should have run 1"),
        (seen(delivered=1), "send-courier ran 1 times, and should have run 2"),
        (seen(keys=("k-1", "k-2")), "send-courier used 2 idempotency keys"),
        (seen(bookings=2), "2 couriers are booked"),
    ],
    ids=["recorded task again", "cut-off task not again", "another key", "two couriers"],
)
def test_a_broken_promise_is_a_fault(wrong: Seen, fault: str) -> None:
    assert faults(wrong) == [fault]


def test_with_two_workers_it_is_a_fault_if_a_third_process_ran_a_task_or_the_dead_one_ran_the_last() -> None:
    assert "send-courier ran in a process that is no worker's" in faults(seen(survivor=1))
    assert "cook ran last in process 1, not in 3" in faults(seen(survivor=3))

"""The retry of a whole run: each sentence of the paragraph in the design is a test."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from aiki.engine.retrying import cut
from aiki.model.journal import CallKey, Entry, EntryKind, Failure
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.wire import Outcome, RunOptions
from tests.engine.world import World, child_wait, entry, event_wait

NO = Failure("builtins.ValueError", "no")
TWICE = RunOptions(retry=Retry.fixed(2, 1))


def _task(seq: int, asked: int, *, fails: bool = False) -> Entry:
    return entry(seq, asked=asked, error=NO if fails else None)


def _child(seq: int, asked: int, child_id: str) -> Entry:
    return entry(seq, EntryKind.CHILD, f"order:{child_id}", asked=asked, child_id=child_id)


def _result(seq: int, asked: int, child_id: str, status: Status | None) -> Entry:
    error = NO if status is Status.FAILED else None
    return entry(seq, EntryKind.CHILD_RESULT, child_id, asked=asked, status=status, error=error)


def _kept(*journal: Entry, escaped: int | None) -> list[int]:
    """Return the old numbers of what stays."""
    kept = {e.key for e in cut(journal, escaped_seq=escaped).kept}
    return [e.seq for e in journal if e.key in kept]


# -------------------------------------------------------------------------------------------- the entry that escaped


def test_the_entry_whose_error_escaped_is_cut() -> None:
    assert _kept(_task(1, 0), _task(2, 1, fails=True), escaped=2) == [1]


def test_everything_asked_after_its_delivery_is_cut() -> None:
    clean_up = _task(3, 2)

    assert _kept(_task(1, 0), _task(2, 1, fails=True), clean_up, escaped=2) == [1]


def test_what_was_asked_before_its_delivery_stays_even_if_it_was_delivered_later() -> None:
    beside = _task(3, 0)

    assert _kept(_task(1, 0), _task(2, 1, fails=True), beside, escaped=2) == [1, 3]


# ------------------------------------------------------------------------------------------------ other failed entries


def test_another_failed_entry_after_which_nothing_was_asked_is_cut() -> None:
    """Two branches failed together; one error escaped, and neither was handled."""
    assert _kept(_task(1, 0, fails=True), _task(2, 0, fails=True), escaped=2) == []


def test_a_failure_that_the_code_went_on_from_to_the_one_that_escaped_stays_handled() -> None:
    assert _kept(_task(1, 0, fails=True), _task(2, 1, fails=True), escaped=2) == [1]


def test_a_failure_that_the_code_went_on_from_to_something_that_stays_stays_handled() -> None:
    handled, fallback, escaped = _task(1, 0, fails=True), _task(2, 1), _task(3, 0, fails=True)

    assert _kept(handled, fallback, escaped, escaped=3) == [1, 2]


def test_a_failure_that_only_led_to_what_is_cut_is_cut_with_it() -> None:
    """Its branch was followed by nothing but another failure, which led nowhere."""
    first, second, escaped = _task(1, 0, fails=True), _task(2, 1, fails=True), _task(3, 0, fails=True)

    assert _kept(first, second, escaped, escaped=3) == []


def test_a_failure_in_the_clean_up_is_cut_as_what_was_asked_after_the_escaped_one() -> None:
    assert _kept(_task(1, 0, fails=True), _task(2, 1, fails=True), escaped=1) == []


def test_if_no_entrys_error_escaped_only_failures_that_led_nowhere_are_cut() -> None:
    """The code caught the failure and raised an error of its own."""
    assert _kept(_task(1, 0), _task(2, 1, fails=True), escaped=None) == [1]
    assert _kept(_task(1, 0), _task(2, 1), escaped=None) == [1, 2]


def test_an_entry_that_is_not_there_cuts_nothing_more() -> None:
    assert _kept(_task(1, 0), _task(2, 1), escaped=9) == [1, 2]


# ---------------------------------------------------------------------------------------------------------- children


def test_a_cut_result_that_was_not_completed_takes_its_child_with_it() -> None:
    journal = _task(1, 0), _child(2, 1, "c"), _result(3, 2, "c", Status.FAILED)

    assert _kept(*journal, escaped=3) == [1]


def test_a_cut_result_that_was_completed_leaves_its_child() -> None:
    journal = _child(1, 0, "c"), _task(2, 1, fails=True), _result(3, 2, "c", Status.COMPLETED)

    assert _kept(*journal, escaped=2) == [1]


def test_a_cut_wait_for_a_child_that_timed_out_takes_its_child_with_it() -> None:
    timed_out = replace(_result(3, 2, "c", None), timed_out=True)

    assert _kept(_child(1, 0, "c"), _task(2, 1, fails=True), timed_out, escaped=2) == []


def test_a_child_that_was_cancelled_is_a_failure_like_any_other() -> None:
    assert _kept(_child(1, 0, "c"), _result(2, 1, "c", Status.CANCELLED), escaped=None) == []


def test_a_refused_child_is_a_failure_like_any_other() -> None:
    refused = replace(_child(1, 0, "c"), child_id=None, error=NO)

    assert _kept(refused, escaped=1) == []


def test_a_kept_child_keeps_its_id() -> None:
    journal = _child(1, 0, "c"), _task(2, 1, fails=True)

    assert [e.child_id for e in cut(journal, escaped_seq=2).kept] == ["c"]


# ----------------------------------------------------------------------------------------------------------- timeout


def test_a_run_that_timed_out_is_cut_at_its_cancel_and_all_asked_after_it() -> None:
    cancel = entry(2, EntryKind.CANCEL, asked=0)
    clean_up = _task(3, 2)

    assert [e.seq for e in cut((_task(1, 0), cancel, clean_up), escaped_seq=2).kept] == [1]


# -------------------------------------------------------------------------------------------------------- counted anew


def test_seq_and_asked_are_counted_anew_in_the_order_of_what_stays() -> None:
    journal = _task(1, 0, fails=True), _task(2, 0), _task(3, 2), _task(4, 3, fails=True), _task(5, 3)

    kept = cut(journal, escaped_seq=4).kept

    # 1 stays: 3 was asked after it, and stays.
    assert [(e.key.address, e.seq, e.asked) for e in kept] == [
        ("task-1", 1, 0),
        ("task-2", 2, 0),
        ("task-3", 3, 2),
        ("task-5", 4, 3),
    ]


def test_asked_counts_only_what_stays() -> None:
    journal = _task(1, 0), _task(2, 0, fails=True), _task(3, 1), _task(4, 1, fails=True)

    kept = cut(journal, escaped_seq=2).kept

    assert [(e.key.address, e.seq, e.asked) for e in kept] == [("task-1", 1, 0), ("task-3", 2, 1)]


def test_events_taken_by_cut_entries_are_unread_again_and_others_are_not() -> None:
    journal = (
        entry(1, EntryKind.EVENT, "a", asked=0, mail=1),
        _task(2, 1, fails=True),
        entry(3, EntryKind.EVENT, "b", asked=2, mail=2),
    )

    assert cut(journal, escaped_seq=2).unread == (2,)


@st.composite
def _journals(draw: st.DrawFn) -> list[Entry]:
    length = draw(st.integers(0, 12))
    return [_task(seq, draw(st.integers(0, seq - 1)), fails=draw(st.booleans())) for seq in range(1, length + 1)]


@given(_journals(), st.data())
def test_a_cut_is_what_the_paragraph_says_of_every_entry(journal: list[Entry], data: st.DataObject) -> None:
    """The rules read back word by word, from the result."""
    failed = [e.seq for e in journal if e.error is not None]
    escaped_seq = data.draw(st.sampled_from([None, *failed]))
    kept = cut(journal, escaped_seq=escaped_seq).kept
    stays = {e.seq for e in journal if e.key in {k.key for k in kept}}

    for e in journal:
        after_escaped = escaped_seq is not None and (e.seq == escaped_seq or e.asked >= escaped_seq)
        followers = [f for f in journal if f.asked >= e.seq and (f.seq in stays or f.seq == escaped_seq)]
        unhandled = e.error is not None and not followers
        assert (e.seq not in stays) == (after_escaped or unhandled)
    assert [k.seq for k in kept] == list(range(1, len(kept) + 1))
    assert all(0 <= k.asked < k.seq for k in kept)


# ------------------------------------------------------------------------------------------------------- in the world


def test_a_failed_run_with_attempts_left_waits_for_the_next(world: World) -> None:
    run_id = world.running(TWICE)
    world.commit(run_id, entries=(entry(1),), effects=())

    answer = world.commit(run_id, Outcome.FAILED, entries=(entry(2, error=NO),), error=NO, failed_seq=2)

    row = world.row(run_id)
    assert answer.status is Status.AWAITING_RETRY
    assert (row.attempt, row.seq, row.waits, row.alarm_at_ms) == (2, 1, 0, world.now_ms + 1_000)
    assert (row.effects, row.cancel_delivered, row.session_id, row.parked_on) == (0, False, None, None)
    assert "builtins.ValueError: no" in (row.why or "")


def test_the_cut_entries_stay_visible_under_their_attempt(world: World) -> None:
    run_id = world.running(TWICE)
    entries = (entry(1), entry(2, error=NO))

    world.commit(run_id, Outcome.FAILED, entries=entries, error=NO, failed_seq=2)

    assert world.entries[run_id, 1, 1] == list(entries)
    assert world.entries[run_id, 1, 2] == [entries[0]]


def test_the_last_attempt_fails_for_good(world: World) -> None:
    run_id = world.running(TWICE)
    world.commit(run_id, Outcome.FAILED, error=NO)
    world.advance(1_000)
    world.ring(run_id)
    world.claim(run_id, world.session())

    world.commit(run_id, Outcome.FAILED, error=NO)

    assert world.status(run_id) is Status.FAILED
    assert world.ends[run_id].error == NO


def test_a_run_without_a_policy_fails_at_once(world: World) -> None:
    run_id = world.running()

    assert world.commit(run_id, Outcome.FAILED, error=NO).status is Status.FAILED


def test_the_next_attempt_finds_the_events_that_cut_entries_had_taken(world: World) -> None:
    run_id = world.running(TWICE)
    world.send(run_id)
    taken = (entry(1, error=NO), entry(2, EntryKind.EVENT, "go", mail=1))

    world.commit(run_id, Outcome.FAILED, entries=taken, error=NO, failed_seq=1)

    assert [mail.number for mail in world.unread(run_id)] == [1]


def test_the_next_attempt_does_not_find_the_waits_of_the_last(world: World) -> None:
    run_id = world.running(TWICE)
    child_id = world.with_child(run_id)
    world.commit(run_id, opened=(event_wait(), child_wait(child_id, order=2)), waits=2)

    world.commit(run_id, Outcome.FAILED, error=NO)

    assert (world.waits.get(run_id), world.waiters) == (None, {})


def test_the_result_of_a_kept_child_comes_anew_when_the_next_attempt_waits_for_it(world: World) -> None:
    run_id = world.running(TWICE)
    child_id = world.with_child(run_id)
    world.commit(run_id, entries=(_child(1, 0, child_id),), opened=(child_wait(child_id),), waits=1)
    world.claim(child_id, world.session())
    world.commit(child_id, Outcome.COMPLETED, output=Raw(b"1"))
    key = CallKey(EntryKind.CHILD_RESULT, child_id)
    failing = (
        entry(2, error=NO),
        replace(_result(3, 2, child_id, Status.COMPLETED), mail=1),
    )
    world.commit(run_id, Outcome.FAILED, entries=failing, closed=(key,), error=NO, failed_seq=2)
    world.advance(1_000)
    world.ring(run_id)
    world.claim(run_id, world.session())
    assert [e.child_id for e in world.journal(run_id)] == [child_id]

    answer = world.suspend(run_id, child_wait(child_id))

    assert [mail.status for mail in answer.mail] == [Status.COMPLETED]


def test_the_delays_of_runs_that_failed_together_are_drawn_from_their_ids(world: World) -> None:
    options = RunOptions(retry=Retry.jittered(2, 60, jitter=1.0))
    runs = [world.running(options) for _ in range(5)]

    for run_id in runs:
        world.commit(run_id, Outcome.FAILED)

    assert len({world.row(run_id).alarm_at_ms for run_id in runs}) == 5


def test_the_next_attempt_starts_children_of_its_own(world: World) -> None:
    run_id = world.running(TWICE)
    first = world.with_child(run_id)
    world.commit(run_id, Outcome.FAILED, error=NO)
    world.advance(1_000)
    world.ring(run_id)
    world.claim(run_id, world.session())

    assert world.with_child(run_id) != first

"""A start that is repeated is the same start, by its run id and by its reference id."""

from aiki.engine.commands import Start
from aiki.model.lifecycle import Status
from aiki.model.wire import RunOptions, Started
from tests.engine.world import START_MS, World, child_of, start_run


def _start(world: World, run_id: str, options: RunOptions, *, input_hash: str = "h") -> Started:
    (answer,) = world.do(Start(start_run(run_id, options, input_hash=input_hash)))
    assert isinstance(answer, Started)
    return answer


def test_a_run_that_may_begin_is_queued_at_once(world: World) -> None:
    run_id = world.start()

    assert world.status(run_id) is Status.QUEUED
    assert world.row(run_id).due_at_ms == START_MS
    assert world.moves(run_id) == ["queued (started)"]


def test_a_run_with_a_delay_is_queued_only_once_its_time_has_come(world: World) -> None:
    run_id = world.start(RunOptions(delay_ms=5_000))
    assert world.status(run_id) is Status.SCHEDULED

    world.advance(4_999)
    assert world.due() == []

    world.advance(1)
    assert world.due() == [run_id]
    world.ring(run_id)
    assert world.status(run_id) is Status.QUEUED


def test_a_start_time_wins_over_a_delay(world: World) -> None:
    run_id = world.start(RunOptions(start_at_ms=START_MS + 10, delay_ms=5_000))

    assert world.row(run_id).alarm_at_ms == START_MS + 10


def test_a_start_time_that_has_passed_means_now(world: World) -> None:
    assert world.status(world.start(RunOptions(start_at_ms=1))) is Status.QUEUED


def test_the_timeout_of_a_delayed_run_counts_from_when_it_may_begin(world: World) -> None:
    run_id = world.start(RunOptions(delay_ms=5_000, timeout_ms=100))

    assert world.row(run_id).timeout_at_ms == START_MS + 5_100
    assert world.row(run_id).alarm_at_ms == START_MS + 5_000


def test_a_repeated_start_is_the_same_run(world: World) -> None:
    first = _start(world, "a", RunOptions())
    again = _start(world, "a", RunOptions())

    assert (first.run_id, first.existed) == ("a", False)
    assert (again.run_id, again.existed) == ("a", True)
    assert len(world.runs) == 1


def test_two_copies_of_a_start_in_one_batch_are_one_run(world: World) -> None:
    answers = world.do(Start(start_run("a")), Start(start_run("a")))

    assert [answer.existed for answer in answers if isinstance(answer, Started)] == [False, True]


def test_an_id_that_belongs_to_other_input_is_refused(world: World) -> None:
    _start(world, "a", RunOptions())

    problem = _start(world, "a", RunOptions(), input_hash="other").problem

    assert problem is not None
    assert problem.code == "invalid_input"


def test_the_same_reference_and_input_is_the_existing_run_on_the_version_it_began_on(world: World) -> None:
    _start(world, "a", RunOptions(reference_id="r"))

    later = start_run("b", RunOptions(reference_id="r"))
    (answer,) = world.do(Start(type(later)("b", "default", "order", "2.0.0", later.input, "h", later.options)))

    assert isinstance(answer, Started)
    assert (answer.run_id, answer.version, answer.existed) == ("a", "1.0.0", True)


def test_the_same_reference_with_other_input_is_a_conflict_that_names_the_run(world: World) -> None:
    _start(world, "a", RunOptions(reference_id="r"))

    problem = _start(world, "b", RunOptions(reference_id="r"), input_hash="other").problem

    assert problem is not None
    assert problem.code == "reference_conflict"
    assert problem.facts == {"reference_id": "r", "run_id": "a"}


def test_a_conflict_may_return_the_existing_run(world: World) -> None:
    _start(world, "a", RunOptions(reference_id="r"))

    options = RunOptions(reference_id="r", conflict="return_existing")

    assert _start(world, "b", options, input_hash="other").run_id == "a"


def test_two_starts_of_one_reference_in_one_batch_are_one_run(world: World) -> None:
    options = RunOptions(reference_id="r")
    answers = world.do(Start(start_run("a", options)), Start(start_run("b", options)))

    assert [answer.run_id for answer in answers if isinstance(answer, Started)] == ["a", "a"]


def test_a_repeat_of_the_first_start_after_continue_as_new_is_still_the_same_start(world: World) -> None:
    run_id = world.running(RunOptions(reference_id="r"))
    world.commit(run_id, "continued", input_hash="other")  # type: ignore[arg-type]  # as the wire has it

    assert _start(world, "b", RunOptions(reference_id="r")).run_id == run_id


# -------------------------------------------------------------------------------------------------------- children


def test_a_child_inherits_namespace_and_root(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.claim(child_id, world.session())
    grandchild = world.row(world.with_child(child_id))

    assert (grandchild.parent_id, grandchild.root_id, grandchild.namespace) == (child_id, parent_id, "default")
    assert world.row(parent_id).has_children


def test_a_child_started_again_by_the_next_owner_is_the_same_child(world: World) -> None:
    session_id = world.session()
    parent_id = world.running(session_id=session_id)
    child_id = world.with_child(parent_id)
    world.lose(session_id)
    world.claim(parent_id, world.session())

    answer = world.commit(parent_id, children=(child_of(world.row(parent_id)),))

    assert [child.run_id for child in answer.children] == [child_id]
    assert len(world.runs) == 2


def test_a_child_whose_reference_has_other_input_is_refused_in_the_code(world: World) -> None:
    world.start(RunOptions(reference_id="r"))
    parent_id = world.running()

    child = child_of(world.row(parent_id), RunOptions(reference_id="r"), input_hash="other")
    (started,) = world.commit(parent_id, children=(child,)).children

    assert started.refusal is not None
    assert started.refusal.code == "reference_conflict"
    assert b'"reference_id":"r"' in bytes(started.refusal.details)


def test_a_child_by_reference_may_be_a_run_that_exists(world: World) -> None:
    there = world.start(RunOptions(reference_id="r"))
    parent_id = world.running()

    (started,) = world.commit(
        parent_id, children=(child_of(world.row(parent_id), RunOptions(reference_id="r")),)
    ).children

    assert (started.run_id, started.refusal) == (there, None)


def test_a_repeated_turn_answers_for_its_children_again_and_starts_none(world: World) -> None:
    parent_id = world.running()
    turn = world.turn(parent_id, children=(child_of(world.row(parent_id)),))

    first = world.apply_turn(turn)
    second = world.apply_turn(turn)

    assert first.children == second.children
    assert len(world.runs) == 2

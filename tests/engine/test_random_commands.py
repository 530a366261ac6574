"""The invariants hold after every transaction of any sequence of commands, and whatever can end ends.

`World.do` checks them; here hypothesis draws the commands: clients, several workers that commit random legal turns,
lose answers, die, come back and repeat themselves, and a clock that moves in steps. A sequence that breaks a rule is
shrunk to its shortest form.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from aiki.engine.commands import Command, CommitTurn, ExpireSession, HandBackRuns, RingAlarm, SayGoodbye, Start
from aiki.engine.dispatch import Offer
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import ParentClose
from aiki.model.wire import Commit, CommitAnswer, Goodbye, HandBack, Held, RunOptions, Verdict
from tests.engine.fake_worker import legal_turn
from tests.engine.world import QUEUE, World, held_of, start_run

RUNS_MAX = 12
ROUNDS_MAX = 60
DRAIN_STEP_MS = 40_000

OPTIONS = (
    RunOptions(),
    RunOptions(delay_ms=900),
    RunOptions(retry=Retry.fixed(3, 1)),
    RunOptions(timeout_ms=3_000),
    RunOptions(timeout_ms=2_000, retry=Retry.fixed(2, 5), priority=2),
    RunOptions(reference_id="r", parent_close=ParentClose.CANCEL),
)
VERBS = ("cancel", "terminate", "wake", "requeue", "cancel", "wake")


class RandomCommands(RuleBasedStateMachine):
    """One world and everyone who may act on it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.sent: list[Commit] = []

    @initialize()
    def begin(self) -> None:
        self.session_ids = [self.world.session(), self.world.session()]
        self.world.start()

    # ------------------------------------------------------------------------------------------------------ clients

    @precondition(lambda self: len(self.world.runs) < RUNS_MAX)
    @rule(options=st.sampled_from(OPTIONS), offered=st.booleans())
    def start(self, options: RunOptions, *, offered: bool) -> None:
        run_id = self.world.new_id()
        offers = [self._offer(self.session_ids[-1])] if offered else []
        self.world.do(Start(start_run(run_id, options)), offers=offers)

    @rule(data=st.data(), name=st.sampled_from(["go", "stop"]), offered=st.booleans())
    def send(self, data: st.DataObject, name: str, *, offered: bool) -> None:
        run_id = self._any_run(data)
        self.world.do(self.world.sending(run_id, name), offers=[self._offer(self.session_ids[0])] if offered else [])

    @rule(data=st.data(), verb=st.sampled_from(VERBS))
    def ask(self, data: st.DataObject, verb: str) -> None:
        self.world.ask(self._any_run(data), verb, reason="drawn")

    # ------------------------------------------------------------------------------------------------------ workers

    @rule(data=st.data(), capacity=st.integers(0, 3), states=st.booleans())
    def poll(self, data: st.DataObject, capacity: int, *, states: bool) -> None:
        """Poll; a worker that lost answers states nothing."""
        session_id = data.draw(st.sampled_from(self.session_ids))
        held = [held_of(row) for row in self.world.runs.values() if row.session_id == session_id]
        outcome = self.world.poll(session_id, *(held if states else ()), capacity=capacity)
        if outcome.over:
            self._open_another(session_id)

    @rule(data=st.data(), together=st.integers(1, 3))
    def commit(self, data: st.DataObject, together: int) -> None:
        """Commit the next turn of up to three runs in one batch."""
        owned = [row.id for row in self.world.runs.values() if row.status is Status.RUNNING][:together]
        turns = [
            legal_turn(self.world, run_id, lambda many: data.draw(st.sampled_from(list(many)))) for run_id in owned
        ]
        self.sent.extend(turns)
        answers = self.world.do(*(CommitTurn(turn) for turn in turns))
        assert all(isinstance(answer, CommitAnswer) and answer.verdict is Verdict.APPLIED for answer in answers)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Send an old commit again: it changes nothing, whatever has happened since."""
        before = self.world.snapshot()
        self.world.apply_turn(data.draw(st.sampled_from(self.sent)))
        assert self.world.snapshot() == before

    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        session_id = data.draw(st.sampled_from(self.session_ids))
        held = tuple(Held(row.id, row.epoch, 0) for row in self.world.runs.values() if row.session_id == session_id)
        self.world.do(HandBackRuns(HandBack(session_id, held[:2])))

    @rule(data=st.data(), dies=st.booleans())
    def end_session(self, data: st.DataObject, *, dies: bool) -> None:
        session_id = data.draw(st.sampled_from(self.session_ids))
        command: Command = ExpireSession(session_id, at_opening=True) if dies else SayGoodbye(Goodbye(session_id))
        self.world.do(command)
        self._open_another(session_id)

    # -------------------------------------------------------------------------------------------------------- clock

    @rule(ms=st.sampled_from([1, 300, 700, 2_000, 35_000]), offered=st.booleans())
    def pass_time(self, ms: int, *, offered: bool) -> None:
        self.world.advance(ms)
        offers = [self._offer(self.session_ids[-1])] if offered else []
        self.world.do(*(RingAlarm(run_id) for run_id in self.world.due()), offers=offers)

    def teardown(self) -> None:
        """Let all workers be well: everything that is not with a person ends within a bound."""
        world = self.world
        for _ in range(ROUNDS_MAX):
            if all(row.is_terminal or row.status is Status.STALLED for row in world.runs.values()) and not world.due():
                return
            world.advance(DRAIN_STEP_MS)
            for run_id in world.due():
                world.ring(run_id)
            for row in list(world.runs.values()):
                if row.status is Status.AWAITING_EVENT:
                    world.send(row.id, "go")
                    world.send(row.id, "stop")
            for session_id in list(self.session_ids):
                world.lose(session_id)
                self._open_another(session_id)
            world.poll(self.session_ids[0], capacity=RUNS_MAX * 10)
            for row in list(world.runs.values()):
                if row.status is Status.RUNNING:
                    world.commit(row.id, "completed")  # type: ignore[arg-type]  # as the wire has it
        raise AssertionError(f"still open: {[(row.id, row.status) for row in world.runs.values()]}")

    # ------------------------------------------------------------------------------------------------------ helpers

    def _any_run(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.world.runs)))

    def _offer(self, session_id: str) -> Offer:
        return Offer(session_id, (QUEUE,), 2)

    def _open_another(self, session_id: str) -> None:
        self.session_ids.remove(session_id)
        self.session_ids.append(self.world.session())


TestRandomCommands = RandomCommands.TestCase
TestRandomCommands.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

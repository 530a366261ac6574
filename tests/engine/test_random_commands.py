"""The invariants hold after every transaction of any sequence of commands, and whatever can end ends.

`World.do` checks them; here chance draws the commands: clients, workers that commit random legal turns, lose answers,
die, come back and repeat themselves, and a clock that moves in steps. hypothesis draws seed and length, and shrinks the
length of a sequence that breaks a rule to its shortest. What is rare is counted: a search that never meets it fails.
"""

from collections import Counter
from random import Random
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiki.clock import Chance
from aiki.engine.commands import (
    Command,
    CommitTurn,
    DeleteRun,
    ExpireSession,
    ForgetSession,
    HandBackRuns,
    RingAlarm,
    SayGoodbye,
    Start,
)
from aiki.engine.dispatch import Offer
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import ParentClose
from aiki.model.wire import Commit, CommitAnswer, Goodbye, HandBack, Outcome, RunOptions, Verdict
from tests.engine.fake_worker import legal_turn
from tests.engine.world import QUEUE, World, held_of, start_run

OPEN_MAX: Final = 8
STEPS_MAX: Final = 250
DRAIN_ROUNDS_MAX: Final = 60
DRAIN_STEP_MS: Final = 40_000
KEPT_MS: Final = 5_000

VERBS: Final = (
    "cancel",
    "terminate",
    "wake",
    "wake",
    "requeue",
    "requeue",
    "pause",
    "pause",
    "resume",
    "resume",
    "retry",
)
FITTING: Final = {
    "pause": {Status.SLEEPING, Status.AWAITING_EVENT},
    "resume": {Status.PAUSED},
    "retry": {Status.FAILED},
}
OPTIONS: Final = (
    RunOptions(),
    RunOptions(),
    RunOptions(delay_ms=900),
    RunOptions(retry=Retry.fixed(3, 1)),
    RunOptions(timeout_ms=3_000),
    RunOptions(timeout_ms=40_000, retry=Retry.fixed(2, 5), priority=2),
    RunOptions(reference_id="r", parent_close=ParentClose.CANCEL),
)


class Chaos:
    """One world and everyone who may act on it."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.world = World()
        self.sent: list[Commit] = []
        self.deleted = 0
        self.session_ids = [self.world.session(), self.world.session()]
        self.acts = {
            self.start: 2,
            self.send: 3,
            self.ask: 3,
            self.poll: 3,
            self.work: 10,
            self.repeat: 2,
            self.hand_back: 1,
            self.end_session: 1,
            self.pass_time: 4,
            self.delete: 1,
        }

    def run(self, steps: int) -> None:
        """Do so many things, then let everyone be well."""
        acts, weights = list(self.acts), list(self.acts.values())
        for _ in range(steps):
            self.chance.choices(acts, weights)[0]()
        self.drain()

    # ------------------------------------------------------------------------------------------------------ clients

    def start(self) -> None:
        if sum(not row.is_terminal for row in self.world.runs.values()) < OPEN_MAX:
            self.world.do(
                Start(start_run(self.world.new_id(), self.chance.choice(OPTIONS))), offers=self._perhaps_offers()
            )

    def send(self) -> None:
        if self.world.runs:
            command = self.world.sending(self._any_run(), self.chance.choice(("go", "stop")))
            self.world.do(*[command] * self.chance.choice((1, 1, 2)), offers=self._perhaps_offers())

    def ask(self) -> None:
        if self.world.runs:
            verb = self.chance.choice(VERBS)
            fitting = [row.id for row in self.world.runs.values() if row.status in FITTING.get(verb, ())]
            run_id = self.chance.choice(fitting) if fitting else self._any_run()
            self.world.do(self.world.asking(run_id, verb, reason="drawn"), offers=self._perhaps_offers())

    # ------------------------------------------------------------------------------------------------------ workers

    def poll(self) -> None:
        """Poll; now and then a worker has lost answers, and states nothing."""
        session_id = self.chance.choice(self.session_ids)
        held = [held_of(row) for row in self.world.runs.values() if row.session_id == session_id]
        stated = held if self.chance.random() < 0.8 else held[1:]
        if self.world.poll(session_id, *stated, capacity=self.chance.randrange(4)).over:
            self._open_another(session_id)

    def work(self) -> None:
        """Commit the next turns of some runs that are owned, in one batch, with a client's event between."""
        owned = [row.id for row in self.world.runs.values() if row.status is Status.RUNNING]
        run_ids = self.chance.sample(owned, min(len(owned), self.chance.randint(1, 3)))
        turns = [legal_turn(self.world, run_id, self.chance.choice) for run_id in run_ids]
        self.sent.extend(turns)
        commands: list[Command] = [CommitTurn(turn) for turn in turns]
        if run_ids and self.chance.random() < 0.2:
            commands.insert(self.chance.randint(0, len(commands)), self.world.sending(run_ids[0], "go"))
        answers = self.world.do(*commands, offers=self._perhaps_offers())
        verdicts = [answer.verdict for answer in answers if isinstance(answer, CommitAnswer)]
        assert verdicts == [Verdict.APPLIED] * len(turns)

    def repeat(self) -> None:
        """Send an old commit again: it changes nothing, whatever has happened since."""
        if self.sent:
            before = self.world.snapshot()
            self.world.apply_turn(self.chance.choice(self.sent[-12:]))
            assert self.world.snapshot() == before

    def hand_back(self) -> None:
        session_id = self.chance.choice(self.session_ids)
        held = tuple(held_of(row) for row in self.world.runs.values() if row.session_id == session_id)
        self.world.do(HandBackRuns(HandBack(session_id, held[:1])), offers=self._perhaps_offers())

    def end_session(self) -> None:
        session_id = self.chance.choice(self.session_ids)
        goodbye, death = SayGoodbye(Goodbye(session_id)), ExpireSession(session_id, at_opening=True)
        self.world.do(self.chance.choice((goodbye, death)))
        self._open_another(session_id)

    # -------------------------------------------------------------------------------------------------------- clock

    def pass_time(self) -> None:
        self.world.advance(self.chance.choice((1, 300, 700, 2_000, 35_000)))
        alarms = [RingAlarm(run_id) for run_id in self.world.due()]
        if self.world.runs:
            alarms.append(RingAlarm(self._any_run()))  # a reason to look, no more
        self.world.do(*alarms, offers=self._perhaps_offers())

    def delete(self) -> None:
        """Look at what might be over for long enough, while somebody else wants something of it."""
        asked: list[Command] = [
            DeleteRun(row.id, row.parent_id, KEPT_MS) for row in self.world.runs.values() if self.chance.random() < 0.5
        ]
        if asked and self.chance.random() < 0.3:
            verb = self.chance.choice(("retry", "cancel", "wake"))
            asked.insert(self.chance.randint(0, len(asked)), self.world.asking(self._any_run(), verb))
        there = set(self.world.runs)
        self.world.do(*asked, *(ForgetSession(session_id, KEPT_MS) for session_id in list(self.world.sessions)))
        self.deleted += len(there - self.world.runs.keys())

    def drain(self) -> None:
        """Where workers and people do their part, everything ends within a bound."""
        world = self.world
        for _ in range(DRAIN_ROUNDS_MAX):
            if all(row.is_terminal for row in world.runs.values()) and not world.due():
                return
            world.advance(DRAIN_STEP_MS)
            for session_id in list(self.session_ids):
                world.lose(session_id)
                self._open_another(session_id)
            for run_id in world.due():
                world.ring(run_id)
            for row in list(world.runs.values()):
                if row.status is Status.AWAITING_EVENT:
                    world.send(row.id, "go")
                    world.send(row.id, "stop")
                world.ask(row.id, "requeue")
                world.ask(row.id, "resume")
            world.poll(self.session_ids[0], capacity=1_000)
            for row in list(world.runs.values()):
                if row.status is Status.RUNNING:
                    world.commit(row.id, Outcome.COMPLETED)
        raise AssertionError(f"still open: {[(row.id, row.status) for row in world.runs.values()]}")

    # ------------------------------------------------------------------------------------------------------ helpers

    def _any_run(self) -> str:
        still_open = [row.id for row in self.world.runs.values() if not row.is_terminal]
        return self.chance.choice(still_open if still_open and self.chance.random() < 0.9 else list(self.world.runs))

    def _perhaps_offers(self) -> list[Offer]:
        if self.chance.random() < 0.5:
            return []
        return [Offer(session_id, (QUEUE,), 2) for session_id in self.session_ids]

    def _open_another(self, session_id: str) -> None:
        self.session_ids.remove(session_id)
        self.session_ids.append(self.world.session())


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), steps=st.integers(1, STEPS_MAX))
@example(seed=1, steps=STEPS_MAX)
def test_the_invariants_hold_after_every_transaction_and_everything_ends(seed: int, steps: int) -> None:
    Chaos(Chance(seed=seed).random).run(steps)


def test_the_search_meets_what_is_rare() -> None:
    met: Counter[str] = Counter()
    for seed in range(25):
        chaos = Chaos(Chance(seed=seed).random)
        chaos.run(STEPS_MAX)
        met.update(f"{move.old} -> {move.new} ({move.reason})" for move in chaos.world.history)
        met["run deleted"] += chaos.deleted
        met.update(f"takes {entry.key.kind}" for entries in chaos.world.entries.values() for entry in entries)

    rare = """
        None -> running (started) · sleeping -> running (claimed) · sleeping -> queued (woken)
        awaiting_child -> queued (message) · awaiting_child -> running (claimed) · awaiting_event -> queued (message)
        awaiting_event -> queued (due) · awaiting_retry -> queued (due) · running -> awaiting_retry (retry)
        running -> cancelled (cancelled) · running -> cancelled (grace_over) · running -> failed (timed_out)
        running -> paused (paused) · sleeping -> paused (paused) · queued -> paused (paused) · paused -> queued (resumed)
        paused -> sleeping (resumed) · paused -> awaiting_event (resumed) · failed -> queued (retry)
        running -> queued (worker_lost) · running -> queued (handed_back) · stalled -> queued (requeued)
        run deleted · takes child_result · takes cancel · takes event · takes sleep · takes child · takes task
    """
    assert [fact for line in rare.strip().splitlines() for fact in line.strip().split(" · ") if not met[fact]] == []

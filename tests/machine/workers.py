"""Workers: they take runs, do something with them, repeat themselves, give back, and die."""

from typing import Any, Final

from hypothesis import strategies as st
from msgspec.structs import replace

from aiki.model.journal import EntryKind
from aiki.model.journal import Mail as WireMail
from aiki.model.run import ParentClose, Queue
from aiki.model.wire import (
    Announce,
    Assignment,
    ChildStart,
    Commit,
    CommitAnswer,
    Goodbye,
    HandBack,
    Held,
    Outcome,
    PollAnswer,
    PollRequest,
    RunOptions,
    Verdict,
)
from tests.machine.ground import EVENTS, PICK, WORKFLOWS, Ground, command, met
from tests.machine.hand import Hand, Turn
from tests.machine.model import LEASE_MS, Mail, Run, Wait
from tests.machine.platform import SWEEP_MS

__all__ = ["Workers"]

ACTIONS: Final = (
    "complete",
    "fail",
    "fail",
    "cancelled",
    "stall",
    "continue",
    "set",
    "pause",
    "child",
    "child",
    "sleep",
    "sleep",
    "event",
    "event",
    "timed event",
    "await",
    "await",
    "suspend",
)
OUTCOMES: Final = {
    "complete": Outcome.COMPLETED,
    "fail": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED,
    "stall": Outcome.STALLED,
    "continue": Outcome.CONTINUED,
    "pause": Outcome.PAUSED,
}
Act = tuple[int, str, bool, bool]
ACTS: Final = st.lists(st.tuples(PICK, st.sampled_from(ACTIONS), st.booleans(), st.booleans()), min_size=1, max_size=6)
STOPPED: Final = {"sleeping", "awaiting_event", "awaiting_child", "paused"}


class Workers(Ground):
    """Those who execute, and the time that passes while they do."""

    def __init__(self) -> None:
        super().__init__()
        self.polls: dict[str, int] = {}  # session → number of its last poll
        self.parked: dict[tuple[str, str], Hand] = {}
        self._open_session()

    @command(1)
    def open_session(self) -> None:
        if len(self.polls) < 3:
            self._open_session()

    @command(2, pick=PICK, workflow=st.sampled_from(WORKFLOWS), capacity=st.integers(0, 3))
    def poll(self, *, pick: int, workflow: str, capacity: int) -> None:
        self._poll(self._session(pick), workflow, capacity=capacity)

    @command(1, pick=PICK)
    def poll_for_all(self, *, pick: int) -> None:
        for workflow in WORKFLOWS:
            self._poll(self._session(pick), workflow, capacity=20)

    @command(6, acts=ACTS)
    def work(self, *, acts: list[Act]) -> None:
        """Let workers take what is ready, and do something with what they have."""
        self.poll_for_all(pick=acts[0][0])
        for pick, action, delivers, parks in acts:
            if self.hands:
                self.agree()
                hand = [*self.hands.values()][pick % len(self.hands)]
                self._work(hand, action, delivers=delivers, parks=parks, pick=pick)

    @command(6, needs="hands", acts=ACTS)
    def work_on(self, *, acts: list[Act]) -> None:
        """The same with what they have already, and one run more than with the others."""
        for pick, action, delivers, parks in acts:
            if self.hands:
                self.agree()
                hand = [*self.hands.values()][acts[0][0] % len(self.hands)]
                self._work(hand, action, delivers=delivers, parks=parks, pick=pick)

    @command(1, needs="commits", pick=PICK, is_stale=st.booleans())
    def commit_again(self, *, pick: int, is_stale: bool) -> None:
        """Repeat a commit of late, or send one of a claim that has passed."""
        met["commands"] += 1
        commit = self.commits[-1 - pick % min(len(self.commits), 10)]
        if is_stale:
            commit = replace(commit, epoch=commit.epoch - 1)
        run = self.model.runs.get(commit.run_id)
        is_last = run is not None and (run.epoch, run.turn) == (commit.epoch, commit.turn)
        (answer,) = self.platform.tell("/v1/worker/commit", [commit], tuple[CommitAnswer, ...])
        assert answer.verdict is (Verdict.APPLIED if is_last else Verdict.FENCED)
        assert answer.status == (None if run is None else run.status)
        met[f"repeated {answer.verdict}"] += 1

    @command(1, needs="hands", pick=PICK)
    def hand_back(self, *, pick: int) -> None:
        met["commands"] += 1
        hand = [*self.hands.values()][pick % len(self.hands)]
        status, _ = self.platform.post("/v1/worker/hand-back", HandBack(hand.session, (_held(hand),)))
        assert status == 204
        if self._is_valid(hand):
            self.model.give_back(self.model.runs[hand.run_id])
        del self.hands[hand.run_id]

    @command(1, pick=PICK)
    def goodbye(self, *, pick: int) -> None:
        met["commands"] += 1
        session = self._session(pick)
        status, _ = self.platform.post("/v1/worker/goodbye", Goodbye(session))
        assert status == 204
        for run in self._owned(session):
            self.model.give_back(run)
        self._forget_session(session)

    @command(1, needs="hands", pick=PICK)
    def die(self, *, pick: int) -> None:
        """A worker falls silent for good, and its lease passes."""
        self._die([*self.hands.values()][pick % len(self.hands)].session)

    @command(1, needs="hands", pick=PICK, times=st.sampled_from((2, 6, 6)))
    def poison(self, *, pick: int, times: int) -> None:
        """Workers die one after another of what they take: of whatever they have, none does anything else."""
        for _ in range(times):
            session = self._session(pick)
            for _ in range(2):  # what is stated once more has been heard of
                self.agree()
                for workflow in WORKFLOWS:
                    self._poll(session, workflow, capacity=20)
            self._die(session)

    def _die(self, session: str) -> None:
        met["commands"] += 1
        heard_of = {run.id: run.heard_of for run in self._owned(session)}
        del self.polls[session]
        for _ in range(LEASE_MS // SWEEP_MS):
            self._pass(SWEEP_MS, dead=session, heard_of=heard_of)
        assert self._owned(session) == []
        self._forget_session(session)

    @command(4, seconds=st.sampled_from((1, 1, 4, 4, 10, 10, 30, 80)))
    def pass_time(self, *, seconds: int) -> None:
        met["commands"] += 1
        for passed in range(0, seconds * 1_000, SWEEP_MS):
            self._pass(min(SWEEP_MS, seconds * 1_000 - passed))

    def _pass(self, ms: int, *, dead: str = "", heard_of: dict[str, bool] | None = None) -> None:
        """Let so much time pass, with all that happens in it, and every worker that lives polls."""
        self.platform.clock.advance(milliseconds=ms)
        self.model.now_ms = self.platform.now_ms
        self.model.ring()
        self.platform.step()
        lost = [run for run in self._owned(dead) if dead]
        if lost:
            _, page = self.platform.get("/v1/runs", limit=500)
            still = {info["id"] for info in page["runs"] if info["status"] == "running"}
            for run in lost if not any(run.id in still for run in lost) else ():
                self.model.lose(run, heard_of=(heard_of or {})[run.id])
                met[f"lost, now {run.status}"] += 1
            self.model.ring()
        self._compare()
        for session in [*self.polls]:
            self._poll(session, "order", capacity=0)

    def _poll(self, session: str, workflow: str, *, capacity: int) -> None:
        met["commands"] += bool(capacity)
        self.polls[session] += 1
        hands = [hand for hand in self.hands.values() if hand.session == session]
        queues = (Queue("default", workflow, "1.0.0"),) if capacity else ()
        held = tuple(map(_held, hands))
        request = PollRequest(session, self.polls[session], queues, capacity, held, wait_ms=0)
        for run in self._owned(session):
            run.heard_of = True
        answer = self.platform.tell("/v1/worker/poll", request, PollAnswer)
        assert not answer.session_over
        assert {lost.run_id for lost in answer.lost} == {hand.run_id for hand in hands if not self._is_valid(hand)}
        for lost in answer.lost:
            del self.hands[lost.run_id]
            met["lost claim told"] += 1
        for news in answer.mail:
            self.hands[news.run_id].hear(news.mail, news.last_mail)
        for run in self._owned(session):
            self._same_mail(run, self.hands[run.id].mail)
        claimed = self._claimable(session, workflow, capacity=capacity)
        assert sorted(assignment.run_id for assignment in answer.assignments) == sorted(run.id for run in claimed)
        for assignment in answer.assignments:
            self._claim(session, assignment)

    def _claimable(self, session: str, workflow: str, *, capacity: int) -> list[Run]:
        found: list[Run] = []
        holds_suspect = self.model.is_suspect_held(session)
        for run in self.model.ready(workflow):
            is_suspect = run.crashes >= 2
            if len(found) < capacity and not (is_suspect and holds_suspect):
                found.append(run)
                holds_suspect = holds_suspect or is_suspect
        return found

    def _claim(self, session: str, assignment: Assignment) -> None:
        run = self.model.runs[assignment.run_id]
        is_parked = run.parked_on == session
        self.model.claim(run, session)
        assert (assignment.epoch, assignment.attempt, assignment.chapter) == (run.epoch, run.attempt, run.chapter)
        assert (assignment.parked, assignment.cancel_delivered) == (is_parked, run.cancel_delivered)
        self._same_mail(run, assignment.mail)
        if not is_parked:
            waits = [(str(w.key.kind), w.key.address, w.key.ordinal, w.deadline_ms) for w in assignment.waits]
            assert waits == [(w.kind, w.name, w.ordinal, w.deadline_ms) for w in run.waits]
        hand = self.parked.pop((session, run.id), None) if is_parked else Hand(run.id, session)
        assert hand is not None
        hand.take(assignment)
        self.hands[run.id] = hand
        met["claimed, parked" if is_parked else "claimed"] += 1

    def _work(self, hand: Hand, action: str, *, delivers: bool, parks: bool, pick: int) -> None:
        """Let the code of a run go on: what has come is delivered, and then it does this."""
        met["commands"] += 1
        run = self.model.runs.get(hand.run_id)
        turn = Turn(hand, now_ms=self.platform.now_ms)
        outcome, child, effect = self._act(turn, action, delivers=delivers, pick=pick)
        commit = turn.commit(outcome, parks=parks, effect=effect, child=child)
        is_valid = self._is_valid(hand)
        (answer,) = self.platform.tell("/v1/worker/commit", [commit], tuple[CommitAnswer, ...])
        if not is_valid or run is None:
            assert answer.verdict is Verdict.FENCED
            del self.hands[hand.run_id]
            met["fenced"] += 1
            return
        self.commits.append(commit)
        self._apply(run, hand, turn, commit)
        assert (answer.verdict, answer.status) == (Verdict.APPLIED, run.status), answer
        met[f"commit {commit.outcome} → {run.status}"] += 1
        self._go_on(run, hand, commit, answer)

    def _act(
        self, turn: Turn, action: str, *, delivers: bool, pick: int
    ) -> tuple[Outcome, ChildStart | None, int | None]:
        hand, now_ms = turn.hand, turn.now_ms
        run = self.model.runs.get(hand.run_id)
        opens = {"sleep", "event", "timed event", "await", "suspend"}
        if delivers or action in opens | {"cancelled"}:
            turn.deliver_all()
        match action:
            case "sleep":
                turn.open(EntryKind.SLEEP, "nap", deadline_ms=now_ms + (3_000, 25_000)[pick % 2])
            case "event" | "timed event":
                deadline_ms = now_ms + 8_000 if action == "timed event" else None
                turn.open(EntryKind.EVENT, EVENTS[pick % 2], deadline_ms=deadline_ms)
            case "await":
                others = [*([] if run is None else run.children[-3:]), *self.model.runs, *self.model.gone]
                targets = [run_id for run_id in others if run_id != hand.run_id]
                if targets:
                    turn.open(EntryKind.CHILD_RESULT, targets[pick % len(targets)])
            case "child":
                workflow, ordinal = WORKFLOWS[pick % 2], 0 if run is None else len(run.children)
                options = RunOptions(parent_close=ParentClose.CANCEL if pick % 4 > 1 else ParentClose.ABANDON)
                return Outcome.RUNNING, replace(turn.child(workflow, ordinal, value=1), options=options), None
            case "cancelled" if not hand.cancelled:
                action = "complete"
            case _:
                pass
        if action in opens:
            turn.deliver_all()
            return Outcome.SUSPENDED if hand.waits else Outcome.RUNNING, None, None
        return OUTCOMES.get(action, Outcome.RUNNING), None, pick if action == "set" else None

    def _apply(self, run: Run, hand: Hand, turn: Turn, commit: Commit) -> None:
        """Tell the model what the code has done."""
        for taken in (*turn.taken, *turn.lifted):
            run.mail.remove(_mail(taken))
        if commit.outcome is Outcome.SUSPENDED:
            hand.mail = [mail for mail in hand.mail if mail.kind != "wake"]
            read = set(commit.read)
            run.mail = [mail for mail in run.mail if mail.kind != "wake" or not read] if read else run.mail
        if any(entry.key.kind is EntryKind.CANCEL for entry in commit.entries) and not run.cancel_delivered:
            run.cancel_delivered, run.is_cancel_here = True, True
            run.grace_at_ms = self.platform.now_ms + 30_000
        for child in commit.children:
            new = Run(child.run_id, child.workflow, 1, "queued", parent=run.id)
            new.follows = child.options.parent_close == "cancel"
            assert self.model.start(new)[0] == "started"
            run.children.append(new.id)
        for effect in commit.effects:
            run.values[effect.name] = int(bytes(effect.payload))
        run.waits = [Wait(str(w.key.kind), w.key.address, w.key.ordinal, w.deadline_ms) for w in hand.waits]
        for wait in turn.opened if commit.outcome is Outcome.SUSPENDED else ():
            target = self.model.runs.get(wait.key.address)
            if wait.key.kind is EntryKind.CHILD_RESULT and (target is None or target.is_over):
                run.mail.append(Mail("child_result", wait.key.address, wait.key.ordinal))
        if commit.outcome is Outcome.COMPLETED:
            run.output = int(bytes(commit.output))
        has_news = len(run.mail) > len(hand.mail)
        self.model.settle_commit(
            run, str(commit.outcome), delivered=len(commit.entries), has_news=has_news, parks=commit.parks
        )

    def _go_on(self, run: Run, hand: Hand, commit: Commit, answer: CommitAnswer) -> None:
        hand.turn, hand.seq, hand.is_replayed = hand.turn + 1, hand.seq + len(commit.entries), False
        hand.effects += len(commit.effects)
        if commit.outcome is Outcome.CONTINUED:
            hand.chapter, hand.seq, hand.effects, hand.waits, hand.used = hand.chapter + 1, 0, 0, [], set()
            hand.mail = [mail for mail in hand.mail if mail.kind != "child_result"]
        if self._is_valid(hand):
            hand.hear(answer.mail, answer.last_mail)
            self._same_mail(run, hand.mail)
            return
        del self.hands[run.id]
        if run.status in STOPPED and commit.parks:
            self.parked[hand.session, run.id] = hand

    def _same_mail(self, run: Run, mail: Any) -> None:
        """What the worker has of a run is what was sent to it, events in their order."""
        known = [_mail(one) for one in mail if (one.kind, one.name) != ("control", "pause")]
        assert sorted(map(repr, known)) == sorted(map(repr, run.mail))
        for name in EVENTS:
            assert [one for one in known if one.name == name] == [one for one in run.mail if one.name == name]

    def _is_valid(self, hand: Hand) -> bool:
        run = self.model.runs.get(hand.run_id)
        return run is not None and (run.owner, run.epoch) == (hand.session, hand.epoch)

    def _owned(self, session: str) -> list[Run]:
        return [run for run in self.model.runs.values() if run.owner == session]

    def _session(self, pick: int) -> str:
        return [*self.polls][pick % len(self.polls)]

    def _open_session(self) -> None:
        session = self._new_id()
        self.polls[session] = 0
        announce = Announce(session, "default", "machine", (), ("",), 20)
        assert not self.platform.tell("/v1/worker/announce", announce, PollAnswer).session_over

    def _forget_session(self, session: str) -> None:
        self.polls.pop(session, None)
        self.hands = {run_id: hand for run_id, hand in self.hands.items() if hand.session != session}
        if not self.polls:
            self._open_session()


def _held(hand: Hand) -> Held:
    return Held(hand.run_id, hand.epoch, hand.last_mail)


def _mail(mail: WireMail) -> Mail:
    value = int(bytes(mail.payload)) if mail.kind == "event" else None
    return Mail(str(mail.kind), mail.name, mail.ordinal, value)

"""Clients, people and schedules: whatever is asked of the platform by those who execute nothing."""

from collections import Counter
from typing import Any, Final

from hypothesis import strategies as st
from msgspec.structs import replace

from aiki.model.retry import Retry
from aiki.model.wire import RunOptions
from tests.machine.ground import EVENTS, PICK, WORKFLOWS, Ground, command, met
from tests.machine.model import Run, Schedule

__all__ = ["Clients"]

VERBS: Final = ("cancel", "terminate", "pause", "pause", "resume", "resume", "wake", "wake", "requeue", "retry")
SHOWN: Final[dict[str, Any]] = {
    "id": None,
    "status": None,
    "attempt": 1,
    "chapter": 1,
    "epoch": 0,
    "crashes": 0,
    "cancel_requested": False,
    "reference_id": None,
    "parent_id": None,
    "schedule": None,
    "priority": 0,
    "finished_at_ms": None,
}


class Clients(Ground):
    """Those who ask."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[tuple[dict[str, Any], Run, int]] = []
        self.events: list[tuple[str, str, int, str]] = []
        self.asked: list[tuple[str, str, str]] = []

    @command(
        5,
        workflow=st.sampled_from(WORKFLOWS),
        reference=st.sampled_from((None, None, None, "a", "b")),
        value=st.integers(1, 2),
        delay_ms=st.sampled_from((0, 0, 0, 7_000)),
        timeout_ms=st.sampled_from((None, None, 20_000)),
        attempts=st.integers(1, 2),
        priority=st.integers(0, 1),
        takes_existing=st.booleans(),
    )
    def start(
        self,
        *,
        workflow: str,
        reference: str | None,
        value: int,
        delay_ms: int,
        timeout_ms: int | None,
        attempts: int,
        priority: int,
        takes_existing: bool,
    ) -> None:
        run = Run(self._new_id(), workflow, value, "queued", reference=reference, priority=priority)
        run.timeout_ms, run.attempts_max = timeout_ms, attempts
        options = RunOptions(
            reference_id=reference,
            delay_ms=delay_ms or None,
            timeout_ms=timeout_ms,
            priority=priority,
            retry=Retry.fixed(2, 5) if attempts == 2 else Retry(),
            conflict="return_existing" if takes_existing else "error",
            tags={"value": str(value)},
        )
        body = {"workflow": workflow, "version": "1.0.0", "input": value, "run_id": run.id, "options": options}
        self.starts.append((body, run, delay_ms))
        self._start(body, run, delay_ms=delay_ms, takes_existing=takes_existing)

    @command(1, needs="starts", pick=PICK, value=st.sampled_from((None, None, 3)))
    def start_again(self, *, pick: int, value: int | None) -> None:
        """Repeat a start, or take its id for another."""
        body, run, delay_ms = self.starts[pick % len(self.starts)]
        again = Run(run.id, run.workflow, run.value if value is None else value, "queued", reference=run.reference)
        again.priority, again.timeout_ms, again.attempts_max = run.priority, run.timeout_ms, run.attempts_max
        takes_existing = body["options"].conflict == "return_existing"
        options = replace(body["options"], tags={"value": str(again.value)})
        self._start(
            body | {"input": again.value, "options": options}, again, delay_ms=delay_ms, takes_existing=takes_existing
        )

    def _start(self, body: dict[str, Any], run: Run, *, delay_ms: int, takes_existing: bool) -> None:
        met["commands"] += 1
        outcome, run_id = self.model.start(run, delay_ms=delay_ms, takes_existing=takes_existing)
        status, answer = self.platform.post("/v1/runs", body)
        met[f"start {outcome}"] += 1
        if outcome in ("started", "existed"):
            assert (status, answer["run_id"]) == (201 if outcome == "started" else 200, run_id)
        else:
            assert answer["code"] == outcome

    @command(
        4,
        needs="model.runs",
        pick=PICK,
        name=st.sampled_from(EVENTS),
        value=st.integers(1, 9),
        reference=st.sampled_from((None, None, "x", "y")),
    )
    def send(self, *, pick: int, name: str, value: int, reference: str | None) -> None:
        run_id = self._any_run(pick)
        key = f"ref:{name}:{reference}" if reference else self._new_id()
        self.events.append((run_id, name, value, key))
        self._send(run_id, name, value=value, key=key)

    @command(1, needs="events", pick=PICK)
    def send_again(self, *, pick: int) -> None:
        run_id, name, value, key = self.events[pick % len(self.events)]
        self._send(run_id, name, value=value, key=key)

    def _send(self, run_id: str, name: str, *, value: int, key: str) -> None:
        met["commands"] += 1
        run = self.model.runs.get(run_id)
        outcome = "run_not_found" if run is None else self.model.send(run, name, value, message_id=key)
        query = {"reference_id": key.split(":")[2]} if key.startswith("ref:") else {"message_id": key}
        status, answer = self.platform.post(f"/v1/runs/{run_id}/events/{name}", value, **query)
        met[f"send {outcome}"] += 1
        if outcome == "ok":
            assert run is not None
            assert (status, answer["status"]) == (200, run.status)
        else:
            assert answer["code"] == outcome

    @command(6, needs="model.runs", pick=PICK, verb=st.sampled_from(VERBS))
    def ask(self, *, pick: int, verb: str) -> None:
        fitting = {"resume": "paused", "requeue": "stalled", "retry": "failed", "wake": "sleeping"}.get(verb)
        fits = [run.id for run in self.model.runs.values() if run.status == fitting]
        run_id = fits[pick % len(fits)] if fits and pick % 5 else self._any_run(pick)
        request = (run_id, verb, self._new_id())
        self.asked.append(request)
        self._ask(*request)

    @command(1, needs="asked", pick=PICK)
    def ask_again(self, *, pick: int) -> None:
        self._ask(*self.asked[pick % len(self.asked)])

    def _ask(self, run_id: str, verb: str, message_id: str) -> None:
        met["commands"] += 1
        run = self.model.runs.get(run_id)
        before = "gone" if run is None else run.status
        changed = run is not None and self.model.ask(run, verb, message_id)
        status, answer = self.platform.post(f"/v1/runs/{run_id}/{verb}", {"message_id": message_id})
        if run is None:
            assert (status, answer["code"]) == (404, "run_not_found")
        else:
            assert (status, answer["status"], answer.get("changed", False)) == (200, run.status, changed)
        met[f"{verb} {before}" if changed else f"{verb} in vain"] += 1

    @command(
        2,
        needs="model.runs",
        picks=st.lists(PICK, min_size=1, max_size=4),
        name=st.sampled_from(EVENTS),
        reference=st.sampled_from((None, "x", "y")),
        workflow=st.sampled_from((None, None, *WORKFLOWS)),
    )
    def multicast(self, *, picks: list[int], name: str, reference: str | None, workflow: str | None) -> None:
        """Send an event to many runs, by ids or by a filter."""
        met["commands"] += 1
        sent = self._new_id()
        body: dict[str, Any] = {"payload": 7, "id": sent, "reference_id": reference}
        if workflow is None:
            run_ids = list(dict.fromkeys(self._any_known(pick) for pick in picks))
            body["run_ids"] = run_ids
        else:
            run_ids = [run.id for run in self.model.runs.values() if run.workflow == workflow and not run.is_over]
            body["filter"] = {"workflow": workflow}
        expected: dict[str, str] = {}
        for run_id in run_ids:
            run = self.model.runs.get(run_id)
            key = f"ref:{name}:{reference}" if reference else f"multicast:{sent}"
            was_seen = run is not None and key in run.seen
            outcome = "run_not_found" if run is None else self.model.send(run, name, 7, message_id=key)
            expected[run_id] = "duplicate" if was_seen else "delivered" if outcome == "ok" else outcome
        status, answer = self.platform.post(f"/v1/events/{name}", body)
        assert (status, {one["run_id"]: one["outcome"] for one in answer["outcomes"]}) == (200, expected)
        met.update(f"multicast {outcome}" for outcome in expected.values())

    @command(
        2,
        needs="model.runs",
        picks=st.lists(PICK, min_size=1, max_size=4),
        verb=st.sampled_from(VERBS),
        is_by_ids=st.booleans(),
    )
    def ask_many(self, *, picks: list[int], verb: str, is_by_ids: bool) -> None:
        """Ask something of many runs: a bulk job, and what it says of itself once it is done."""
        met["commands"] += 1
        job_id = self._new_id()
        workflow = WORKFLOWS[picks[0] % 2]
        if is_by_ids:
            run_ids = list(dict.fromkeys(self._any_known(pick) for pick in picks))
            body: dict[str, Any] = {"id": job_id, "run_ids": run_ids}
        else:
            body = {"id": job_id, "filter": {"workflow": workflow}}
            meant = [run for run in self.model.runs.values() if run.workflow == workflow and _is_meant(run, verb)]
            run_ids = [run.id for run in meant]
        came_to: Counter[str] = Counter()
        for run_id in run_ids:
            run = self.model.runs.get(run_id)
            if run is None:
                came_to["refused"] += 1
            else:
                came_to["changed" if self.model.ask(run, verb, job_id) else "unchanged"] += 1
        status, _ = self.platform.post(f"/v1/runs/{verb}", body)
        assert status == 202
        self.platform.step()
        status, job = self.platform.get(f"/v1/bulk-jobs/{job_id}")
        assert (status, job["finished_at_ms"]) == (200, self.platform.now_ms)
        assert {what: job.get(what, 0) for what in ("changed", "unchanged", "refused")} == {
            what: came_to[what] for what in ("changed", "unchanged", "refused")
        }
        met.update({f"job: {what}": number for what, number in came_to.items()})

    @command(1, workflow=st.sampled_from(WORKFLOWS))
    def count(self, *, workflow: str) -> None:
        met["commands"] += 1
        _, answer = self.platform.get("/v1/runs/count", workflow=workflow)
        expected = Counter(run.status for run in self.model.runs.values() if run.workflow == workflow)
        assert Counter(answer.get("by_status", {})) == expected

    @command(2, pick=PICK)
    def read(self, *, pick: int) -> None:
        """Read a run, its end, and what it published."""
        met["commands"] += 1
        known = [*self.model.runs, *self.model.gone, "00000000-0000-7000-8000-000000000000"]
        run_id = known[pick % len(known)]
        run = self.model.runs.get(run_id)
        status, info = self.platform.get(f"/v1/runs/{run_id}")
        ended, end = self.platform.get(f"/v1/runs/{run_id}/result")
        published, value = self.platform.get(f"/v1/runs/{run_id}/values/progress")
        if run is None:
            assert (status, ended, published) == (404, 404, 404)
            met["read gone"] += 1
            return
        shown = {name: info.get(name, default) for name, default in SHOWN.items()}
        assert (status, shown) == (200, shown | _shown(run))
        waits = sorted((wait["kind"], wait["name"], wait.get("deadline_ms")) for wait in info.get("waits", ()))
        assert waits == sorted((wait.kind, wait.name, wait.deadline_ms) for wait in run.waits)
        assert (ended, end["status"]) == (200 if run.is_over else 202, run.status)
        assert end.get("output") == (run.output if run.status == "completed" else None)
        assert (published, value if published == 200 else None) == (
            200 if run.values else 404,
            run.values.get("progress"),
        )
        if run.reference is not None:
            status, found = self.platform.get(
                "/v1/runs/by-reference", workflow=run.workflow, reference_id=run.reference
            )
            assert (status, found["id"]) == (200, run.id)

    @command(1, pick=PICK, by=st.sampled_from(("status", "workflow", "reference_id", "parent_id", "schedule", "tag")))
    def search(self, *, pick: int, by: str) -> None:
        met["commands"] += 1
        runs = [*self.model.runs.values()]
        if not runs:
            return
        chosen = runs[pick % len(runs)]
        of: dict[str, Any] = {
            "status": lambda run: run.status,
            "workflow": lambda run: run.workflow,
            "reference_id": lambda run: run.reference,
            "parent_id": lambda run: run.parent,
            "schedule": lambda run: run.schedule,
            "tag": lambda run: None if run.parent or run.schedule else f"value:{run.value}",
        }
        wanted = of[by](chosen)
        if wanted is None:
            return
        _, page = self.platform.get("/v1/runs", limit=500, **{by: wanted})
        assert sorted(info["id"] for info in page["runs"]) == sorted(r.id for r in runs if of[by](r) == wanted)

    @command(
        1,
        name=st.sampled_from(("s", "t")),
        every_ms=st.sampled_from((20_000, 45_000)),
        overlap=st.sampled_from(("allow", "skip", "cancel_previous")),
        catch_up=st.sampled_from(("latest", "all", "none")),
        value=st.integers(1, 2),
        on_change=st.sampled_from(("replace", "replace", "error")),
    )
    def activate(self, *, name: str, every_ms: int, overlap: str, catch_up: str, value: int, on_change: str) -> None:
        met["commands"] += 1
        now_ms = self.platform.now_ms
        new = Schedule(every_ms, overlap, catch_up, value, now_ms, now_ms + every_ms)
        old = self.model.schedules.get(name)
        body = {"workflow": "order", "version": "1.0.0", "every_ms": every_ms, "input": value, "on_change": on_change}
        status, answer = self.platform.ask(
            "PUT", f"/v1/schedules/{name}", body | {"overlap": overlap, "catch_up": catch_up}
        )
        if old is None:
            self.model.schedules[name] = new
        else:
            if old.definition == new.definition:
                changed = False
            elif on_change == "error":
                assert (status, answer["code"]) == (409, "schedule_conflict")
                return
            else:
                changed = True
                new.is_paused = old.is_paused
                if old.every_ms == every_ms:
                    new.anchor_ms, new.next_ms = old.anchor_ms, old.next_ms
                self.model.schedules[name] = new
            assert answer.get("changed", False) is changed
        met["activate"] += 1
        self._stands(name, answer)

    @command(1, name=st.sampled_from(("s", "t")), verb=st.sampled_from(("pause", "resume", "trigger", "deactivate")))
    def steer(self, *, name: str, verb: str) -> None:
        met["commands"] += 1
        schedule = self.model.schedules.get(name)
        body = {"run_id": self._new_id()} if verb == "trigger" else {}
        status, answer = self.platform.post(f"/v1/schedules/{name}/{verb}", body)
        if schedule is None:
            assert (status, answer.get("code")) == (
                (200, None) if verb == "deactivate" else (404, "schedule_not_found")
            )
            return
        changed = True
        match verb:
            case "pause":
                changed, schedule.is_paused = not schedule.is_paused, True
            case "resume":
                changed = schedule.is_paused
                if changed and schedule.catch_up == "none":
                    missed = max(0, self.platform.now_ms - schedule.next_ms) // schedule.every_ms + 1
                    if schedule.next_ms <= self.platform.now_ms:
                        schedule.next_ms += missed * schedule.every_ms
                schedule.is_paused = False
            case "trigger":
                changed = self.model.fire(name, schedule)
                if changed:
                    self._adopt(name, body["run_id"], status="queued")
            case _:
                del self.model.schedules[name]
        assert (status, answer.get("changed", False)) == (200, changed)
        met[f"schedule {verb} {changed}"] += 1
        if verb != "deactivate":
            self._stands(name, answer)

    def _any_known(self, pick: int) -> str:
        known = [*self.model.runs, *self.model.gone]
        return known[pick % len(known)]

    def _stands(self, name: str, answer: Any) -> None:
        schedule = self.model.schedules[name]
        assert answer["status"] == ("paused" if schedule.is_paused else "active")
        assert answer.get("next_at_ms") == (None if schedule.is_paused else schedule.next_ms)


def _is_meant(run: Run, verb: str) -> bool:
    """Whether a filter that names no status means a run."""
    match verb:
        case "resume" | "requeue" | "retry":
            return run.status == {"resume": "paused", "requeue": "stalled", "retry": "failed"}[verb]
        case "pause" | "wake":
            return not run.is_over and run.status not in ("paused", "stalled")
        case _:
            return not run.is_over


def _shown(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "status": run.status,
        "attempt": run.attempt,
        "chapter": run.chapter,
        "epoch": run.epoch,
        "crashes": run.crashes,
        "cancel_requested": run.cancel is not None,
        "reference_id": run.reference,
        "parent_id": run.parent,
        "schedule": run.schedule,
        "priority": run.priority,
        "finished_at_ms": run.finished_ms,
    }

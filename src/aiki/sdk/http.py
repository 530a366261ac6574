"""The road to a server elsewhere: messages as JSON over HTTP.

The rule: each call is one request that may be repeated, or a few in a row where it is too large for one; a server that
is away, busy or silent is `Unavailable`, and every other refusal is the error that its code names. Nothing is opened
before the first request.
"""

import asyncio
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Raw

from aiki.errors import RunNotFound, ScheduleNotFound, Unavailable
from aiki.model.many import JobView, Multicast, MulticastAnswer, StartJob
from aiki.model.schedule import ActivateSchedule, ScheduleInfo, SchedulePage, ScheduleRequest, ScheduleStanding
from aiki.model.views import RunCount, RunFilter, RunInfo, RunPage, WorkersView, WorkflowsView
from aiki.model.wire import (
    Announce,
    Commit,
    CommitAnswer,
    Control,
    Goodbye,
    HandBack,
    JournalPage,
    Message,
    PollAnswer,
    PollRequest,
    Problem,
    SendEvent,
    Standing,
    Started,
    StartRun,
    WaitAnswer,
    WaitRequest,
)
from aiki.sdk.http_address import Address, Answer, Road, address_of
from aiki.sdk.http_answers import decoded, error_of
from aiki.sdk.http_renewer import HttpRenewer

__all__ = ["HttpTransport"]

ROAD: Final = "aiki.sdk.http_road"
MS_PER_S: Final = 1000
PATIENCE_MS: Final = 2_000
PATIENCE_MS_MAX: Final = 30_000
POLL_PATIENCE: Final = 0.3  # a poll holds a session alive: with its own 2 s, a lost answer is noticed within 3
GOODBYE_PATIENCE: Final = 5.0  # what a session holds is returned in several transactions
BYTES_PER_MS: Final = 1_000  # what a slow connection carries
PART_BYTES_MAX: Final = 8 * 1024 * 1024  # a quarter of what a server takes by default
PART_ITEMS_MAX: Final = 1_000

T = TypeVar("T")


_ENCODER: Final = msgspec.json.Encoder()
_STARTED: Final = msgspec.json.Decoder(list[Started])
_STANDINGS: Final = msgspec.json.Decoder(list[Standing])
_COMMITTED: Final = msgspec.json.Decoder(list[CommitAnswer])
_WAITED: Final = msgspec.json.Decoder(WaitAnswer)
_INFO: Final = msgspec.json.Decoder(RunInfo)
_PAGE: Final = msgspec.json.Decoder(RunPage)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_JOB: Final = msgspec.json.Decoder(JobView)
_MULTICAST: Final = msgspec.json.Decoder(MulticastAnswer)
_COUNT: Final = msgspec.json.Decoder(RunCount)
_WORKERS: Final = msgspec.json.Decoder(WorkersView)
_WORKFLOWS: Final = msgspec.json.Decoder(WorkflowsView)
_RAW: Final = msgspec.json.Decoder(Raw)
_SCHEDULE: Final = msgspec.json.Decoder(ScheduleInfo)
_SCHEDULES: Final = msgspec.json.Decoder(SchedulePage)
_SCHEDULE_STANDING: Final = msgspec.json.Decoder(ScheduleStanding)
_JOURNAL: Final = msgspec.json.Decoder(JournalPage)
_POLLED: Final = msgspec.json.Decoder(PollAnswer)


class HttpTransport:
    """What `Transport` asks for, given by a server over HTTP.

    Args:
        url: of the server: `http://host:port`, `https://host`, `unix:///path`; by default AIKI_URL, else port 9850 here.
        api_key: by default AIKI_API_KEY.
        environment: where these two variables are looked up.
        patience_ms: how long an answer may take beyond what was asked for, before it counts as lost.

    Raises:
        ValueError: `url` is none.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._address: Address = address_of(url, environment)
        self._api_key = api_key or environment.get("AIKI_API_KEY") or None
        self._road: Road | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._patience_ms = patience_ms
        self._longer: dict[str, int] = {}  # that many times that, for kinds that were not answered lately

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._address.url

    async def close(self) -> None:
        """Close all connections. Nothing is sent after it."""
        self._is_closed = True
        road, self._road = self._road, None
        if road is not None:
            await road.close()

    def __repr__(self) -> str:
        return f"<HttpTransport to {self.url}>"

    # -------------------------------------------------------------------------------------------------------- clients

    async def start(self, starts: Sequence[StartRun]) -> list[Started]:
        """Start many runs; one answer for each, in order."""
        return await self._many("/v1/runs", starts, _STARTED)

    async def send(self, events: Sequence[SendEvent]) -> list[Standing]:
        """Send many events; one answer for each, in order."""
        return await self._many("/v1/events", events, _STANDINGS)

    async def multicast(self, request: Multicast) -> MulticastAnswer:
        """Send an event to many runs, and return what became of it at each."""
        asked = _FIELDS.decode(_ENCODER.encode(request))
        del asked["name"]
        if request.filter is not None:
            asked["filter"] = Raw(_ENCODER.encode(_filter_body(request.filter, paged=True)))
        body = _ENCODER.encode(asked)
        answer = await self._ask("POST", f"/v1/events/{_segment(request.name)}", body=body)
        return decoded(answer, _MULTICAST, url=self.url)

    async def start_job(self, request: StartJob) -> JobView:
        """Begin a bulk job."""
        asked = _FIELDS.decode(_ENCODER.encode(request))
        del asked["verb"]
        if request.filter is not None:
            asked["filter"] = Raw(_ENCODER.encode(_filter_body(request.filter)))
            asked["everything"] = Raw(b"true")  # who calls from Python has said so already
        answer = await self._ask("POST", f"/v1/runs/{request.verb}", body=_ENCODER.encode(asked))
        return decoded(answer, _JOB, url=self.url)

    async def job(self, namespace: str, job_id: str, *, wait_ms: int = 0) -> JobView | None:
        """Return a bulk job, or None; where it is to be waited for, once it is done, or after `wait_ms`."""
        asked = {"namespace": namespace, "wait": str(wait_ms / MS_PER_S)}
        path = f"/v1/bulk-jobs/{_segment(job_id)}?{urlencode(asked)}"
        try:
            return decoded(await self._ask("GET", path, answer_ms=wait_ms), _JOB, url=self.url)
        except RunNotFound:
            return None

    async def control(self, requests: Sequence[Control]) -> list[Standing]:
        """Ask something of many runs: cancel, pause, retry, ...; one answer for each, in order."""
        return await self._many("/v1/controls", requests, _STANDINGS)

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        """Wait for the end of any of many runs."""
        answer = await self._post("/v1/runs/wait", request, answer_ms=request.wait_ms)
        return decoded(answer, _WAITED, url=self.url)

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits, or None."""
        return await self._found(f"/v1/runs/{_segment(run_id)}", {"namespace": namespace}, _INFO)

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id, or None."""
        asked = {"namespace": namespace, "workflow": workflow, "reference_id": reference_id}
        return await self._found("/v1/runs/by-reference", asked, _INFO)

    async def count(self, runs: RunFilter) -> RunCount:
        """Return how many runs there are, by status."""
        asked = _asked(runs)
        for of_a_page in ("cursor", "limit"):
            asked.pop(of_a_page, None)
        return await self._get("/v1/runs/count", asked, _COUNT)

    async def workers(self, namespace: str) -> WorkersView:
        """Return the workers that are there."""
        return await self._get("/v1/workers", {"namespace": namespace}, _WORKERS)

    async def workflows(self, namespace: str) -> WorkflowsView:
        """Return the versions of workflows that are known."""
        return await self._get("/v1/workflows", {"namespace": namespace}, _WORKFLOWS)

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under `name`, or None."""
        path = f"/v1/runs/{_segment(run_id)}/values/{_segment(name)}"
        return await self._found(path, {"namespace": namespace}, _RAW)

    async def journal(self, namespace: str, run_id: str, after_seq: int) -> JournalPage:
        """Return a page of a run's journal, for people."""
        asked = {"namespace": namespace, "after_seq": str(after_seq)}
        try:
            return await self._get(f"/v1/runs/{_segment(run_id)}/journal", asked, _JOURNAL)
        except RunNotFound as error:
            return JournalPage(run_id, 0, problem=Problem(error.code, error.message, {"run_id": run_id}))

    async def activate(self, request: ActivateSchedule) -> ScheduleStanding:
        """Make a schedule what is asked for."""
        path = f"/v1/schedules/{_segment(request.name)}"
        body = _ENCODER.encode({"namespace": request.namespace, "on_change": request.on_change, **_flat(request)})
        return decoded(await self._ask("PUT", path, body=body), _SCHEDULE_STANDING, url=self.url)

    async def ask_schedule(self, request: ScheduleRequest) -> ScheduleStanding:
        """Pause, resume, trigger or deactivate a schedule."""
        query = urlencode({"namespace": request.namespace})
        path = f"/v1/schedules/{_segment(request.name)}/{request.verb}?{query}"
        body = _ENCODER.encode({"run_id": request.run_id} if request.run_id else {})
        return decoded(await self._ask("POST", path, body=body), _SCHEDULE_STANDING, url=self.url)

    async def schedule(self, namespace: str, name: str) -> ScheduleInfo | None:
        """Return a schedule with its next ticks and what it has started last, or None."""
        try:
            return await self._get(f"/v1/schedules/{_segment(name)}", {"namespace": namespace}, _SCHEDULE)
        except ScheduleNotFound:
            return None

    async def schedules(self, namespace: str, cursor: str | None, limit: int) -> SchedulePage:
        """Return a page of schedules, by name."""
        asked: dict[str, object] = {"namespace": namespace, "limit": limit}
        if cursor is not None:
            asked["cursor"] = cursor
        return await self._get("/v1/schedules", asked, _SCHEDULES)

    # -------------------------------------------------------------------------------------------------------- workers

    def renewer(self) -> HttpRenewer:
        """Return a road that renews while the event loop is held up."""
        return HttpRenewer(self._address, api_key=self._api_key)

    async def announce(self, announce: Announce) -> PollAnswer:
        """Open a session."""
        return decoded(await self._post("/v1/worker/announce", announce), _POLLED, url=self.url)

    async def poll(self, request: PollRequest) -> PollAnswer:
        """Renew the session, state what is held, bring work."""
        answer_ms = request.wait_ms
        answer = await self._post("/v1/worker/poll", request, answer_ms=answer_ms, patience=POLL_PATIENCE)
        return decoded(answer, _POLLED, url=self.url)

    async def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        """Make turns durable; one answer for each, in order."""
        return await self._many("/v1/worker/commit", commits, _COMMITTED)

    async def fetch(self, session_id: str, run_id: str, epoch: int, after_seq: int) -> JournalPage:
        """Return the next page of the journal of a run that the session owns."""
        asked = {"session_id": session_id, "run_id": run_id, "epoch": str(epoch), "after_seq": str(after_seq)}
        return await self._get("/v1/worker/journal", asked, _JOURNAL)

    async def hand_back(self, request: HandBack) -> None:
        """Give up claims."""
        await self._post("/v1/worker/hand-back", request)

    async def goodbye(self, request: Goodbye) -> None:
        """End a session."""
        await self._post("/v1/worker/goodbye", request, patience=GOODBYE_PATIENCE)

    # ------------------------------------------------------------------------------------------------------- requests

    async def _many(self, path: str, items: Sequence[Message], decoder: msgspec.json.Decoder[list[T]]) -> list[T]:
        answers: list[T] = []
        for body in _parts(items):
            part: list[T] = decoded(await self._ask("POST", path, body=body), decoder, url=self.url)
            answers += part
        if len(answers) != len(items):
            raise Unavailable(f"{len(items)} items were sent to {self.url}, and {len(answers)} answers came")
        return answers

    async def _found(self, path: str, asked: Mapping[str, object], decoder: msgspec.json.Decoder[T]) -> T | None:
        try:
            return await self._get(path, asked, decoder)
        except RunNotFound:
            return None

    async def _get(self, path: str, asked: Mapping[str, object], decoder: msgspec.json.Decoder[T]) -> T:
        return decoded(await self._ask("GET", f"{path}?{urlencode(asked, doseq=True)}"), decoder, url=self.url)

    async def _post(self, path: str, message: Message, *, answer_ms: int = 0, patience: float = 1.0) -> Answer:
        body = _ENCODER.encode(message)
        return await self._ask("POST", path, body=body, answer_ms=answer_ms, patience=patience)

    async def _ask(
        self, method: str, path: str, *, body: bytes | None = None, answer_ms: int = 0, patience: float = 1.0
    ) -> Answer:
        """Return the answer to a request that a server took; how long it may take doubles while none comes in time."""
        kind = path if method == "POST" else method
        times = self._longer.get(kind, 1)
        patience_ms = min(self._patience_ms * patience * times, PATIENCE_MS_MAX)
        timeout_s = (answer_ms + patience_ms + len(body or b"") / BYTES_PER_MS) / MS_PER_S
        try:
            road = await self._opened()
            answer = await road.ask(method, path, body=body, timeout_s=timeout_s)
        except TimeoutError as error:
            if patience_ms < PATIENCE_MS_MAX:
                self._longer[kind] = 2 * times
            message = f"the Aiki server at {self.url} has not answered within {timeout_s:.3g} s"
            raise Unavailable(message, url=self.url) from error
        self._longer.pop(kind, None)
        if 200 <= answer.status < 300:
            return answer
        raise error_of(answer, url=self.url)

    async def _opened(self) -> Road:
        """Return the road, made with the first request: its import takes long, so a thread does it meanwhile."""
        if self._is_closed:
            raise Unavailable("this transport is closed")
        if self._road is None:
            async with self._opening:
                if self._road is None:
                    module = await asyncio.to_thread(importlib.import_module, ROAD)
                    if not self._is_closed:
                        self._road = module.HttpRoad(self._address, api_key=self._api_key)
            return await self._opened()  # it may have been closed meanwhile
        return self._road

    async def list(self, runs: RunFilter) -> RunPage:
        """Return a page of runs."""
        return await self._get("/v1/runs", _asked(runs), _PAGE)


def _filter_body(runs: RunFilter, *, paged: bool = False) -> dict[str, object]:
    """Return a filter as a body has it: the namespace is said once, beside it."""
    left_out = {"namespace"} if paged else {"namespace", "cursor", "limit"}
    return {name: value for name, value in msgspec.to_builtins(runs).items() if name not in left_out}


def _asked(runs: RunFilter) -> dict[str, object]:
    """Return a filter as the query of an address: what is at its default is left out."""
    asked: dict[str, object] = msgspec.to_builtins(runs)
    asked["namespace"] = runs.namespace
    asked["tag"] = [f"{name}:{value}" for name, value in runs.tags.items()]
    asked.pop("tags", None)
    return asked


def _flat(request: ActivateSchedule) -> dict[str, object]:
    """Return a definition as the body of a request has it: its timing beside the rest."""
    meant = request.definition
    timing: dict[str, object] = msgspec.structs.asdict(meant.timing)
    return {**timing, **{name: value for name, value in msgspec.structs.asdict(meant).items() if name != "timing"}}


def _parts(items: Sequence[Message]) -> Iterator[bytes]:
    """Encode items as JSON arrays, as few as their bounds allow. An item that is too large alone goes alone."""
    whole = _ENCODER.encode(items)
    if len(items) <= PART_ITEMS_MAX and len(whole) <= PART_BYTES_MAX:
        yield whole
        return
    part: list[bytes] = []
    size_bytes = 0
    for item in items:
        text = _ENCODER.encode(item)
        if part and (len(part) == PART_ITEMS_MAX or size_bytes + len(text) > PART_BYTES_MAX):
            yield b"[%b]" % b",".join(part)
            part, size_bytes = [], 0
        part.append(text)
        size_bytes += len(text)
    yield b"[%b]" % b",".join(part)


def _segment(name: str) -> str:
    """Return a name as one segment of a path; dots too, for `.` and `..` would be steps."""
    return quote(name, safe="").replace(".", "%2E")

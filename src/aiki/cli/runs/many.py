"""The commands that steer runs, for one by its id or for many by filters: a bulk job, watched until it is done.

The rule: whoever means all runs types `--all`; a command without id and filters means none.
"""

import sys
from typing import Final

from aiki.cli.printing import console, print_json
from aiki.cli.refusal import Refusal
from aiki.cli.runs.asked import Server, ask
from aiki.cli.runs.which import ANY, Which, filters_of, now_of
from aiki.clock import SystemClock
from aiki.errors import TimedOut
from aiki.model.lifecycle import TERMINAL, Status
from aiki.model.wire import Verb
from aiki.sdk.bulk import BulkJob, BulkJobInfo, start_job
from aiki.sdk.client import Client

__all__ = ["control"]

LOOK_S: Final = 0.5
LOOKS_MAX: Final = 1_000_000
DONE: Final[dict[Verb, str]] = {
    "wake": "wakes up",
    "pause": "is paused",
    "resume": "goes on",
    "requeue": "is queued again",
    "retry": "is tried again",
    "cancel": "is asked to cancel",
    "terminate": "is ended",
}
IDLE: Final[dict[Verb, str]] = {
    "wake": "it does not sleep",
    "pause": "it is held already",
    "resume": "it is not paused",
    "requeue": "it is not stalled",
    "retry": "it has not failed",
    "cancel": "it was asked to cancel before",
    "terminate": "it was asked to end before",
}
ONWARD: Final[dict[str, Verb]] = {"paused": "resume", "stalled": "requeue", "failed": "retry"}
"""What lets a run go on that stands so."""
ONWARD_VERBS: Final = frozenset({"wake", *ONWARD.values()})


def control(
    verb: Verb, run_id: str | None, reason: str | None, *, which: Which, everything: bool, server: Server
) -> int:
    """Ask one run, or all that are meant."""

    async def question(client: Client) -> int:
        if run_id is not None:
            if which != ANY or everything:
                raise Refusal(f"give a run's id, or filters for many, not both: aiki runs {verb} {run_id}")
            return await _one(client, verb, run_id, reason=reason, server=server)
        if which == ANY and not everything:
            raise Refusal(
                f"which run? Give its id: aiki runs {verb} RUN_ID; or filters for many, such as --workflow, --tag or"
                f" --status; or --all"
            )
        return await _many(client, verb, reason, which=which, everything=everything, server=server)

    return ask(verb, server, question)


async def _one(client: Client, verb: Verb, run_id: str, *, reason: str | None, server: Server) -> int:
    standing = await client.connection.control(run_id, verb, reason=reason)
    if server.as_json:
        print_json({"id": run_id, "status": standing.status, "changed": standing.changed})
    elif standing.changed and verb == "pause" and standing.status is not Status.PAUSED:
        print(f"Run {run_id} pauses once its current tasks have ended.")
    elif standing.changed:
        print(f"Run {run_id} {DONE[verb]}.")
    else:
        why = "it has ended" if standing.status in TERMINAL else IDLE[verb]
        onward = ONWARD.get(str(standing.status))
        hint = f" What lets it go on: aiki runs {onward} {run_id}" if onward and verb in ONWARD_VERBS else ""
        print(f"Nothing changes for run {run_id}, which is {standing.status}: {why}.{hint}")
    return 0


async def _many(
    client: Client, verb: Verb, reason: str | None, *, which: Which, everything: bool, server: Server
) -> int:
    filters = filters_of(which, now_of(SystemClock()))
    job = await start_job(client.connection, verb, reason=reason, run_ids=None, everything=everything, filters=filters)
    done = await _watched(job, is_quiet=server.as_json)
    if server.as_json:
        print_json(done)
        return 0
    print(_told(done))
    for refused in done.problems:
        print(f"Run {refused.run_id} refused: {refused.message}", file=sys.stderr)
    return 0


async def _watched(job: BulkJob, *, is_quiet: bool) -> BulkJobInfo:
    """Return how a job ended; on a terminal it shows meanwhile how far it is. Ctrl-C leaves the job to the server."""
    screen = console()
    is_shown = screen.is_terminal and not is_quiet
    for _ in range(LOOKS_MAX):
        try:
            return await job.wait(timeout=LOOK_S)
        except TimedOut:
            if is_shown:
                screen.print(f"job {job.id}: {(await job.info()).seen:,} runs so far", end="\r")
    raise TimedOut(f"bulk job {job.id} is not done; it goes on")


def _told(done: BulkJobInfo) -> str:
    parts = [f"{done.changed:,} of {done.seen:,} runs: {done.verb}"]
    if done.unchanged:
        parts.append(f"{done.unchanged:,} had nothing to do")
    if done.refused:
        parts.append(f"{done.refused:,} refused")
    return f"{', '.join(parts)}. Job {done.id}."

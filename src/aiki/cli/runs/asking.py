"""Commands that ask something of a run: start, send, wake, pause, resume, cancel, terminate, requeue, retry.

The rule: what was asked and where that leaves the run is one line; the server's own words say why it refuses.
"""

import difflib
import sys
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from aiki.cli.printing import print_json
from aiki.cli.refusal import Refusal
from aiki.cli.runs.asked import FLAG, TYPED_JSON, USUAL, Server, ask, parsed_duration, parsed_json, parsed_tags
from aiki.cli.runs.many import control
from aiki.cli.runs.which import ANY as EVERY
from aiki.cli.runs.which import Which
from aiki.errors import RunCancelled, RunFailed
from aiki.model.payload import PAYLOAD_BYTES_MAX, check_name
from aiki.sdk.client import Client
from aiki.sdk.events import Events
from aiki.sdk.handle import Handle
from aiki.sdk.options import Options
from aiki.sdk.serial import ANY

__all__ = ["cancel", "pause", "requeue", "resume", "retry", "send", "start", "terminate", "wake"]

NEAR_MAX: Final = 3
ALL: Final = Parameter(name="--all", negative=())

AnyHandle = Handle[Any, Events]


def start(
    workflow: str,
    version: str,
    input: Annotated[str, TYPED_JSON] = "{}",  # noqa: A002 - the word of the contract
    /,
    *,
    reference_id: str | None = None,
    conflict: Literal["error", "return_existing"] | None = None,
    delay: str | None = None,
    timeout: str | None = None,
    pool: str | None = None,
    priority: int | None = None,
    tag: Annotated[list[str] | None, Parameter(negative=())] = None,
    wait: Annotated[bool, FLAG] = False,
    server: Server = USUAL,
) -> int:
    """Start a run, and print its id.

    The input is a JSON object with the workflow's arguments by parameter name.

    For example:

        aiki runs start restaurant-order 1.0.0 '{"order": {"order_id": "o-1"}}'
        aiki runs start nightly-report 2.1.0 --delay 2h --tag team=sales
        cat order.json | aiki runs start restaurant-order 1.0.0 -
        aiki runs start hello 1.0.0 '{"name": "Ada"}' --wait

    Args:
        workflow: The workflow's name.
        version: Its version.
        input: The arguments as a JSON object; - reads it from standard input.
        reference_id: Your own name for the run: started again with it, it is the same run.
        conflict: What a start with the same reference id and other input does.
        delay: Start it later: seconds, or 5m, 2h, 1d.
        timeout: How long it may take in all: seconds, or 5m, 2h, 1d.
        pool: Which workers may take it.
        priority: From -1000 to 1000; the higher is taken first.
        tag: name=value, to find it by; may be given more than once.
        wait: Wait for its end and print its output.
        server: The server.
    """
    said = {"reference_id": reference_id, "conflict": conflict, "pool": pool, "priority": priority}
    options: Any = {name: value for name, value in said.items() if value is not None}

    async def question(client: Client) -> int:
        arguments = parsed_json(input, "the input")
        if not isinstance(arguments, dict):
            raise Refusal('the input is no object: give the arguments by parameter name, such as \'{"name": "Ada"}\'')
        for name, text in (("delay", delay), ("timeout", timeout)):
            if text is not None:
                options[name] = parsed_duration(text, f"--{name}")
        if tag:
            options["tags"] = parsed_tags(tag)
        return await _start(client, workflow, version, arguments=arguments, options=options, server=server, wait=wait)

    return ask("start", server, question)


def send(
    run_id: str,
    event: str,
    payload: Annotated[str, TYPED_JSON] = "null",
    /,
    *,
    reference_id: str | None = None,
    server: Server = USUAL,
) -> int:
    """Send a run an event.

    It is kept until the run waits for it.

    For example:

        aiki runs send 0192... restaurant-accepted '{"estimated_minutes": 35}'
        aiki runs send 0192... restaurant-accepted - < acceptance.json

    Args:
        run_id: The run.
        event: The event's name: its attribute, with - for _.
        payload: What it carries, as JSON; - reads it from standard input.
        reference_id: Your own name for it: sent again with it, it is ignored.
        server: The server.
    """

    async def question(client: Client) -> int:
        return await _send(client, run_id, event, text=payload, reference_id=reference_id, server=server)

    return ask("send", server, question)


def wake(
    run_id: str | None = None,
    /,
    *,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """End what a run sleeps in, now: a sleep, a delayed start, or the delay before its next attempt.

    For example:

        aiki runs wake 0192...
        aiki runs wake --workflow nightly-report

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("wake", run_id, None, which=which, everything=everything, server=server)


def requeue(
    run_id: str | None = None,
    /,
    *,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """Let a stalled run try again, after its code was put right.

    For example:

        aiki runs requeue 0192...
        aiki runs requeue --workflow restaurant-order

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("requeue", run_id, None, which=which, everything=everything, server=server)


def retry(
    run_id: str | None = None,
    /,
    *,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """Try a failed run again. What it completed is kept; it goes on from what failed.

    For example:

        aiki runs retry 0192...
        aiki runs retry --workflow restaurant-order --finished-after 2h

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("retry", run_id, None, which=which, everything=everything, server=server)


def pause(
    run_id: str | None = None,
    /,
    *,
    reason: str | None = None,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """Hold a run. If a worker has it, it stops after its current tasks; what is sent to it is kept.

    For example:

        aiki runs pause 0192... --reason "the bank is down"
        aiki runs pause --tag kitchen=7

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        reason: For people; it is kept with the run.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("pause", run_id, reason, which=which, everything=everything, server=server)


def resume(
    run_id: str | None = None,
    /,
    *,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """Let a paused run go on.

    For example:

        aiki runs resume 0192...
        aiki runs resume --all

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("resume", run_id, None, which=which, everything=everything, server=server)


def cancel(
    run_id: str | None = None,
    /,
    *,
    reason: str | None = None,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """Ask a run to cancel. Its code gets CancelledError, and may clean up.

    For example:

        aiki runs cancel 0192... --reason "the customer has called"
        aiki runs cancel --workflow restaurant-order --tag kitchen=7 --reason "the kitchen has closed"

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        reason: For people; it is kept with the run.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("cancel", run_id, reason, which=which, everything=everything, server=server)


def terminate(
    run_id: str | None = None,
    /,
    *,
    reason: str | None = None,
    everything: Annotated[bool, ALL] = False,
    which: Which = EVERY,
    server: Server = USUAL,
) -> int:
    """End a run as cancelled, at once. Its code does not run again.

    For example:

        aiki runs terminate 0192... --reason "started by mistake"
        aiki runs terminate --status stalled --created-before 30d

    Args:
        run_id: The run; without it, all that the filters mean: a bulk job.
        reason: For people; it is kept with the run.
        everything: All runs of the namespace in which something can come of it.
        which: Which runs, of many.
        server: The server.
    """
    return control("terminate", run_id, reason, which=which, everything=everything, server=server)


# ---------------------------------------------------------------------------------------------------------------- parts


async def _start(
    client: Client,
    workflow: str,
    version: str,
    *,
    arguments: dict[str, Any],
    options: Options,
    server: Server,
    wait: bool,
) -> int:
    if version.lstrip().startswith(("{", "[")):
        raise Refusal(
            f"the version is {version[:40]!r}, which looks like an input. The version comes first: aiki runs start"
            f" {workflow} VERSION INPUT. Which there are: aiki workflows list"
        )
    handle = await client.runs.start(workflow, version, arguments, **options)
    if wait:
        return await _end_of(client, handle, server)
    if server.as_json:
        print_json({"id": handle.id, "version": handle.version, "warnings": handle.warnings})
        return 0
    print(handle.id)
    await _warn(client, handle)
    return 0


async def _warn(client: Client, handle: AnyHandle) -> None:
    """Say what whoever started a run should know: that nobody serves it, and what may have been meant."""
    if not handle.warnings:
        return
    known: dict[str, list[str]] = {}
    for served in (await client.connection.workflows()).versions:
        if served.workers:
            known.setdefault(served.workflow, []).append(served.version)
    info = await handle.info()
    if info.workflow in known:
        meant = ", ".join(sorted(known[info.workflow])[:NEAR_MAX])
        hint = "" if info.version in known[info.workflow] else f" Served are {info.workflow} {meant}."
    else:
        near = difflib.get_close_matches(info.workflow, known, n=NEAR_MAX)
        hint = f" Did you mean {' or '.join(near)}? aiki runs cancel {handle.id} takes this one back." if near else ""
    for warning in handle.warnings:
        print(f"Note: {warning}.{hint}", file=sys.stderr)


async def _end_of(client: Client, handle: AnyHandle, server: Server) -> int:
    """Print how a run ended, and what it left."""
    await _warn(client, handle)
    try:
        output = await handle.result()
    except (RunFailed, RunCancelled) as error:
        raise Refusal(f"{error} Look at it: aiki runs show {handle.id}") from error
    print_json({"id": handle.id, "status": "completed", "output": output} if server.as_json else output)
    return 0


async def _send(client: Client, run_id: str, event: str, *, text: str, reference_id: str | None, server: Server) -> int:
    check_name(event, "an event's name")
    value = ANY.encode(parsed_json(text, "the payload"), limit_bytes=PAYLOAD_BYTES_MAX, what=f"the payload of {event}")
    if reference_id is not None:
        check_name(reference_id, "a reference id")
    standing = await client.connection.send(run_id, event, payload=value, reference_id=reference_id)
    if server.as_json:
        print_json({"id": run_id, "status": standing.status, "changed": standing.changed})
    else:
        print(f"{event} is sent to run {run_id}.")
    return 0

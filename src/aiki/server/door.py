"""What is looked at before anything from outside reaches the pipeline: names, ids, sizes, payloads.

The rule: what passes here can be stored, and what does not is refused with what was wrong, where, and what would work.
Nothing is refused here for what the rows say: that is the engine's to judge.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from aiki.config import Config
from aiki.errors import AikiError, InvalidInput
from aiki.model import retry
from aiki.model.ids import check_id
from aiki.model.many import JOB_IDS_MAX, Multicast, StartJob
from aiki.model.payload import check, check_name
from aiki.model.views import RunFilter
from aiki.model.wire import (
    PRIORITY_MAX,
    TAGS_MAX,
    Announce,
    Commit,
    Control,
    Problem,
    RunOptions,
    SendEvent,
    StartRun,
)

__all__ = ["Door", "problem_of"]

TEXT_CHARS_MAX: Final = 2_000
MOMENT_MS_MAX: Final = 2**53  # what every JSON reader takes for an integer
HASH_CHARS_MAX: Final = 128
VERSIONS_MAX: Final = 10_000
POOLS_MAX: Final = 1_000


class Door:
    """The limits of one server."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def count(self, items: Sequence[object], what: str) -> None:
        """Refuse a request of too many items.

        Raises:
            InvalidInput: there are more than the setting request_items_max.
        """
        if len(items) > self._config.request_items_max:
            raise InvalidInput(
                f"{len(items):,} {what} in one request; the limit is {self._config.request_items_max:,}. Send them in"
                " parts.",
                path=what,
            )

    def start(self, request: StartRun) -> None:
        """Judge a start.

        Raises:
            InvalidInput: a name, an id, the input or an option cannot be taken.
            PayloadTooLarge: the input is too large.
        """
        check_id(request.run_id, "run_id")
        check_name(request.namespace, "the namespace")
        _check_version(request.workflow, request.version)
        self._payload(request.input, f"the input of {request.workflow}")
        _check_text(request.input_hash, "input_hash", chars_max=HASH_CHARS_MAX)
        _check_options(request.options)

    def event(self, event: SendEvent) -> None:
        """Judge an event; raises as `start`."""
        check_id(event.run_id, "run_id")
        check_id(event.message_id, "message_id")
        check_name(event.name, "an event's name")
        self._payload(event.payload, f"the event {event.name}")

    def multicast(self, request: Multicast) -> None:
        """Judge an event for many runs; raises as `start`."""
        check_name(request.namespace, "the namespace")
        check_id(request.id, "id")
        check_name(request.name, "an event's name")
        self._payload(request.payload, f"the event {request.name}")
        if request.reference_id is not None:
            check_name(request.reference_id, "reference_id")
        self.meant(request.run_ids, request.reference_ids, runs=request.filter)

    def job(self, request: StartJob) -> None:
        """Judge a bulk job; raises as `start`."""
        check_id(request.id, "id")
        check_name(request.namespace, "the namespace")
        _check_text(request.reason, "reason")
        if bool(request.run_ids) is (request.filter is not None):
            raise InvalidInput("say which runs are meant by one of run_ids or filter", path="$")
        if len(request.run_ids) > JOB_IDS_MAX:
            raise InvalidInput(
                f"{len(request.run_ids):,} run_ids in one job; the limit is {JOB_IDS_MAX:,}. Use a filter, or several jobs.",
                path="run_ids",
            )
        for run_id in request.run_ids:
            check_id(run_id, "run_ids")
        if request.filter is not None:
            self.filter(request.filter)

    def meant(self, run_ids: Sequence[str], reference_ids: Sequence[str], *, runs: RunFilter | None) -> None:
        """Judge by which of three ways many runs are named; raises as `start`."""
        if bool(run_ids) + bool(reference_ids) + (runs is not None) != 1:
            raise InvalidInput("say which runs are meant by one of run_ids, reference_ids or filter", path="$")
        self.count(run_ids, "run_ids")
        self.count(reference_ids, "reference_ids")
        for reference_id in reference_ids:
            check_name(reference_id, "a reference id")
        if runs is not None:
            self.filter(runs)

    def control(self, request: Control) -> None:
        """Judge a request; raises as `start`."""
        check_id(request.run_id, "run_id")
        check_id(request.message_id, "message_id")
        _check_text(request.reason, "reason")

    def filter(self, runs: RunFilter) -> None:
        """Judge which runs are meant; raises as `start`."""
        check_name(runs.namespace, "the namespace")
        for what, name in (
            ("workflow", runs.workflow),
            ("version", runs.version),
            ("reference_id", runs.reference_id),
            ("search", runs.search),
            ("schedule", runs.schedule),
        ):
            if name is not None:
                check_name(name, what)
        if runs.parent_id is not None:
            check_id(runs.parent_id, "parent_id")
        _check_tags(runs.tags)
        for name, moment_ms in msgspec.structs.asdict(runs).items():
            if name.endswith("_ms") and moment_ms is not None:
                _check_moment(moment_ms, name.removesuffix("_ms"))

    def announce(self, announce: Announce) -> None:
        """Judge a worker that introduces itself; raises as `start`."""
        check_id(announce.session_id, "session_id")
        check_name(announce.namespace, "the namespace")
        check_name(announce.worker, "a worker's name")
        if len(announce.versions) > VERSIONS_MAX or len(announce.pools) > POOLS_MAX:
            raise InvalidInput(
                f"a worker serves at most {VERSIONS_MAX:,} versions and {POOLS_MAX:,} pools", path="versions"
            )
        for version in announce.versions:
            _check_version(version.workflow, version.version)
            for schema in (version.input_schema, version.output_schema, *version.events.values()):
                if schema:
                    self._payload(schema, f"a schema of {version.workflow} {version.version}")

    def commit(self, commit: Commit) -> None:
        """Judge what a commit would store. A worker has judged it too: this is for those that have not.

        Raises:
            InvalidInput: something in it cannot be stored.
            PayloadTooLarge: something in it is too large.
        """
        for payload, what in _payloads_of(commit):
            if payload:
                self._payload(payload, what)
        for child in commit.children:
            check_id(child.run_id, "a child's run_id")
            _check_version(child.workflow, child.version)
            _check_options(child.options)
        for effect in commit.effects:
            if effect.kind != "cancel":
                check_name(effect.name, "the name of what is published or sent")

    def _payload(self, payload: Raw, what: str) -> None:
        check(bytes(payload), limit_bytes=self._config.payload_bytes_max, what=what)


def problem_of(error: AikiError) -> Problem:
    """Return an error as data."""
    facts = {name: value for name, value in error.facts.items() if isinstance(value, str | int | None)}
    return Problem(error.code, error.message, facts)


def _payloads_of(commit: Commit) -> list[tuple[Raw, str]]:
    found = [(commit.output, "the output"), (commit.input, "the input of the next chapter")]
    found += [(entry.result, f"the result of {entry.label or entry.key.address}") for entry in commit.entries]
    found += [(child.input, f"the input of the child {child.workflow}") for child in commit.children]
    found += [(effect.payload, f"the value {effect.name}") for effect in commit.effects]
    errors = [commit.error, *(entry.error for entry in commit.entries), *(wait.error for wait in commit.opened)]
    found += [(error.details, f"the details of {error.type}") for error in errors if error is not None]
    return found


def _check_version(workflow: str, version: str) -> None:
    check_name(workflow, "a workflow's name")
    check_name(version, "a version")


def _check_options(options: RunOptions) -> None:
    if options.reference_id is not None:
        check_name(options.reference_id, "reference_id")
    if options.pool:
        check_name(options.pool, "a pool's name")
    _check_tags(options.tags)
    if not -PRIORITY_MAX <= options.priority <= PRIORITY_MAX:
        raise InvalidInput(f"priority is {options.priority:,}, beyond {PRIORITY_MAX:,}", path="priority")
    try:
        retry.check(options.retry)
    except ValueError as error:
        raise InvalidInput(f"the retry policy: {error}", path="retry") from error
    for what, moment_ms in (
        ("start_at", options.start_at_ms),
        ("delay", options.delay_ms),
        ("timeout", options.timeout_ms),
    ):
        if moment_ms is not None:
            _check_moment(moment_ms, what)


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise InvalidInput(f"a run has {len(tags)} tags; the limit is {TAGS_MAX}", path="tags")
    for name, value in tags.items():
        check_name(name, "a tag's name")
        _check_text(value, f"the tag {name}")


def _check_moment(moment_ms: int, what: str) -> None:
    if not 0 <= moment_ms <= MOMENT_MS_MAX:
        raise InvalidInput(f"{what} is {moment_ms} ms, and must be from 0 to {MOMENT_MS_MAX}", path=what)


def _check_text(text: str | None, what: str, *, chars_max: int = TEXT_CHARS_MAX) -> None:
    if text is None:
        return
    if len(text) > chars_max:
        raise InvalidInput(f"{what} has {len(text):,} characters; the limit is {chars_max:,}", path=what)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"{what} holds a NUL or half of a surrogate pair, which cannot be stored", path=what)

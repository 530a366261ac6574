"""Which rows a command may touch.

The rule: `keys_of` names everything that `decide` will look at for a command, from the command alone, before any row
is known: what a decision needs and the keys do not name is not there. Naming too much costs a look; naming too little
costs the truth.
"""

from typing import assert_never

from aiki.engine.commands import (
    Activate,
    Announced,
    Ask,
    AskSchedule,
    BeginJob,
    Command,
    CommitTurn,
    DeleteRun,
    Disable,
    ExpireSession,
    ForgetJob,
    ForgetSession,
    ForgetVersion,
    HandBackRuns,
    Poll,
    RefuseTurn,
    RingAlarm,
    SayGoodbye,
    Send,
    StallUndelivered,
    Start,
    StepJob,
    Tick,
)
from aiki.engine.moves import SUSPENDED_FOR
from aiki.model.ids import event_id
from aiki.model.journal import EntryKind
from aiki.model.wire import Commit, Control, Effect, Outcome, PollRequest, SendEvent, StartRun
from aiki.model.working_set import Keys

__all__ = ["keys_of"]

ENDS = frozenset(
    {Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED, Outcome.STALLED}
)  # a cancelled run never stalls


def keys_of(command: Command, keys: Keys) -> None:
    """Add what `command` may touch to `keys`."""
    match command:
        case Start(request):
            _start(request, keys)
        case Send(event):
            _send(event, keys)
        case Ask(request):
            _ask(request, keys)
        case Announced(announce, _):
            keys.sessions.add(announce.session_id)
        case Poll(request, _):
            _poll(request, keys)
        case CommitTurn(commit):
            _commit(commit, keys)
        case RefuseTurn(run_id, _, _, _):
            _may_end(run_id, keys)
        case HandBackRuns(request):
            keys.sessions.add(request.session_id)
            keys.runs.update(held.run_id for held in request.runs)
        case SayGoodbye(request):
            keys.sessions.add(request.session_id)
            keys.expiring.add(request.session_id)
        case RingAlarm(run_id):
            _may_end(run_id, keys)
            keys.cascading.add(run_id)
        case StallUndelivered(run_id, _):
            _may_end(run_id, keys)
        case DeleteRun(run_id, parent_id, _):
            _may_end(run_id, keys)  # for its waiters
            if parent_id is not None:
                keys.runs.add(parent_id)
        case ForgetSession(session_id, _) | ExpireSession(session_id, _, _):
            keys.sessions.add(session_id)
            keys.expiring.add(session_id)
        case Activate(request):
            keys.schedules.add((request.namespace, request.name))
            keys.ticking.add((request.namespace, request.name))
        case AskSchedule(request):
            keys.schedules.add((request.namespace, request.name))
            if request.verb == "trigger":
                keys.ticking.add((request.namespace, request.name))
                keys.runs.add(request.run_id)
        case Tick(namespace, name):
            keys.schedules.add((namespace, name))
            keys.ticking.add((namespace, name))
        case Disable(namespace, name, _):
            keys.schedules.add((namespace, name))
        case BeginJob(request):
            keys.jobs.add(request.id)
        case ForgetJob(job_id, _):
            keys.jobs.add(job_id)
        case ForgetVersion():
            pass
        case StepJob(job_id, _, requests):
            keys.jobs.add(job_id)
            for request in requests:
                _ask(request, keys)
        case _:
            assert_never(command)


def _may_end(run_id: str, keys: Keys) -> None:
    keys.runs.add(run_id)
    keys.finishing.add(run_id)


def _start(request: StartRun, keys: Keys) -> None:
    keys.runs.add(request.run_id)
    if request.options.reference_id is not None:
        keys.references.add((request.namespace, request.workflow, request.options.reference_id))


def _send(event: SendEvent, keys: Keys) -> None:
    keys.runs.add(event.run_id)
    keys.messages.add((event.run_id, event.message_id))
    keys.waits.add((event.run_id, EntryKind.EVENT, event.name))


def _ask(request: Control, keys: Keys) -> None:
    keys.runs.add(request.run_id)
    match request.verb:
        case "cancel" | "terminate":
            keys.finishing.add(request.run_id)
            keys.messages.add((request.run_id, request.message_id))
        case "wake":
            keys.messages.add((request.run_id, request.message_id))
            keys.waits.add((request.run_id, EntryKind.SLEEP, ""))
        case "pause" | "requeue":
            keys.messages.add((request.run_id, request.message_id))
        case "resume":
            keys.messages.add((request.run_id, request.message_id))
            keys.mail(request.run_id, after=0)
            keys.waits.update((request.run_id, kind, "") for kind in SUSPENDED_FOR)
        case "retry":
            keys.messages.add((request.run_id, request.message_id))
            keys.journals.add(request.run_id)
        case _:
            assert_never(request.verb)


def _poll(request: PollRequest, keys: Keys) -> None:
    keys.sessions.add(request.session_id)
    keys.owned.add(request.session_id)
    keys.runs.update(request.found)
    for held in request.held:
        keys.runs.add(held.run_id)
        keys.mail(held.run_id, after=held.mail)


def _commit(commit: Commit, keys: Keys) -> None:
    keys.runs.add(commit.run_id)
    keys.mail(commit.run_id, after=commit.last_mail)
    if commit.outcome in ENDS:
        keys.finishing.add(commit.run_id)
    if commit.outcome is Outcome.FAILED:
        keys.journals.add(commit.run_id)
    for child in commit.children:
        keys.runs.add(child.run_id)
        if child.options.reference_id is not None:
            keys.references.add((child.namespace, child.workflow, child.options.reference_id))
    for effect in commit.effects:
        _effect(effect, keys)
    if commit.replace_waits:
        keys.waits.add((commit.run_id, EntryKind.CHILD_RESULT, ""))
    for wait in commit.opened:
        if wait.key.kind is EntryKind.CHILD_RESULT:
            keys.runs.add(wait.key.address)
            keys.ends.add(wait.key.address)


def _effect(effect: Effect, keys: Keys) -> None:
    if effect.target is None:
        return
    match effect.kind:
        case "cancel":
            _may_end(effect.target, keys)
        case "send":
            keys.runs.add(effect.target)
            if effect.reference_id is not None:
                keys.messages.add((effect.target, event_id(effect.target, effect.name, effect.reference_id)))
            keys.waits.add((effect.target, EntryKind.EVENT, effect.name))
        case "set":
            pass
        case _:
            assert_never(effect.kind)

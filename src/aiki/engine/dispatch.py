"""How ready runs reach waiting workers, in the transaction that made them ready.

The rule: priority first, then who has been due for longest, round robin between queues so that a busy workflow does
not starve a quiet one. A run goes to the session that keeps its coroutine, if that one waits, else to the one with the
most room; a suspect (a run that lost two claims without progress) only to a session that holds no other. Where the
keeper is thought to ask again in a moment, the run waits for it that long: a replay costs more.

Each claim adds one to the epoch: from here on only its writes are accepted.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from aiki.engine.moves import move
from aiki.engine.sessions import SUSPECT_CRASHES
from aiki.model.lifecycle import Reason, Status, can_move
from aiki.model.run import Queue, RunRow
from aiki.model.working_set import Claim, WorkingSet

__all__ = ["Offer", "assign"]


class Offer(Struct):
    """A worker's poll that waits for work. `capacity` falls with each run that it is given; `only` those it may get."""

    session_id: str
    queues: tuple[Queue, ...]
    capacity: int
    only: frozenset[str] | None = None


def assign(
    ws: WorkingSet,
    offers: Sequence[Offer],
    now_ms: int,
    *,
    returning: Collection[str] = (),
    keeper_wait_ms: int = 0,
) -> list[Claim]:
    """Hand out the queued runs of the working set, and return the new claims; they stand in `ws.claims` too.

    Loaded must be the sessions that offer, and the runs (touched by the batch, or found through `keys.ready`).

    Args:
        returning: sessions that do not offer now and are thought to in a moment.
        keeper_wait_ms: for how long, since it became ready, a run waits for one of these that keeps its coroutine.
    """
    assert now_ms == ws.now_ms
    wanted: dict[Queue, list[Offer]] = {}
    for offer in offers:
        session = ws.sessions.get(offer.session_id)
        if session is None or session.is_over or offer.capacity < 1:
            continue
        for queue in offer.queues:
            if queue.namespace == session.namespace:
                wanted.setdefault(queue, []).append(offer)
    if not wanted:
        return []
    moved = {entry.run_id: place for place, entry in enumerate(ws.history)}
    claims: list[Claim] = []
    ring = _ring(ws, wanted)
    while ring:  # bounded: each turn takes a run or a queue away
        queue, runs = ring.popleft()
        takers = [offer for offer in wanted[queue] if offer.capacity > 0]
        if not takers:
            continue
        row = runs.popleft()
        takers = [offer for offer in takers if offer.only is None or row.id in offer.only]
        taker = _taker(ws, row, takers)
        is_kept = row.parked_on in returning and now_ms - (row.due_at_ms or 0) < keeper_wait_ms
        if taker is not None and (taker.session_id == row.parked_on or not is_kept):
            claims.append(_claim(ws, row, taker, moved))
        if runs:
            ring.append((queue, runs))
    return claims


def _ring(ws: WorkingSet, wanted: Iterable[Queue]) -> deque[tuple[Queue, deque[RunRow]]]:
    """Return the ready runs by queue, each in its order. Which queue comes first turns with the polls of the workers."""
    ready: dict[Queue, list[RunRow]] = {queue: [] for queue in wanted}
    for row in ws.runs.values():
        if row.status is Status.QUEUED and row.queue in ready:
            ready[row.queue].append(row)
    queues = sorted(queue for queue, runs in ready.items() if runs)
    ring = deque((queue, deque(sorted(ready[queue], key=_precedence))) for queue in queues)
    ring.rotate(-sum(session.poll for session in ws.sessions.values()))
    return ring


def _precedence(row: RunRow) -> tuple[int, int, str]:
    return -row.priority, row.due_at_ms or 0, row.id


def _taker(ws: WorkingSet, row: RunRow, takers: Sequence[Offer]) -> Offer | None:
    if row.crashes >= SUSPECT_CRASHES:
        takers = [offer for offer in takers if ws.sessions[offer.session_id].suspect_run_id is None]
    keeper = next((offer for offer in takers if offer.session_id == row.parked_on), None)
    return keeper or max(takers, key=lambda offer: offer.capacity, default=None)


def _claim(ws: WorkingSet, row: RunRow, offer: Offer, moved: dict[str, int]) -> Claim:
    offer.capacity -= 1
    session = ws.sessions[offer.session_id]
    if row.crashes >= SUSPECT_CRASHES:
        ws.put_session(replace(session, suspect_run_id=row.id))
    claim = Claim(row.id, session.id, parked_epoch=row.epoch if row.parked_on == session.id else None)
    claimed = replace(
        row,
        epoch=row.epoch + 1,
        turn=0,
        session_id=session.id,
        parked_on=None,
        claimed_poll=max(session.poll, 1),
        due_at_ms=None,
        clock_ms=ws.now_ms if row.clock_ms is None else row.clock_ms,
        started_at_ms=ws.now_ms if row.started_at_ms is None else row.started_at_ms,
    )
    move(ws, claimed, Status.RUNNING, Reason.CLAIMED)
    _tell_once(ws, moved.get(row.id))
    ws.claims[row.id] = claim
    return claim


def _tell_once(ws: WorkingSet, place: int | None) -> None:
    """Record a run that became ready and was handed over in one transaction as one move, from where it stood before."""
    if place is None:
        return
    before = ws.history[place]
    if before.new is not Status.QUEUED:
        return
    if before.old is None:
        ws.history[place] = replace(before, new=Status.RUNNING, worker=ws.history.pop().worker)
    elif can_move(before.old, Status.RUNNING, Reason.CLAIMED):
        worker, cause = ws.history.pop().worker, str(before.reason)
        ws.history[place] = replace(before, new=Status.RUNNING, reason=Reason.CLAIMED, note=cause, worker=worker)

"""What holds for a loaded working set, whichever database it comes from.

The rule: what must be said of the loading of every store is said here, once.
"""

from aiki.model.working_set import Keys, WorkingSet

__all__ = ["ending", "newest_ms"]


def ending(ws: WorkingSet, keys: Keys) -> set[str]:
    """Return the runs that may end, of which the waiters are loaded; the rows of runs must be there.

    Children that are cancelled before they began end at once, so theirs too. And so do runs that are to be cancelled, if
    once too often they are lost with their session; and open runs of a schedule, which a tick may cancel.
    """
    lost = {run_id for run_ids in ws.expiring.values() for run_id in run_ids}
    cancelled = {run_id for run_id in lost & ws.runs.keys() if ws.runs[run_id].cancel is not None}
    return keys.finishing.union(cancelled, *ws.cascading.values(), *ws.open_of.values())


def newest_ms(ws: WorkingSet) -> int:
    """Return the latest moment at which something is known to have happened to a row of the set."""
    newest = 0
    for run in ws.runs.values():
        newest = max(newest, run.created_at_ms, run.started_at_ms or 0, run.finished_at_ms or 0)
    for schedule in ws.schedules.values():
        newest = max(newest, schedule.last_tick_ms, schedule.changed_at_ms)
    for unread in ws.unread.values():
        if unread:
            newest = max(newest, unread[-1].at_ms)
    return newest

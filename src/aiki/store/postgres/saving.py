"""The changes of a working set become rows, in two round trips: what goes, and all else.

The rule: the same changes as on SQLite (store/saving.py), rewritten for many rows at once. Within a step, statements see
the rows as they were before it, and no two of them touch the same row.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from aiki.model.run import RunRow
from aiki.model.working_set import WorkingSet
from aiki.store.base import StoreRefused
from aiki.store.postgres.connecting import Connection
from aiki.store.postgres.failures import is_refusal
from aiki.store.postgres.folding import Fold, folded_writes
from aiki.store.postgres.schema import migrations
from aiki.store.rows import Columns
from aiki.store.saving import changes
from aiki.store.sql import statements
from aiki.store.sql.rewriting import column_types, for_many_rows

__all__ = ["TakenMeanwhile", "save"]

_TYPES: Final = column_types([text for _, text in migrations()])
SAVE: Final = {name: for_many_rows(text, _TYPES) for name, text in statements("save", dialect="postgres").items()}
REMOVING: Final = folded_writes(SAVE, (name for name, text in SAVE.items() if text.startswith("DELETE")))
WRITING: Final = folded_writes(SAVE, (name for name, text in SAVE.items() if not text.startswith("DELETE")))

_RACED: Final = frozenset(
    {"runs", "inputs", "tags", "schedules", "bulk_jobs"}
)  # tables with keys that two servers may take at once
_ARGUMENT: Final = re.compile(r"argument \$(\d+)")


class TakenMeanwhile(StoreRefused):
    """A key that was free when it was looked at is not any more: another server was faster, so all is decided again."""


async def save(connection: Connection, ws: WorkingSet, *, loaded: Mapping[str, RunRow]) -> bool:
    """Write what changed and return whether anything did. `loaded` are the rows as they were.

    Raises:
        StoreRefused: a row cannot be kept; the transaction is to be rolled back.
    """
    given: dict[str, Sequence[Columns]] = {}
    for name, changed in changes(ws, dict(loaded)):
        try:
            found = list(changed)
        except (ValueError, OverflowError) as error:
            raise _refused(error, name) from error
        if found:
            given[name] = found
    for fold in (REMOVING, WRITING):
        if given.keys() & set(fold.parts):
            try:
                await connection.execute(fold.text, *fold.values(given))
            except Exception as error:
                if not is_refusal(error):
                    raise
                raise _judged(error, fold, given) from error
    return bool(given)


def _judged(error: Exception, fold: Fold, given: Mapping[str, Sequence[Columns]]) -> StoreRefused:
    """Return the refusal, with the statement if it can be told: else with all that it may have been."""
    table = getattr(error, "table_name", None)
    argument = _ARGUMENT.search(str(error))
    if argument is not None:
        suspects = [fold.part_of(int(argument[1]))]
    else:
        suspects = [name for name in fold.parts if name in given and (table is None or f" {table}" in SAVE[name][:40])]
    named = " or ".join(suspects)
    if isinstance(error, asyncpg.UniqueViolationError) and table in _RACED:
        return TakenMeanwhile(f"the database refuses what {named} was to write: {error}", statement=named)
    return _refused(error, named)


def _refused(error: Exception, name: str) -> StoreRefused:
    return StoreRefused(f"the database refuses what {name} was to write: {error}", statement=name)

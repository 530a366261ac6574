"""Many statements become one, so that a batch of any size takes a fixed number of round trips.

The rule: each part takes its values as `rows(...)`, a column at a time, and a part without rows does nothing; so the text
is always the same, and is parsed and planned once for each connection.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiki.store.rows import Columns
from aiki.store.sql import Statement, numbered

__all__ = ["Fold", "folded_reads", "folded_writes"]

_NAMED: Final = """(SELECT '{name}', id::text, other::text, number::bigint, body::text, error::text
  FROM ({text}) AS part (id, other, number, body, error))"""


class Fold:
    """Parts that go to the database together.

    Attributes:
        text: the one statement.
        parts: their names.
    """

    def __init__(self, parts: Mapping[str, Statement], text: str) -> None:
        self.text = text
        self.parts: Final = tuple(parts)
        self._columns = {name: len(part.names) for name, part in parts.items()}

    def values(self, given: Mapping[str, Sequence[Columns]]) -> list[Sequence[Any]]:
        """Return the values of the statement: the columns of each part's rows."""
        values: list[Sequence[Any]] = []
        for name, columns in self._columns.items():
            found = given.get(name)
            values.extend(zip(*found, strict=True) if found else [()] * columns)
        return values

    def part_of(self, place: int) -> str:
        """Return the part to which the value with a number belongs, the first being 1."""
        for name, columns in self._columns.items():
            if place <= columns:
                return name
            place -= columns
        return self.parts[-1]


def folded_reads(known: Mapping[str, str], names: Iterable[str]) -> Fold:
    """Return a statement that gives the rows of all parts, the part's name before each: five columns, of set types."""
    parts = _numbered(known, names)
    texts = [_NAMED.format(name=name, text=part.text) for name, part in parts.items()]
    return Fold(parts, "\nUNION ALL\n".join(texts))


def folded_writes(known: Mapping[str, str], names: Iterable[str]) -> Fold:
    r"""Return a statement that writes what all parts write. They see the rows as they were before, not each other's.

    >>> folded_writes({"a": "DELETE FROM t USING rows(id uuid) WHERE t.id = rows.id"}, ["a"]).text
    'WITH a AS (DELETE FROM t USING unnest($1::uuid[]) AS rows (id) WHERE t.id = rows.id)\nSELECT'
    """
    parts = _numbered(known, names)
    return Fold(parts, "WITH " + ",\n".join(f"{name} AS ({part.text})" for name, part in parts.items()) + "\nSELECT")


def _numbered(known: Mapping[str, str], names: Iterable[str]) -> dict[str, Statement]:
    parts: dict[str, Statement] = {}
    before = 0
    for name in names:
        parts[name] = numbered(known[name], before=before)
        before += len(parts[name].names)
    return parts

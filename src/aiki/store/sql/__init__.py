"""The statements, as SQL in files; this is the one place that reads them.

The rule: a statement is a paragraph: `-- name: x`, comments that say what, how many, and what happens when two run at
once, then its text. A line that ends in `-- [postgres]` or `-- [sqlite]` is for that database only. On Postgres,
`rows(id uuid, note text)` stands for the rows that are handed over at once, a column at a time, under the name `rows`.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final, Literal

from msgspec import Struct

__all__ = ["FILTERS", "Dialect", "Statement", "numbered", "parse", "statements", "with_filters"]

Dialect = Literal["sqlite", "postgres"]

FILTERS: Final = "/* filters */"
"""Stands in a statement where its conditions go."""

_NAME: Final = re.compile(r"^-- name: (\w+)$")
_ONLY: Final = re.compile(r"\s*-- \[(sqlite|postgres)\]$")
_PLACE: Final = re.compile(r"(?<!:):([a-z_]+)|\brows\(([^()]+)\)")


def statements(file: str, *, dialect: Dialect) -> Mapping[str, str]:
    """Return the statements of one file of this folder by name, as `dialect` wants them."""
    return parse(files(__name__).joinpath(f"{file}.sql").read_text(encoding="utf-8"), dialect=dialect)


def parse(text: str, *, dialect: Dialect) -> Mapping[str, str]:
    r"""Return the statements of `text` by name, without comments.

    Raises:
        ValueError: a name stands twice, or a line of SQL before the first name.

    >>> text = "-- name: one\n-- What it does.\nSELECT 1\n  FOR UPDATE    -- [postgres]\n"
    >>> parse(text, dialect="sqlite"), parse(text, dialect="postgres")
    ({'one': 'SELECT 1'}, {'one': 'SELECT 1\n  FOR UPDATE'})
    """
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        if named := _NAME.match(line):
            if named[1] in found:
                raise ValueError(f"two statements are called {named[1]}")
            lines = found[named[1]] = []
        elif line.strip() and not line.startswith("--"):
            if lines is None:
                raise ValueError(f"no name stands before {line!r}")
            only = _ONLY.search(line)
            if only is None or only[1] == dialect:
                lines.append(_ONLY.sub("", line))
    return {name: "\n".join(lines) for name, lines in found.items()}


def with_filters(known: Mapping[str, str], name: str, filters: Sequence[str]) -> str:
    """Return a statement with conditions, statements of their own, in the place of `FILTERS`.

    >>> with_filters({"list": "SELECT 1 WHERE true /* filters */", "where_a": "a = 1"}, "list", ["where_a"])
    'SELECT 1 WHERE true AND a = 1'
    """
    return known[name].replace(FILTERS, " ".join(f"AND {known[condition]}" for condition in filters))


class Statement(Struct, frozen=True):
    """A statement with numbered places: a name for each, in their order."""

    text: str
    names: tuple[str, ...]


def numbered(text: str, *, before: int = 0) -> Statement:
    """Return a statement as Postgres takes it, the numbers of its places beginning after `before`.

    A named value has one place however often it stands there; the columns of `rows(...)` have one each, in their order.

    >>> numbered("SELECT :a, :b::text, :a").text
    'SELECT $1, $2::text, $1'
    >>> numbered("SELECT * FROM rows(id uuid, n bigint)", before=3)
    Statement(text='SELECT * FROM unnest($4::uuid[], $5::bigint[]) AS rows (id, n)', names=('id', 'n'))
    """
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[1] is not None:
            if found[1] not in names:
                names.append(found[1])
            return f"${before + 1 + names.index(found[1])}"
        columns = [column.split() for column in found[2].split(",")]
        first = before + 1 + len(names)
        names.extend(name for name, _ in columns)
        arrays = ", ".join(f"${first + place}::{kind}[]" for place, (_, kind) in enumerate(columns))
        return f"unnest({arrays}) AS rows ({', '.join(name for name, _ in columns)})"

    return Statement(_PLACE.sub(place, text), tuple(names))

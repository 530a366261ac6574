"""A statement for one row becomes one for many, as Postgres does them: all rows in one round trip.

The rule: three forms are known, `INSERT ... VALUES (?, ...)`, `UPDATE t SET a = ? ... WHERE b = ?` and `DELETE FROM t WHERE
a = ?`, and nothing is guessed: the types of the columns come from the tables' own definitions, the migrations.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["column_types", "for_many_rows"]

_TABLE: Final = re.compile(r"^CREATE TABLE (\w+) \((.*?)^\)", re.DOTALL | re.MULTILINE)
_COLUMN: Final = re.compile(r"^    (\w+) +(uuid|text|bigint|smallint)\b", re.MULTILINE)
_ADDED: Final = re.compile(r"^ALTER TABLE (\w+)\s+ADD COLUMN (\w+) +(uuid|text|bigint|smallint)\b", re.MULTILINE)
_HEAD: Final = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_INSERT: Final = re.compile(r"(INSERT INTO \w+ \((.*?)\)\s*)VALUES \([?,\s]*\)", re.DOTALL)
_PLACE: Final = re.compile(r"\b(\w+) = \?")

Types = Mapping[str, Mapping[str, str]]
"""The types of columns, by table and name."""


def column_types(migrations: Sequence[str]) -> Types:
    r"""Return the types of all columns that migrations make.

    >>> column_types(["CREATE TABLE a (\n    id uuid NOT NULL\n);", "ALTER TABLE a ADD COLUMN n bigint;"])
    {'a': {'id': 'uuid', 'n': 'bigint'}}
    """
    found: dict[str, dict[str, str]] = {}
    for text in migrations:
        for table, columns in _TABLE.findall(text):
            found[table] = dict(_COLUMN.findall(columns))
        for table, column, kind in _ADDED.findall(text):
            found[table][column] = kind
    return found


def for_many_rows(text: str, types: Types) -> str:
    """Return a statement that takes its values from `rows(...)`, columns in the order of the places of `text`.

    Raises:
        ValueError: it has none of the forms that are known.

    >>> types = {"t": {"id": "uuid", "n": "bigint"}}
    >>> for_many_rows("INSERT INTO t (id, n) VALUES (?, ?)", types)
    'INSERT INTO t (id, n) SELECT * FROM rows(id uuid, n bigint)'
    >>> for_many_rows("UPDATE t SET n = ? WHERE id = ? AND n > 0", types)
    'UPDATE t SET n = rows.n FROM rows(n bigint, id uuid) WHERE t.id = rows.id AND n > 0'
    >>> for_many_rows("DELETE FROM t WHERE id = ?", types)
    'DELETE FROM t USING rows(id uuid) WHERE t.id = rows.id'
    """
    head = _HEAD.match(text)
    if head is None:
        raise ValueError(f"not a statement that writes: {text[:60]!r}")
    verb, table = head.groups()
    if verb == "INSERT INTO":
        columns = [column.strip() for column in _found(_INSERT, text)[2].split(",")]
        made = _INSERT.sub(rf"\1SELECT * FROM {_rows(columns, types[table])}", text)
    else:
        setting, where, conditions = text.partition("WHERE")
        columns = _PLACE.findall(text)
        source = "FROM" if verb == "UPDATE" else "USING"
        made = (
            _PLACE.sub(r"\1 = rows.\1", setting)
            + f"{source} {_rows(columns, types[table])} {where}"
            + _PLACE.sub(rf"{table}.\1 = rows.\1", conditions)
        )
    if "?" in made or len(set(columns)) < len(columns):
        raise ValueError(f"a place of {verb} {table} is not understood: write column = ?, each column once")
    return made


def _found(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.match(text.lstrip())
    if found is None:
        raise ValueError(f"not of the form {pattern.pattern}: {text[:60]!r}")
    return found


def _rows(columns: Sequence[str], types: Mapping[str, str]) -> str:
    return f"rows({', '.join(f'{column} {types[column]}' for column in columns)})"

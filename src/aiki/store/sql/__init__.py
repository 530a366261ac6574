"""The statements, as SQL in files; this is the one place that reads them.

The rule: a statement is a paragraph: `-- name: x`, comments that say what, how many, and what happens when two run at
once, then its text. A line that ends in `-- [postgres]` or `-- [sqlite]` is for that database only.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal

__all__ = ["Dialect", "parse", "statements"]

Dialect = Literal["sqlite", "postgres"]

_NAME: Final = re.compile(r"^-- name: (\w+)$")
_ONLY: Final = re.compile(r"\s*-- \[(sqlite|postgres)\]$")


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

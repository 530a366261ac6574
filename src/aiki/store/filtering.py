"""Which runs a filter finds: its conditions, statements of where.sql, and their values.

The rule: what finds least leads. Runs in one status are walked in the order of their creation; what few have (a reference
id, a parent, a tag that few bear) is fetched and sorted; a tag that many bear is looked up run by run. So no search that
finds what it looks for reads the whole table, and one that finds little there is stopped by its store.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from aiki.errors import InvalidInput
from aiki.model.ids import check_id
from aiki.model.lifecycle import Status
from aiki.model.views import RunFilter
from aiki.model.wire import TAGS_MAX
from aiki.store import rows

__all__ = ["FEW_ROWS", "TOO_BROAD", "Conditions", "conditions", "each_status", "place_of", "tags_of"]

BEYOND_ALL_MS: Final = 2**62
NO_ID: Final = "00000000-0000-0000-0000-000000000000"
FEW_ROWS: Final = 1_000  # runs that bear a tag: so few are fetched and sorted
TOO_BROAD: Final = (
    "too many runs would have to be looked at for this filter: narrow it by workflow, status, tag, reference id or a time"
    " of creation"
)

_TEXT_END: Final = chr(0x10FFFF)
_SURROGATES: Final = range(0xD800, 0xE000)
_ID_CHARACTERS: Final = frozenset("0123456789abcdef-")
_DASHES: Final = (8, 13, 18, 23)  # places in an id
_ID_CHARS: Final = 36


class Conditions(Struct, frozen=True):
    """The names of statements, `where_...`, and their values.

    Attributes:
        are_few: they find few runs, which are to be fetched and sorted.
    """

    names: tuple[str, ...]
    values: dict[str, Any]
    are_few: bool


def conditions(runs: RunFilter, *, leading_tag: str | None = None) -> Conditions:
    """Return the conditions of a filter, without those of a page.

    Args:
        leading_tag: the name of a tag that few runs bear.
    """
    wanted: dict[str, Any] = {
        name: value
        for name, value in structs.asdict(runs).items()
        if value is not None and name in {"workflow", "version", "reference_id", "parent_id", "schedule"} | _MOMENTS
    }
    names = [f"where_{name}" for name in wanted]
    for name, values in (*_status(runs.status), *_search(runs.search), *_tags(runs.tags, leading_tag)):
        names.append(name)
        wanted |= values
    are_few = bool(leading_tag or runs.reference_id or runs.search or runs.parent_id)
    return Conditions(tuple(names), {"namespace": runs.namespace, **wanted}, are_few)


_MOMENTS: Final = frozenset(name for name in RunFilter.__struct_fields__ if name.endswith("_ms"))


def each_status(runs: RunFilter) -> list[RunFilter]:
    """Return a filter for each status that is wanted: an index has the runs of each in their order."""
    return [structs.replace(runs, status=(status,)) for status in sorted(set(runs.status))] or [runs]


def tags_of(runs: RunFilter) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each wanted tag, with the values of the statement `tag_rows`.

    Raises:
        InvalidInput: there are more tags than a run can bear.
    """
    if len(runs.tags) > TAGS_MAX:
        raise InvalidInput(f"the filter names {len(runs.tags)} tags; a run bears at most {TAGS_MAX}", path="tags")
    for name, value in runs.tags.items():
        yield name, {"namespace": runs.namespace, "tag": name, "tag_value": value, "limit": FEW_ROWS + 1}


def place_of(cursor: str | None) -> tuple[int, str]:
    """Return after which creation time and id a page begins.

    Raises:
        InvalidInput: it is no cursor.
    """
    if cursor is None:
        return BEYOND_ALL_MS, NO_ID
    created_at_ms, dot, run_id = cursor.partition(".")
    if not dot or not created_at_ms.isdecimal() or len(created_at_ms) > len(str(BEYOND_ALL_MS)):
        raise InvalidInput(f"cursor is {cursor[:60]!r}: give the next_cursor of the page before", path="cursor")
    return min(int(created_at_ms), BEYOND_ALL_MS), check_id(run_id, "cursor")


def _status(wanted: tuple[Status, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    if len(wanted) == 1:
        yield "where_status", {"status": str(wanted[0])}
    elif wanted:
        yield "where_statuses", {"statuses": [str(status) for status in wanted]}
    if wanted and Status.COMPLETED not in wanted:
        yield "where_uncompleted", {}


def _search(text: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    if not text:
        return
    values = {"search": text, "search_end": _after_all(text)}
    ids = _ids_from(text)
    if ids is None:
        yield "where_search", values
    else:
        yield "where_search_id", {**values, "search_id": ids[0], "search_id_end": ids[1]}


def _after_all(prefix: str) -> str:
    """Return the least text that sorts after all that begin with `prefix`."""
    kept = prefix.rstrip(_TEXT_END)
    if not kept:
        return _TEXT_END * (len(prefix) + 1)
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def _ids_from(prefix: str) -> tuple[str, str] | None:
    """Return the first and the last id that begin with `prefix`; None if none can.

    >>> _ids_from("0190a")
    ('0190a000-0000-0000-0000-000000000000', '0190afff-ffff-ffff-ffff-ffffffffffff')
    >>> _ids_from("order-1") is None
    True
    """
    if len(prefix) > _ID_CHARS or not _ID_CHARACTERS.issuperset(prefix):
        return None
    if any((character == "-") != (place in _DASHES) for place, character in enumerate(prefix)):
        return None
    rest = range(len(prefix), _ID_CHARS)
    first, last = ("".join("-" if place in _DASHES else digit for place in rest) for digit in "0f")
    return prefix + first, prefix + last


def _tags(wanted: Mapping[str, str], leading: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    others = {name: value for name, value in wanted.items() if name != leading}
    if leading is not None:
        yield "where_tag", {"tag": leading, "tag_value": wanted[leading]}
    if others:
        yield "where_tags", {"tags": rows.text(others)}

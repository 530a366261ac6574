"""What an execution has done and the server does not know yet.

The rule: everything that a commit carries is gathered here in the order in which it happened, and leaves it exactly
once, in a frozen turn. The first commit after a replay states the whole set of open waits, later ones what has changed.
What is too much for one turn leaves in several, causes before effects.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final, TypeVar

from msgspec import Raw
from msgspec.structs import replace

from aiki.model.ids import child_run_id
from aiki.model.journal import CallKey, Entry, EntryKind
from aiki.model.wire import ChildStart, Commit, Effect
from aiki.sdk.host import RunFacts
from aiki.worker.calls import Call

__all__ = ["TURN_BYTES_MAX", "Ledger", "Unsent"]

T = TypeVar("T")

TURN_BYTES_MAX: Final = 4 * 1024 * 1024  # of payloads in one turn; a single one may be more
ITEM_BYTES: Final = 512  # what stands around a payload, and errors as they mostly are


class Unsent:
    """One turn's share: what the commit is made of.

    Attributes:
        is_all: whether it is all that there was; if not, it states no waits.
    """

    __slots__ = ("children", "closed", "effects", "entries", "is_all", "opened", "read", "replaces")

    def __init__(self, *, is_all: bool = True) -> None:
        self.is_all = is_all
        self.entries: list[Entry] = []
        self.read: list[int] = []
        self.effects: list[Effect] = []
        self.children: dict[CallKey, Call] = {}
        self.opened: dict[CallKey, Call] = {}
        self.closed: dict[CallKey, None] = {}
        self.replaces = False

    def take_part(self) -> "Unsent | None":
        """Remove and return as much as one turn may carry, causes before effects; None if that is all of it."""
        entries, room = _fitting(self.entries, lambda entry: _bytes_of(entry.result), TURN_BYTES_MAX)
        effects, room = _fitting(self.effects, lambda effect: _bytes_of(effect.payload), room)
        children, room = _fitting(self.children.values(), _bytes_of_child, room)
        if room >= 0:
            return None
        part = Unsent(is_all=False)
        part.entries, self.entries = self.entries[:entries], self.entries[entries:]
        part.effects, self.effects = self.effects[:effects], self.effects[effects:]
        for key in list(islice(self.children, children)):
            part.children[key] = self.children.pop(key)
        return part

    def results(self) -> tuple[Entry, ...]:
        """Return the results of tasks alone, one behind the other, as if nothing else had been delivered.

        What led to their calls is recorded already, for no task starts before; so each may stand without the rest.
        """
        results = (entry for entry in self.entries if entry.key.kind is EntryKind.TASK)
        first = self.entries[0].seq if self.entries else 0
        return tuple(replace(entry, seq=seq) for seq, entry in enumerate(results, start=first))

    def added_to(self, commit: Commit, parent: RunFacts) -> Commit:
        """Return a commit with all of this in it."""
        return replace(
            commit,
            entries=tuple(self.entries),
            opened=tuple(call.wait() for call in self.opened.values()),
            closed=tuple(self.closed),
            replace_waits=self.replaces,
            read=tuple(self.read),
            children=self._child_starts(parent),
            effects=tuple(self.effects),
        )

    def _child_starts(self, parent: RunFacts) -> tuple[ChildStart, ...]:
        starts = []
        for key, call in self.children.items():
            child = call.request.child
            assert child is not None
            starts.append(
                ChildStart(
                    key=key,
                    run_id=child_run_id(
                        parent.id,
                        parent.chapter,
                        attempt=parent.attempt,
                        address=key.address,
                        ordinal=key.ordinal,
                    ),
                    namespace=parent.namespace,
                    workflow=child.workflow,
                    version=child.version,
                    input=Raw(child.payload),
                    input_hash=child.input_hash,
                    options=child.options,
                )
            )
        return tuple(starts)


class Ledger:
    """Gathers what is to be committed.

    Attributes:
        unsent: what no turn has taken yet.
        keeps_children: the run is to pause: no turn takes children, and they alone are no reason for one.
    """

    __slots__ = ("_known", "_replaces", "keeps_children", "unsent")

    def __init__(self, *, knows_waits: bool) -> None:
        self.unsent = Unsent()
        self.keeps_children = False
        self._known: set[CallKey] = set()
        self._replaces = not knows_waits

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that a crash could lose."""
        unsent = self.unsent
        starts = unsent.children and not self.keeps_children
        return not (unsent.entries or unsent.effects or starts or unsent.opened or unsent.closed)

    def open_wait(self, call: Call) -> None:
        """A wait was opened, or has changed."""
        self.unsent.opened[call.key] = call
        self.unsent.closed.pop(call.key, None)

    def close_wait(self, key: CallKey) -> None:
        """A wait is answered or withdrawn; one that the server never heard of leaves no trace."""
        self.unsent.opened.pop(key, None)
        if key in self._known:
            self.unsent.closed[key] = None

    @property
    def waits(self) -> int:
        """How many open waits the server knows of."""
        return len(self._known)

    def take(self, waits: Mapping[CallKey, Call]) -> Unsent:
        """Return what is to be sent, `waits` being all that are open; what is too much for one turn stays."""
        kept: dict[CallKey, Call] = {}
        if self.keeps_children:
            kept, self.unsent.children = self.unsent.children, {}
        part = self.unsent.take_part()
        if part is not None:
            self.unsent.children = kept or self.unsent.children
            return part
        taken, self.unsent = self.unsent, Unsent()
        self.unsent.children = kept
        if self._replaces:
            self._replaces = False
            taken.replaces = True
            taken.opened = dict(waits)
            taken.closed = {}
            self._known = set(waits)
        else:
            self._known.difference_update(taken.closed)
            self._known.update(taken.opened)
        return taken


def _fitting(items: Iterable[T], bytes_of: Callable[[T], int], room: int) -> tuple[int, int]:
    """Return how many of `items` fit into `room` bytes, and the room that is left: less than none if not all do."""
    count = 0
    for item in items:
        size = ITEM_BYTES + bytes_of(item)
        if size > room and (count or room < TURN_BYTES_MAX):  # what is too much by itself goes alone
            return count, -1
        room = max(room - size, 0)
        count += 1
    return count, room


def _bytes_of(payload: Raw) -> int:
    return memoryview(payload).nbytes


def _bytes_of_child(call: Call) -> int:
    return 0 if call.request.child is None else len(call.request.child.payload)

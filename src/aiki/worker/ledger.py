"""What an execution has done and the server does not know yet.

The rule: everything that a commit carries is gathered here in the order in which it happened, and leaves it exactly
once, in a frozen turn. The claim's first commit states the whole set of open waits, later ones what has changed.
"""

from collections.abc import Mapping

from msgspec import Raw

from aiki.model.ids import child_run_id
from aiki.model.journal import CallKey, Entry
from aiki.model.wire import ChildStart, Effect
from aiki.sdk.host import RunFacts
from aiki.worker.calls import Call

__all__ = ["Ledger", "Unsent"]


class Unsent:
    """One turn's share: what the commit is made of."""

    __slots__ = ("children", "closed", "effects", "entries", "opened", "read", "replaces")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.read: list[int] = []
        self.effects: list[Effect] = []
        self.children: dict[CallKey, Call] = {}
        self.opened: dict[CallKey, Call] = {}
        self.closed: dict[CallKey, None] = {}
        self.replaces = False

    def child_starts(self, parent: RunFacts) -> tuple[ChildStart, ...]:
        """Return the children to start, as messages."""
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
    """

    __slots__ = ("_known", "_replaces", "unsent")

    def __init__(self, *, knows_waits: bool) -> None:
        self.unsent = Unsent()
        self._known: set[CallKey] = set()
        self._replaces = not knows_waits

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that a crash could lose."""
        unsent = self.unsent
        return not (unsent.entries or unsent.effects or unsent.children or unsent.opened or unsent.closed)

    def open_wait(self, call: Call) -> None:
        """A wait was opened, or has changed."""
        self.unsent.opened[call.key] = call
        self.unsent.closed.pop(call.key, None)

    def close_wait(self, key: CallKey) -> None:
        """A wait is answered or withdrawn; one that the server never heard of leaves no trace."""
        self.unsent.opened.pop(key, None)
        if key in self._known:
            self.unsent.closed[key] = None

    def take(self, waits: Mapping[CallKey, Call]) -> Unsent:
        """Return what is to be sent, `waits` being all that are open, and begin anew."""
        taken, self.unsent = self.unsent, Unsent()
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

"""A proxy before Postgres that cuts connections at COMMIT: before it has arrived, or in place of its answer.

The rule: what is cut is a transaction's end and nothing else, so that its outcome is unknown to whoever asked for it.
"""

from collections import Counter
from typing import Final, Literal

from tests.system.proxy import Connection, Proxy

__all__ = ["CommitCutter", "Cut"]

COMMIT: Final = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # a simple query: its kind, its length, its text

Cut = Literal["before", "after"]


class CommitCutter(Proxy):
    """Cuts the next commits that `cut` asks for."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._wanted: list[Cut] = []
        self.done: Counter[Cut] = Counter()

    def cut(self, place: Cut, *, times: int = 1) -> None:
        """Cut that many of the next commits."""
        self._wanted += [place] * times

    def asked(self, connection: Connection, chunk: bytes) -> bool:
        if not (self._wanted and chunk.endswith(COMMIT)):
            return True
        connection.mark = place = self._wanted.pop(0)
        self.done[place] += 1
        return place == "after"

    def answered(self, connection: Connection, chunk: bytes) -> bool:
        return connection.mark != "after"

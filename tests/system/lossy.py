"""A proxy before a server that loses answers: the request has arrived, its answer never comes.

The rule: which answers are lost follows from their number alone, for each path of its own, so that a failure can be
repeated as far as real processes allow.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.system.proxy import Connection, Proxy


class LossyProxy(Proxy):
    """Cuts the connection in place of each `every`-th answer of a path."""

    def __init__(self, port: int, *, every: int) -> None:
        super().__init__(port)
        self._every = every
        self._answers: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, connection: Connection, chunk: bytes) -> bool:
        if chunk.startswith((b"GET ", b"POST ")):
            connection.mark = chunk.split(b" ", 2)[1].split(b"?")[0].decode()
        return True

    def answered(self, connection: Connection, chunk: bytes) -> bool:
        path = connection.mark
        if not chunk.startswith(b"HTTP/"):
            return True
        self._answers[path] += 1
        is_lost = self._answers[path] % self._every == 0
        self.lost[path] += is_lost
        return not is_lost


@asynccontextmanager
async def lossy(port: int, *, every: int) -> AsyncIterator[LossyProxy]:
    """Put a proxy before the server at `port` for the body."""
    async with LossyProxy(port, every=every).listening() as proxy:
        yield proxy

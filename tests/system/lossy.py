"""A real TCP proxy before a server that loses answers: the request has arrived, its answer never comes.

The rule: which answers are lost follows from their number alone, for each path of its own, so that a failure can be
repeated as far as real processes allow.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 64 * 1024


class LossyProxy:
    """Hands bytes on in both directions, and cuts the connection in place of each `every`-th answer of a path."""

    def __init__(self, port: int, *, every: int) -> None:
        self._port = port
        self._every = every
        self._answers: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.url = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's connection until either side ends it."""
        asked = ""
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return

        async def up() -> None:
            nonlocal asked
            while chunk := await reader.read(CHUNK_BYTES):
                if chunk.startswith((b"GET ", b"POST ")):
                    asked = chunk.split(b" ", 2)[1].split(b"?")[0].decode()
                server_writer.write(chunk)
                await server_writer.drain()

        async def down() -> None:
            while chunk := await server_reader.read(CHUNK_BYTES):
                if chunk.startswith(b"HTTP/"):
                    self._answers[asked] += 1
                    if self._answers[asked] % self._every == 0:
                        self.lost[asked] += 1
                        return
                writer.write(chunk)
                await writer.drain()

        ways = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, server_writer):
                end.transport.abort()
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(*ways, return_exceptions=True)


@asynccontextmanager
async def lossy(port: int, *, every: int) -> AsyncIterator[LossyProxy]:
    """Put a proxy before the server at `port` for the body."""
    proxy = LossyProxy(port, every=every)
    carried: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.carry(reader, writer))
        carried.add(task)
        task.add_done_callback(carried.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        for task in list(carried):
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)

"""A real TCP proxy that hands bytes on in both directions, until whoever inherits from it cuts a connection.

The rule: what is cut follows from the bytes that pass, never from the time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

__all__ = ["Connection", "Proxy"]

CHUNK_BYTES: Final = 64 * 1024


class Connection:
    """What a proxy remembers of one connection: `mark` is its to use."""

    def __init__(self) -> None:
        self.mark = ""


class Proxy:
    """A proxy before the server at `target`. `port` is where it listens itself."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0

    def asked(self, connection: Connection, chunk: bytes) -> bool:
        """Whether what a client sends is handed on; else the connection is cut."""
        return True

    def answered(self, connection: Connection, chunk: bytes) -> bool:
        """Whether what the server sends is handed on; else the connection is cut."""
        return True

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Carry connections during the body."""
        carried: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._carry(reader, writer))
            carried.add(task)
            task.add_done_callback(carried.discard)
            task.add_done_callback(lambda _: writer.transport.abort())

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.sleep(0)  # what was accepted this moment is carried now
            for task in list(carried):
                task.cancel()
            await asyncio.gather(*carried, return_exceptions=True)
            await asyncio.sleep(0)  # an aborted connection is closed in the loop's next turn

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        connection = Connection()

        async def up() -> None:
            while (chunk := await reader.read(CHUNK_BYTES)) and self.asked(connection, chunk):
                server_writer.write(chunk)
                await server_writer.drain()

        async def down() -> None:
            while (chunk := await server_reader.read(CHUNK_BYTES)) and self.answered(connection, chunk):
                writer.write(chunk)
                await writer.drain()

        ways = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            server_writer.transport.abort()
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(*ways, return_exceptions=True)

"""The head of a request within bounds, which uvicorn leaves open: how large it may be, and how long it may take.

The rule: whoever connects says what they want in time and in few words, or is let go; what comes after the head is
bounded by `bodies`.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedProtocol"]

HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_WAIT_S: Final = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _late: asyncio.TimerHandle | None = None  # runs while a head is awaited
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it to what TCP and files give
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._have_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of what they say has come."""
        super().data_received(data)
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(f"The head of the request has more than {HEAD_BYTES_MAX} bytes.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._have_head()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._have_head()
        self._head_bytes = 0
        late = f"The head of the request did not arrive within {HEAD_WAIT_S:g} s."
        self._late = asyncio.get_running_loop().call_later(HEAD_WAIT_S, self._refuse, late)

    def _have_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, message: str) -> None:
        self._have_head()
        if not self.transport.is_closing():
            self.send_400_response(message)

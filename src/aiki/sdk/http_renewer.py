"""Renewing a worker's session without an event loop.

The rule: it is used by one thread alone, blocks it for a short while at most, and shares nothing with the road that the
event loop uses.
"""

import http.client
import socket
from typing import Final
from urllib.parse import urlsplit

import msgspec

from aiki.errors import Unavailable
from aiki.model.wire import PollAnswer, PollRequest
from aiki.sdk.http_address import Address, Answer
from aiki.sdk.http_answers import decoded, error_of

__all__ = ["HttpRenewer"]

TIMEOUT_S: Final = 2.0
ATTEMPTS_MAX: Final = 2  # a kept connection may turn out to be closed; a fresh one may not

_ANSWER: Final = msgspec.json.Decoder(PollAnswer)


class HttpRenewer:
    """A connection of its own to a server; what `aiki.sdk.transport.Renewer` asks for."""

    def __init__(self, address: Address, *, api_key: str | None, timeout_s: float = TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._path = f"{urlsplit(address.base).path}/v1/worker/poll"
        self._headers = {"content-type": "application/json", "user-agent": "aiki"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._connection: http.client.HTTPConnection | None = None

    def renew(self, request: PollRequest) -> PollAnswer:
        """Renew the session; block until the answer is there, for a short while at most.

        Raises:
            Unavailable: the server cannot be reached, or is silent.
        """
        body = msgspec.json.encode(request)
        for _ in range(ATTEMPTS_MAX):
            is_kept = self._connection is not None
            try:
                answer = self._asked(body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if is_kept and not isinstance(error, TimeoutError):
                    continue
                where = self._address.url
                raise Unavailable(f"the Aiki server at {where} does not answer: {error}", url=where) from error
            if answer.status != http.client.OK:
                raise error_of(answer, url=self._address.url)
            return decoded(answer, _ANSWER, url=self._address.url)
        raise AssertionError("a fresh connection answers or fails")

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _asked(self, body: bytes) -> Answer:
        if self._connection is None:
            self._connection = self._made()
        self._connection.request("POST", self._path, body=body, headers=self._headers)
        response = self._connection.getresponse()
        return Answer(response.status, response.headers.get_content_type(), response.read())

    def _made(self) -> http.client.HTTPConnection:
        if self._address.socket is not None:
            return _UnixConnection(self._address.socket, timeout=self._timeout_s)
        parts = urlsplit(self._address.base)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self._timeout_s)


class _UnixConnection(http.client.HTTPConnection):
    """A connection through a file."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

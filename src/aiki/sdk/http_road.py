"""Requests over HTTP, with aiohttp: connections that are kept, over TCP or a unix socket.

The rule: only `sdk/http.py` uses this, and imports it by name with its first request, for aiohttp takes as long to
import as all of Aiki (docs/why.md).
"""

import asyncio
import io
from typing import Final

import aiohttp
from yarl import URL

from aiki.errors import Unavailable
from aiki.sdk.http_address import Address, Answer

__all__ = ["HttpRoad"]

CONNECTIONS_MAX: Final = 100
IDLE_S: Final = 30  # shorter than our server keeps an idle connection
AT_ONCE_BYTES_MAX: Final = 512 * 1024
CONTENT_TYPE: Final = "application/json"


class HttpRoad:
    """A pool of connections to one server. Made and used within one event loop."""

    def __init__(self, address: Address, *, api_key: str | None) -> None:
        self._address = address
        connector: aiohttp.BaseConnector
        if address.socket is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_S)
        else:
            connector = aiohttp.UnixConnector(address.socket, limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_S)
        headers = {"content-type": CONTENT_TYPE, "user-agent": "aiki"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # each request is given its own
        )

    async def ask(self, method: str, path: str, *, body: bytes | None, timeout_s: float) -> Answer:
        """Return the answer to a request. `path` is encoded already."""
        url = URL(f"{self._address.base}{path}", encoded=True)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(method, url, data=_sent(body), allow_redirects=False) as response,
            ):
                return Answer(response.status, response.content_type, await response.read())
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorError as error:
            raise self._nobody(error) from error
        except (aiohttp.ClientError, OSError) as error:
            where = self._address.url
            raise Unavailable(f"the connection with the Aiki server at {where} broke: {error}", url=where) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _nobody(self, error: aiohttp.ClientConnectorError) -> Unavailable:
        where = self._address.url
        reason = (
            "" if isinstance(error.os_error, ConnectionRefusedError | FileNotFoundError) else f" ({error.os_error})"
        )
        return Unavailable(f"no Aiki server at {where}{reason}. Start one: aiki dev", url=where)


def _sent(body: bytes | None) -> bytes | io.BytesIO | None:
    """Return a body in the form in which it stops no other task: a large one is read piece by piece."""
    return body if body is None or len(body) <= AT_ONCE_BYTES_MAX else io.BytesIO(body)

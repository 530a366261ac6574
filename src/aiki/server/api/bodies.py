"""Bodies of requests: received within bounds, and decoded with words for what is wrong.

The rule: the size is judged while bytes arrive, whatever was announced; time and memory have bounds too; and nothing is
parsed before it was received whole.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from aiki.config import Config
from aiki.errors import InvalidInput, Unavailable
from aiki.model.payload import check
from aiki.server.api.problems import BODY_TOO_LARGE, REQUEST_TIMEOUT, Refused

__all__ = ["Bodies", "decoded", "fitted"]

MS_PER_S: Final = 1000
DRAINED_TIMES: Final = (
    2  # of a body beyond its limit this much is read and dropped, so that its sender reads the answer
)
LOOKED_INTO_BYTES_MAX: Final = 1024 * 1024  # of a body that is no JSON; a larger one is told the number of the byte
CLOSES: Final = {"connection": "close"}

T = TypeVar("T")

_WHERE: Final = re.compile(r" - at `(?:key in )?(?P<path>\$[^`]*)`\Z")
_FIELD: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")


class Bodies:
    """Receives bodies. All that are held at once have a bound."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.held_bytes = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[bytes]:
        """Give the whole body; it counts as held until the block is left.

        Raises:
            Refused: it is too large, or did not arrive in time.
            Unavailable: too much is held already.
            ClientDisconnect: whoever sent it has gone.
        """
        parts: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self._config.body_wait_ms / MS_PER_S):
                    await self._receive(request, parts)
            except TimeoutError:
                raise _late(self._config.body_wait_ms, sum(map(len, parts))) from None
            yield parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self.held_bytes -= sum(map(len, parts))

    async def _receive(self, request: Request, parts: list[bytes]) -> None:
        limit_bytes = self._config.body_bytes_max
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > DRAINED_TIMES * limit_bytes:
            raise _too_large(limit_bytes)
        size_bytes = 0
        while size_bytes <= DRAINED_TIMES * limit_bytes:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part: bytes = message.get("body", b"")
            size_bytes += len(part)
            if size_bytes <= limit_bytes:
                self._hold(part, parts)
            elif parts:
                self.held_bytes -= sum(map(len, parts))
                parts.clear()
            if not message.get("more_body", False):
                break
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)

    def _hold(self, part: bytes, parts: list[bytes]) -> None:
        if self.held_bytes + len(part) > self._config.bodies_bytes_max:
            raise Unavailable(f"{self.held_bytes:,} bytes of requests are under way. Come back in a moment.")
        self.held_bytes += len(part)
        parts.append(part)


def _too_large(limit_bytes: int) -> Refused:
    refused = Refused.of(
        BODY_TOO_LARGE,
        f"the request has more than {limit_bytes:,} bytes, which is the limit. Send it in parts.",
        path="body",
        limit_bytes=limit_bytes,
    )
    refused.headers.update(CLOSES)
    return refused


def _late(wait_ms: int, size_bytes: int) -> Refused:
    refused = Refused.of(
        REQUEST_TIMEOUT,
        f"the request did not arrive within {wait_ms / MS_PER_S:g} s: {size_bytes:,} bytes of it did",
        path="body",
    )
    refused.headers.update(CLOSES)
    return refused


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return what a body says.

    Raises:
        InvalidInput: it is not JSON, or does not fit; `.path` says where.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(error, "the body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if len(body) <= LOOKED_INTO_BYTES_MAX:
            check(body, limit_bytes=LOOKED_INTO_BYTES_MAX, what="the body")  # knows where NaN and the like stand
        raise InvalidInput(f"the body is not JSON: {error}", path="$") from None


def fitted(given: dict[str, object], kind: type[T]) -> T:
    """Return what the address of a request says: its path and its query.

    Raises:
        InvalidInput: something in it does not fit; `.path` names it.
    """
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit(error, "the address", root="") from None


def _misfit(error: msgspec.ValidationError, what: str, *, root: str = "$") -> InvalidInput:
    text = str(error)
    where = _WHERE.search(text)
    said = text if where is None else text[: where.start()]
    field = _FIELD.search(said)
    inside = ("" if where is None else where["path"][1:]) + (f".{field['name']}" if field else "")
    path = f"{root}{inside}".removeprefix(".")
    return InvalidInput(f"{what} does not fit at {path}: {said[:1].lower()}{said[1:]}", path=path)

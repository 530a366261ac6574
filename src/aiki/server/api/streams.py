"""Answers that go on: changes of runs as server-sent events.

The rule: nothing is kept for a reader but its place, so that one who does not read costs nothing; and a server that closes
ends every stream.
"""

from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from aiki.errors import Unavailable
from aiki.model.changes import Changes
from aiki.server.api.call import Call, Streamed
from aiki.server.api.openapi import EVENT_STREAM
from aiki.server.api.polls import CLOSES, LongPolls
from aiki.server.api.shapes import AskedStream

__all__ = ["EventStream", "run_changes"]

LAST_MARK: Final = "last-event-id"
HEADERS: Final = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # or nginx would keep events until there are many
    (b"x-content-type-options", b"nosniff"),
)
BEAT: Final = b": nothing new\n\n"


async def run_changes(call: Call, asked: AskedStream, _body: None) -> Streamed:
    """Tell of runs as they change."""
    if call.desk.polls.is_closing:
        raise Unavailable(CLOSES)
    after = call.request.headers.get(LAST_MARK) or asked.after
    return Streamed(call.service.changes(call.namespace(asked.namespace), after=after))


class EventStream:
    """The ASGI answer that such a reader fills."""

    def __init__(self, streamed: Streamed, request: Request, polls: LongPolls) -> None:
        self._reader = streamed.reader
        self._request = request
        self._polls = polls

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send events until there is nobody to read them."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            while scope["method"] != "HEAD":
                changes = await self._polls.answer(self._reader.next(), self._request)
                await send({"type": "http.response.body", "body": _event(changes), "more_body": True})
        except Unavailable:
            pass
        except ClientDisconnect:
            return
        finally:
            self._reader.close()
        await send({"type": "http.response.body", "body": b""})


def _event(changes: Changes) -> bytes:
    if not (changes.runs or changes.missed):
        return BEAT
    return b"id: %s\nevent: runs\ndata: %s\n\n" % (changes.mark.encode(), msgspec.json.encode(changes))

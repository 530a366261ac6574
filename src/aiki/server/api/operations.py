"""What operators' tools ask: whether the process lives, whether it serves, and what it can be asked.

The rule: nothing here tells of any run.
"""

from aiki.errors import Unavailable
from aiki.server.api.call import Call, Reply
from aiki.server.api.polls import CLOSES
from aiki.server.api.shapes import Health, Nothing

__all__ = ["document", "health", "readiness"]


async def health(_call: Call, _asked: Nothing, _body: None) -> Reply:
    """The process answers."""
    return Reply(Health("ok"))


async def readiness(call: Call, _asked: Nothing, _body: None) -> Reply:
    """The server takes requests, or a problem says why not."""
    if call.desk.polls.is_closing:
        raise Unavailable(CLOSES)
    assert call.service is not None, "a server that does not run raises"
    return Reply(Health("ready"))


async def document(call: Call, _asked: Nothing, _body: None) -> Reply:
    """Return the OpenAPI document."""
    return Reply(call.desk.document(call.request.scope.get("root_path", "")))

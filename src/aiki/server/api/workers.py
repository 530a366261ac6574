"""What workers ask: sessions, polls, commits.

The rule: a worker whose key sees one namespace neither claims nor writes in another.
"""

from collections.abc import Iterable

from aiki.model.wire import Announce, Commit, Goodbye, HandBack, PollRequest
from aiki.server.api.call import Call, Reply
from aiki.server.api.shapes import AskedPage, Nothing

__all__ = ["announce", "commit", "goodbye", "hand_back", "journal_page", "poll"]


async def announce(call: Call, _asked: Nothing, body: Announce) -> Reply:
    """Open a session."""
    call.namespace(body.namespace)
    return Reply(await call.service.announce(body))


async def poll(call: Call, _asked: Nothing, body: PollRequest) -> Reply:
    """Renew a session and bring work."""
    _check_namespaces(call, (queue.namespace for queue in body.queues))
    return Reply(await call.kept_open(call.service.poll(body)))


async def commit(call: Call, _asked: Nothing, body: list[Commit]) -> Reply:
    """Make turns durable."""
    _check_namespaces(call, (child.namespace for commit in body for child in commit.children))
    return Reply(await call.service.commit(body))


async def journal_page(call: Call, asked: AskedPage, _body: None) -> Reply:
    """Return a page of the journal of a run that a session owns; a problem stands in the page."""
    return Reply(await call.service.fetch(asked.session_id, asked.run_id, asked.epoch, asked.after_seq))


async def hand_back(call: Call, _asked: Nothing, body: HandBack) -> Reply:
    """Give up claims."""
    await call.service.hand_back(body)
    return Reply(None, 204)


async def goodbye(call: Call, _asked: Nothing, body: Goodbye) -> Reply:
    """End a session."""
    await call.service.goodbye(body)
    return Reply(None, 204)


def _check_namespaces(call: Call, namespaces: Iterable[str]) -> None:
    for namespace in set(namespaces):
        call.namespace(namespace)

"""A shop behind a server, as a process of its own: prints its address and the runs that it has, as a line of JSON.

A browser driven from a test blocks that test's thread, so the server has to live elsewhere. It ends with its input.
"""

import asyncio
import json
import sys
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from aiki import ApiKey, Server
from aiki.server.api.mounted import Mounted
from aiki.server.api.serve import served
from tests.dashboard import fleet


class Based(Mounted):
    """A server's API as an application mounts it: below a base."""

    def __init__(self, mounted: ASGIApp, base: str) -> None:
        self._app = Starlette(routes=[Mount(base, app=mounted)])
        self._inner = mounted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def shut_down(self) -> None:
        self._inner.shut_down()  # type: ignore[attr-defined]


async def main(base: str, api_key: str) -> None:
    server = Server(":memory:", api_keys=[ApiKey.of(api_key)] if api_key else ())
    async with server, server.client() as client, fleet.working(client):
        named = await fleet.populate(client)
        app = Based(server.asgi, base) if base else server.asgi
        async with served(app, host="127.0.0.1", port=0) as place:
            print(json.dumps({"url": place.url + base, "runs": named}), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The command: where it listens, for which server, and what it refuses.

The rule: a key from the environment is lent only to browsers of this machine; others bring their own.
"""

import asyncio
import os
from typing import Final

from aiki.cli.interruption import run_until_signalled
from aiki.cli.log import log_to_terminal, logger
from aiki.cli.refusal import Refusal, refuse
from aiki.cli.web.proxy import Proxy
from aiki.config import Config
from aiki.sdk.http_address import address_of
from aiki.server.api.access import Access, is_loopback
from aiki.server.api.serve import loop_factory, served

__all__ = ["web"]

WEB_PORT: Final = 9851


def web(*, url: str | None = None, host: str = "localhost", port: int = WEB_PORT) -> int:
    """Serve the dashboard for a server elsewhere, until Ctrl-C.

    A server shows its dashboard itself, at its own address. This is for one that browsers do not reach: what a page asks is
    sent on to it. On this machine the key is taken from AIKI_API_KEY; where others reach the page, it asks each of them.

    For example:

        aiki web --url http://10.0.0.7:9850
        AIKI_API_KEY=aiki_... aiki web --url https://aiki.example.com
        aiki web --host 0.0.0.0 --url unix:///run/aiki.sock

    Args:
        url: The server's address; by default AIKI_URL, else http://localhost:9850.
        host: Where to listen.
        port: 0 for any that is free.
    """

    async def serve() -> int:
        try:
            address = address_of(url, os.environ)
        except ValueError as error:
            raise Refusal(str(error)) from error
        is_here = is_loopback(host)
        key = os.environ.get("AIKI_API_KEY") or None
        access = Access(insecure=not is_here)
        lent = key if is_here else None
        async with Proxy(address, access=access, api_key=lent, config=Config.from_environment(os.environ)) as proxy:
            try:
                async with served(proxy, host=host, port=port) as place:
                    logger.info("Aiki shows %s on %s. Ctrl-C stops it.", address.url, place.url)
                    await asyncio.Event().wait()
            except OSError as error:
                raise Refusal(error.strerror or str(error)) from error
        raise AssertionError("it is served until it is cancelled")

    log_to_terminal()
    try:
        return run_until_signalled(serve, loop_factory=loop_factory())
    except Refusal as error:
        return refuse("web", error)

"""`aiki server`: the API on a port or a unix socket, for workers and clients elsewhere.

The rule: it says one line when it begins and one when it ends, and none for a request.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final

from cyclopts import Parameter

from aiki.cli.databases import database_of, shown
from aiki.cli.interruption import run_until_signalled
from aiki.cli.log import log_to_terminal, logger
from aiki.cli.refusal import Refusal, refuse
from aiki.cli.serving import serving
from aiki.clock import Chance
from aiki.config import SETTINGS
from aiki.server.api.serve import PORT_DEFAULT, Place, loop_factory
from aiki.server.principals import new_api_key
from aiki.server.server import Server

__all__ = ["server"]

FLAG: Final = Parameter(negative=())
SETTING: Final = "Any setting, as --lease-ms 5000 or AIKI_LEASE_MS: " + ", ".join(
    f"--{setting.name.replace('_', '-')}" for setting in SETTINGS
)


def server(
    *,
    database: str | None = None,
    host: str = "localhost",
    port: int = PORT_DEFAULT,
    unix: str | None = None,
    redis: str | None = None,
    api_key: Annotated[list[str] | None, Parameter(negative=())] = None,
    insecure: Annotated[bool, FLAG] = False,
    new_key: Annotated[bool, FLAG] = False,
    **setting: Annotated[int, Parameter(help=SETTING)],
) -> int:
    """Serve runs over HTTP to workers and clients, until Ctrl-C.

    All state is in the one database. Stop the server, or kill it, whenever
    you like: started again on the same database, it goes on. Workers and
    clients wait for it meanwhile.

    For example:

        aiki server
        aiki server --database /var/lib/aiki/shop.db --port 9900
        aiki server --unix /run/aiki.sock
        AIKI_API_KEYS=$(aiki server --new-key) aiki server --host 0.0.0.0

    Args:
        database: The SQLite file, made if it is not there; `:memory:` keeps nothing; or postgresql://user@host/name, for
            any number of servers, once `aiki migrate apply` has been run.
            By default AIKI_DATABASE, else aiki.db.
        host: Where to listen. Beyond this machine only with API keys, or with --insecure.
        port: 0 for any that is free.
        unix: Listen on this path instead of a port; only you may connect.
        redis: Show ready runs in this Redis, for workers with a RedisSubscriber: redis://host:6379/0, rediss:// for TLS.
            What it holds can be lost at any time. By default AIKI_REDIS.
        api_key: A key that opens everything, or with what it is for: worker=aiki_..., viewer@shop=aiki_...
            (viewer, operator, worker or admin; @ and a namespace). May be given more than once.
            Better: AIKI_API_KEYS, with commas between, since others on this machine can read command lines.
        insecure: Answer anybody from anywhere, on a network that is yours alone.
        new_key: Print a new API key and exit.
    """
    if new_key:
        print(new_api_key(Chance()))
        return 0

    meant = database_of(database)
    served = serving(
        meant,
        host=host,
        port=port,
        unix=unix,
        api_keys=api_key or (),
        is_insecure=insecure,
        redis=redis,
        settings={name.replace("-", "_"): value for name, value in setting.items()},
    )
    log_to_terminal()
    try:
        return run_until_signalled(lambda: _serve(served, shown(meant)), loop_factory=loop_factory())
    except Refusal as error:
        return refuse("server", error)


async def _serve(served: AbstractAsyncContextManager[tuple[Server, Place]], database: str) -> int:
    async with served as (_, place):
        logger.info("Aiki serves %s on %s. Ctrl-C stops it.", database, place.url)
        try:
            await asyncio.Event().wait()
        finally:
            logger.info("Aiki stops. All runs are in %s.", database)
    raise AssertionError("it is served until it is cancelled")

"""A server over HTTP, put together for the commands that serve.

The rule: what was refused is told in one sentence each: a port that is taken, a database in use, a setting out of
bounds, a place that others can reach while nobody is asked who they are.
"""

import difflib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import metadata
from typing import Final

from aiki.cli.refusal import Refusal
from aiki.clock import Chance, SystemClock
from aiki.config import SETTINGS, Config
from aiki.errors import AikiError
from aiki.server.api.access import Access, check_exposure
from aiki.server.api.app import Api
from aiki.server.api.serve import Place, served
from aiki.server.principals import static_keys
from aiki.server.server import Server

__all__ = ["API_KEYS", "serving"]

API_KEYS: Final = "AIKI_API_KEYS"
REDIS: Final = "AIKI_REDIS"


@asynccontextmanager
async def serving(
    database: str,
    *,
    host: str,
    port: int,
    unix: str | None = None,
    api_keys: Sequence[str] = (),
    is_insecure: bool = False,
    redis: str | None = None,
    settings: Mapping[str, int] | None = None,
) -> AsyncIterator[tuple[Server, Place]]:
    """Serve a database while the block lasts.

    Args:
        redis: where ready runs are shown to workers; by default AIKI_REDIS, else nowhere.
        api_keys: as of `principals.static_keys`; more of them may stand in AIKI_API_KEYS, with commas or spaces between.
        settings: those of `Config` that were typed; the others come from the environment.

    Raises:
        Refusal: it cannot be served there.
    """
    clock, chance = SystemClock(), Chance()
    try:
        keys = static_keys(",".join([*api_keys, os.environ.get(API_KEYS, "")]))
        access = Access(api_keys=keys, insecure=is_insecure)
        config = _config(settings or {})
        if unix is None:
            check_exposure(host, access)
        redis = redis or os.environ.get(REDIS) or None
        server = Server(database, clock=clock, chance=chance, config=config, redis=redis)
    except (AikiError, ValueError) as error:
        raise Refusal(str(error)) from error
    api = Api(
        lambda: server.service,
        access=access,
        config=config,
        clock=clock,
        chance=chance,
        version=metadata.version("aiki"),
    )
    async with AsyncExitStack() as open_parts:
        try:
            await open_parts.enter_async_context(server)
            place = await open_parts.enter_async_context(served(api, host=host, port=port, path=unix))
        except (AikiError, OSError) as error:
            raise Refusal(getattr(error, "strerror", None) or str(error)) from error
        server.store.tell(url=place.url)
        yield server, place


def _config(typed: Mapping[str, int]) -> Config:
    """Return the settings: what was typed, else what the environment says, else the defaults.

    Raises:
        ValueError: a setting is none, or out of its bounds.
    """
    known = {setting.name: setting.variable for setting in SETTINGS}
    for name in typed:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean --{near[0].replace('_', '-')}?" if near else ""
            raise ValueError(f"there is no option or setting --{name.replace('_', '-')}.{meant}")
    return Config.from_environment({**os.environ, **{known[name]: str(value) for name, value in typed.items()}})

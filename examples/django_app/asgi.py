"""Aiki inside a Django project: server and worker live and end with the process that serves it.

Django knows no lifespan and mounts no ASGI applications. Starlette, which Aiki brings, does both, and hands Django
everything else.

Try it:

    pip install django
    uvicorn --app-dir examples django_app.asgi:application
    curl --json '{"order_id": "o-1", "amount": 20}' localhost:8000/orders
    curl localhost:8000/aiki/v1/runs
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.core.asgi import get_asgi_application
from orders import order_v1
from starlette.applications import Starlette
from starlette.routing import Mount

from aiki import Worker
from django_app.durable import client, server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_app.settings")
django = get_asgi_application()


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Serve while the process does. Without a worker of its own, `lifespan=server.lifespan` is enough."""
    async with server, client, Worker(client, [order_v1]):
        yield


application = Starlette(routes=[Mount("/aiki", server.asgi), Mount("/", django)], lifespan=lifespan)

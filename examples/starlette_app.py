"""Aiki inside a Starlette application: server and worker live and end with it.

Try it:

    uvicorn --app-dir examples starlette_app:app
    curl -d '{"order_id": "o-1", "amount": 20}' localhost:8000/orders
    curl localhost:8000/aiki/v1/runs
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orders import Order, order_v1
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from aiki import Server, Worker

server = Server("sqlite:///orders.db", is_embedded=True)
client = server.client()


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Serve while the application does. Without a worker of its own, `lifespan=server.lifespan` is enough."""
    async with server, client, Worker(client, [order_v1]):
        yield


async def start(request: Request) -> JSONResponse:
    """Start an order."""
    handle = await order_v1.start(client, Order(**await request.json()))
    return JSONResponse({"run_id": handle.id}, 201)


async def approve(request: Request) -> JSONResponse:
    """Approve an order, and wait for what comes of it."""
    handle = order_v1.handle(client, request.path_params["run_id"])
    await handle.events.approved.send("Ada")
    return JSONResponse(await handle.result(timeout=10))


app = Starlette(
    routes=[
        Route("/orders", start, methods=["POST"]),
        Route("/orders/{run_id}/approval", approve, methods=["POST"]),
        Mount("/aiki", server.asgi),
    ],
    lifespan=lifespan,
)

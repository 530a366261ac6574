"""Aiki inside a Litestar application: server and worker live and end with it.

Try it:

    pip install litestar
    uvicorn --app-dir examples litestar_app:app
    curl --json '{"order_id": "o-1", "amount": 20}' localhost:8000/orders
    curl localhost:8000/aiki/v1/runs
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, asgi, post
from orders import Order, order_v1

from aiki import Server, Worker

server = Server("sqlite:///orders.db", is_embedded=True)
client = server.client()


@asynccontextmanager
async def lifespan(_app: Litestar) -> AsyncIterator[None]:
    """Serve while the application does. Without a worker of its own, `lifespan=[server.lifespan]` is enough."""
    async with server, client, Worker(client, [order_v1]):
        yield


@post("/orders")
async def start(data: Order) -> dict[str, str]:
    """Start an order."""
    handle = await order_v1.start(client, data)
    return {"run_id": handle.id}


@post("/orders/{run_id:str}/approval", status_code=200)
async def approve(run_id: str) -> list[str]:
    """Approve an order, and wait for what comes of it."""
    handle = order_v1.handle(client, run_id)
    await handle.events.approved.send("Ada")
    return await handle.result(timeout=10)


app = Litestar([start, approve, asgi("/aiki", is_mount=True, copy_scope=True)(server.asgi)], lifespan=[lifespan])

"""Asynchronous views: they run in the event loop that the server lives in, and may await its client."""

import json

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST
from orders import Order, order_v1

from django_app.durable import client


@require_POST
async def start(request: HttpRequest) -> JsonResponse:
    """Start an order."""
    handle = await order_v1.start(client, Order(**json.loads(request.body)))
    return JsonResponse({"run_id": handle.id}, status=201)


@require_POST
async def approve(_request: HttpRequest, run_id: str) -> JsonResponse:
    """Approve an order, and wait for what comes of it."""
    handle = order_v1.handle(client, run_id)
    await handle.events.approved.send("Ada")
    return JsonResponse(await handle.result(timeout=10), safe=False)

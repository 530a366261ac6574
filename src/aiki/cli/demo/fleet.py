"""`aiki demo --fleet`: a server, workers and a shop that is open, to look around in the dashboard.

The rule: everything is in memory and in this process, goes on until Ctrl-C, and leaves nothing behind.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

from aiki import Client, Worker, schedule
from aiki.cli.demo import shop
from aiki.cli.demo.shop import Acceptance, Order, Refund
from aiki.cli.serving import serving

__all__ = ["keep_shop"]

CUSTOMERS: Final = ("ada", "grace", "edsger", "barbara", "donald", "frances", "ken", "radia")
CITIES: Final = ("berlin", "porto", "ghent")
PAUSE_S: Final = 0.9
BEGINNING: Final = 40  # steps at once, so that there is something to see
STEPS_MAX: Final = 20_000  # then nothing new is started: it all stays in memory
FIRST_ORDER: Final = 4_700


async def keep_shop(*, port: int, told: Callable[[str], None]) -> None:
    """Keep the shop open until cancelled.

    Args:
        port: where the dashboard is served; 0 for one that is free.
        told: is told the address once there is something to see.
    """
    async with AsyncExitStack() as parts:
        _, place = await parts.enter_async_context(serving(":memory:", host="localhost", port=port))
        client = await parts.enter_async_context(Client(place.url))
        for name, versions, runs in (
            ("kitchen-1", shop.KITCHEN, 40),
            ("kitchen-2", shop.KITCHEN, 20),
            ("office-1", shop.OFFICE, 12),
        ):
            worker = Worker(client, workflows=list(versions), name=name, max_concurrent_runs=runs, shutdown_grace=0.5)
            await parts.enter_async_context(worker)
        await _open(client)
        for number in range(BEGINNING):
            await _step(client, number)
        told(place.url)
        for number in range(BEGINNING, STEPS_MAX):
            await asyncio.sleep(PAUSE_S)
            await _step(client, number)
        await asyncio.Event().wait()


async def _open(client: Client) -> None:
    """Start what is there from the beginning: schedules, long tasks, and what nobody serves."""
    nightly = schedule("nightly-report", cron="30 2 * * 1-5", timezone="Europe/Berlin", overlap="skip")
    refunds = schedule("refund-sweep", every=20)
    stock = schedule("stock-count", cron="0 6 * * 1")
    await nightly.activate(client, shop.report, 24)
    await refunds.activate(client, shop.refund, Refund("order-4600", "cold food"))
    resting = await stock.activate(client, shop.stock_count, "B-12")
    await resting.pause()
    await shop.export.options(reference_id="export-customers").start(client, 900)
    await shop.export.options(reference_id="export-couriers").start(client, 240)
    await shop.report.options(tags={"kind": "report"}).start(client, 24)
    await shop.report.options(delay=timedelta(hours=9)).start(client, 40)
    await shop.stock_count.options(reference_id="stock-B-12").start(client, "B-12")
    for month in ("2026-09", "2026-10"):
        await client.runs.start("invoice-archive", "1.0.0", {"month": month})


async def _step(client: Client, number: int) -> None:
    """Have something happen: mostly orders, now and then a refund or what goes wrong."""
    order = Order(
        f"order-{FIRST_ORDER + number}",
        CUSTOMERS[number % len(CUSTOMERS)],
        1_000 + 173 * number % 4_000,
        ["ramen", "gyoza"][: 1 + number % 2],
    )
    version = shop.order_v1 if number % 5 == 2 else shop.order_v2
    tags = {"city": CITIES[number % len(CITIES)]}
    handle = await version.options(reference_id=order.order_id, tags=tags).start(client, order)
    if number % 4 != 3:
        await handle.events.restaurant_accepted.send(Acceptance(20 + number % 30))
    if number % 17 == 5:
        await handle.cancel("the customer called: wrong address")
    if number % 6 == 1:
        reason = "card declined" if number % 18 == 7 else "cold food"
        request = Refund(order.order_id, reason)
        await shop.refund.options(reference_id=f"refund-{FIRST_ORDER + number}").start(client, request)
    if number % 50 == 9:
        await shop.dispatch.options(reference_id=f"courier-{FIRST_ORDER + number}").start(client, order.order_id)
    if number % 30 == 20:
        await shop.report.options(tags={"kind": "report"}).start(client, 6)

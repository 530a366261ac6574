"""The example that must always work, with every kind of class that authors have, on the whole platform."""

import dataclasses
from datetime import timedelta
from typing import Any, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from aiki import Event, Events, Retry, Run, Version, task, testing, workflow


class OrderModel(pydantic.BaseModel):
    order_id: str
    customer_id: str


class AcceptanceModel(pydantic.BaseModel):
    estimated_minutes: int


@dataclasses.dataclass
class OrderDataclass:
    order_id: str
    customer_id: str


@dataclasses.dataclass
class AcceptanceDataclass:
    estimated_minutes: int


class OrderDict(TypedDict):
    order_id: str
    customer_id: str


class AcceptanceDict(TypedDict):
    estimated_minutes: int


@attrs.define
class OrderAttrs:
    order_id: str
    customer_id: str


@attrs.define
class AcceptanceAttrs:
    estimated_minutes: int


class OrderStruct(msgspec.Struct):
    order_id: str
    customer_id: str


class AcceptanceStruct(msgspec.Struct):
    estimated_minutes: int


KINDS = {
    "pydantic": (OrderModel, AcceptanceModel),
    "dataclass": (OrderDataclass, AcceptanceDataclass),
    "TypedDict": (OrderDict, AcceptanceDict),
    "attrs": (OrderAttrs, AcceptanceAttrs),
    "msgspec": (OrderStruct, AcceptanceStruct),
}


class Restaurant(NamedTuple):
    """The example's workflows, and what it did to the world."""

    order: Any
    acceptance: Any
    restaurant_order: Version[Any, dict[str, str], Any]
    workflows: list[Version[Any, Any, Any]]
    effects: list[str]


def part(value: Any, name: str) -> Any:
    """Return a field of a value of any kind."""
    return value[name] if isinstance(value, dict) else getattr(value, name)


# mypy: disable-error-code="valid-type"
# The classes are parameters here.
def restaurant(Order: Any, Acceptance: Any, *, delivers: bool = True) -> Restaurant:  # noqa: N803
    """Return the example, over these classes."""
    effects: list[str] = []

    @task
    async def notify_restaurant(order_id: str) -> None:
        effects.append(f"restaurant {order_id}")

    @task(retry=Retry.exponential(max_attempts=5, base_delay=1.0), timeout=timedelta(seconds=30))
    async def notify_customer(customer_id: str, message: str) -> None:
        effects.append(f"{customer_id}: {message}")

    @task
    def send_feedback_email(order: Order) -> None:
        assert Order is OrderDict or isinstance(order, Order)
        effects.append(f"feedback of {part(order, 'customer_id')}")

    courier_delivery = workflow("courier-delivery")

    @courier_delivery.version("1.0.0")
    async def courier_delivery_v1(run: Run, order: Order) -> str:
        await run.sleep("ride", minutes=20)
        if not delivers:
            raise RuntimeError("flat tyre")
        return f"{part(order, 'order_id')} delivered"

    class RestaurantOrderEvents(Events):
        restaurant_accepted: Event[Acceptance]

    restaurant_order = workflow("restaurant-order")

    @restaurant_order.version("1.0.0", events=RestaurantOrderEvents)
    async def restaurant_order_v1(run: Run[RestaurantOrderEvents], order: Order) -> dict[str, str]:
        assert Order is OrderDict or isinstance(order, Order)
        order_id, customer_id = part(order, "order_id"), part(order, "customer_id")
        await notify_restaurant.start(run, order_id)

        response = await run.events.restaurant_accepted.wait(timeout=timedelta(minutes=5))
        if response.timed_out:
            await notify_customer.start(run, customer_id, "The restaurant did not respond. Order cancelled.")
            return {"status": "cancelled"}
        await notify_customer.start(run, customer_id, f"Confirmed: {part(response.data, 'estimated_minutes')} minutes")

        delivery = await courier_delivery_v1.start_as_child(run, order)
        if not await delivery.wait_for_status("completed"):
            await notify_customer.start(run, customer_id, "The courier could not deliver. You will be refunded.")
            return {"status": "undelivered"}

        await run.sleep("feedback-delay", days=1)
        await send_feedback_email.start(run, order)
        return {"status": "completed"}

    workflows: list[Version[Any, Any, Any]] = [restaurant_order_v1, courier_delivery_v1]
    return Restaurant(Order, Acceptance, restaurant_order_v1, workflows, effects)


@pytest.fixture(params=KINDS)
def kinds(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Return the classes of an order and of its acceptance."""
    return KINDS[request.param]


async def test_an_accepted_order_is_delivered_and_asked_for_feedback_a_day_later(kinds: tuple[Any, Any]) -> None:
    example = restaurant(*kinds)
    async with testing.local(workflows=example.workflows) as env:
        order = example.order(order_id="order-123", customer_id="customer-456")
        handle = await example.restaurant_order.start(env, order)
        await env.advance(minutes=2)
        await handle.events.restaurant_accepted.send(example.acceptance(estimated_minutes=35))
        await env.settle()
        assert (await handle.info()).status == "awaiting_child"
        await env.advance(minutes=21)
        assert (await handle.info()).status == "sleeping"
        assert example.effects == ["restaurant order-123", "customer-456: Confirmed: 35 minutes"]

        assert await handle.result() == {"status": "completed"}

        info = await handle.info()
        assert info.finished_at is not None
        assert timedelta(days=1, minutes=22) <= info.finished_at - info.created_at < timedelta(days=1, minutes=23)
        assert example.effects[2:] == ["feedback of customer-456"]
        (listed,) = (await env.runs.list(parent_id=handle.id)).runs
        child = await env.runs.get(listed.id)
        assert (child.workflow, child.status, child.output) == ("courier-delivery", "completed", "order-123 delivered")


async def test_an_order_that_nobody_accepts_is_cancelled_after_five_minutes(kinds: tuple[Any, Any]) -> None:
    example = restaurant(*kinds)
    async with testing.local(workflows=example.workflows) as env:
        handle = await example.restaurant_order.start(env, example.order(order_id="o", customer_id="c"))
        await env.advance(minutes=4, seconds=59)
        assert (await handle.info()).status == "awaiting_event"

        await env.advance(seconds=1)

        assert (await handle.info()).output == {"status": "cancelled"}
        assert example.effects == ["restaurant o", "c: The restaurant did not respond. Order cancelled."]


async def test_an_order_whose_courier_fails_is_undelivered(kinds: tuple[Any, Any]) -> None:
    example = restaurant(*kinds, delivers=False)
    async with testing.local(workflows=example.workflows) as env:
        handle = await example.restaurant_order.start(env, example.order(order_id="o", customer_id="c"))
        await handle.events.restaurant_accepted.send(example.acceptance(estimated_minutes=1))

        assert await handle.result() == {"status": "undelivered"}
        assert example.effects[-1] == "c: The courier could not deliver. You will be refunded."


async def test_an_order_is_the_same_when_no_code_is_kept_in_memory(kinds: tuple[Any, Any]) -> None:
    example = restaurant(*kinds)
    async with testing.local(workflows=example.workflows, max_parked_runs=0) as env:
        handle = await example.restaurant_order.start(env, example.order(order_id="o", customer_id="c"))
        await handle.events.restaurant_accepted.send(example.acceptance(estimated_minutes=1))

        assert await handle.result() == {"status": "completed"}
        assert example.effects == ["restaurant o", "c: Confirmed: 1 minutes", "feedback of c"]


async def test_an_order_is_started_by_name_with_its_arguments_as_an_object(kinds: tuple[Any, Any]) -> None:
    example = restaurant(*kinds)
    async with testing.local(workflows=example.workflows) as env:
        given = {"order": {"order_id": "o", "customer_id": "c"}}
        handle = await env.runs.start("restaurant-order", "1.0.0", given)

        assert await handle.result() == {"status": "cancelled"}
        assert (await handle.info()).input == given

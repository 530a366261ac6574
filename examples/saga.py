"""A saga: what has been done is undone, step by step, when a later step fails or somebody cancels.

Each step that worked puts its compensation on a stack; the stack is an `AsyncExitStack`, as anywhere in Python. The
compensations are tasks, so each runs to its recorded end, once, whatever crashes meanwhile. A cancelled parent cancels
its children, and those clean up in the same way.

    $ python examples/saga.py
    flight booked, room refused, flight freed
    failed: task book-room failed after 1 attempt: NonRetryable: no rooms in Oslo
    flight booked, room booked, car booked, car freed, room freed, flight freed
    cancelled: the trip is off
    flight booked, room booked, car booked
    completed: seat 12A, room 7, car
"""

import asyncio
from contextlib import AsyncExitStack

import aiki
from aiki import (
    ChildHandle,
    Client,
    Event,
    Events,
    Handle,
    NonRetryable,
    Retry,
    Run,
    RunCancelled,
    RunFailed,
    task,
    workflow,
)

said: list[str] = []  # what this program tells in the end


@task
async def book_flight(city: str) -> str:
    """Book a seat."""
    said.append("flight booked")
    return "seat 12A"


@task(retry=Retry.exponential(max_attempts=10, base_delay=0.1))
async def free_flight(seat: str) -> None:
    """Give a seat back. A compensation is tried until it works."""
    said.append("flight freed")


@task
async def book_room(city: str) -> str:
    """Book a room, where there is one."""
    if city == "Oslo":
        said.append("room refused")
        raise NonRetryable(f"no rooms in {city}")
    said.append("room booked")
    return "room 7"


@task(retry=Retry.exponential(max_attempts=10, base_delay=0.1))
async def free_room(room: str) -> None:
    """Give a room back."""
    said.append("room freed")


@task
async def book_car(city: str) -> str:
    """Book a car."""
    said.append("car booked")
    return "car"


@task(retry=Retry.exponential(max_attempts=10, base_delay=0.1))
async def free_car(car: str) -> None:
    """Give a car back."""
    said.append("car freed")


class TripEvents(Events):
    """What may come from outside."""

    confirmed: Event[None]


trip = workflow("trip")
ride = workflow("ride")


@ride.version("1.0.0", events=TripEvents)
async def ride_v1(run: Run[TripEvents], city: str) -> str:
    """Book a car, keep it until the trip is confirmed. It is a child, so it can be cancelled from above."""
    car = await book_car.start(run, city)
    try:
        await run.events.confirmed.wait()
    except asyncio.CancelledError:
        await free_car.start(run, car)
        raise
    return car


@trip.version("1.0.0", events=TripEvents)
async def trip_v1(run: Run[TripEvents], city: str) -> str:
    """Book flight, room and car: all of it, or nothing."""
    async with AsyncExitStack() as undo:
        seat = await book_flight.start(run, city)
        undo.push_async_callback(free_flight.start, run, seat)
        room = await book_room.start(run, city)
        undo.push_async_callback(free_room.start, run, room)
        car = await ride_v1.start_as_child(run, city)
        undo.push_async_callback(give_back, car)

        await run.events.confirmed.wait()
        await car.events.confirmed.send(None)
        booked = f"{seat}, {room}, {await car.result()}"
        undo.pop_all()  # nothing is undone any more
        return booked


async def give_back(car: ChildHandle[str, TripEvents]) -> None:
    """Cancel a child, and wait until it has cleaned up. (Where only the parent is cancelled, Aiki cancels its children.)"""
    await car.cancel()
    await car.wait_for_status("cancelled")


async def until_all_wait(client: Client, handle: Handle[str, TripEvents]) -> None:
    """Return once trip and ride wait for confirmation."""
    while any(
        run.status != "awaiting_event"
        for run in (await handle.info(), *(await client.runs.list(parent_id=handle.id)).runs)
    ):
        await asyncio.sleep(0.02)


async def tell(handle: Handle[str, TripEvents]) -> None:
    """Print what has been done, and how it ended."""
    try:
        end = f"completed: {await handle.result()}"
    except RunFailed as error:
        end = f"failed: {error.message}"
    except RunCancelled as error:
        end = f"cancelled: {error.reason}"
    print(", ".join(said))
    print(end)
    said.clear()


async def main() -> None:
    """Plan three trips: one that cannot be had, one that is called off, and one that takes place."""
    async with aiki.local(":memory:", workflows=[trip_v1, ride_v1]) as client:
        await tell(await trip_v1.start(client, "Oslo"))

        off = await trip_v1.start(client, "Rome")
        await until_all_wait(client, off)
        await off.cancel("the trip is off")
        await tell(off)

        on = await trip_v1.start(client, "Rome")
        await until_all_wait(client, on)
        await on.events.confirmed.send(None)
        await tell(on)


if __name__ == "__main__":
    asyncio.run(main())

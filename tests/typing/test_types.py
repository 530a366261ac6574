"""What type checkers say to an author: nothing to the programs of the contract, and the right line to each mistake.

The program of the design stands in restaurant.py.txt, word for word; one that does not await in blocking.py.txt. Each mistake is made in a copy of it by writing one
line differently; `# E` marks where the checkers must complain, and they may nowhere else.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.typing.checkers import CHECKERS, Found

HERE: Final = Path(__file__).parent
RESTAURANT: Final = (HERE / "restaurant.py.txt").read_text(encoding="utf-8")
EVERYTHING: Final = (HERE / "everything.py.txt").read_text(encoding="utf-8")
BLOCKING: Final = (HERE / "blocking.py.txt").read_text(encoding="utf-8")
MARK: Final = "  # E"

NOTIFY: Final = "    await notify_restaurant.start(run, order.order_id)"
CONFIRM: Final = (
    '    await notify_customer.start(run, order.customer_id, f"Confirmed: {response.data.estimated_minutes} minutes")'
)
FEEDBACK: Final = "    await send_feedback_email.start(run, order)"
WAIT: Final = "    response = await run.events.restaurant_accepted.wait(timeout=timedelta(minutes=5))"
CHILD: Final = "    delivery = await courier_delivery_v1.start_as_child(run, order)"
STATUS: Final = '    if not await delivery.wait_for_status("completed"):'
SLEEP: Final = '    await run.sleep("feedback-delay", days=1)'
WORKER: Final = (
    '        async with Worker(client, workflows=[restaurant_order_v1, courier_delivery_v1], name="order-worker"):'
)
START: Final = (
    "            handle = await restaurant_order_v1.start"
    '(client, Order(order_id="order-123", customer_id="customer-456"))'
)
SEND: Final = "            await handle.events.restaurant_accepted.send(Acceptance(estimated_minutes=35))"
RESULT: Final = (
    "            print(await handle.result())          # a day from now; `aiki runs wake ID` shortens each sleep"
)
RETRY: Final = "@task(retry=Retry.exponential(max_attempts=5, base_delay=1.0), timeout=timedelta(seconds=30))"
VERSION: Final = '@restaurant_order.version("1.0.0", events=RestaurantOrderEvents)'
OTHER: Final = '@restaurant_order.version("2.0.0")'
COURIER: Final = '    await run.sleep("ride", minutes=20)'

MISTAKES: Final[dict[str, tuple[str, str]]] = {
    "a task's argument is of another type": (NOTIFY, "    await notify_restaurant.start(run, 42)"),
    "a task's argument is missing": (NOTIFY, "    await notify_restaurant.start(run)"),
    "a task is given one argument more": (NOTIFY, '    await notify_restaurant.start(run, order.order_id, "now")'),
    "a task is started without the run": (NOTIFY, "    await notify_restaurant.start(order.order_id)"),
    "a task is not awaited": (NOTIFY, "    notify_restaurant.start(run, order.order_id)"),
    "a task is given an argument it does not know": (
        CONFIRM,
        '    await notify_customer.start(run, order.customer_id, text="Confirmed")',
    ),
    "a task's argument by name is of another type": (
        CONFIRM,
        "    await notify_customer.start(run, order.customer_id, message=response.data.estimated_minutes)",
    ),
    "a sync task's argument is of another type": (FEEDBACK, "    await send_feedback_email.start(run, order.order_id)"),
    "a sync task's argument is missing": (FEEDBACK, "    await send_feedback_email.start(run)"),
    "a task is given an option it does not know": (
        FEEDBACK,
        "    await send_feedback_email.options(retries=3).start(run, order)",
    ),
    "a copy with options keeps its arguments": (
        FEEDBACK,
        "    await send_feedback_email.options(timeout=5).start(run, order.customer_id)",
    ),
    "a sync task's plain result is awaited": (FEEDBACK, "    await send_feedback_email(order)"),
    "an event is misspelt in the run": (WAIT, "    response = await run.events.restaurant_acepted.wait()"),
    "an event's timeout is text": (WAIT, '    response = await run.events.restaurant_accepted.wait(timeout="5m")'),
    "an event's payload has no such field": (CONFIRM, "    print(response.data.minutes)"),
    "an event's payload is of another type": (CONFIRM, "    print(response.data.estimated_minutes.upper())"),
    "a child's argument is of another type": (
        CHILD,
        "    delivery = await courier_delivery_v1.start_as_child(run, order.order_id)",
    ),
    "a child's argument is missing": (CHILD, "    delivery = await courier_delivery_v1.start_as_child(run)"),
    "a child is started without the run": (CHILD, "    delivery = await courier_delivery_v1.start_as_child(order)"),
    "a child's result is of another type": (
        STATUS,
        "    minutes: int = await delivery.result()\n    if minutes:",
    ),
    "a status is none that a run ends in": (STATUS, '    if not await delivery.wait_for_status("done"):'),
    "a sleep's duration is text": (SLEEP, '    await run.sleep("feedback-delay", "1d")'),
    "a sleep's unit is none": (SLEEP, '    await run.sleep("feedback-delay", day=1)'),
    "a sleep has no name": (SLEEP, "    await run.sleep(days=1)"),
    "a run has no such event, as it declares none": (COURIER, "    await run.events.restaurant_accepted.wait()"),
    "a workflow is served instead of its version": (
        WORKER,
        '        async with Worker(client, workflows=[restaurant_order], name="order-worker"):',
    ),
    "a task is served": (
        WORKER,
        '        async with Worker(client, workflows=[notify_restaurant], name="order-worker"):',
    ),
    "a workflow's argument is of another type": (
        START,
        '            handle = await restaurant_order_v1.start(client, "order-123")',
    ),
    "a workflow's argument is missing": (START, "            handle = await restaurant_order_v1.start(client)"),
    "a workflow is started without the client": (
        START,
        '            handle = await restaurant_order_v1.start(Order(order_id="order-123", customer_id="customer-456"))',
    ),
    "an event is sent with another payload": (
        SEND,
        "            await handle.events.restaurant_accepted.send(35)",
    ),
    "an event is sent without a payload": (SEND, "            await handle.events.restaurant_accepted.send()"),
    "an event is misspelt on the handle": (
        SEND,
        "            await handle.events.courier_accepted.send(Acceptance(estimated_minutes=35))",
    ),
    "a result is used as what it is not": (RESULT, "            print((await handle.result()).status)"),
    "a retry is a number": (RETRY, "@task(retry=5, timeout=timedelta(seconds=30))"),
    "a task's timeout is text": (RETRY, '@task(retry=Retry.never(), timeout="30")'),
    "a class that is none of events declares them": (
        VERSION,
        f'@restaurant_order.version("2.0.0", events=Acceptance)\nasync def other_v1(run: Run) -> None: ...\n\n\n{VERSION}',
    ),
    "a version does not declare the events that its run has": (
        VERSION,
        f"{OTHER}\nasync def other_v1(run: Run[RestaurantOrderEvents]) -> None: ...\n\n\n{VERSION}",
    ),
    "workflow code is not async": (
        VERSION,
        f"{OTHER}\ndef other_v1(run: Run) -> None: ...\n\n\n{VERSION}",
    ),
    "workflow code takes no run": (
        VERSION,
        f"{OTHER}\nasync def other_v1(order: Order) -> None: ...\n\n\n{VERSION}",
    ),
}


BLOCKING_START: Final = '        handle = order_v1.start(client, Order("order-1"))'
BLOCKING_SEND: Final = "        handle.send(OrderEvents.accepted, 35)"
BLOCKING_RESULT: Final = "        text: str = handle.result(timeout=5)"
BLOCKING_STATUS: Final = '        ended = handle.wait_for_status("completed", timeout=5)'
BLOCKING_LIST: Final = "        runs = client.runs.list(limit=10)"
ACTIVATE: Final = '        schedule("daily", cron="0 9 * * *").activate(client, order_v1, Order("order-1"))'
MANY: Final = '        client.runs.cancel_many({"workflow": "order"})'

BLOCKING_MISTAKES: Final[dict[str, tuple[str, str]]] = {
    "a blocking start is given an argument of another type": (
        BLOCKING_START,
        '        handle = order_v1.start(client, "order-1")',
    ),
    "a blocking start lacks an argument": (BLOCKING_START, "        handle = order_v1.start(client)"),
    "a blocking event has another payload": (BLOCKING_SEND, '        handle.send(OrderEvents.accepted, "35")'),
    "a blocking event is misspelt": (BLOCKING_SEND, "        handle.send(OrderEvents.acepted, 35)"),
    "a blocking handle has no events": (BLOCKING_SEND, "        handle.events.accepted.send(35)"),
    "a blocking result is of another type": (BLOCKING_RESULT, "        text: int = handle.result(timeout=5)"),
    "a blocking result's timeout is text": (BLOCKING_RESULT, '        text: str = handle.result(timeout="5s")'),
    "a blocking status is none that a run ends in": (BLOCKING_STATUS, '        ended = handle.wait_for_status("done")'),
    "a blocking list knows no such filter": (BLOCKING_LIST, "        runs = client.runs.list(name=10)"),
    "a schedule's argument is of another type": (
        ACTIVATE,
        '        schedule("daily", cron="0 9 * * *").activate(client, order_v1, "order-1")',
    ),
    "a schedule's argument is missing": (
        ACTIVATE,
        '        schedule("daily", cron="0 9 * * *").activate(client, order_v1)',
    ),
    "a schedule knows no such overlap": (
        ACTIVATE,
        '        schedule("d", cron="@daily", overlap="queue").activate(client, order_v1, Order("order-1"))',
    ),
    "many are meant by no such filter": (MANY, '        client.runs.cancel_many({"name": "order"})'),
}
PROGRAMS: Final = {
    **{claim: (RESTAURANT, mistake) for claim, mistake in MISTAKES.items()},
    **{claim: (BLOCKING, mistake) for claim, mistake in BLOCKING_MISTAKES.items()},
}


def _with(claim: str) -> str:
    program, (right, wrong) = PROGRAMS[claim]
    assert program.count(right) == 1, f"{right!r} does not stand once in the program"
    first, newline, rest = wrong.partition("\n")
    return program.replace(right, first + MARK + newline + rest)


def _file(claim: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in claim) + ".py"


@pytest.fixture(scope="module", params=list(CHECKERS))
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Return what one checker says of all programs."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "restaurant.py").write_text(RESTAURANT, encoding="utf-8")
    (folder / "everything.py").write_text(EVERYTHING, encoding="utf-8")
    (folder / "blocking.py").write_text(BLOCKING, encoding="utf-8")
    for claim in PROGRAMS:
        (folder / _file(claim)).write_text(_with(claim), encoding="utf-8")
    return CHECKERS[request.param](folder)


def test_the_program_of_the_design_passes(found: Found) -> None:
    assert found.get("restaurant.py", {}) == {}


def test_a_program_that_does_not_await_passes(found: Found) -> None:
    assert found.get("blocking.py", {}) == {}


def test_every_part_of_the_public_surface_has_its_type(found: Found) -> None:
    assert found.get("everything.py", {}) == {}


@pytest.mark.parametrize("claim", PROGRAMS)
def test_a_mistake_is_found_at_its_line_and_nowhere_else(found: Found, claim: str) -> None:
    lines = _with(claim).splitlines()
    marked = [number for number, line in enumerate(lines, start=1) if line.endswith(MARK)]

    assert list(found.get(_file(claim), {})) == marked, found.get(_file(claim))

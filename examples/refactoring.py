"""Change code while runs of it are under way: six ways that are safe, and six that are not.

Results are found by what was asked for, name and arguments, and never by position. So whatever asks for what is on record
may be written anew. What asks for something else, before it has passed what is on record, stalls the run with a message
that names both calls. Nothing is lost: the old code, or a corrected one, finishes it.

    $ python examples/refactoring.py
    reordered       packed, charged 20, shipped
    removed         charged 20, shipped
    appended        packed, charged 20, shipped, rated
    extracted       packed, charged 20, shipped
    slept_less      packed, charged 20, shipped
    waits_more      packed, charged 20, shipped
    inserted        stalled: asks for rate(order_id="o-1") before pack(order_id="o-1")
    renamed         stalled: asks for wrap(order_id="o-1") before pack(order_id="o-1")
    other_value     stalled: asks for charge(amount=25, order_id="o-1") before charge(amount=20, order_id="o-1")
    other_argument  stalled: asks for pack(note="gift", order_id="o-1") before pack(order_id="o-1")
    twice           stalled: asks for pack(order_id="o-1") before charge(amount=20, order_id="o-1")
    moved_up        stalled: asks for ship(order_id="o-1") before charge(amount=20, order_id="o-1")
    put back        packed, charged 20, shipped
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiki
from aiki import Events, Run, RunInfo, Version, task, workflow

Code = Callable[[Run, str], Coroutine[Any, Any, str]]


@task
async def pack(order_id: str, note: str = "") -> str:
    """Pack an order. `note` came later, with a default: old calls are still found."""
    return "packed"


@task
async def charge(order_id: str, amount: int) -> str:
    """Charge for it."""
    return f"charged {amount}"


@task
async def ship(order_id: str) -> str:
    """Ship it."""
    return "shipped"


@task
async def rate(order_id: str) -> str:
    """Ask how it was. It came later."""
    return "rated"


@task
async def wrap(order_id: str) -> str:
    """Do what `pack` does, by another name."""
    return "wrapped"


async def before(run: Run, order_id: str) -> str:
    """What all runs have begun with: they sleep when the code is changed."""
    packed = await pack.start(run, order_id)
    charged = await charge.start(run, order_id, amount=20)
    await run.sleep("second thoughts", days=1)
    return f"{packed}, {charged}, {await ship.start(run, order_id)}"


# ---------------------------------------------------------------------------------------------------------------- safe


async def reordered(run: Run, order_id: str) -> str:
    """The same calls in another order, and at once."""
    charged, packed = await asyncio.gather(charge.start(run, order_id, amount=20), pack.start(run, order_id))
    await run.sleep("second thoughts", days=1)
    return f"{packed}, {charged}, {await ship.start(run, order_id)}"


async def removed(run: Run, order_id: str) -> str:
    """One call less: what is on record of it stays, unread."""
    charged = await charge.start(run, order_id, amount=20)
    await run.sleep("second thoughts", days=1)
    return f"{charged}, {await ship.start(run, order_id)}"


async def appended(run: Run, order_id: str) -> str:
    """More at the end, where nothing is on record yet."""
    return f"{await before(run, order_id)}, {await rate.start(run, order_id)}"


async def extracted(run: Run, order_id: str) -> str:
    """Other functions, other names of variables, a loop: how the code is written is not recorded."""
    done = [await step for step in (pack.start(run, order_id), charge.start(run, order_id, amount=20))]
    await run.sleep("second thoughts", days=1)
    return ", ".join([*done, await ship.start(run, order_id)])


async def slept_less(run: Run, order_id: str) -> str:
    """A shorter sleep is over where its time has passed; of a longer one the rest is slept."""
    packed, charged = await pack.start(run, order_id), await charge.start(run, order_id, amount=20)
    await run.sleep("second thoughts", seconds=0)
    return f"{packed}, {charged}, {await ship.start(run, order_id)}"


async def waits_more(run: Run, order_id: str) -> str:
    """Waits come and go freely: they have no effect that could be done twice."""
    packed = await pack.start(run, order_id)
    await run.sleep("let it cool", seconds=0.1)
    charged = await charge.start(run, order_id, amount=20)
    return f"{packed}, {charged}, {await ship.start(run, order_id)}"


# -------------------------------------------------------------------------------------------------------------- unsafe


async def inserted(run: Run, order_id: str) -> str:
    """A new call before what is on record."""
    await rate.start(run, order_id)
    return await before(run, order_id)


async def renamed(run: Run, order_id: str) -> str:
    """A task by another name is another task."""
    wrapped, charged = await wrap.start(run, order_id), await charge.start(run, order_id, amount=20)
    await run.sleep("second thoughts", days=1)
    return f"{wrapped}, {charged}, {await ship.start(run, order_id)}"


async def other_value(run: Run, order_id: str) -> str:
    """Other arguments are another call: 20 has been charged, 25 has not."""
    packed, charged = await pack.start(run, order_id), await charge.start(run, order_id, amount=25)
    await run.sleep("second thoughts", days=1)
    return f"{packed}, {charged}, {await ship.start(run, order_id)}"


async def other_argument(run: Run, order_id: str) -> str:
    """So is an argument that was not passed before, even with a default."""
    packed, charged = await pack.start(run, order_id, note="gift"), await charge.start(run, order_id, amount=20)
    await run.sleep("second thoughts", days=1)
    return f"{packed}, {charged}, {await ship.start(run, order_id)}"


async def twice(run: Run, order_id: str) -> str:
    """Once more of the same: the first finds the result, the second is new."""
    await pack.start(run, order_id)
    await pack.start(run, order_id)
    return await before(run, order_id)


async def moved_up(run: Run, order_id: str) -> str:
    """What is not on record yet, before what is."""
    packed, shipped = await pack.start(run, order_id), await ship.start(run, order_id)
    charged = await charge.start(run, order_id, amount=20)
    await run.sleep("second thoughts", days=1)
    return f"{packed}, {charged}, {shipped}"


SAFE: Final = (reordered, removed, appended, extracted, slept_less, waits_more)
UNSAFE: Final = (inserted, renamed, other_value, other_argument, twice, moved_up)


def served(code: Code) -> list[Version[[str], str, Events]]:
    """Return a version whose code is `code`: always the same one, to those who look at its name."""
    version: Version[[str], str, Events] = workflow("order").version("1.0.0")(code)
    return [version]


async def changed(database: Path, run_id: str, *, code: Code) -> RunInfo:
    """Deploy other code, let the run go on, and return where it has got to."""
    async with aiki.local(database, workflows=served(code)) as client:
        handle = served(code)[0].handle(client, run_id)
        await handle.requeue()  # nothing happens unless it is stalled
        await handle.wake()
        while (info := await handle.info()).status not in ("completed", "stalled"):
            await asyncio.sleep(0.02)
            await handle.wake()
    return info


async def main() -> None:
    """Start twelve orders on the old code, and change it under each of them in another way."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "orders.db"
        async with aiki.local(database, workflows=served(before)) as client:
            (before_v1,) = served(before)
            runs = {code: await before_v1.start(client, "o-1") for code in SAFE + UNSAFE}
            for handle in runs.values():
                while (await handle.info()).status != "sleeping":
                    await asyncio.sleep(0.02)

        for code, handle in runs.items():
            info = await changed(database, handle.id, code=code)
            print(f"{code.__name__:14}  {info.output or told(info)}")

        info = await changed(database, runs[inserted].id, code=before)
        print(f"{'put back':14}  {info.output}")


def told(info: RunInfo) -> str:
    """Return the gist of why a run is stalled."""
    asked, held = re.findall(r"task ([\w-]+\(.*?\))", info.why or "")
    return f"stalled: asks for {asked} before {held}"


if __name__ == "__main__":
    asyncio.run(main())

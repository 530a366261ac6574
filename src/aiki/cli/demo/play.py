"""The two plays of the demo: one process that is killed and started again; a worker that is killed while another lives.

The rule: every wait has its bound, so that each ends within 30 seconds, whatever the processes do.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from aiki.cli.demo import restaurant
from aiki.cli.demo.record import Record
from aiki.cli.demo.report import Death, Seen
from aiki.cli.demo.screen import Screen
from aiki.cli.demo.stage import Stage
from aiki.clock import Clock

__all__ = ["FleetPlay", "OneProcessPlay", "Play"]

TICK_S: Final = 0.05
UNDER_WAY_S: Final = 1.2  # how long the courier is under way before the kill
AWAY_S: Final = 1.5  # how long nothing runs
SERVER_S_MAX: Final = 30.0  # these three bound a very busy machine; alone, each takes a few seconds
KILL_S_MAX: Final = 30.0
END_S_MAX: Final = 30.0
MS_PER_S: Final = 1_000


class Play(ABC):
    """One performance."""

    def __init__(self, stage: Stage, screen: Screen, *, clock: Clock) -> None:
        self._stage = stage
        self._screen = screen
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self._record = Record(wall_ms=clock.now_ms())

    async def perform(self) -> Seen:
        """Perform it.

        Raises:
            Ended: a process ended that should not have.
            TimeoutError: something took too long.
        """
        with self._screen:
            await self._open()
            await self._until(self._courier_is_under_way, seconds_max=KILL_S_MAX, what="the courier to be under way")
            return await self._kill_and_see()

    @abstractmethod
    async def _open(self) -> None:
        """Start all that is needed for an order."""

    @abstractmethod
    async def _kill_and_see(self) -> Seen:
        """Kill who has the courier, and see the order to its end."""

    async def _until(self, is_so: Callable[[], bool], *, seconds_max: float, what: str) -> None:
        until_s = self._now_s() + seconds_max
        while not is_so():
            if self._now_s() > until_s:
                raise TimeoutError(f"the demo waited {seconds_max:g} s for {what}")
            self._look()
            await asyncio.sleep(TICK_S)

    async def _see_the_end(self) -> None:
        await self._until(lambda: self._record.result is not None, seconds_max=END_S_MAX, what="the order's end")
        self._say("the order has ended")
        self._look()

    def _look(self) -> None:
        now_s = self._now_s()
        for line in self._stage.read():
            self._record.see(line, now_s=now_s)
        self._screen.draw(self._record, now_s=now_s)
        self._stage.check()

    def _courier_is_under_way(self) -> bool:
        courier, ride = self._record.step("send-courier"), self._record.step("ride")
        others = [step for step in self._record.tasks() if step.is_under_way and step is not courier]
        return (
            courier is not None
            and ride is not None
            and not others
            and courier.is_under_way
            and self._now_s() >= courier.began_s + UNDER_WAY_S
        )

    def _kill(self, role: str, *, who: str) -> Death:
        pid, status = self._stage.pids[role], self._stage.kill(role)
        self._look()
        courier, ride = self._record.step("send-courier"), self._record.step("ride")
        assert courier is not None, "it was under way"
        assert ride is not None, "it was under way"
        assert ride.due_s is not None, "a sleep has its end"
        death = Death(
            who=f"{who} {pid}",
            pid=pid,
            status=status,
            at_s=self._now_s(),
            cut_off=courier.name,
            cut_off_after_s=self._now_s() - courier.began_s,
            recorded=tuple(step.name for step in self._record.tasks() if step.recorded),
            ride_left_s=ride.due_s - self._now_s(),
        )
        self._record.see_death(pid, now_s=self._now_s())
        return death

    def _bookings(self) -> int:
        return len(list((self._stage.folder / restaurant.COURIERS).iterdir()))

    def _say(self, text: str, *, style: str = "") -> None:
        self._screen.say(text, now_s=self._now_s(), style=style)

    def _now_s(self) -> float:
        return (self._clock.monotonic_ms() - self._began_ms) / MS_PER_S


class OneProcessPlay(Play):
    """Server, worker and client in one process, killed and started again on the same file."""

    async def _open(self) -> None:
        self._start("is started: server, worker and client on one file")

    async def _kill_and_see(self) -> Seen:
        death = self._kill("restaurant", who="Process")
        self._say(f"kill -9 {death.pid}: the courier is under way. Nothing runs now", style="bold red")
        back_s = death.at_s + AWAY_S
        await self._until(lambda: self._now_s() >= back_s, seconds_max=AWAY_S * 2, what="time to pass")

        self._start("is started: the same program on the same file", style="bold green")
        away_s = self._now_s() - death.at_s
        await self._see_the_end()
        pid = self._stage.pids["restaurant"]
        return Seen(self._record, death, bookings=self._bookings(), pid=pid, away_s=away_s)

    def _start(self, how: str, *, style: str = "") -> None:
        self._stage.start("restaurant")
        self._say(f"process {self._stage.pids['restaurant']} {how}", style=style)


class FleetPlay(Play):
    """A server and two workers, each a process; one of the workers is killed, and the other goes on with its run."""

    async def _open(self) -> None:
        stage = self._stage
        stage.start("server")
        await self._until(lambda: stage.url is not None, seconds_max=SERVER_S_MAX, what="the server to listen")
        self._say(f"process {stage.pids['server']} is the server, on {stage.url}")
        for worker, work in (("kitchen", "for orders, one at a time"), ("courier", "for deliveries")):
            stage.start(worker)
            self._say(f"process {stage.pids[worker]} is the worker {worker}, {work}")
        stage.start("application")

    async def _kill_and_see(self) -> Seen:
        death = self._kill("courier", who="The worker courier, process")
        self._say(f"kill -9 {death.pid}: the worker courier, in the middle of its delivery", style="bold red")
        kitchen = self._stage.pids["kitchen"]
        await self._until(self._has_moved_on, seconds_max=END_S_MAX, what="the delivery to move on")
        again = self._record.step(death.cut_off)
        assert again is not None, "it has moved on"
        after_s = again.began_s - death.at_s  # by which the report goes, too
        self._say(f"the delivery goes on in process {kitchen}, {after_s:.1f} s after the kill", style="bold green")
        await self._see_the_end()
        return Seen(self._record, death, bookings=self._bookings(), pid=kitchen, survivor=kitchen)

    def _has_moved_on(self) -> bool:
        courier = self._record.step("send-courier")
        return courier is not None and courier.processes[-1:] == [self._stage.pids["kitchen"]]

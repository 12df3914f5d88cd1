"""A run: slots are filled, many at a time and in any order, and come out in the order of the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.exchange import Exchange, Limits
from hf_soup.forecasting.plan import Plan, Slot
from hf_soup.forecasting.slot import fill

GRACE_S = 5.0
"""How long answers are waited for that are out when a run is interrupted."""


_WORKERS_PER_PLACE = 2  # while some wait for a disk or before they ask again, others take their place
_TOLD_AGAIN_S = 1.0


class Interruption:
    """How a run is told to end, from any thread or signal handler. `happened` says whether it was."""

    def __init__(self) -> None:
        self.happened = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def happen(self) -> None:
        self.happened = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self.happened:  # asked after the loop is known, so that none is missed
            await self._event.wait()


@dataclass
class Filled:
    """The rows of each slot of a plan, by its number, and the slots in which something is left to ask."""

    by_slot: list[list[Forecast]]
    unsettled: set[int]

    def rows(self) -> Iterator[Forecast]:
        for rows in self.by_slot:
            yield from rows


async def replay(plan: Plan, exchange: Exchange, *, refill: bool = False) -> Filled:
    """Returns what the log says, without a call."""
    filled = Filled([[] for _ in range(len(plan))], set(range(len(plan))))
    await replay_unsettled(plan, exchange, filled, refill=refill)
    return filled


async def replay_unsettled(plan: Plan, exchange: Exchange, filled: Filled, *, refill: bool = False) -> None:
    """Brings the rows of unsettled slots to what the log says, without a call."""
    for slot in plan.slots():
        if slot.number in filled.unsettled:
            answered = await fill(slot, plan.prompts[slot.member.name], exchange, asking=False, refill=refill)
            filled.by_slot[slot.number] = answered.rows
            if answered.settled:
                filled.unsettled.discard(slot.number)


async def ask_slots(
    plan: Plan,
    exchange: Exchange,
    filled: Filled,
    limits: Limits,
    interruption: Interruption,
    *,
    refill: bool = False,
    on_slot: Callable[[Slot], None] = lambda slot: None,
) -> None:
    """Fills the unsettled slots and takes them out of that set, whatever became of them.

    Each provider and each server has workers of its own, so that one that is slow does not hold up the others; their number, and with it the
    memory, does not grow with the number of calls. Ends early when interrupted: what is out has GRACE_S to arrive, and
    counts at its worst case where it does not.
    """
    workers: list[asyncio.Task[None]] = []
    working = asyncio.create_task(_work_all(plan, exchange, filled, limits, refill, on_slot, workers))
    told = asyncio.create_task(interruption.wait())
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            exchange.interrupt()
            await asyncio.wait({working}, timeout=GRACE_S)
    finally:
        told.cancel()
        if not working.done():
            exchange.interrupt()
            await _end(working, workers)
        with suppress(asyncio.CancelledError):
            await working


async def _end(working: asyncio.Task[None], workers: Sequence[asyncio.Task[None]]) -> None:
    """What lies below a request may lose a cancellation, and the request then lasts until its time-out (seen once in thousands of
    runs). So whoever is still at work is told again."""
    working.cancel()
    while not (await asyncio.wait({working}, timeout=_TOLD_AGAIN_S))[0]:
        for worker in workers:
            worker.cancel()


async def _work_all(
    plan: Plan,
    exchange: Exchange,
    filled: Filled,
    limits: Limits,
    refill: bool,
    on_slot: Callable[[Slot], None],
    started: list[asyncio.Task[None]],
) -> None:
    todo = frozenset(filled.unsettled)

    async def work(slots: Iterator[Slot]) -> None:
        for slot in slots:
            if exchange.interrupted:
                return
            answered = await fill(slot, plan.prompts[slot.member.name], exchange, asking=True, refill=refill)
            filled.by_slot[slot.number] = answered.rows
            filled.unsettled.discard(slot.number)
            on_slot(slot)
            await asyncio.sleep(0)  # a slot that has nothing to wait for would never let another one run

    try:
        async with asyncio.TaskGroup() as workers:
            for place in dict.fromkeys(member.place for member in plan.members):
                slots = _of_place(plan, place, todo)
                for _ in range(_WORKERS_PER_PLACE * min(limits.per_provider, limits.concurrency)):
                    started.append(workers.create_task(work(slots)))
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors


def _of_place(plan: Plan, place: str, numbers: Collection[int]) -> Iterator[Slot]:
    return (slot for slot in plan.slots() if slot.member.place == place and slot.number in numbers)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

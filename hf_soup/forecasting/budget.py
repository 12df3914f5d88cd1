"""A hard cap on what calls cost: the worst case is reserved before a call is sent, and what it did cost is settled after."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hf_soup.errors import SoupError

_UNIT = 1e-9  # dollars; whole numbers of it add up without rounding


class BudgetSpent(SoupError):
    """What is left of the cap does not cover the worst case of a call."""


class Lease:
    """What one request has reserved. Without a word from its holder it is settled at its worst case."""

    def __init__(self, worst: int) -> None:
        self.worst = worst
        self.cost = worst

    def settle(self, cost: float) -> None:
        """Says what the request did cost, in dollars."""
        self.cost = _units(cost)


class Budget:
    """`cap` and `spent` (earlier, in the same run) in dollars; a cap of None never stops anything.

    At every moment `reserved + settled <= cap`, however many calls are out, as long as no provider charges more than the worst
    case that was reserved. Belongs to one event loop.
    """

    def __init__(self, cap: float | None = None, spent: float = 0.0) -> None:
        self._cap = None if cap is None else math.floor(round(cap / _UNIT, 3))
        self._reserved = 0
        self._settled = _units(spent)
        self._changed = asyncio.Condition()

    @property
    def reserved(self) -> float:
        return self._reserved * _UNIT

    @property
    def settled(self) -> float:
        return self._settled * _UNIT

    @asynccontextmanager
    async def lease(self, worst: float) -> AsyncIterator[Lease]:
        """Reserves `worst` dollars for one request within the block.

        Waits while others are out whose settlement may leave room. Raises BudgetSpent when it cannot fit any more.
        """
        held = Lease(_units(worst))
        async with self._changed:
            await self._changed.wait_for(lambda: self._fits(held.worst) or self._never_fits(held.worst))
            if not self._fits(held.worst):
                raise BudgetSpent(f"{self.settled:.4f} dollars are spent, and a call may cost {worst:.4f} more.")
            self._reserved += held.worst
        try:
            yield held
        finally:
            # No await before the numbers are right: whoever is cancelled here leaves them right.
            self._reserved -= held.worst
            self._settled += held.cost
            await asyncio.shield(self._tell())

    def _fits(self, worst: int) -> bool:
        return self._cap is None or self._reserved + self._settled + worst <= self._cap

    def _never_fits(self, worst: int) -> bool:
        """What is settled stays settled, and with nothing out nothing will change."""
        return self._cap is not None and (self._settled + worst > self._cap or not self._reserved)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _units(dollars: float) -> int:
    return math.ceil(round(dollars / _UNIT, 3))

"""From a plan to a run folder with all that was answered: what there is is read, what is missing is asked, all is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting.attempts import DEFAULT_RETRIES
from hf_soup.forecasting.backtests import BackTest, back_test
from hf_soup.forecasting.budget import Budget
from hf_soup.forecasting.call import Call, Forecast
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.exchange import Exchange, Limits
from hf_soup.forecasting.forecasts import DEFAULT_QUORUM, Forecasts
from hf_soup.forecasting.plan import Plan
from hf_soup.forecasting.run_folder import RunFolder
from hf_soup.forecasting.running import Filled, Interruption, ask_slots, replay, replay_unsettled
from hf_soup.progress import say, step_bars


class AskOptions(TypedDict, total=False):
    """How to ask.

    `max_cost`: dollars, over all commands on this folder; no call is sent whose worst case might pass it.
    `quorum` (0.5): the share of a question's slots that is to be answered, see `Forecasts.below_quorum`.
    `refill`: what was refused or could not be read is asked again, dated as of then, unless its question is closed or resolved.
    `concurrency` (64), `per_provider` (32): how many requests may be out at a time.
    `retries` (5): how often a call is sent again after a failure that may pass.
    `unit`, `columns`: of the questions, see `read_questions`.
    """

    max_cost: float | None
    quorum: float
    refill: bool
    concurrency: int
    per_provider: int
    retries: int
    unit: Unit
    columns: Mapping[str, str] | None


@dataclass(frozen=True)
class Settings:
    """`AskOptions`, complete, and the folder `out`."""

    out: Path
    max_cost: float | None = None
    quorum: float = DEFAULT_QUORUM
    refill: bool = False
    concurrency: int = 64
    per_provider: int = 32
    retries: int = DEFAULT_RETRIES

    def problems(self) -> list[str]:
        found = []
        if self.max_cost is not None and not (math.isfinite(self.max_cost) and self.max_cost >= 0):
            found.append(f"max_cost={self.max_cost}: is to be a number of dollars from 0.")
        if not 0 <= self.quorum <= 1:
            found.append(f"quorum={self.quorum}: is to be a share from 0 to 1.")
        for name, least in (("concurrency", 1), ("per_provider", 1), ("retries", 0)):
            if getattr(self, name) < least:
                found.append(f"{name}={getattr(self, name)}: is to be at least {least}.")
        return found


async def ask_plan(plan: Plan, settings: Settings, interruption: Interruption) -> Forecasts:
    """Asks what is missing and returns everything. Raises KeyboardInterrupt after an interruption, when all is written."""
    with RunFolder(settings.out) as folder:
        _check_same_run(folder, plan)
        if folder.calls.repaired:
            say(f"{folder.calls.path}: the last line was incomplete, as a killed process leaves it, and was cut off.")
        if settings.max_cost is not None and (
            unpriced := [name for name, price in plan.prices.items() if price is None]
        ):
            say(f"max_cost does not cover {', '.join(unpriced)}, whose price is not known.")
        run = _Run(plan, settings, folder)
        await run.begin()
        try:
            await run.ask(interruption)
        except SoupError:
            with suppress(SoupError):  # of a full disk the first error tells more
                await run.finish()
            raise
        except BaseException:
            await run.finish()
            raise
        await run.finish()
        if interruption.happened:
            raise KeyboardInterrupt
        return run.forecasts()


async def unsettled_slots(plan: Plan, out: Path, refill: bool) -> set[int]:
    """Returns the numbers of the slots in which a run that is there would ask something."""
    with RunFolder(out) as folder:
        _check_same_run(folder, plan)
        exchange = Exchange(folder.calls, folder.sent, Budget(), plan.prices, Limits(), say=say)
        return (await replay(plan, exchange, refill=refill)).unsettled


class _Run:
    def __init__(self, plan: Plan, settings: Settings, folder: RunFolder) -> None:
        self._plan, self._settings, self._folder = plan, settings, folder
        self._limits = Limits(settings.concurrency, settings.per_provider, settings.retries)
        self._on_call: Callable[[Call], None] = lambda call: None
        self._budget = Budget(settings.max_cost, folder.spent)
        self._exchange = Exchange(
            folder.calls,
            folder.sent,
            self._budget,
            plan.prices,
            self._limits,
            say=say,
            on_call=lambda call: self._on_call(call),
        )
        self._filled = Filled([], set())
        self._began = datetime.now(UTC)

    async def begin(self) -> None:
        """Reads what is there, and writes the table as it stands: after a kill it is still true."""
        self._filled = await replay(self._plan, self._exchange, refill=self._settings.refill)
        self._write(complete=False)

    async def ask(self, interruption: Interruption) -> None:
        totals = {member.name: member.samples * len(self._plan.questions) for member in self._plan.members}
        done, costs = dict.fromkeys(totals, 0), dict.fromkeys(totals, 0.0)
        for slot in self._plan.slots():
            name = slot.member.name
            done[name] += slot.number not in self._filled.unsettled
            costs[name] += sum(row.cost or 0.0 for row in self._filled.by_slot[slot.number])
        with step_bars("asking", totals, done, costs) as advance:
            self._on_call = lambda call: advance(call.member, 0, call.cost or 0.0)
            await ask_slots(
                self._plan,
                self._exchange,
                self._filled,
                self._limits,
                interruption,
                refill=self._settings.refill,
                on_slot=lambda slot: advance(slot.member.name, 1, 0.0),
            )

    async def finish(self) -> None:
        await self._folder.calls.flush()
        await replay_unsettled(self._plan, self._exchange, self._filled)
        self._write(complete=True)

    def forecasts(self) -> Forecasts:
        return Forecasts(
            rows=tuple(self._filled.rows()),
            questions=tuple(question.id for question in self._plan.questions),
            members=tuple(member.name for member in self._plan.members),
            back_tests=tuple(self._back_tests()),
            path=self._folder.path,
            cost=self._cost(),
            quorum=self._settings.quorum,
        )

    def _write(self, *, complete: bool) -> None:
        self._folder.write_rows(self._filled.rows())
        self._folder.write_record(
            {
                "complete": complete,
                "began": self._began,
                "ended": datetime.now(UTC) if complete else None,
                "cost": self._cost(),
                "max_cost": self._settings.max_cost,
                "quorum": self._settings.quorum,
                "limits": asdict(self._limits),
                "back_tests": [
                    {"member": each.member, "question_id": each.question_id, "reasons": each.reasons}
                    for each in self._back_tests()
                ],
                **self._plan.as_record(),
            }
        )

    def _cost(self) -> float | None:
        known = any(price is not None for price in self._plan.prices.values())
        return round(self._budget.settled + self._budget.reserved, 9) if known else None

    def _back_tests(self) -> list[BackTest]:
        return _back_tests_of(self._plan, self._filled.rows())


def _back_tests_of(plan: Plan, rows: Iterable[Forecast]) -> list[BackTest]:
    """By the day of the last answer; a member that was not asked yet would be asked now."""
    asked: dict[tuple[str, str], datetime] = {}
    for row in rows:
        if row.time is not None:
            pair = (row.model, row.question_id)
            asked[pair] = max(row.time, asked.get(pair, row.time))
    now = datetime.now(UTC)
    found = (
        back_test(member, question, asked.get((member.name, question.id), now))
        for member in plan.members
        for question in plan.questions
    )
    return [each for each in found if each is not None]


def _check_same_run(folder: RunFolder, plan: Plan) -> None:
    record: dict[str, Any] = folder.record()
    before = {question["id"] for question in record.get("questions", [])}
    if before and before.isdisjoint(question.id for question in plan.questions):
        raise InputError(
            f"{folder.path}: is a run of other questions ({', '.join(sorted(before)[:3])}, …), none of which is asked now; name another folder."
        )

"""A cap is never passed, at no moment and by no number of calls at once, and little of it stays unused."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_llm import Answer, LoopbackLLM

from hf_soup.forecasting.attempts import Outcome, ask, worst_cost
from hf_soup.forecasting.budget import Budget, BudgetSpent
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.prices import Price
from hf_soup.forecasting.provider import Request, parameters_of


class _WatchedBudget(Budget):
    """Remembers the most that was ever reserved and settled together."""

    most = 0.0

    def note(self) -> None:
        self.most = max(self.most, self.reserved + self.settled)


def test_200_calls_at_once_stay_within_the_cap_and_use_it() -> None:
    """Their true cost is a third of the worst case; the cap is for 40 of them."""
    member = Member("m", "openai/m", max_tokens=100)
    messages = [{"role": "user", "content": "Will it?"}]
    price = Price(input=0, output=30)
    worst = worst_cost(Request(member, messages), price)
    assert worst == pytest.approx(0.003)
    true = worst / 3
    bought: list[Outcome] = []
    refused: list[BudgetSpent] = []

    async def run(api_base: str) -> _WatchedBudget:
        budget = _WatchedBudget(cap=40 * true)
        served = Member("m", "openai/m", api_base=api_base, max_tokens=100)

        async def one() -> None:
            try:
                request = Request(served, messages, parameters_of(served))
                bought.append(await ask(request, budget, price, on_send=lambda worst: budget.note()))
            except BudgetSpent as spent:
                refused.append(spent)

        await asyncio.gather(*(one() for _ in range(200)))
        return budget

    with LoopbackLLM(lambda received: Answer(usage=(1, 33), latency_s=0.005)) as server:
        budget = asyncio.run(run(server.api_base))
        arrived = len(server.received)
    assert len(bought) + len(refused) == 200
    assert all(outcome.reply for outcome in bought)
    assert arrived == len(bought) >= 37
    assert sum(outcome.cost or 0 for outcome in bought) <= 40 * true
    assert budget.most <= 40 * true + 1e-9
    assert budget.reserved == 0
    assert budget.settled == pytest.approx(sum(outcome.cost or 0 for outcome in bought), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    cap=st.integers(0, 60),
    calls=st.lists(st.tuples(st.integers(1, 10), st.floats(0, 1), st.integers(0, 3)), max_size=40),
)
def test_reserved_and_settled_never_pass_the_cap(cap: int, calls: list[tuple[int, float, int]]) -> None:
    async def run() -> None:
        budget = Budget(float(cap))

        async def one(worst: int, share: float, turns: int) -> None:
            try:
                async with budget.lease(float(worst)) as lease:
                    assert budget.reserved + budget.settled <= cap + 1e-9
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    lease.settle(worst * share)
            except BudgetSpent:
                assert budget.settled + worst > cap or budget.reserved == 0

        await asyncio.gather(*(one(*call) for call in calls))
        assert budget.reserved == 0
        assert budget.settled <= cap + 1e-9

    asyncio.run(run())


def test_a_holder_that_is_cancelled_has_spent_its_worst_case() -> None:
    async def run() -> Budget:
        budget = Budget(10.0)

        async def hold() -> None:
            async with budget.lease(4.0):
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return budget

    budget = asyncio.run(run())
    assert (budget.reserved, budget.settled) == (0, 4.0)


def test_what_was_spent_before_counts() -> None:
    async def run() -> None:
        budget = Budget(1.0, spent=0.9)
        async with budget.lease(0.1):
            pass
        with pytest.raises(BudgetSpent, match=r"1\.0000 dollars are spent"):
            async with budget.lease(0.01):
                pass

    asyncio.run(run())


def test_without_a_cap_nothing_waits() -> None:
    async def run() -> float:
        budget = Budget()
        async with budget.lease(1e9), budget.lease(1e9):
            return budget.reserved

    assert asyncio.run(run()) == pytest.approx(2e9)

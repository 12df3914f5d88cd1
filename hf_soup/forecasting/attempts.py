"""A request until it is answered: again after what passes, once without a parameter that the model rejects, within a budget."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hf_soup.forecasting.budget import Budget, BudgetSpent
from hf_soup.forecasting.failures import CallFailed, FailureKind
from hf_soup.forecasting.prices import Price
from hf_soup.forecasting.provider import Reply, Request, complete
from hf_soup.forecasting.token_count import count_tokens

DEFAULT_RETRIES = 5
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_LONGEST_RETRY_AFTER_S = 600.0  # a provider that asks for more is treated as failed

Gate = Callable[[], AbstractAsyncContextManager[object]]
"""Returns what a request is sent within: the semaphores of its provider and of the run."""


class NotSent(Exception):
    """A gate that lets nothing through any more: the member has stopped, or the run was interrupted. The text says which."""


@dataclass(frozen=True)
class Outcome:
    """What became of a request. One of `reply` and `error` is None.

    `effective`: the parameters that were sent last. `cost` in dollars over all attempts, lost answers at their worst case;
    None where the price is not known. `sent_at`: when the last attempt was sent.
    """

    reply: Reply | None
    error: CallFailed | None
    effective: dict[str, Any]
    attempts: int
    cost: float | None
    sent_at: datetime


async def ask(
    request: Request,
    budget: Budget,
    price: Price | None,
    *,
    retries: int = DEFAULT_RETRIES,
    gate: Gate = nullcontext,
    on_send: Callable[[float], None] = lambda worst: None,
    patient: Callable[[], bool] = lambda: True,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> Outcome:
    """Sends a request up to 1 + `retries` times. `on_send` is told the worst cost of each attempt before it goes out.

    Every attempt reserves its worst case, and waits between attempts outside of the gate: exponentially with jitter from
    `chance` (in [0, 1)), at least as long as Retry-After says, and no more once `patient` says no. Raises BudgetSpent when
    the first attempt does not fit any more, and NotSent when the gate lets it through no more; later attempts end with the
    error before.
    """
    worst = worst_cost(request, price)
    costs: list[float] = []
    sent = failed = 0
    error: CallFailed | None = None
    reply: Reply | None = None
    sent_at = datetime.now(UTC)
    while reply is None:
        try:
            async with gate(), budget.lease(worst or 0.0) as lease:
                on_send(worst or 0.0)
                sent, sent_at = sent + 1, datetime.now(UTC)
                try:
                    reply = await complete(request)
                    spent = cost_of(reply, request, price)
                except CallFailed as problem:
                    error, spent = problem, (worst if problem.may_have_cost else 0.0)
                lease.settle(spent or 0.0)
                costs.append(spent or 0.0)
        except (BudgetSpent, NotSent):
            if error is None:
                raise
            break
        if reply is not None:
            break
        assert error is not None
        if error.kind is FailureKind.PARAMETER and (changed := _without(request, error.parameter)) is not None:
            request = changed
            continue
        failed += 1
        if not error.kind.is_transient or failed > retries or (error.retry_after_s or 0) > _LONGEST_RETRY_AFTER_S:
            break
        await sleep(_wait(failed, error, chance()))
        if not patient():
            break
    return Outcome(
        reply, None if reply else error, dict(request.parameters), sent, sum(costs) if price else None, sent_at
    )


def worst_cost(request: Request, price: Price | None) -> float | None:
    """Returns the most that one attempt can cost in dollars: the prompt, and an answer as long as it may be."""
    if price is None:
        return None
    return price.of(count_tokens(request.messages), request.member.longest_answer)


def cost_of(reply: Reply, request: Request, price: Price | None) -> float | None:
    """Returns what an answer did cost; at its worst what a provider that does not count may have charged."""
    if price is None:
        return None
    if reply.input_tokens is None or reply.output_tokens is None:
        return worst_cost(request, price)
    return price.of(reply.input_tokens, reply.output_tokens)


def _without(request: Request, parameter: str | None) -> Request | None:
    """The request as the model wants it, None where that was tried. The limit of the answer may be renamed but never left out:
    without it a call has no worst case."""
    if parameter == "stream" and "stream" not in request.parameters:
        return replace(request, parameters={**request.parameters, "stream": True})
    if parameter not in request.parameters or parameter == "max_completion_tokens":
        return None
    others = {name: value for name, value in request.parameters.items() if name != parameter}
    if parameter == "max_tokens":
        others["max_completion_tokens"] = request.parameters["max_tokens"]
    return replace(request, parameters=others)


def _wait(failed: int, error: CallFailed, chance: float) -> float:
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (failed - 1))
    return max(error.retry_after_s or 0.0, longest * (0.5 + chance / 2))

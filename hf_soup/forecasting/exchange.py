"""One call of a slot: found in the log, or sent within the limits of the run, the budget and the member."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from hf_soup.forecasting.attempts import DEFAULT_RETRIES, NotSent, Outcome, ask
from hf_soup.forecasting.budget import Budget, BudgetSpent
from hf_soup.forecasting.call import Call, CallError
from hf_soup.forecasting.call_log import CallLog
from hf_soup.forecasting.failures import FailureKind
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.prices import Price
from hf_soup.forecasting.provider import Request, parameters_of
from hf_soup.forecasting.scrub import scrub_all, secrets_of_environment
from hf_soup.forecasting.sent_log import SentLog

OUTAGE = 5
"""So many calls of a member in a row, each with its retries used up, mean that its provider is down."""

_OUTAGES = {FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.SERVER}
FINAL = {
    FailureKind.CONTENT_POLICY,
    FailureKind.CONTEXT_WINDOW,
    FailureKind.PARAMETER,
    FailureKind.BAD_REQUEST,
}
"""Failures that would come again: the same command does not ask again, `--refill` does."""


@dataclass(frozen=True)
class Unasked:
    """A call that was not sent, and why."""

    reason: str


@dataclass(frozen=True)
class Limits:
    """How many requests may be out, over all and for each provider or server, and how often a failed one is sent again."""

    concurrency: int = 64
    per_provider: int = 32
    retries: int = DEFAULT_RETRIES


@dataclass
class _Standing:
    """Whether a member still asks: `reason` says why not. `accepted`: the parameters of its last answer where they are not those
    that were planned, so that what it rejects is not sent with every call."""

    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    failed_in_a_row: int = 0
    accepted: dict[str, Any] | None = None


class Exchange:
    """Finds or makes the calls of one run, in one event loop. `on_call` is told of each call that was made, when it is safe."""

    def __init__(
        self,
        calls: CallLog,
        sent: SentLog,
        budget: Budget,
        prices: Mapping[str, Price | None],
        limits: Limits,
        *,
        say: Callable[[str], None],
        on_call: Callable[[Call], None] = lambda call: None,
    ) -> None:
        self._calls = calls
        self._sent = sent
        self._budget = budget
        self._prices = prices
        self._limits = limits
        self._say = say
        self._on_call = on_call
        self._secrets = secrets_of_environment()
        self._all = asyncio.Semaphore(limits.concurrency)
        self._of_place: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limits.per_provider))
        self._standing: dict[str, _Standing] = defaultdict(_Standing)
        self.interrupted = False

    def has(self, key: str) -> bool:
        return key in self._calls

    def find(self, key: str) -> Call | None:
        """Returns the logged call, also a failed one."""
        return self._calls.find(key)

    def interrupt(self) -> None:
        """From now on nothing is sent any more; what is out may come back."""
        self.interrupted = True
        for standing in self._standing.values():
            standing.stopped.set()

    def why_not(self, member: Member) -> str | None:
        """Returns why a member is asked nothing more, None where it is."""
        return "interrupted" if self.interrupted else self._standing[member.name].reason or None

    async def make(self, member: Member, call: Call) -> Call | Unasked:
        """Sends a call and returns it with its answer or its error, when it is on the disk. `call`: all that is known before."""
        if reason := self.why_not(member):
            return Unasked(reason)
        standing = self._standing[member.name]
        request = Request(member, call.messages, standing.accepted or parameters_of(member))
        try:
            outcome = await ask(
                request,
                self._budget,
                self._prices.get(member.name),
                retries=self._limits.retries,
                gate=lambda: self._gate(member),
                on_send=lambda worst: self._sent.add(call.key, worst),
                patient=lambda: self.why_not(member) is None,
                sleep=lambda seconds: self._rest(member, seconds),
            )
        except BudgetSpent as spent:
            return Unasked(f"budget: {spent}")
        except NotSent as stop:
            return Unasked(str(stop))
        made = self._with(outcome, call)
        self._judge(member, outcome)
        await self._calls.append(made)
        self._on_call(made)
        return made

    @asynccontextmanager
    async def _gate(self, member: Member) -> AsyncIterator[None]:
        async with self._of_place[member.place], self._all:
            if reason := self.why_not(member):
                raise NotSent(reason)
            yield

    async def _rest(self, member: Member, seconds: float) -> None:
        """Sleeps, but no longer than the member asks."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._standing[member.name].stopped.wait(), seconds)

    def _with(self, outcome: Outcome, call: Call) -> Call:
        reply, error = outcome.reply, outcome.error
        answer = (
            {}
            if reply is None
            else {
                "text": reply.text,
                "reasoning": reply.reasoning,
                "finish_reason": reply.finish_reason,
                "returned_model": reply.returned_model,
                "system_fingerprint": reply.system_fingerprint,
                "input_tokens": reply.input_tokens,
                "output_tokens": reply.output_tokens,
                "latency_s": round(reply.latency_s, 4),
                "truncated": reply.truncated,
            }
        )
        kept = {
            **answer,
            "messages": call.messages,
            "requested": call.requested,
            "effective": outcome.effective,
        }
        return call.model_copy(
            update={
                **scrub_all(kept, self._secrets),
                "cost": outcome.cost,
                "attempts": outcome.attempts,
                "error": error and CallError(kind=error.kind, message=error.message, http_status=error.http_status),
                "time": outcome.sent_at,
            }
        )

    def _judge(self, member: Member, outcome: Outcome) -> None:
        """Remembers what the member accepts, and stops one all of whose calls would fail."""
        standing, error = self._standing[member.name], outcome.error
        if error is None and outcome.effective != parameters_of(member):
            standing.accepted = outcome.effective
        if error is None or error.kind not in _OUTAGES:
            standing.failed_in_a_row = 0
        elif not standing.stopped.is_set():
            standing.failed_in_a_row += 1
        if error is None or standing.reason or self.interrupted:
            return
        if error.kind.stops_member:
            standing.reason = f"the member stopped after {error.kind}: {error.message}"
        elif standing.failed_in_a_row >= OUTAGE:
            standing.reason = (
                f"the member stopped after {OUTAGE} calls in a row failed, at last with {error.kind}: {error.message}"
            )
        if standing.reason:
            standing.stopped.set()
            self._say(
                f"{member.name}: {standing.reason.rstrip('. ')}. The others go on; the same command asks this member again."
            )

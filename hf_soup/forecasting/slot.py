"""What is asked for one slot: the question, the last line alone where that is needed, and the second turn of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from hf_soup.forecasting.backtests import is_over
from hf_soup.forecasting.cache_key import call_key
from hf_soup.forecasting.call import Call, Forecast
from hf_soup.forecasting.exchange import FINAL, Exchange, Unasked
from hf_soup.forecasting.plan import Slot
from hf_soup.forecasting.prompt import Prompt, re_ask
from hf_soup.forecasting.provider import parameters_of
from hf_soup.forecasting.reading import Reading, Status
from hf_soup.forecasting.rows import WANTS_RE_ASK, Asked, read_call, read_calls, row

_LONGEST_QUOTE = 20_000
"""Characters of an answer that go back to the model when it is asked for the last line: its end counts."""

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Answered:
    """`rows`: one a turn. `settled`: the same command has nothing to ask here."""

    rows: list[Forecast]
    settled: bool


@dataclass(frozen=True)
class _Round:
    """One attempt at a turn. `calls`: in the order in which they were made. `settled`: the same command would not go on."""

    reading: Reading
    calls: list[Call]
    text: str
    settled: bool


async def fill(slot: Slot, prompt: Prompt, exchange: Exchange, *, asking: bool, refill: bool = False) -> Answered:
    """Returns the rows of a slot. What is in the log is never asked again; without `asking` nothing is sent.

    `refill`: a turn that ended without a number is asked once more, unless its question is resolved or closed.
    """
    return await _Filling(slot, prompt, exchange, asking, refill).run()


class _Filling:
    def __init__(self, slot: Slot, prompt: Prompt, exchange: Exchange, asking: bool, refill: bool) -> None:
        self.slot, self.prompt, self.exchange, self.asking = slot, prompt, exchange, asking
        self.refills = refill and not is_over(slot.question, datetime.now(UTC))
        self.parameters = parameters_of(slot.member)
        self.messages = prompt.first(slot.question)
        self.asked = Asked(
            slot=self.key(self.messages, turn=0, re_ask=False, refill=0),
            question_id=slot.question.id,
            member=slot.member.name,
            sample=slot.sample,
            prompt=prompt.name,
            prompt_digest=prompt.digest,
            form=prompt.form,
            negated=prompt.negated,
            crowd_in_turns=tuple(prompt.shows_crowd(turn) for turn in range(len(prompt.turns))),
        )

    async def run(self) -> Answered:
        first = await self.turn(self.messages, 0)
        rows, settled = [row(self.asked, 0, first.reading, first.calls)], first.settled
        if len(self.prompt.turns) > 1:
            if first.reading.status is Status.ANSWERED:
                second = await self.second(first)
            else:
                second = _Round(Reading(Status.UNASKED, reason="the first turn brought no number"), [], "", True)
            rows.append(row(self.asked, 1, second.reading, second.calls))
            settled = settled and second.settled
        return Answered(rows, settled)

    async def second(self, first: _Round) -> _Round:
        messages = self.prompt.second(self.slot.question, self.messages, first.text)
        if messages is None:
            lacking = " and ".join(self.prompt.lacks(1, self.slot.question))
            reason = f"the question lacks {lacking}, which the second turn shows"
            return _Round(Reading(Status.UNASKED, reason=reason), [], "", True)
        return await self.turn(messages, 1)

    async def turn(self, messages: Messages, turn: int) -> _Round:
        """The last round that was begun, gone on with; where it has no number and refilling is wanted, another one."""
        calls: list[Call] = []
        for number in count():
            is_last = not self.is_logged(messages, turn, number + 1)
            done = await self.round(messages, turn, number, asking=self.asking and is_last)
            calls += done.calls
            if is_last:
                break
        if self.refills and done.settled and done.reading.status is not Status.ANSWERED:
            if not self.asking:
                return _Round(done.reading, calls, done.text, settled=False)
            again = await self.round(messages, turn, number + 1, asking=True)
            if again.calls:
                done, calls = again, calls + again.calls
        return _Round(done.reading, calls, done.text, done.settled)

    def is_logged(self, messages: Messages, turn: int, refill: int) -> bool:
        return self.exchange.has(self.key(messages, turn=turn, re_ask=False, refill=refill))

    async def round(self, messages: Messages, turn: int, refill: int, *, asking: bool) -> _Round:
        first = await self.call(messages, turn, False, refill, asking)
        if isinstance(first, Unasked):
            return _Round(Reading(Status.UNASKED, reason=first.reason), [], "", False)
        reading = read_call(first, self.prompt.form)
        if reading.status not in WANTS_RE_ASK:
            return _Round(reading, [first], first.text or "", _is_final(first))
        again = await self.call(self.for_line_alone(messages, first.text or ""), turn, True, refill, asking)
        if isinstance(again, Unasked):
            return _Round(reading, [first], first.text or "", False)
        reading = read_calls(first, again, self.prompt.form)
        text = "\n\n".join(part for part in (first.text, again.text) if part)
        return _Round(reading, [first, again], text, _is_final(again))

    def for_line_alone(self, messages: Messages, text: str) -> Messages:
        """A blank answer cannot be quoted: some providers refuse blank messages."""
        line = re_ask(self.prompt.form)
        if not text.strip():
            return [*messages[:-1], {"role": "user", "content": f"{messages[-1]['content']}\n\n{line}"}]
        return [
            *messages,
            {"role": "assistant", "content": text[-_LONGEST_QUOTE:]},
            {"role": "user", "content": line},
        ]

    async def call(self, messages: Messages, turn: int, re_ask: bool, refill: int, asking: bool) -> Call | Unasked:
        key = self.key(messages, turn=turn, re_ask=re_ask, refill=refill)
        found = self.exchange.find(key)
        if found is not None and (_is_final(found) or not asking):
            return found
        if not asking:
            return Unasked(self.exchange.why_not(self.slot.member) or "not asked yet")
        member = self.slot.member
        made = await self.exchange.make(
            member,
            Call(
                key=key,
                slot=self.asked.slot,
                question_id=self.slot.question.id,
                member=member.name,
                model=member.model,
                api_base=member.api_base,
                sample=self.slot.sample,
                turn=turn,
                re_ask=re_ask,
                refill=refill,
                prompt=self.prompt.name,
                prompt_digest=self.prompt.digest,
                messages=messages,
                requested=self.parameters,
                effective={},
                time=datetime.now(UTC),
            ),
        )
        return self.exchange.find(key) or made  # with what the failed calls before did cost

    def key(self, messages: Messages, *, turn: int, re_ask: bool, refill: int) -> str:
        member = self.slot.member
        return call_key(
            member.model,
            member.api_base,
            messages,
            self.parameters,
            self.prompt.digest,
            self.slot.sample,
            copy=self.slot.copy,
            turn=turn,
            re_ask=re_ask,
            refill=refill,
        )


def _is_final(call: Call) -> bool:
    """Whether the same command leaves a call as it is: it was answered, or would fail again."""
    return call.error is None or call.error.kind in FINAL

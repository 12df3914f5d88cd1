"""A row of the result table, from the calls of a slot: what was read, what it cost, and why there is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hf_soup.forecasting.call import Call, Forecast
from hf_soup.forecasting.parsers.answers import read_answer
from hf_soup.forecasting.reading import AnswerForm, Reading, Status

RE_ASKED = "re_asked"
"""Flag of a number that came from the request for the last line alone."""
REFILLED = "refilled"
"""Flag of a row that was asked again after it had ended without a number."""
WANTS_RE_ASK = (Status.UNPARSED, Status.EMPTY, Status.CUT_OFF)


@dataclass(frozen=True)
class Asked:
    """What stays the same in all rows of a slot. `crowd_in_turns`: whether the crowd's forecast was shown by then."""

    slot: str
    question_id: str
    member: str
    sample: int
    prompt: str
    prompt_digest: str
    form: AnswerForm
    negated: bool
    crowd_in_turns: tuple[bool, ...]


def read_call(call: Call, form: AnswerForm) -> Reading:
    """Returns what one call says; a failed one with its error as the reason."""
    if call.error is not None:
        return Reading(Status.FAILED, reason=f"{call.error.kind}: {call.error.message}")
    return read_answer(call.text, form, finish_reason=call.finish_reason, reasoning=call.reasoning)


def read_calls(first: Call, re_ask: Call | None, form: AnswerForm) -> Reading:
    """Returns what a turn says: its answer, or where that has no number the answer to the request for the last line alone."""
    reading = read_call(first, form)
    if re_ask is None or reading.status not in WANTS_RE_ASK:
        return reading
    again = read_call(re_ask, form)
    if again.status is Status.ANSWERED:
        return replace(again, flags=(*again.flags, RE_ASKED))
    if again.status is Status.REFUSED:
        return again
    return replace(reading, reason=f"{reading.reason}; asked for the last line alone: {again.reason}")


def row(asked: Asked, turn: int, reading: Reading, calls: Sequence[Call]) -> Forecast:
    """Returns the row of one turn. `calls`: all of this turn, the one that was answered last at the end; where the complement
    was asked, its probability is turned here."""
    last = calls[-1] if calls else None
    probability, low, high = reading.probability, reading.low, reading.high
    if asked.negated:
        probability, low, high = _complement(probability), _complement(high), _complement(low)
    return Forecast(
        question_id=asked.question_id,
        model=asked.member,
        sample=asked.sample,
        prompt=asked.prompt,
        turn=turn,
        negated=asked.negated,
        shown_crowd=asked.crowd_in_turns[turn],
        probability=probability,
        low=low,
        high=high,
        parser=reading.parser,
        status=reading.status,
        flags=[*reading.flags, *([REFILLED] if last and last.refill else [])],
        reason=reading.reason,
        returned_model=last.returned_model if last else None,
        input_tokens=_total([call.input_tokens for call in calls]),
        output_tokens=_total([call.output_tokens for call in calls]),
        cost=_total([call.cost for call in calls]),
        latency_s=_total([call.latency_s for call in calls]),
        calls=len(calls),
        slot=asked.slot,
        prompt_digest=asked.prompt_digest,
        time=last.time if last else None,
    )


def _complement(probability: float | None) -> float | None:
    return None if probability is None else round(1 - probability, 12)


def _total(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None

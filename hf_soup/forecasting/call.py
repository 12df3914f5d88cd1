"""One exchange with a model, as it stands in calls.jsonl, and the number that was read from it, as in forecasts.jsonl."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from hf_soup.forecasting.reading import Status


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CallError(_Strict):
    """`kind`: see `hf_soup.forecasting.failures`; `message` is scrubbed of secrets."""

    kind: str
    message: str
    http_status: int | None = None


class Call(_Strict):
    """A line of calls.jsonl. What an answer cost is in dollars, None where the price is not known.

    `key`: digest of (model, api_base, messages, parameters, prompt version, sample), by which an answer is found again.
    `slot`: the key of the first call of its slot, by which a row finds its calls. `refill`: how often the slot had been filled
    again. `turn`: 0 the question, 1 the second turn of a prompt that has one; `re_ask`: the request for the last line alone.
    `requested` and `effective`: parameters as planned and as sent, after what the model rejected was left out.
    `attempts`: requests that were sent, those that failed included. `truncated`: the text was longer than what is kept.
    """

    key: str
    slot: str
    question_id: str
    member: str
    model: str
    api_base: str | None = None
    sample: int
    turn: int = 0
    re_ask: bool = False
    refill: int = 0
    prompt: str
    prompt_digest: str
    messages: list[dict[str, str]]
    requested: dict[str, Any]
    effective: dict[str, Any]
    text: str | None = None
    reasoning: str | None = None
    finish_reason: str | None = None
    returned_model: str | None = None
    system_fingerprint: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    latency_s: float | None = None
    attempts: int = 1
    truncated: bool = False
    error: CallError | None = None
    time: datetime
    """When the request was sent that was answered, or that failed last; aware, UTC."""


class Forecast(_Strict):
    """A row of forecasts.jsonl: one turn of one slot, whose calls in calls.jsonl have the same `slot`. `probability` is that the question resolves yes, also where its
    complement was asked (`negated`). `model` is the member's name. Costs and tokens are those of all its calls."""

    question_id: str
    model: str
    sample: int
    prompt: str
    turn: int = 0
    negated: bool = False
    shown_crowd: bool = False
    probability: float | None = None
    low: float | None = None
    high: float | None = None
    parser: str | None = None
    status: Status
    flags: list[str] = []
    reason: str | None = None
    returned_model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    latency_s: float | None = None
    calls: int = 0
    slot: str
    prompt_digest: str
    time: datetime | None = None

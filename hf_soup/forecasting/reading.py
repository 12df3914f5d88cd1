"""What was read from one answer of a model: a probability, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AnswerForm(StrEnum):
    """What a prompt asks for as its last line."""

    PERCENT = "percent"
    """`Probability: ZZ.ZZ%`"""
    FRACTION = "fraction"
    """A bare number between 0 and 1."""
    INTERVAL = "interval"
    """`My Prediction: Between XX.XX% and YY.YY%`; its midpoint is the probability."""
    JSON = "json"
    """An object with `probability` in [0, 1]."""


class Status(StrEnum):
    """What became of a slot, that is of one sample of one member for one question. Only `ANSWERED` has a probability."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNPARSED = "unparsed"
    EMPTY = "empty"
    CUT_OFF = "cut_off"
    """The answer ended at its token limit before a probability."""
    FAILED = "failed"
    """No answer came: see the error of the call."""
    UNASKED = "unasked"
    """The budget was spent, the member had stopped, or the run was interrupted."""


@dataclass(frozen=True)
class Reading:
    """`probability`, `low`, `high` are fractions in [0, 1]; `low` and `high` only where the answer gave a range.

    `parser`: the name of the parser that read it. `flags`: doubts that stay in every report, such as `bare_fraction`.
    `reason`: in words, why there is no probability.
    """

    status: Status
    probability: float | None = None
    low: float | None = None
    high: float | None = None
    parser: str | None = None
    flags: tuple[str, ...] = ()
    reason: str | None = None

"""A question that can be answered with a probability, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Resolution(StrEnum):
    """How a question ended. Annulled ones are kept out of every score, and counted."""

    YES = "yes"
    NO = "no"
    ANNULLED = "annulled"


@dataclass(frozen=True)
class Question:
    """`resolution` is None while the question is open or its outcome is not known.

    Times are aware, in UTC; a date without a time of day is its beginning for `open_date` and its end for the others.
    `crowd`: probability of a human crowd or a market, in [0, 1], as of `crowd_time`. `group`: what must stay together in
    resampling and cross-validation, such as one question asked at five dates. `negation_of`, `paraphrase_of`: the id of the question
    whose opposite, or whose other wording, this one is. `row`: where it stands in its file, from 1.
    """

    id: str
    question: str
    background: str | None = None
    resolution_criteria: str | None = None
    open_date: datetime | None = None
    close_date: datetime | None = None
    resolution: Resolution | None = None
    resolution_date: datetime | None = None
    crowd: float | None = None
    crowd_time: datetime | None = None
    group: str | None = None
    topic: str | None = None
    source: str | None = None
    negation_of: str | None = None
    paraphrase_of: str | None = None
    row: int = field(default=0, compare=False)

    @property
    def outcome(self) -> int | None:
        """1 or 0; None where there is none to score against."""
        return {Resolution.YES: 1, Resolution.NO: 0}.get(self.resolution) if self.resolution else None

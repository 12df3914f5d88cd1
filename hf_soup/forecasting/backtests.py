"""Which forecasts are none: the model may have known how it ended. Such a warning stays in every report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hf_soup.forecasting.member import Member
from hf_soup.forecasting.question import Question


class BackTestReason(StrEnum):
    """Why an answer counts as a back-test. The values stand in files of runs and never change."""

    CUTOFF_AFTER_OPENING = "cutoff_after_opening"
    CUTOFF_UNKNOWN = "cutoff_unknown"
    OPENING_UNKNOWN = "opening_unknown"
    ASKED_AFTER_RESOLUTION = "asked_after_resolution"
    ASKED_AFTER_CLOSE = "asked_after_close"
    SEARCHES_THE_WEB = "searches_the_web"

    @property
    def clause(self) -> str:
        """The reason in words that fit behind "since"."""
        return _CLAUSES[self]


_CLAUSES = {
    BackTestReason.CUTOFF_AFTER_OPENING: "the member's knowledge does not end before the day the question opened",
    BackTestReason.CUTOFF_UNKNOWN: "it is not known when the member's knowledge ends",
    BackTestReason.OPENING_UNKNOWN: "it is not known when the question opened",
    BackTestReason.ASKED_AFTER_RESOLUTION: "it was asked after the question was resolved",
    BackTestReason.ASKED_AFTER_CLOSE: "it was asked after the question closed",
    BackTestReason.SEARCHES_THE_WEB: "the member searches the web",
}


@dataclass(frozen=True)
class BackTest:
    """`member`: its name. `reasons`: all that apply, in the order of `BackTestReason`."""

    member: str
    question_id: str
    reasons: tuple[BackTestReason, ...]

    @property
    def reason(self) -> str:
        """All reasons, in words."""
        return "; ".join(reason.clause for reason in self.reasons)


def back_tests(members: Sequence[Member], questions: Sequence[Question], asked_at: datetime) -> list[BackTest]:
    """Returns one entry for each (member, question) whose answer, sent for at `asked_at`, is a back-test and no forecast.

    In the order of members, then of questions. `asked_at`: aware; ValueError for one without a time zone.
    """
    found = (back_test(member, question, asked_at) for member in members for question in questions)
    return [each for each in found if each is not None]


def back_test(member: Member, question: Question, asked_at: datetime) -> BackTest | None:
    """Returns why this answer is a back-test, None for a forecast. `asked_at` as in `back_tests`."""
    if asked_at.tzinfo is None:
        raise ValueError("asked_at has no time zone")
    reasons = tuple(_reasons(member, question, asked_at))
    return BackTest(member.name, question.id, reasons) if reasons else None


def is_over(question: Question, at: datetime) -> bool:
    """Whether a question is resolved or closed at a moment, and is not to be asked again."""
    return _is_resolved(question, at) or (question.close_date is not None and question.close_date <= at)


def _reasons(member: Member, question: Question, asked_at: datetime) -> Iterator[BackTestReason]:
    if member.knowledge_cutoff is None:
        yield BackTestReason.CUTOFF_UNKNOWN
    elif question.open_date is not None and member.knowledge_cutoff >= question.open_date.date():
        yield BackTestReason.CUTOFF_AFTER_OPENING
    if question.open_date is None:
        yield BackTestReason.OPENING_UNKNOWN
    if _is_resolved(question, asked_at):
        yield BackTestReason.ASKED_AFTER_RESOLUTION
    if question.close_date is not None and question.close_date <= asked_at:
        yield BackTestReason.ASKED_AFTER_CLOSE
    if member.searches_the_web:
        yield BackTestReason.SEARCHES_THE_WEB


def _is_resolved(question: Question, at: datetime) -> bool:
    """An outcome that is known, without its day, was known at any moment that is asked about."""
    if question.resolution_date is not None:
        return question.resolution_date <= at
    return question.resolution is not None

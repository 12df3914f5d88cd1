"""Answers that may have known how it ended are named, with every reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from hf_soup.forecasting.backtests import BackTestReason, back_test, back_tests, is_over
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.question import Question, Resolution

OPENED = datetime(2026, 3, 1, 15, tzinfo=UTC)
CLOSES = datetime(2026, 4, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 10, tzinfo=UTC)
QUESTION = Question("q", "Q?", open_date=OPENED, close_date=CLOSES)
MEMBER = Member("m", "openai/m", knowledge_cutoff=date(2026, 2, 28))


def _reasons(member: Member = MEMBER, question: Question = QUESTION, at: datetime = NOW) -> tuple[BackTestReason, ...]:
    found = back_test(member, question, at)
    return found.reasons if found else ()


def test_a_forecast_is_no_back_test() -> None:
    assert back_tests([MEMBER], [QUESTION], NOW) == []


@pytest.mark.parametrize(
    ("cutoff", "is_one"), [(date(2026, 2, 28), False), (date(2026, 3, 1), True), (date(2026, 3, 2), True)]
)
def test_knowledge_has_to_end_before_the_day_the_question_opened(cutoff: date, is_one: bool) -> None:
    expected = (BackTestReason.CUTOFF_AFTER_OPENING,) if is_one else ()
    assert _reasons(replace(MEMBER, knowledge_cutoff=cutoff)) == expected


def test_what_is_not_known_is_a_reason() -> None:
    assert _reasons(replace(MEMBER, knowledge_cutoff=None)) == (BackTestReason.CUTOFF_UNKNOWN,)
    assert _reasons(question=replace(QUESTION, open_date=None)) == (BackTestReason.OPENING_UNKNOWN,)


@pytest.mark.parametrize("resolution", [Resolution.YES, Resolution.NO, Resolution.ANNULLED])
def test_asking_after_the_resolution_or_the_close_is_a_reason(resolution: Resolution) -> None:
    resolved = replace(QUESTION, resolution=resolution, resolution_date=NOW)
    assert _reasons(question=resolved) == (BackTestReason.ASKED_AFTER_RESOLUTION,)
    assert _reasons(question=resolved, at=NOW - timedelta(seconds=1)) == ()
    assert _reasons(question=replace(QUESTION, resolution=resolution)) == (BackTestReason.ASKED_AFTER_RESOLUTION,)
    assert _reasons(at=CLOSES) == (BackTestReason.ASKED_AFTER_CLOSE,)


def test_a_member_that_searches_the_web_is_a_reason() -> None:
    assert _reasons(replace(MEMBER, searches_the_web=True)) == (BackTestReason.SEARCHES_THE_WEB,)


def test_there_is_one_entry_for_a_member_and_a_question_with_all_reasons() -> None:
    searching = Member("s", "openai/s", searches_the_web=True)
    undated = Question("u", "U?", resolution=Resolution.NO)
    found = back_tests([MEMBER, searching], [QUESTION, undated], NOW)
    assert [(each.member, each.question_id) for each in found] == [("m", "u"), ("s", "q"), ("s", "u")]
    assert found[2].reasons == (
        BackTestReason.CUTOFF_UNKNOWN,
        BackTestReason.OPENING_UNKNOWN,
        BackTestReason.ASKED_AFTER_RESOLUTION,
        BackTestReason.SEARCHES_THE_WEB,
    )
    assert found[1].reason == "it is not known when the member's knowledge ends; the member searches the web"


def test_every_reason_has_words() -> None:
    assert len({reason.clause for reason in BackTestReason}) == len(BackTestReason)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        back_test(MEMBER, QUESTION, datetime(2026, 3, 10))


def test_a_question_is_over_once_it_is_resolved_or_closed() -> None:
    assert not is_over(QUESTION, NOW)
    assert is_over(QUESTION, CLOSES)
    assert is_over(replace(QUESTION, resolution_date=NOW), NOW)
    assert is_over(replace(QUESTION, resolution=Resolution.YES), NOW)

"""What scores need to know of each question: from a file of questions, or from columns beside the forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from hf_soup.forecasting.cells import Unit, read_moment, read_probability, read_resolution, read_text
from hf_soup.forecasting.question import Question, Resolution
from hf_soup.forecasting.row_problems import RowProblems
from hf_soup.scoring.column_values import report
from hf_soup.scoring.columns import Columns

_READERS: dict[str, Callable[[Any, Unit], Any]] = {
    "resolution": lambda cell, unit: read_resolution(cell),
    "crowd": lambda cell, unit: read_probability(cell, unit, "questions_unit"),
    "crowd_time": lambda cell, unit: read_moment(cell, end_of_day=True),
    "resolution_date": lambda cell, unit: read_moment(cell, end_of_day=True),
    "group": lambda cell, unit: read_text(cell),
    "topic": lambda cell, unit: read_text(cell),
    "source": lambda cell, unit: read_text(cell),
    "negation_of": lambda cell, unit: read_text(cell),
    "paraphrase_of": lambda cell, unit: read_text(cell),
}


@dataclass(frozen=True)
class QuestionFacts:
    """Of Q questions; arrays as in `ForecastTable`."""

    ids: tuple[str, ...]
    outcomes: np.ndarray
    annulled: np.ndarray
    groups: np.ndarray
    crowd: np.ndarray
    crowd_times: np.ndarray
    resolution_times: np.ndarray
    topics: tuple[str | None, ...]
    sources: tuple[str | None, ...]
    negation_of: tuple[str | None, ...]
    paraphrase_of: tuple[str | None, ...]


def facts_of(questions: Sequence[Question]) -> QuestionFacts:
    """Returns the facts. A question without a group is a group of its own, a rewording is in the group of what it rewords."""
    group_of: dict[tuple[str, str], int] = {}
    by_id = {each.id: each for each in questions}
    groups = [group_of.setdefault(_group(each, by_id), len(group_of)) for each in questions]
    outcomes = [each.outcome for each in questions]
    return QuestionFacts(
        ids=tuple(each.id for each in questions),
        outcomes=_numbers(outcomes),
        annulled=np.array([each.resolution is Resolution.ANNULLED for each in questions], dtype=bool),
        groups=np.array(groups, dtype=np.int64),
        crowd=_numbers([each.crowd for each in questions]),
        crowd_times=_numbers([_seconds(each.crowd_time) for each in questions]),
        resolution_times=_numbers([_seconds(each.resolution_date) for each in questions]),
        topics=tuple(each.topic for each in questions),
        sources=tuple(each.source for each in questions),
        negation_of=tuple(each.negation_of for each in questions),
        paraphrase_of=tuple(each.paraphrase_of for each in questions),
    )


def facts_beside(
    table: Columns, ids: Sequence[str], question_of_row: np.ndarray, unit: Unit, problems: RowProblems
) -> QuestionFacts:
    """Returns the facts in the table of forecasts itself, where rows of one question must agree.

    `question_of_row`: int64 [rows], indices into `ids`. What cannot be read or does not agree goes to `problems`.
    """
    found: list[dict[str, Any]] = [{} for _ in ids]
    _, first_row = np.unique(question_of_row, return_index=True)
    for name, read in _READERS.items():
        if name not in table.by_name:
            continue
        column = table.by_name[name]
        values, wrong = column.read(lambda cell, read=read: read(cell, unit))  # type: ignore[misc]
        report(table, column, name, wrong, problems)
        number: dict[Any, int] = {}
        value_of_code = np.array([number.setdefault(value, len(number)) for value in values], dtype=np.int64)
        value_of_row = value_of_code[column.codes]
        for row in np.flatnonzero(value_of_row != value_of_row[first_row][question_of_row]).tolist():
            question = int(question_of_row[row])
            problems.add(
                int(table.rows[row]),
                ids[question],
                name,
                f"{name} is not the same as in row {table.rows[first_row[question]]} of the same question",
            )
        for question, row in enumerate(first_row.tolist()):
            found[question][name] = values[int(column.codes[row])]
    return facts_of([Question(id=id, question="", **known) for id, known in zip(ids, found, strict=True)])


def _group(question: Question, by_id: Mapping[str, Question]) -> tuple[str, str]:
    """Of a rewording that names what is not there, the name: two rewordings of one question are still one group."""
    seen: set[str] = set()
    while not question.group:
        seen.add(question.id)
        of = question.negation_of or question.paraphrase_of
        if of is None:
            return "id", question.id
        if of not in by_id:
            return "id", of
        if of in seen:  # rewordings of each other
            return "id", min(seen)
        question = by_id[of]
    return "group", question.group


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

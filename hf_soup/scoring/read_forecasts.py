"""Forecasts from files: ready-made ones, tables with a column for each model, and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hf_soup.errors import InputError
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.question import Question
from hf_soup.progress import say as say_on_terminal
from hf_soup.scoring.crowd_blend import late_crowd, refuse_late_crowd
from hf_soup.scoring.forecast_rows import ForecastRows
from hf_soup.scoring.given_forecasts import places, read_given
from hf_soup.scoring.question_facts import QuestionFacts
from hf_soup.scoring.table import ForecastTable

_SHOWN = 5


def read_forecasts(
    data: Any,
    questions: str | Path | Sequence[Mapping[str, Any]] | Sequence[Question] | None = None,
    *,
    unit: Unit,
    questions_unit: Unit | None = None,
    members: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Any] | None = None,
    turn: int = 0,
    late: Literal["refuse", "leave out"] = "refuse",
    say: Callable[[str], None] = say_on_terminal,
) -> ForecastTable:
    """Returns the table of forecasts, questions in the order of `questions`, or without these of the forecasts.

    >>> rows = [{"id": "a", "gpt": 30, "llama": 50, "resolution": "no"}, {"id": "b", "gpt": 80, "llama": "", "resolution": "yes"}]
    >>> read_forecasts(rows, unit="percent").member_means()
    array([[0.3, 0.5],
           [0.8, nan]])

    `data`: a CSV, JSONL or Parquet file, a list of dicts, a `datasets.Dataset`, or the folder of a run. Either a row for each
    forecast: `question_id, model, probability` and where known `sample`, `time`; or a row for each question: `id` (or
    `question_id`) and a column for each model. A blank is no answer, and stays one.
    `unit`: "fraction" or "percent", of the probabilities; it is never inferred (a run's are fractions, whatever is said here).
    `questions`: as `read_questions` takes them; None: `resolution`, `crowd`, `crowd_time`, `group`, `topic`, `source` and
    `resolution_date` are columns beside the forecasts, and a run has its own. `questions_unit`: of `crowd`, if another; it must
    be said where the forecasts are percentages and no value of the crowd is above 1.
    `members`: which models, in this order; None: all, which in a wide table is every column that is not about the question.
    `columns`: {"question_id": "qid"} for a column that has another name. `where`: {"context": "none"} chooses rows. `turn`: of a
    prompt with two turns. `late`: whether a crowd's value dated after a forecast of the question is an error or left out.
    `say`: is told what is missing.

    Raises InputError with every problem and its row: probabilities outside the unit, unknown questions, duplicates of question,
    model and sample, outcomes other than 1 and 0, rows of a question that contradict each other, no probability at all.
    """
    if late not in ("refuse", "leave out"):
        raise InputError(f"late={late!r}: is not known; known: refuse, leave out.")
    given = read_given(
        data,
        questions,
        unit=unit,
        questions_unit=questions_unit,
        members=members,
        columns=columns,
        where=where,
        say=say,
    )
    chosen = _of_turn(given.rows, turn)
    given.check(chosen)
    made = _assembled(chosen, given.facts)
    if np.isnan(made.values).all():
        raise InputError(f"{given.name}: there is no probability in it, all {len(chosen.row)} forecasts are missing.")
    _tell_what_is_missing(made, say)
    if late == "refuse":
        refuse_late_crowd(made)
        return made
    too_late = late_crowd(made)
    if too_late.any():
        say(
            f"The crowd's forecast is left out of {int(too_late.sum())} questions, since it is dated after a forecast."
        )
    return replace(made, crowd=np.where(too_late, np.nan, made.crowd))


def _of_turn(long: ForecastRows, turn: int) -> ForecastRows:
    if long.turn is None:
        if turn:
            raise InputError(f"There are no forecasts of turn {turn}: the table has no column turn.")
        return long
    kept = long.turn == turn
    if (long.turn < 0).any():  # told with its row
        return long
    if not kept.any():
        raise InputError(f"There are no forecasts of turn {turn}; there are turns {sorted(set(long.turn.tolist()))}.")
    return long.taken(kept)


def _assembled(long: ForecastRows, facts: QuestionFacts) -> ForecastTable:
    question, sample = places(long, facts)
    shape = (len(facts.ids), len(long.members), int(sample.max()) + 1)

    def laid_out(numbers: np.ndarray, nothing: Any) -> np.ndarray:
        array = np.full(shape, nothing)
        array[question, long.member, sample] = numbers
        return array

    return ForecastTable(
        questions=facts.ids,
        members=tuple(long.members),
        values=laid_out(long.probability, np.nan),
        outcomes=facts.outcomes,
        groups=facts.groups,
        annulled=facts.annulled,
        crowd=facts.crowd,
        times=None if long.time is None else laid_out(long.time, np.nan),
        topics=facts.topics,
        sources=facts.sources,
        negation_of=facts.negation_of,
        paraphrase_of=facts.paraphrase_of,
        crowd_times=facts.crowd_times,
        resolution_times=facts.resolution_times,
        shown_crowd=None if long.shown_crowd is None else laid_out(long.shown_crowd, False),
    )


def _tell_what_is_missing(table: ForecastTable, say: Callable[[str], None]) -> None:
    empty = np.flatnonzero(np.isnan(table.values).all(axis=(1, 2)))
    if len(empty):
        shown = ", ".join(f"'{table.questions[n]}'" for n in empty[:_SHOWN])
        more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
        say(f"{len(empty)} of {len(table.questions)} questions have no forecast: {shown}{more}.")
    for member, missing in zip(table.members, table.missing - len(empty), strict=True):
        if missing:
            say(
                f"{member}: has no forecast of {missing} question{'s' if missing != 1 else ''} that others answered; nothing is put in their place."
            )

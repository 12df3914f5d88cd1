"""The intervals of Study 2 from files: before and after the crowd's forecast was shown, of a run or ready-made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.questions import read_questions
from hf_soup.forecasting.run_folder import read_record
from hf_soup.progress import say as say_on_terminal
from hf_soup.scoring.column_values import probabilities
from hf_soup.scoring.crowd_blend import refuse_late_crowd
from hf_soup.scoring.forecast_rows import ForecastRows
from hf_soup.scoring.given_forecasts import GivenForecasts, places, read_given
from hf_soup.scoring.question_facts import QuestionFacts, facts_of
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.scoring.table import ForecastTable

_NEEDED = ("model", "turn", "low", "high")


def read_two_turns(
    data: Any,
    questions: str | Path | Sequence[Mapping[str, Any]] | Sequence[Question] | None = None,
    *,
    unit: Unit,
    questions_unit: Unit | None = None,
    members: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = say_on_terminal,
) -> TwoTurns:
    """Returns the intervals of both turns, questions in the order of `questions`, or without these of the forecasts.

    >>> rows = [
    ...     {"question_id": "a", "model": "m", "turn": 0, "low": 20, "high": 40, "crowd": 60, "resolution": "yes"},
    ...     {"question_id": "a", "model": "m", "turn": 1, "low": 35, "high": 45, "crowd": 60, "resolution": "yes"},
    ... ]
    >>> read_two_turns(rows, unit="percent").second_low
    array([[[0.35]]])

    `data`: the folder of a run whose prompt shows the crowd in a second turn (`update`), or a table with a row for each answer:
    `question_id, model, turn, low, high` and where known `sample, time`. Turn 0 is the first answer, 1 the one after the crowd's
    forecast was shown. A blank is no answer. A sample is one conversation: its name is the same in both turns. Of a run the crowd
    is what was shown, whatever `questions` say now. The other options are those of `read_forecasts`.

    Raises InputError with every problem and its row: also for intervals that end below their beginning, turns other than 0 and 1,
    data with one turn only or without a crowd, and a crowd dated after a first answer.
    """
    given = read_given(
        data,
        questions,
        unit=unit,
        questions_unit=questions_unit,
        members=members,
        columns=columns,
        where=where,
        say=say,
        value="low",
        needed=_NEEDED,
    )
    high = probabilities(given.table, "high", given.unit, given.problems)
    high = high[np.searchsorted(given.table.rows, given.rows.row)]
    _check_turns(given, high)
    given.check(given.rows)
    rows, high = _of_members_with_both(given, high, say)
    facts = given.facts
    if isinstance(data, str | Path) and Path(data).is_dir() and questions is not None:
        facts = _with_crowd_shown(facts, Path(data), say)
    made = _assembled(rows, high, facts)
    if not (made.complete() & ~np.isnan(made.crowd)[:, None, None]).any():
        raise InputError(
            f"{given.name}: no sample has both intervals, on a question with a crowd's forecast; there are "
            f"{_count(made.first_low, made.first_high)} first and {_count(made.second_low, made.second_high)} second intervals, and "
            f"{int((~np.isnan(made.crowd)).sum())} questions with a crowd (column crowd)."
        )
    return made


def _check_turns(given: GivenForecasts, high: np.ndarray) -> None:
    rows, turn = given.rows, _turn(given.rows)
    for n in np.flatnonzero(turn > 1).tolist():
        given.problems.add(
            int(rows.row[n]),
            rows.ids[rows.question[n]],
            "turn",
            f"turn is {turn[n]}; 0 is the first answer, 1 the one after the crowd's forecast was shown",
        )
    for n in np.flatnonzero(rows.probability > high).tolist():
        given.problems.add(
            int(rows.row[n]),
            rows.ids[rows.question[n]],
            "low",
            f"the interval ends below its beginning (low {rows.probability[n]:g}, high {high[n]:g})",
        )


def _of_members_with_both(
    given: GivenForecasts, high: np.ndarray, say: Callable[[str], None]
) -> tuple[ForecastRows, np.ndarray]:
    rows = given.rows
    turns = [set(_turn(rows)[rows.member == m].tolist()) for m in range(len(rows.members))]
    kept = [m for m, of_member in enumerate(turns) if of_member == {0, 1}]
    if not kept:
        found = ", ".join(map(str, sorted(set().union(*turns))))
        raise InputError(
            f"{given.name}: Study 2 needs a first answer (turn 0) and one after the crowd's forecast was shown (turn 1) of the same "
            f"model; there are answers of turn {found} only. The prompt that asks for both is `update` (--prompt update)."
        )
    if len(kept) == len(rows.members):
        return rows, high
    for m, name in enumerate(rows.members):
        if m not in kept:
            say(f"{name}: was not asked in two turns, and is left out.")
    code = np.full(len(rows.members), -1)
    code[kept] = np.arange(len(kept))
    moved = replace(rows, members=[rows.members[m] for m in kept], member=code[rows.member])
    return moved.taken(moved.member >= 0), high[moved.member >= 0]


def _with_crowd_shown(facts: QuestionFacts, folder: Path, say: Callable[[str], None]) -> QuestionFacts:
    """With the crowd that the run showed in place of what questions that came later say."""
    shown = facts_of(read_questions(read_record(folder)["questions"], unit="fraction", say=say))
    place = {id: n for n, id in enumerate(shown.ids)}
    at = np.array([place.get(id, -1) for id in facts.ids])
    crowd = np.where(at >= 0, shown.crowd[at], np.nan)
    times = np.where(at >= 0, shown.crowd_times[at], np.nan)
    other = int((~np.isnan(facts.crowd) & (facts.crowd != crowd)).sum())
    if other:
        say(f"{other} questions have another crowd's forecast now than {folder} showed; what was shown is used.")
    return replace(facts, crowd=crowd, crowd_times=times)


def _assembled(rows: ForecastRows, high: np.ndarray, facts: QuestionFacts) -> TwoTurns:
    question, sample = places(rows, facts)
    shape = (len(facts.ids), len(rows.members), int(sample.max()) + 1)

    def laid_out(values: np.ndarray, turn: int) -> np.ndarray:
        array = np.full(shape, np.nan)
        of_turn = _turn(rows) == turn
        array[question[of_turn], rows.member[of_turn], sample[of_turn]] = values[of_turn]
        return array

    first, second = ((laid_out(rows.probability, turn), laid_out(high, turn)) for turn in (0, 1))
    made = TwoTurns.of(
        first,
        second,
        facts.outcomes,
        facts.crowd,
        members=rows.members,
        questions=facts.ids,
        groups=facts.groups,
        annulled=facts.annulled,
    )
    table = ForecastTable.of(
        (made.first_low + made.first_high) / 2,
        questions=facts.ids,
        members=rows.members,
        crowd=facts.crowd,
        times=None if rows.time is None else laid_out(rows.time, 0),
    )
    refuse_late_crowd(replace(table, crowd_times=facts.crowd_times))
    return made


def _turn(rows: ForecastRows) -> np.ndarray:
    assert rows.turn is not None  # its column is among the needed ones
    return rows.turn


def _count(low: np.ndarray, high: np.ndarray) -> int:
    return int((~np.isnan(low + high)).sum())

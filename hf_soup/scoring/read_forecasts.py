"""Forecasts from files: ready-made ones, tables with a column for each model, and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import row_numbers
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.questions import read_questions
from hf_soup.forecasting.row_problems import RowProblems
from hf_soup.forecasting.run_folder import ROWS, read_record
from hf_soup.progress import say as say_on_terminal
from hf_soup.scoring.columns import Columns, read_columns
from hf_soup.scoring.crowd_blend import late_crowd, refuse_late_crowd
from hf_soup.scoring.forecast_rows import ForecastRows, forecast_rows
from hf_soup.scoring.question_facts import QuestionFacts, facts_beside, facts_of
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
    `resolution_date` are columns beside the forecasts, and a run has its own. `questions_unit`: of `crowd`, if another.
    `members`: which models, in this order; None: all, which in a wide table is every column that is not about the question.
    `columns`: {"question_id": "qid"} for a column that has another name. `where`: {"context": "none"} chooses rows. `turn`: of a
    prompt with two turns. `late`: whether a crowd's value dated after a forecast of the question is an error or left out.
    `say`: is told what is missing.

    Raises InputError with every problem and its row: probabilities outside the unit, unknown questions, duplicates of question,
    model and sample, outcomes other than 1 and 0, rows of a question that contradict each other, no probability at all.
    """
    if unit not in ("fraction", "percent"):
        raise InputError(f"unit={unit!r}: is not known; known: fraction, percent.")
    if late not in ("refuse", "leave out"):
        raise InputError(f"late={late!r}: is not known; known: refuse, leave out.")
    of_crowd = questions_unit or unit
    if isinstance(data, str | Path) and Path(data).is_dir():
        folder = Path(data)
        if questions is None:
            questions, of_crowd = read_record(folder)["questions"], "fraction"
        data, unit = folder / ROWS, "fraction"
    table = _renamed(read_columns(data), columns or {}).where(where or {})
    problems = RowProblems(table.name)
    long = forecast_rows(table, unit, members, problems, say)
    if questions is None:
        facts = facts_beside(table, long.ids, long.question[: len(table.rows)], of_crowd, problems)
    else:
        facts = facts_of(read_questions(questions, unit=of_crowd, say=say))
    chosen = _of_turn(long if members is None else _only(long, members, table.name), turn)
    _check_duplicates(chosen, problems)
    if found := problems.sentences() + _unknown_ids(chosen, facts, table.name):
        if "model" not in table.by_name and members is None:
            taken = ", ".join(long.members)
            found.append(
                f"{table.name}: taken as models: {taken}. Where that is wrong, name them (members=…, --members)."
            )
        raise InputError(found)
    made = _assembled(chosen, facts)
    if np.isnan(made.values).all():
        raise InputError(f"{table.name}: there is no probability in it, all {len(chosen.row)} forecasts are missing.")
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


def _renamed(table: Columns, names: Mapping[str, str]) -> Columns:
    """A column whose own name is given to another one is left aside."""
    problems = [
        f"{table.name}: has no column '{theirs}'; it has {', '.join(table.by_name)}."
        for theirs in names.values()
        if theirs not in table.by_name
    ]
    if problems:
        raise InputError(problems)
    new = {theirs: ours for ours, theirs in names.items()}
    kept = {name: each for name, each in table.by_name.items() if name in new or name not in names}
    return replace(table, by_name={new.get(name, name): each for name, each in kept.items()})


def _only(long: ForecastRows, members: Sequence[str], name: str) -> ForecastRows:
    """Of these members, in this order."""
    if lacking := [each for each in members if each not in long.members]:
        raise InputError(f"{name}: has no forecasts of '{lacking[0]}'; it has those of {', '.join(long.members)}.")
    new_code = np.array([members.index(each) if each in members else -1 for each in long.members])
    moved = replace(long, members=list(members), member=new_code[long.member])
    return moved.taken(moved.member >= 0)


def _of_turn(long: ForecastRows, turn: int) -> ForecastRows:
    if long.turn is None:
        return long
    kept = long.turn == turn
    if (long.turn < 0).any():  # told with its row
        return long
    if not kept.any():
        raise InputError(f"There are no forecasts of turn {turn}; there are turns {sorted(set(long.turn.tolist()))}.")
    return long.taken(kept)


def _check_duplicates(long: ForecastRows, problems: RowProblems) -> None:
    """The sort is stable, so of equal ones the row that comes first in the file is told as the first."""
    slots = (long.question * len(long.members) + long.member) * len(long.samples) + long.sample
    order = np.argsort(slots, kind="stable")
    first = np.concatenate([[True], slots[order][1:] != slots[order][:-1]])
    first_row = long.row[order][np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    for at in np.flatnonzero(~first).tolist():
        n = order[at]
        problems.add(
            int(long.row[n]),
            long.ids[long.question[n]],
            "sample",
            f"model '{long.members[long.member[n]]}', sample {long.samples[long.sample[n]]} is in row {first_row[at]} too; give "
            "repeated answers different samples, or choose rows with where (--where COLUMN=VALUE)",
        )


def _unknown_ids(long: ForecastRows, facts: QuestionFacts, name: str) -> list[str]:
    known = set(facts.ids)
    unknown = [code for code, id in enumerate(long.ids) if id and id not in known]
    if not unknown:
        return []
    rows = np.unique(long.row[np.isin(long.question, unknown)]).tolist()
    if not rows:
        return []
    shown = ", ".join(f"'{long.ids[code]}'" for code in unknown[:_SHOWN])
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return [
        f"{name}: {shown}{more} ({row_numbers(rows)}): there is no question with this id among the {len(known)} given."
    ]


def _assembled(long: ForecastRows, facts: QuestionFacts) -> ForecastTable:
    """Samples are numbered anew for each question and member, in the order of the file: names of samples may be anything."""
    place = {id: n for n, id in enumerate(facts.ids)}
    question = np.array([place.get(id, -1) for id in long.ids], dtype=np.int64)[long.question]
    cell = question * len(long.members) + long.member
    order = np.argsort(cell, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(cell[order])) + 1])
    lengths = np.diff(np.concatenate([starts, [len(order)]]))
    sample = np.empty(len(order), dtype=np.int64)
    sample[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    shape = (len(facts.ids), len(long.members), int(lengths.max()))

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

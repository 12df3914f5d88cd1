"""Forecasts and questions as they were given, before they are laid out: rows that are understood, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import row_numbers
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.questions import read_questions
from hf_soup.forecasting.row_problems import RowProblems
from hf_soup.forecasting.run_folder import ROWS, read_record
from hf_soup.scoring.columns import Columns, read_columns
from hf_soup.scoring.forecast_rows import ForecastRows, forecast_rows
from hf_soup.scoring.question_facts import QuestionFacts, facts_beside, facts_of

_SHOWN = 5


@dataclass(frozen=True)
class GivenForecasts:
    """`table`: as it was read, in `unit`. `rows`: of the chosen members. `problems`: what could not be read, which `check` refuses.

    `taken_as_models`: the columns of a wide table that nobody named.
    """

    table: Columns
    unit: Unit
    rows: ForecastRows
    facts: QuestionFacts
    problems: RowProblems
    taken_as_models: tuple[str, ...]

    @property
    def name(self) -> str:
        """How messages call the table."""
        return self.table.name

    def check(self, rows: ForecastRows) -> None:
        """Raises InputError with all that is wrong, when these of the rows are used: also duplicates and unknown questions."""
        _check_duplicates(rows, self.problems)
        if found := self.problems.sentences() + _unknown_ids(rows, self.facts, self.name):
            if self.taken_as_models:
                found.append(
                    f"{self.name}: taken as models: {', '.join(self.taken_as_models)}. Where that is wrong, name them (members=…, "
                    "--members)."
                )
            raise InputError(found)


def read_given(
    data: Any,
    questions: str | Path | Sequence[Mapping[str, Any]] | Sequence[Question] | None,
    *,
    unit: Unit,
    questions_unit: Unit | None,
    members: Sequence[str] | None,
    columns: Mapping[str, str] | None,
    where: Mapping[str, Any] | None,
    say: Callable[[str], None],
    value: str = "probability",
    needed: Sequence[str] = (),
) -> GivenForecasts:
    """Returns forecasts and questions; see `read_forecasts`. `value`: the column that holds the forecast. `needed`: others without
    which the table is refused.

    Raises InputError for an unknown unit, a table that lacks a column or a member, and for questions that cannot be read.
    """
    if unit not in ("fraction", "percent"):
        raise InputError(f"unit={unit!r}: is not known; known: fraction, percent.")
    of_crowd = questions_unit or unit
    if isinstance(data, str | Path) and Path(data).is_dir():
        folder = Path(data)
        if questions is None:
            questions, of_crowd = read_record(folder)["questions"], "fraction"
        data, unit = folder / ROWS, "fraction"
    table = _renamed(read_columns(data), columns or {}).where(where or {})
    if lacking := [name for name in needed if name not in table.by_name]:
        raise InputError(
            f"{table.name}: has no column {' and '.join(map(repr, lacking))}; it has {', '.join(table.by_name)}. A column that has "
            f"another name is given as columns={{{lacking[0]!r}: '…'}} (--column {lacking[0]}=…)."
        )
    problems = RowProblems(table.name)
    rows = forecast_rows(table, unit, members, problems, say, value)
    if questions is None:
        facts = facts_beside(table, rows.ids, rows.question[: len(table.rows)], of_crowd, problems)
    else:
        facts = facts_of(read_questions(questions, unit=of_crowd, unit_option="questions_unit", say=say))
    if unit == "percent" and questions_unit is None:
        _refuse_small_percentages(facts.crowd)
    return GivenForecasts(
        table,
        unit,
        rows if members is None else _only(rows, members, table.name),
        facts,
        problems,
        taken_as_models=tuple(rows.members) if "model" not in table.by_name and members is None else (),
    )


def _refuse_small_percentages(crowd: np.ndarray) -> None:
    """A unit is never guessed: where forecasts are percentages and no value of the crowd is above 1, somebody must say its unit."""
    if (~np.isnan(crowd)).any() and np.nanmax(crowd) <= 0.01:
        raise InputError(
            f"crowd: no value is above {100 * np.nanmax(crowd):g}, while the forecasts are in percent; say what the crowd is written in: "
            "questions_unit='fraction' or 'percent' (--questions-unit)."
        )


def places(rows: ForecastRows, facts: QuestionFacts) -> tuple[np.ndarray, np.ndarray]:
    """Returns question and sample of every row, int64 [N], as indices into the questions of `facts` and from 0.

    Samples are numbered anew for each question and member, in the order in which they first appear: their names may be anything.
    """
    place = {id: n for n, id in enumerate(facts.ids)}
    question = np.array([place.get(id, -1) for id in rows.ids], dtype=np.int64)[rows.question]
    slot = (question * len(rows.members) + rows.member) * len(rows.samples) + rows.sample
    different, first, which = np.unique(slot, return_index=True, return_inverse=True)
    cell = different // len(rows.samples)
    order = np.lexsort((first, cell))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(cell[order])) + 1])
    lengths = np.diff(np.concatenate([starts, [len(order)]]))
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return question, number[which]


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


def _check_duplicates(long: ForecastRows, problems: RowProblems) -> None:
    """The sort is stable, so of equal ones the row that comes first in the file is told as the first."""
    slots = (long.question * len(long.members) + long.member) * len(long.samples) + long.sample
    if long.turn is not None:
        slots = slots * (int(long.turn.max()) + 2) + long.turn + 1  # -1 stands for one that could not be read
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
    shown = _some([long.ids[code] for code in unknown])
    return [
        f"{name}: {shown} ({row_numbers(rows)}): there is no question with this id among the {len(known)} given, which are "
        f"{_some(facts.ids)}."
    ]


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(f"'{id}'" for id in ids[:_SHOWN])
    return shown + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")

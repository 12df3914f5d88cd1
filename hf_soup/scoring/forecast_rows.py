"""Forecasts as rows, whatever form their table has: a row for each forecast, or a column for each model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.forecasting.cells import Unit, is_blank
from hf_soup.forecasting.questions import COLUMNS as QUESTION_COLUMNS
from hf_soup.forecasting.row_problems import RowProblems
from hf_soup.scoring.column_values import holds_no_number, moments, probabilities, report, texts
from hf_soup.scoring.columns import Columns

_BESIDE = ("sample", "time", "turn", "shown_crowd")
_YES, _NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "")


@dataclass(frozen=True)
class ForecastRows:
    """A row for each forecast, N of them, int64 and float64 [N]. `question`, `member`, `sample`: indices into the lists of names;
    `row`: its number in the file. `turn`, `shown_crowd`, `time`: None where the table does not say."""

    ids: list[str]
    members: list[str]
    samples: list[str]
    question: np.ndarray
    member: np.ndarray
    sample: np.ndarray
    row: np.ndarray
    probability: np.ndarray
    time: np.ndarray | None
    turn: np.ndarray | None
    shown_crowd: np.ndarray | None

    def taken(self, kept: np.ndarray) -> ForecastRows:
        taken = {name: each[kept] for name, each in vars(self).items() if isinstance(each, np.ndarray)}
        return replace(self, **taken)


def forecast_rows(
    table: Columns,
    unit: Unit,
    members: Sequence[str] | None,
    problems: RowProblems,
    say: Callable[[str], None],
    value: str = "probability",
) -> ForecastRows:
    """Returns the forecasts of a table of either form; in a wide one those of the first member come first, in their order.

    A column `model` makes it a row for each forecast, which stands in the column `value`. What cannot be read goes to `problems`,
    with NaN in its place. Raises InputError where a column that must be there is not.
    """
    is_long = "model" in table.by_name
    id_column = next((name for name in ("question_id", "id") if name in table.by_name), "question_id")
    # A column called like the forecasts of a long table is not a model's name.
    needed = (id_column, "model", value) if is_long or (value in table.by_name and members is None) else (id_column,)
    if lacking := [name for name in needed if name not in table.by_name]:
        raise InputError(
            f"{table.name}: has no column {' and '.join(map(repr, lacking))}; it has {', '.join(table.by_name)}. Needed are "
            f"question_id, model and {value}, or question_id and a column for each model. A column that has another name is "
            f"given as columns={{{lacking[0]!r}: '…'}} (--column {lacking[0]}=…)."
            + (f" Are all rows of one model: members=[{value!r}] (--members {value})." if lacking == ["model"] else "")
        )
    ids, question = _named(table, id_column, problems)
    samples, sample = (
        _named(table, "sample", problems) if "sample" in table.by_name else (["0"], np.zeros_like(question))
    )
    if is_long:
        names, member = _named(table, "model", problems)
        probability = probabilities(table, value, unit, problems)
        repeats = 1
    else:
        names = _wide_members(table, members, id_column, say)
        repeats = len(names)
        member = np.repeat(np.arange(repeats), len(question))
        probability = np.concatenate([probabilities(table, name, unit, problems) for name in names])
    return ForecastRows(
        ids=ids,
        members=names,
        samples=samples,
        question=np.tile(question, repeats),
        member=member,
        sample=np.tile(sample, repeats),
        row=np.tile(table.rows, repeats),
        probability=probability,
        time=np.tile(moments(table, "time", problems, end_of_day=False), repeats) if "time" in table.by_name else None,
        turn=np.tile(_codes_as_numbers(table, "turn", problems), repeats) if "turn" in table.by_name else None,
        shown_crowd=np.tile(_truths(table, "shown_crowd", problems), repeats)
        if "shown_crowd" in table.by_name
        else None,
    )


def _named(table: Columns, column: str, problems: RowProblems) -> tuple[list[str], np.ndarray]:
    names, codes = texts(table, column, problems)
    if None in names:
        for row in table.rows[codes == names.index(None)].tolist():
            problems.add(row, None, column, f"has no {column}")
    return [name or "" for name in names], codes


def _wide_members(
    table: Columns, members: Sequence[str] | None, id_column: str, say: Callable[[str], None]
) -> list[str]:
    """The given ones, or all columns that are not about the question and do not hold only words."""
    if members is None:
        apart = {*QUESTION_COLUMNS, *_BESIDE, id_column}
        candidates = [name for name in table.by_name if name not in apart]
        words = [name for name in candidates if holds_no_number(table.by_name[name])]
        if words:
            say(f"{table.name}: {', '.join(words)}: a column without any number is not taken as a model.")
        names = [name for name in candidates if name not in words]
    else:
        names = list(members)
    if not names:
        raise InputError(f"{table.name}: has no column of a model, only {', '.join(table.by_name)}.")
    if lacking := [name for name in names if name not in table.by_name]:
        raise InputError(f"{table.name}: has no column '{lacking[0]}'; it has {', '.join(table.by_name)}.")
    return names


def _codes_as_numbers(table: Columns, column: str, problems: RowProblems) -> np.ndarray:
    cells = table.by_name[column]
    numbers, wrong = cells.read(_whole_number)
    report(table, cells, column, wrong, problems)
    return np.array([-1 if number is None else number for number in numbers], dtype=np.int64)[cells.codes]


def _whole_number(cell: Any) -> int:
    text = str(cell).strip().removesuffix(".0")  # as a table with gaps writes its numbers
    if is_blank(cell) or not text.isdecimal():
        raise ValueError("is blank" if is_blank(cell) else f"'{cell}' is no whole number")
    return int(text)


def _truths(table: Columns, column: str, problems: RowProblems) -> np.ndarray:
    cells = table.by_name[column]
    truths, wrong = cells.read(_truth)
    report(table, cells, column, wrong, problems)
    return np.array([bool(truth) for truth in truths])[cells.codes]


def _truth(cell: Any) -> bool:
    """A blank is no: a column that a table has for some of its rows."""
    text = "" if is_blank(cell) else str(cell).strip().casefold()
    if text in _YES or text in _NO:
        return text in _YES
    raise ValueError(f"'{cell}' is neither true nor false")

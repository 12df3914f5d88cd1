"""Columns of cells as arrays of numbers. The cells are read by the rules of question files; the usual ones by a quicker way."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np

from hf_soup.forecasting.cells import Unit, is_blank, read_moment, read_probability, read_text
from hf_soup.forecasting.row_problems import RowProblems
from hf_soup.scoring.columns import Column, Columns


def probabilities(table: Columns, name: str, unit: Unit, problems: RowProblems) -> np.ndarray:
    """Returns fractions in [0, 1], float64 [rows], NaN for blank cells; what is no probability goes to `problems`."""
    column = table.by_name[name]
    top = 100.0 if unit == "percent" else 1.0
    quick = np.array([_quick_number(cell) for cell in column.cells], dtype=np.float64) / top
    wrong = {}
    for code in np.flatnonzero(~((quick >= 0) & (quick <= 1))).tolist():
        try:
            value = read_probability(column.cells[code], unit)
            quick[code] = math.nan if value is None else value
        except ValueError as error:
            quick[code], wrong[code] = math.nan, str(error)
    report(table, column, name, wrong, problems)
    return quick[column.codes]


def moments(table: Columns, name: str, problems: RowProblems, *, end_of_day: bool) -> np.ndarray:
    """Returns seconds since 1970, float64 [rows], NaN for blank cells; what is no date goes to `problems`."""
    column = table.by_name[name]
    values, wrong = column.read(lambda cell: _seconds(cell, end_of_day))
    report(table, column, name, wrong, problems)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)[column.codes]


def texts(table: Columns, name: str, problems: RowProblems) -> tuple[list[str | None], np.ndarray]:
    """Returns the different texts in the order of the rows, and which of them each row has, int64 [rows]; None is a blank."""
    column = table.by_name[name]
    read, wrong = column.read(read_text)
    report(table, column, name, wrong, problems)
    # "7" and " 7" are different cells and one text; cells that no row has any more, after a choice of rows, are no text.
    present, first = np.unique(column.codes, return_index=True)
    number: dict[str | None, int] = {}
    new_code = np.zeros(len(column.cells), dtype=np.int64)
    for code in present[np.argsort(first)].tolist():
        new_code[code] = number.setdefault(read[code], len(number))
    return list(number), new_code[column.codes]


def holds_no_number(column: Column) -> bool:
    """Whether there is something in the column, and nothing of it is a number or a percentage."""
    filled = [cell for cell in column.cells if not is_blank(cell)]
    return bool(filled) and all(math.isnan(_quick_number(str(cell).strip().removesuffix("%"))) for cell in filled)


def report(table: Columns, column: Column, name: str, wrong: dict[int, str], problems: RowProblems) -> None:
    """Adds a problem for each row whose cell is in `wrong` (code → what)."""
    if not wrong:
        return
    for row in np.flatnonzero(np.isin(column.codes, list(wrong))).tolist():
        problems.add(int(table.rows[row]), None, name, f"{name} {wrong[int(column.codes[row])]}")


def _quick_number(cell: Any) -> float:
    """NaN for everything that needs a closer look: blanks, text with a % sign, what is no number."""
    try:
        return math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        return math.nan


def _seconds(cell: Any, end_of_day: bool) -> float | None:
    if isinstance(cell, str) and len(cell) > 10:
        try:
            moment = datetime.fromisoformat(cell)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment.timestamp()
    if is_blank(cell):
        return None
    found = read_moment(cell, end_of_day=end_of_day)
    return None if found is None else found.timestamp()

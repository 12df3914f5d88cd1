"""Questions, read from a file or from Python, and checked all at once before any model is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import Table, read_table
from hf_soup.forecasting.cells import Unit, read_moment, read_probability, read_resolution, read_text
from hf_soup.forecasting.importers import import_questions
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.row_problems import RowProblems
from hf_soup.progress import say as say_on_terminal

_READERS: dict[str, Callable[[Any, Unit], Any]] = {
    **{
        name: lambda cell, unit: read_text(cell)
        for name in (
            "id",
            "question",
            "background",
            "resolution_criteria",
            "fine_print",
            "group",
            "topic",
            "source",
            "negation_of",
            "paraphrase_of",
        )
    },
    "open_date": lambda cell, unit: read_moment(cell, end_of_day=False),
    **{
        name: lambda cell, unit: read_moment(cell, end_of_day=True)
        for name in ("close_date", "resolution_date", "crowd_time")
    },
    "resolution": lambda cell, unit: read_resolution(cell),
    "crowd": read_probability,
}
COLUMNS = tuple(_READERS)
_NEEDED = ("id", "question")
_REWORDS = ("negation_of", "paraphrase_of")


def read_questions(
    data: str | Path | Sequence[Mapping[str, Any]] | Sequence[Question],
    *,
    unit: Unit = "fraction",
    columns: Mapping[str, str] | None = None,
    unit_option: str = "unit",
    say: Callable[[str], None] = say_on_terminal,
) -> list[Question]:
    """Returns the questions of a table, in its order.

    >>> read_questions([{"id": 1, "question": "Will it rain?", "crowd": 65}], unit="percent")[0].crowd
    0.65

    `data`: a CSV, JSONL or Parquet file, a JSON file (a list of rows, or a format of `hf_soup.forecasting.importers`), a list
    of dicts, a `datasets.Dataset`, or questions made in Python. Columns: `id`, `question` and, where known, `background`,
    `resolution_criteria`, `fine_print` (comes after the criteria), `open_date`, `close_date`, `resolution`,
    `resolution_date`, `crowd`, `crowd_time`, `group`, `topic`, `source`, `negation_of`, `paraphrase_of`; others are left aside.
    `unit`: what `crowd` is written in, "fraction" or "percent". `columns`: {"question": "title"} for a column that has another
    name. `unit_option`: what the caller calls `unit`, for messages. `say`: is told what was left out. Texts may have any length: whether a model takes them, its provider says.

    Raises InputError with every problem, with row numbers counted from 1 without the header.
    """
    if unit not in ("fraction", "percent"):
        raise InputError(f"unit={unit!r}: is not known; known: fraction, percent.")
    if isinstance(data, Sequence) and data and all(isinstance(each, Question) for each in data):
        problems = RowProblems("the given questions")
        questions: list[Question] = list(data)  # type: ignore[arg-type]
        rows = list(range(1, len(questions) + 1))
    else:
        table, unit = _table(data, unit, say)
        problems = RowProblems(table.name)
        questions = _read(table, unit, unit_option, columns or {}, problems, say)
        rows = [each.row for each in questions]
    _check_each(questions, rows, problems)
    _check_ids(questions, rows, problems)
    if found := problems.sentences():
        raise InputError(found)
    return questions


def questions_fingerprint(questions: Sequence[Question]) -> str:
    """Returns a digest (sha256, hexadecimal) of what the questions say, whatever their order and rows."""
    contents = sorted(json.dumps(_said(each), default=datetime.isoformat, sort_keys=True) for each in questions)
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def _said(question: Question) -> dict[str, Any]:
    """Columns that came later count where they say something, so that the same questions keep their digest."""
    said = {**asdict(question), "row": None}
    return {name: each for name, each in said.items() if name not in _REWORDS or each is not None}


def _table(data: Any, unit: Unit, say: Callable[[str], None]) -> tuple[Table, Unit]:
    """The table, and the unit of its crowd: a foreign format has its own."""
    if isinstance(data, str | Path) and Path(data).suffix.lower() == ".json":
        path = Path(data)
        imported = import_questions(path)
        for note in imported.notes():
            say(f"{path.name}: {note}")
        columns = tuple(dict.fromkeys(key for row in imported.rows for key in row))
        return Table(path.name, columns, imported.rows, path.parent), "fraction" if imported.format else unit
    if not isinstance(data, str | Path) and not hasattr(data, "column_names"):
        if not isinstance(data, Sequence) or not all(isinstance(each, Mapping) for each in data):
            raise InputError(
                f"Questions: a {type(data).__name__} is not understood; give a CSV, JSONL, Parquet or JSON file, a list of "
                "dicts or a list of Question (of a data frame: frame.to_dict('records'))."
            )
        if not data:
            raise InputError("Questions: there are none in the list.")
    return read_table(data), unit


def _read(
    table: Table,
    unit: Unit,
    unit_option: str,
    names: Mapping[str, str],
    problems: RowProblems,
    say: Callable[[str], None],
) -> list[Question]:
    _check_columns(table, names, say)
    readers = {**_READERS, "crowd": lambda cell, unit: read_probability(cell, unit, unit_option)}
    questions = []
    for row, record in enumerate(table.records, 1):
        values = {}
        for column, read in readers.items():
            name = names.get(column, column)
            try:
                values[column] = read(record.get(name), unit)
            except ValueError as error:
                values[column] = None
                problems.add(row, values.get("id"), name, f"{name} {error}")
        fine_print = values.pop("fine_print")
        if fine_print:
            values["resolution_criteria"] = "\n\n".join(
                filter(None, (values["resolution_criteria"], f"Fine print: {fine_print}"))
            )
        for needed in _NEEDED:
            values[needed] = values[needed] or ""
        questions.append(Question(**values, row=row))
    return questions


def _check_columns(table: Table, names: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Raises InputError for a column that must be there and is not, and for a renaming that renames nothing."""
    found = []
    for ours, theirs in names.items():
        if ours not in COLUMNS:
            found.append(f"columns: '{ours}' is no column of questions{_meant(ours, COLUMNS)}")
        elif theirs not in table.columns:
            found.append(f"{table.name}: has no column '{theirs}'{_meant(theirs, table.columns)}")
    for needed in _NEEDED:
        if needed not in table.columns and needed not in names:
            found.append(
                f"{table.name}: has no column '{needed}'{_meant(needed, table.columns)} "
                f"A column that has another name is given as columns={{'{needed}': '…'}} (--column {needed}=…)."
            )
    if found:
        raise InputError(found)
    for column in set(table.columns) - set(COLUMNS) - set(names.values()):
        near = get_close_matches(column.casefold(), set(COLUMNS) - set(table.columns) - set(names), n=1, cutoff=0.8)
        if near:
            say(
                f"{table.name}: the column '{column}' is not read; if it is '{near[0]}', say --column {near[0]}={column}."
            )


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(known)}."


def _check_each(questions: Sequence[Question], rows: Sequence[int], problems: RowProblems) -> None:
    for row, each in zip(rows, questions, strict=True):
        add = partial(problems.add, row, each.id)
        if not each.id.strip():
            add("id", "has no id")
        if not each.question.strip():
            add("question", "has no question")
        if each.crowd is not None and not 0 <= each.crowd <= 1:
            add("crowd", f"crowd {each.crowd} does not lie between 0 and 1")
        rewords = [name for name in _REWORDS if getattr(each, name)]
        if len(rewords) == len(_REWORDS):
            add(
                "negation_of",
                "has both negation_of and paraphrase_of; of the opposite's other wording say negation_of alone",
            )
        elif rewords and getattr(each, rewords[0]) == each.id:
            add(rewords[0], f"{rewords[0]} is its own id")
        moments = {name: getattr(each, name) for name in ("open_date", "close_date", "resolution_date", "crowd_time")}
        if naive := [name for name, moment in moments.items() if moment is not None and moment.tzinfo is None]:
            add("times", f"{' and '.join(naive)}: has no time zone; give datetimes with tzinfo=UTC")
            continue
        for later in ("close_date", "resolution_date"):
            if each.open_date and moments[later] and moments[later] < each.open_date:
                add("open_date", f"{later} {moments[later]:%Y-%m-%d} is before open_date {each.open_date:%Y-%m-%d}")


def _check_ids(questions: Sequence[Question], rows: Sequence[int], problems: RowProblems) -> None:
    first: dict[str, int] = {}
    for row, each in zip(rows, questions, strict=True):
        if each.id and first.setdefault(each.id, row) != row:
            problems.add(row, each.id, "id", f"this id is that of row {first[each.id]} too")

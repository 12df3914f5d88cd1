"""Forecasts of other wordings of the questions and of their opposites, from files and runs, and what a run cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.run_folder import ROWS, read_record, read_rows
from hf_soup.progress import say as say_on_terminal
from hf_soup.scoring.columns import Columns, read_columns
from hf_soup.scoring.read_forecasts import read_forecasts
from hf_soup.scoring.table import ForecastTable

_TRUE = ("true", "1", "1.0", "yes")
_REWORDS = ("negation_of", "paraphrase_of")


def read_negated(data: Any, questions: Any = None, **reading: Any) -> ForecastTable:
    """Returns forecasts of the opposite questions, each the probability that the opposite comes true, for `bias_report`.

    `data`: the folder of a run that asked for the probability of no (the prompt `negated`, or one of its kind), or of questions
    with `negation_of`; or a table of ready-made forecasts. The rows of a run hold the probability of yes, also where no was asked
    for, and say so in a column `negated`; in a table without this column a probability is that of the negated question, as it was
    given. Where members of a run were asked both ways, under different names, those who were asked for no are called as
    the one member of the same model that was not. `questions` and `reading`: as `read_paraphrases` takes them.

    Raises InputError where a run was not asked for no and its questions name no `negation_of`.
    """
    table = _columns(data)
    flags = [] if "negated" not in table.by_name else table.by_name["negated"].cells
    asked_for_no = [cell for cell in flags if str(cell).strip().casefold() in _TRUE]
    if asked_for_no:
        where = {**(reading.pop("where", None) or {}), "negated": asked_for_no[0]}
        read = _read(data, table, questions, where=where, **reading)
        names = _names_of_models(Path(data), read.members) if _is_run(data) else {}
        return replace(
            read,
            values=1 - read.values,
            negation_of=(),
            paraphrase_of=(),
            members=tuple(names.get(name, name) for name in read.members),
        )
    read = _read(data, table, questions, **reading)
    if flags and not any(read.negation_of):
        raise InputError(
            f"{data}: no row of it was asked for the probability of no, and no question has a negation_of; a run of the opposite is "
            "made with --prompt negated."
        )
    return read


def read_paraphrases(data: Any, questions: Any = None, **reading: Any) -> ForecastTable:
    """Returns forecasts of other wordings for `bias_report`: of a run with another prompt or other questions, or ready-made.

    `questions`: those of ready-made forecasts that do not say themselves what they reword; a run has its own. `reading`: the options
    of `read_forecasts`; names of columns and choices of rows count where the table has these columns.
    """
    return _read(data, _columns(data), questions, **reading)


def costs_of_run(path: Path, turn: int = 0) -> dict[str, float | None]:
    """Returns the dollars that each member's answers cost, up to this turn of the prompt; None where the price is not known."""
    prices = read_record(path).get("prices", {})
    costs: dict[str, float | None] = {name: None if price is None else 0.0 for name, price in prices.items()}
    for row in read_rows(path):
        spent = costs.get(row.model)
        if spent is not None and row.cost is not None and row.turn <= turn:
            costs[row.model] = spent + row.cost
    return costs


def _name(data: Any, table: Columns) -> str:
    """What a message about it begins with: it was read beside others."""
    return str(data) if isinstance(data, str | Path) else table.name


def _is_run(data: Any) -> bool:
    return isinstance(data, str | Path) and Path(data).is_dir()


def _columns(data: Any) -> Columns:
    if _is_run(data):
        read_record(Path(data))
        return read_columns(Path(data) / ROWS)
    return read_columns(data)


def _read(
    data: Any,
    table: Columns,
    questions: Any,
    *,
    unit: Unit,
    questions_unit: Unit | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Any] | None = None,
    turn: int = 0,
    members: Sequence[str] | None = None,
    say: Callable[[str], None] = say_on_terminal,
) -> ForecastTable:
    """`members`: None, all that are there; else those of them."""
    known = {name: theirs for name, theirs in (columns or {}).items() if theirs in table.by_name}
    own = _is_run(data) or any(name in table.by_name or name in known for name in _REWORDS)
    read = read_forecasts(
        data,
        None if own else questions,
        unit=unit,
        questions_unit=questions_unit,
        columns=known,
        where={name: value for name, value in (where or {}).items() if name in table.by_name or name in known},
        turn=turn,
        late="leave out",
        say=lambda text: say(text if text.startswith(table.name) else f"{_name(data, table)}: {text}"),
    )
    return read if members is None else _of(read, members)


def _of(table: ForecastTable, members: Sequence[str]) -> ForecastTable:
    """Those of `members` that are there; all where none is, so that the names can be told."""
    kept = [number for number, name in enumerate(table.members) if name in members]
    if not kept:
        return table
    return replace(
        table,
        members=tuple(table.members[number] for number in kept),
        values=table.values[:, kept],
        times=None if table.times is None else table.times[:, kept],
        shown_crowd=None if table.shown_crowd is None else table.shown_crowd[:, kept],
    )


def _names_of_models(run: Path, asked_for_no: Sequence[str]) -> dict[str, str]:
    """What members who were asked for no are called: as the one other member with the same model, where there is one."""
    record = read_record(run)
    models = {each["name"]: each["model"] for each in record["members"]}
    names = {}
    for name in asked_for_no:
        same = [
            other
            for other, model in models.items()
            if model == models[name] and not record["prompts"][other]["negated"]
        ]
        if len(same) == 1:
            names[name] = same[0]
    return names

"""`hf-soup forecast aggregate`, `score`, `compare`, `calibrate` and `study1`: from forecasts, without a key or a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.forecasting.cells import Unit
    from hf_soup.scoring.table import ForecastTable

AGGREGATE, SCORES = "aggregate.csv", "scores.json"  # in the folder of a run

ForecastFile = Annotated[
    Path,
    typer.Argument(
        help="The folder of a run, or CSV, JSONL, Parquet: question_id, model, sample, probability, or a column a model.",
        show_default=False,
    ),
]
Questions = Annotated[
    Path | None,
    typer.Option(
        "--questions",
        help="id, resolution, crowd, …; else these are columns beside the forecasts, or a run's own.",
        show_default=False,
    ),
]
ForecastUnit = Annotated[
    str, typer.Option("--unit", help="What probabilities are written in: fraction or percent. Never guessed.")
]
QuestionsUnit = Annotated[
    str | None, typer.Option("--questions-unit", help="That of the crowd, where it is another.", show_default=False)
]
Members = Annotated[
    str | None, typer.Option("--members", help="Only these models, with commas between.", show_default=False)
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only rows with this value: context=none. Repeatable.", show_default=False),
]
RenamedColumn = Annotated[
    list[str] | None,
    typer.Option("--column", help="A column of another name: question_id=qid. Repeatable.", show_default=False),
]
Turn = Annotated[int, typer.Option("--turn", help="Of a prompt with two turns: 0 or 1.")]
Table = Annotated[Path | None, typer.Option("--out", "-o", help="Write the table as CSV.", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="Every aggregator side by side.")]
Primary = Annotated[str, typer.Option("--primary", help="The aggregator that counts, named before scoring.")]
Bound = Annotated[
    float | None,
    typer.Option("--bound", help="Of the equivalence test, in Brier points, stated beforehand.", show_default=False),
]
Looks = Annotated[int, typer.Option("--looks", help="How often these data were tested, this time included.")]


def aggregate(
    forecasts: ForecastFile,
    questions: Questions = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", help="An aggregator; repeatable, the first counts. [default: mean]", show_default=False
        ),
    ] = None,
    everything: Everything = False,
    primary: Annotated[
        str | None, typer.Option("--primary", help="The one that counts, if not the first.", show_default=False)
    ] = None,
    unit: ForecastUnit = "fraction",
    questions_unit: QuestionsUnit = None,
    members: Members = None,
    where: Where = None,
    column: RenamedColumn = None,
    turn: Turn = 0,
    out: Table = None,
    as_json: opt.Json = False,
) -> None:
    """Make one forecast of all members' for each question, with their spread and number.

    Of a run the table is kept as aggregate.csv in its folder, unless -o says where.
    """
    from hf_soup.scoring.aggregation import PRIMARY, aggregation

    _check(out)
    table = _read(forecasts, questions, unit, questions_unit, members, where, column, turn, needs_crowd=False)
    methods = [*([primary] if primary else []), *(method or [])] or [PRIMARY]
    out = out or (forecasts / AGGREGATE if forecasts.is_dir() else None)
    _print(aggregation(table, methods, everything=everything), out, as_json)


def score(
    forecasts: ForecastFile,
    questions: Questions = None,
    primary: Primary = "mean",
    everything: Everything = False,
    unit: ForecastUnit = "fraction",
    questions_unit: QuestionsUnit = None,
    members: Members = None,
    where: Where = None,
    column: RenamedColumn = None,
    turn: Turn = 0,
    out: Table = None,
    as_json: opt.Json = False,
) -> None:
    """Score members, the aggregate and the crowd on the questions that are resolved.

    Of a run the scores are kept as scores.json in its folder.
    """
    from hf_soup.scoring.documents import write_json
    from hf_soup.scoring.scoring import scoring

    _check(out)
    table = _read(forecasts, questions, unit, questions_unit, members, where, column, turn, needs_crowd=True)
    result = scoring(table, [primary], everything=everything)
    if forecasts.is_dir():
        write_json(forecasts / SCORES, result.to_json())
    _print(result, out, as_json, result.warnings)


def compare(
    forecasts: ForecastFile,
    questions: Questions = None,
    primary: Primary = "mean",
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            help="members, half (always 50 %), crowd, or a model. Repeatable; else all.",
            show_default=False,
        ),
    ] = None,
    bound: Bound = None,
    looks: Looks = 1,
    unit: ForecastUnit = "fraction",
    questions_unit: QuestionsUnit = None,
    members: Members = None,
    where: Where = None,
    column: RenamedColumn = None,
    turn: Turn = 0,
    out: Table = None,
    as_json: opt.Json = False,
) -> None:
    """Test the aggregate against members, 50 % and the crowd, and say which difference would have been found."""
    from hf_soup.scoring.comparing import comparing

    _check(out)
    table = _read(forecasts, questions, unit, questions_unit, members, where, column, turn, needs_crowd=True)
    result = comparing(table, against or None, primary=primary, bound=bound, looks=looks)
    _print(result, out, as_json, result.warnings)


def calibrate(
    forecasts: ForecastFile,
    questions: Questions = None,
    primary: Primary = "mean",
    method: Annotated[
        str, typer.Option("--method", help="shift, shift_and_slope, platt, beta or isotonic.")
    ] = "shift",
    unit: ForecastUnit = "fraction",
    questions_unit: QuestionsUnit = None,
    members: Members = None,
    where: Where = None,
    column: RenamedColumn = None,
    turn: Turn = 0,
    out: Table = None,
    as_json: opt.Json = False,
) -> None:
    """Correct the aggregate where cross-validation says that it helps, and say whether and why."""
    from hf_soup.scoring.calibrating import calibrating

    _check(out)
    table = _read(forecasts, questions, unit, questions_unit, members, where, column, turn, needs_crowd=False)
    _print(calibrating(table, primary=primary, method=method), out, as_json)


def study1(
    forecasts: ForecastFile,
    questions: Questions = None,
    primary: Primary = "median",
    bound: Bound = None,
    looks: Looks = 1,
    unit: ForecastUnit = "fraction",
    questions_unit: QuestionsUnit = None,
    members: Members = None,
    where: Where = None,
    column: RenamedColumn = None,
    turn: Turn = 0,
    out: Table = None,
    as_json: opt.Json = False,
) -> None:
    """Run Study 1 of arXiv 2402.19379: the models' crowd against 50 % and humans, and its biases."""
    from hf_soup.scoring.study1_result import study1_result

    _check(out)
    table = _read(forecasts, questions, unit, questions_unit, members, where, column, turn, needs_crowd=True)
    result = study1_result(table, primary=primary, bound=bound, looks=looks)
    _print(result, out, as_json, result.warnings)


COMMANDS = (aggregate, score, compare, calibrate, study1)


class _Result(Protocol):
    def rows(self) -> list[dict[str, Any]]: ...
    def to_json(self) -> dict[str, Any]: ...
    def table(self) -> str: ...


def _check(out: Path | None) -> None:
    from hf_soup.scoring.documents import refuse_other_than_csv

    if out is not None:
        refuse_other_than_csv(out)


def _read(
    forecasts: Path,
    questions: Path | None,
    unit: str,
    questions_unit: str | None,
    members: str | None,
    where: list[str] | None,
    column: list[str] | None,
    turn: int,
    *,
    needs_crowd: bool,
) -> ForecastTable:
    """A crowd's forecast that may know more than the models' is an error where it is used, else left out and told."""
    from hf_soup.scoring.read_forecasts import read_forecasts

    return read_forecasts(
        forecasts,
        questions,
        unit=cast("Unit", unit),
        questions_unit=cast("Unit | None", questions_unit),
        members=[name.strip() for name in members.split(",")] if members else None,
        columns=opt.pairs(column, "--column"),
        where=opt.pairs(where, "--where"),
        turn=turn,
        late="refuse" if needs_crowd else "leave out",
    )


def _print(result: _Result, out: Path | None, as_json: bool, warnings: Sequence[str] = ()) -> None:
    from hf_soup.scoring.documents import write_csv

    print_warnings(warnings)
    if out is not None:
        write_csv(out, result.rows())
    if as_json:
        print_json(result.to_json())
    else:
        show(result.table())

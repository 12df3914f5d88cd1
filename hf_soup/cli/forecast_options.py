"""What the commands that read forecasts share: which forecasts, of which questions, and where the result goes.

A command takes a `Source` and an `Output` as parameters, and `takes_options` makes the options of the command line of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, get_type_hints

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.scoring.table import ForecastTable

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

Primary = Annotated[str, typer.Option("--primary", help="The aggregator that counts, named before scoring.")]
Bound = Annotated[
    float | None,
    typer.Option("--bound", help="Of the equivalence test, in Brier points, stated beforehand.", show_default=False),
]
Looks = Annotated[int, typer.Option("--looks", help="How often these data were tested, this time included.")]

CrowdWeight = Annotated[
    str,
    typer.Option(
        "--crowd-weight", help="The crowd's in the blend of both: 0 to 1, or fit, which is by cross-validation."
    ),
]


def crowd_weight_of(text: str) -> float | Literal["fit"]:
    """Returns the number, or "fit". Raises InputError for other words; whether a number is a weight is checked where it is used."""
    from hf_soup.errors import InputError

    if text == "fit":
        return "fit"
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--crowd-weight {text}: write a number between 0 and 1, or fit.") from error


@dataclass(frozen=True)
class Answers:
    """The options that say which forecasts of which questions are read, and how they are written."""

    forecasts: ForecastFile
    questions: Questions = None
    unit: ForecastUnit = "fraction"
    questions_unit: QuestionsUnit = None
    members: Members = None
    where: Where = None
    column: RenamedColumn = None

    @property
    def run(self) -> Path | None:
        """The folder, where the forecasts are those of a run."""
        return self.forecasts if self.forecasts.is_dir() else None

    def reading(self) -> dict[str, Any]:
        """Returns what all readers of forecasts take. Raises InputError for an option that is not written as name=value."""
        return {
            "unit": self.unit,
            "questions_unit": self.questions_unit,
            "members": [name.strip() for name in self.members.split(",")] if self.members else None,
            "columns": opt.pairs(self.column, "--column"),
            "where": opt.pairs(self.where, "--where"),
        }


@dataclass(frozen=True)
class Source(Answers):
    """Forecasts of one turn."""

    turn: Turn = 0

    def table(self, *, needs_crowd: bool) -> ForecastTable:
        """Reads the forecasts. A crowd's that may know more than the models' is an error where it is used, else left out and told."""
        from hf_soup.scoring.read_forecasts import read_forecasts

        late: Literal["refuse", "leave out"] = "refuse" if needs_crowd else "leave out"
        return read_forecasts(self.forecasts, self.questions, turn=self.turn, late=late, **self.reading())

    @property
    def keeps_in(self) -> Path | None:
        """The folder of the run, where all its members and rows are read: what is made of a part is not kept as the run's own."""
        whole = not (self.members or self.where or self.turn)
        return self.run if whole else None


class Result(Protocol):
    """What a command prints."""

    def rows(self) -> list[dict[str, Any]]: ...
    def to_json(self) -> dict[str, Any]: ...
    def table(self) -> str: ...


@dataclass(frozen=True)
class Output:
    """The options that say where a result goes. Raises InputError for a table that cannot be written, before anything is read."""

    out: Table = None
    as_json: opt.Json = False

    def __post_init__(self) -> None:
        from hf_soup.scoring.documents import refuse_other_than_csv

        if self.out is not None:
            refuse_other_than_csv(self.out)

    def print(self, result: Result, warnings: Sequence[str] = (), *, kept: Path | None = None) -> None:
        """Warnings on standard error, the rows as CSV (to `kept` where no other place is named), the rest on standard output."""
        from hf_soup.scoring.documents import write_csv

        print_warnings(warnings)
        if (out := self.out or kept) is not None:
            write_csv(out, result.rows())
        if self.as_json:
            print_json(result.to_json())
        else:
            show(result.table())


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Returns the command as typer reads it: in place of each parameter that is a dataclass, an option for each of its fields.

    >>> @takes_options
    ... def count(*, output: Output) -> None: ...
    >>> list(inspect.signature(count).parameters)
    ['out', 'as_json']
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        _refuse_overwriting_what_is_read(given.values())
        command(**given)

    parameters: list[inspect.Parameter] = []
    for name, each in signature.parameters.items():
        parameters += _parameters(groups[name]) if name in groups else [each]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


def _refuse_overwriting_what_is_read(given: Iterable[Any]) -> None:
    from hf_soup.scoring.documents import refuse_overwriting

    given = list(given)
    read = [path for each in given if isinstance(each, Answers) for path in (each.forecasts, each.questions)]
    for each in given:
        if isinstance(each, Output) and each.out is not None:
            refuse_overwriting(each.out, read)


def _parameters(group: Any) -> Iterator[inspect.Parameter]:
    types = get_type_hints(group, include_extras=True)
    for field in fields(group):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[field.name]
        )

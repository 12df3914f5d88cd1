"""The evidence table: what was measured on which data, with intervals, and what that can and cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Role = Literal["held-out", "test", "shift"]
Kind = Literal["ingredient", "best single", "mean single", "uniform soup", "greedy soup", "logit ensemble"]

FRACTIONS = frozenset({"accuracy", "balanced_accuracy", "f1_macro", "auc", "ece"})
"""Metrics between 0 and 1 that are shown in percent; a file always holds fractions."""


@dataclass(frozen=True)
class Result:
    """A metric on one data set with its 95 % interval (None where there is none, e.g. for a number from a command)."""

    value: float
    low: float | None
    high: float | None
    n: int | None


@dataclass(frozen=True)
class DataSet:
    """`name` is the column of the table, `data` the file's last name, `fingerprint` its content's digest."""

    name: str
    role: Role
    data: str
    rows: int | None
    fingerprint: str


@dataclass(frozen=True)
class Row:
    name: str
    kind: Kind
    chosen: bool
    results: dict[str, Result]
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """`of` minus `against` on one data set, from the same rows of data; positive is better for a maximised metric."""

    set: str
    of: str
    against: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    metric: str
    maximise: bool
    sets: tuple[DataSet, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    statements: tuple[str, ...]
    confidence: float = 0.95

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Evidence:
        return cls(
            metric=document["metric"],
            maximise=document["maximise"],
            sets=tuple(DataSet(**each) for each in document["sets"]),
            rows=tuple(
                Row(**{**each, "results": {name: _result(result) for name, result in each["results"].items()}})
                for each in document["rows"]
            ),
            differences=tuple(Difference(**each) for each in document["differences"]),
            statements=tuple(document["statements"]),
            confidence=document["confidence"],
        )

    def row(self, kind: Kind) -> Row | None:
        return next((row for row in self.rows if row.kind == kind), None)

    def __str__(self) -> str:
        percent = " (%)" if self.metric in FRACTIONS else ""
        header = ["", *(f"{each.name}: {self.metric}{percent}" for each in self.sets)]
        body = [
            [_title(row), *(_cell(row.results.get(each.name), self.metric) for each in self.sets)] for row in self.rows
        ]
        widths = [max(len(line[column]) for line in [header, *body]) for column in range(len(header))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *body]
        ]
        return "\n".join([line.rstrip() for line in lines] + ["", *self.statements])


def _result(document: dict[str, Any]) -> Result:
    """JSON has no NaN: a value that is none is null there."""
    return Result(**{**document, "value": math.nan if document["value"] is None else document["value"]})


def _title(row: Row) -> str:
    mark = "* " if row.chosen else "  "
    name = row.name if row.kind in ("ingredient", row.name) else f"{row.kind} ({row.name})"
    return f"{mark}{name}{f' — {row.note}' if row.note else ''}"


def _cell(result: Result | None, metric: str) -> str:
    if result is None:
        return "–"
    if result.low is None or result.high is None:
        return number(result.value, metric)
    return f"{number(result.value, metric)} [{number(result.low, metric)}, {number(result.high, metric)}]"


def number(value: float, metric: str) -> str:
    """A value as it is shown: percent with two decimals for fractions, four digits otherwise."""
    return f"{100 * value:.2f}" if metric in FRACTIONS else f"{value:.4f}"


def difference(value: float, metric: str) -> str:
    return f"{100 * value:+.2f}" if metric in FRACTIONS else f"{value:+.4f}"


def make_statements(
    metric: str,
    maximise: bool,
    sets: Iterable[DataSet],
    differences: Iterable[Difference],
    candidates: int,
    chosen: int,
    noise: float | None,
) -> tuple[str, ...]:
    """Returns what the data can and cannot tell, never more.

    `noise`: half the width of the interval of the best single model's held-out score.
    """
    lines = []
    sets, differences = list(sets), list(differences)
    unit = " points" if metric in FRACTIONS else ""
    if candidates > 1 and chosen == 1:
        lines.append("The greedy soup is one model: with no other ingredient was it at least as good.")
        # The same model on both sides: an interval of zero width would look like a finding.
        differences = [each for each in differences if each.of != "greedy soup" or (each.low, each.high) != (0, 0)]
    held_out = next((each for each in sets if each.role == "held-out"), None)
    if held_out is not None and noise is not None:
        lines.append(
            f"The choice was made by {metric} on {held_out.rows} held-out rows, where one model's score is known to "
            f"±{difference(noise, metric).lstrip('+')}{unit}: another sample could have chosen other ingredients."
        )
    if not any(each.role == "test" for each in sets):
        lines.append(
            f"Held-out scores of the best single model and of the soups were optimised over {candidates} candidates and are "
            "no estimate of performance on new data; give test data (--test) for one."
        )
    for each in differences:
        verdict = _verdict(each, maximise)
        interval = f"[{difference(each.low, metric)}, {difference(each.high, metric)}]"
        lines.append(
            f"On {each.set}: {each.of} − {each.against} = {difference(each.value, metric)}{unit} {interval}: {verdict}."
        )
    if differences:
        lines.append("Each interval covers 95 % for itself; with several comparisons one of them may miss by chance.")
    return tuple(lines)


def _verdict(each: Difference, maximise: bool) -> str:
    if each.low <= 0 <= each.high:
        return "these data show no difference"
    better = (each.value > 0) == maximise
    return f"{each.of} is {'better' if better else 'worse'} on these data"

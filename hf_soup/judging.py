"""Any number of models on one data set: a table of metrics with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.errors import InputError
from hf_soup.progress import say

if TYPE_CHECKING:
    from hf_soup.evaluation import Estimate, HeldOut


@dataclass(frozen=True)
class EvaluationTable:
    """`rows`: for each model its estimates by metric."""

    data: str
    size: int
    rows: dict[str, dict[str, Estimate]]

    def to_json(self) -> dict[str, Any]:
        models = {model: {name: asdict(each) for name, each in row.items()} for model, row in self.rows.items()}
        return {"data": self.data, "rows": self.size, "models": models}

    def __str__(self) -> str:
        metrics = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        header = ["", *metrics]
        body = [[model, *(_cell(row.get(name)) for name in metrics)] for model, row in self.rows.items()]
        widths = [max(len(line[column]) for line in [header, *body]) for column in range(len(header))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in [header, *body]
        ]
        notes = dict.fromkeys(
            f"{name}: {each.note}." for row in self.rows.values() for name, each in row.items() if each.note
        )
        size = f", {self.size} rows" if self.size else ""
        return "\n".join([f"{self.data}{size}; 95 % intervals in brackets", "", *lines, "", *notes])


def evaluate_models(
    models: Sequence[str | Path],
    held_out: HeldOut,
    metrics: Sequence[str] | None = None,
    *,
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    trust_remote_code: bool = False,
) -> EvaluationTable:
    """Returns the metrics of every model, all of the task's without `metrics`. Predictions come from the cache if they can.

    Raises InputError with the problems of all models together.
    """
    from hf_soup.evaluation import METRICS, Evaluator
    from hf_soup.merging import open_ingredients
    from hf_soup.merging.materialize import materialized

    ingredients = open_ingredients(models, token=token, revision=revision, cache_dir=cache_dir)
    evaluator = Evaluator(held_out, trust_remote_code=trust_remote_code, materialize=materialized)
    if not metrics and held_out.judge is None and held_out.task_type is not None:
        metrics = [name for name, metric in METRICS.items() if held_out.task_type.kind in metric.kinds]
    problems: list[str] = []
    for checkpoint in ingredients.models:
        try:
            evaluator.check(checkpoint)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    rows = {}
    for checkpoint in ingredients.models:
        say(f"Evaluating {checkpoint.label}")
        rows[checkpoint.label] = evaluator.evaluate(checkpoint, metrics)
    return EvaluationTable(held_out.name, held_out.rows, rows)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f}"
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"

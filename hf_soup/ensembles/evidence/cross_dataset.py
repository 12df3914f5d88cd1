"""Fitted on one data set, tested on another: the table that says whether weights hold beyond where they were fitted.

Source of the layout: AWARE-NET, arXiv 2505.00312, cross-dataset evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence import shown
from hf_soup.ensembles.evidence.grid import Grid
from hf_soup.ensembles.evidence.scored import METRICS, LabelledRows
from hf_soup.ensembles.evidence.scoring import combined
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.splits import cross_validated, possible_folds
from hf_soup.errors import InputError
from hf_soup.evaluation.estimates import Estimate

SHOWN = ("auc", "f1_macro", "accuracy", "nll")


@dataclass(frozen=True)
class CrossDataset:
    """`results[a][b]`: metrics on b of what was fitted on a; where a is b, out of fold. `not_fitted`: why a set has no line."""

    results: dict[str, dict[str, dict[str, Estimate]]]
    sets: tuple[str, ...]
    not_fitted: dict[str, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row a cell and metric: fitted_on, tested_on, metric, value, low, high, n."""
        return [
            {
                "fitted_on": a,
                "tested_on": b,
                "metric": metric,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "n": e.n,
            }
            for a, by_test in self.results.items()
            for b, estimates in by_test.items()
            for metric, e in estimates.items()
        ]

    def grids(self) -> list[Grid]:
        """Returns a table for each metric: a line for what was fitted on, a column for what was tested on."""
        return [
            Grid(
                f"{shown.title(metric)}: fitted on the line's data, tested on the column's (the same data: out of fold{_within(metric)})",
                ["fitted on", *self.sets],
                [
                    [a, *(shown.estimated(by_test[b].get(metric), metric) for b in self.sets)]
                    for a, by_test in self.results.items()
                ],
            )
            for metric in SHOWN
        ]

    def table(self) -> str:
        """Returns the tables as text."""
        return "\n\n".join(grid.text() for grid in self.grids())

    def markdown(self) -> str:
        """Returns the tables for a card."""
        return "\n\n".join(grid.markdown() for grid in self.grids())


def cross_dataset(
    datasets: Mapping[str, MemberProbabilities],
    fit: Callable[[MemberProbabilities], Combination],
    *,
    folds: int = 5,
    seed: int = 0,
) -> CrossDataset:
    """Returns how `fit`, run on each data set, does on every other; on its own rows it is scored out of fold.

    `seed`: of folds and resamples. An AUC out of fold compares rows of one fold only, see `hf_soup.ensembles.evidence.within_folds`.
    All data sets need labels, and the same members and classes. One that cannot be fitted on, as rows of one class cannot, has
    its reason in `not_fitted` and is still tested on.
    """
    results: dict[str, dict[str, dict[str, Estimate]]] = {}
    not_fitted: dict[str, str] = {}
    rows = {name: LabelledRows.of(data, seed) for name, data in datasets.items()}
    for fitted_on, data in datasets.items():
        try:
            k = possible_folds(data, folds)
            on_itself = LabelledRows.out_of_fold(data, k, seed).score(cross_validated(data, fit, k, seed), METRICS)
            combination = fit(data)
        except InputError as error:
            not_fitted[fitted_on] = str(error)
            continue
        results[fitted_on] = {}
        for tested_on, test in datasets.items():
            if fitted_on == tested_on:
                results[fitted_on][tested_on] = on_itself.estimates
            else:
                results[fitted_on][tested_on] = rows[tested_on].score(combined(combination, test), METRICS).estimates
    return CrossDataset(results, tuple(datasets), not_fitted)


def _within(metric: str) -> str:
    return ", pairs of rows of one fold" if metric == "auc" else ""

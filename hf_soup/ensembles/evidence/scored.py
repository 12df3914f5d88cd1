"""Probabilities on labelled rows → metrics with intervals, and their values on resamples that everything scored on the rows shares.

Because the resamples are the same, the interval of any difference is a paired one and costs a subtraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hf_soup.ensembles.evidence.within_folds import auc_within
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.splits import fold_of_rows
from hf_soup.ensembles.tiers import log_of
from hf_soup.errors import InputError
from hf_soup.evaluation.estimates import Estimate, estimate
from hf_soup.evaluation.metric import Interval, Metric, OnCounts, metric_named
from hf_soup.evaluation.predictions import Kind, Predictions
from hf_soup.evaluation.resampling import SEED, resample_counts

METRICS = ("accuracy", "f1_macro", "auc", "nll", "brier", "ece")
COMPARED = METRICS[:-1]
"""The metrics that have differences; an ECE is judged against its band, which needs no other model."""

_WITHIN_FOLDS: dict[str, Callable[[Predictions, np.ndarray], OnCounts]] = {"auc": auc_within}
"""The metrics that compare rows with each other, in the form that compares rows of one fold only."""
_RESAMPLED_ROWS = 20_000_000
_MOST_RESAMPLES, _LEAST_RESAMPLES = 2000, 400


@dataclass(frozen=True, eq=False)
class Scored:
    """`estimates`: by metric. `resampled`: by metric, float64 [resamples], NaN where a resample does not define it."""

    estimates: dict[str, Estimate]
    resampled: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The rows of one data set, in the order of their ids so that the order in the file changes nothing.

    `labels`: int64 [rows], indices into `classes`. `groups`: int64 [rows], what is resampled as a whole; None: each row alone.
    `fold`: int64 [rows], where predictions come from cross-validation: only rows of one fold were predicted by one combination, so
    AUC compares no others; None: all rows are compared. `seed`: of the resamples; 0 gives those of the evaluation of one model.
    """

    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None = None
    fold: np.ndarray | None = None
    seed: int = 0
    order: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", np.argsort(self.ids, kind="stable"))

    @classmethod
    def of(cls, data: MemberProbabilities, seed: int = 0) -> LabelledRows:
        """Raises InputError for data without labels."""
        if data.labels is None:
            raise InputError("These rows have no labels, so nothing can be scored on them.")
        return cls(data.ids, data.labels, data.classes, data.groups, seed=seed)

    @classmethod
    def out_of_fold(cls, data: MemberProbabilities, folds: int, seed: int = 0) -> LabelledRows:
        """As `of`, for what `cross_validated(data, …, folds, seed)` says about them. Raises InputError as `folds` does."""
        return replace(cls.of(data, seed), fold=fold_of_rows(data, folds, seed))

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def units(self) -> int:
        """How many rows, or groups of them, are independent of each other."""
        return self.rows if self.groups is None else len(np.unique(self.groups))

    @property
    def unit(self) -> str:
        return "rows" if self.groups is None else "groups"

    @property
    def resamples(self) -> int:
        """2,000, on many rows fewer: intervals of 100,000 rows need no third digit, and would take minutes."""
        return int(np.clip(_RESAMPLED_ROWS // max(1, self.rows), _LEAST_RESAMPLES, _MOST_RESAMPLES))

    def score(self, probabilities: np.ndarray, metrics: Sequence[str] = METRICS) -> Scored:
        """Returns the metrics of probabilities, float [rows, classes], in the order of the data's rows.

        Intervals: Wilson's for accuracy on rows without groups; for ECE the band of a perfectly calibrated model; otherwise a
        percentile bootstrap over rows or groups, spread as wide as the t distribution at their number (Hesterberg 2015).
        """
        predictions = self._predictions(probabilities)
        wanted = [metric_named(name, Kind.CLASSIFICATION) for name in metrics]
        resampled = self._resampled(predictions, [each for each in wanted if each.name in COMPARED])
        return Scored({each.name: self._estimate(each, predictions, resampled) for each in wanted}, resampled)

    def _predictions(self, probabilities: np.ndarray) -> Predictions:
        logits = log_of(probabilities[self.order])
        return Predictions(self.ids[self.order], self.classes, self.labels[self.order], logits)

    def _resampled(self, predictions: Predictions, metrics: Sequence[Metric]) -> dict[str, np.ndarray]:
        on_counts = {each.name: self._on_counts(each, predictions) for each in metrics}
        groups = None if self.groups is None else self.groups[self.order]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in on_counts}
        for counts in resample_counts(self.rows, self.resamples, SEED + self.seed, groups):
            for name, value in on_counts.items():
                parts[name].append(value(counts))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def _on_counts(self, metric: Metric, predictions: Predictions) -> OnCounts:
        if self.fold is None or metric.name not in _WITHIN_FOLDS:
            return metric.resampled(predictions)
        return _WITHIN_FOLDS[metric.name](predictions, self.fold[self.order])

    def _value(self, metric: Metric, predictions: Predictions) -> float:
        if self.fold is None or metric.name not in _WITHIN_FOLDS:
            return metric(predictions)
        return float(self._on_counts(metric, predictions)(np.ones((1, self.rows), np.float32))[0])

    def _estimate(self, metric: Metric, predictions: Predictions, resampled: dict[str, np.ndarray]) -> Estimate:
        if predictions.not_finite:
            return estimate(metric, predictions)
        by_row = metric.interval is Interval.CALIBRATED_BAND or (
            metric.interval is Interval.WILSON and self.groups is None
        )
        if by_row:
            return estimate(metric, predictions)
        low, high, note = percentile_interval(resampled[metric.name], self.units)
        value = self._value(metric, predictions)
        return Estimate(value, low, high, self.rows, f"{Interval.BOOTSTRAP} over {self.unit}{note}")


def percentile_interval(values: np.ndarray, units: int) -> tuple[float | None, float | None, str]:
    """Returns (low, high, note): the 95 % interval from values on resamples of `units` rows or groups.

    None and None where most resamples do not define the value, or fewer than two units were there to draw from.
    """
    from scipy.special import ndtr, stdtrit

    defined = values[~np.isnan(values)]
    if units < 2 or len(defined) <= len(values) // 2:
        return None, None, "; undefined in most resamples"
    outside = float(ndtr(stdtrit(units - 1, 0.025) * np.sqrt(units / (units - 1))))
    low, high = np.quantile(defined, (outside, 1 - outside))
    left_out = len(values) - len(defined)
    return float(low), float(high), f"; undefined in {left_out} of {len(values)} resamples" if left_out else ""

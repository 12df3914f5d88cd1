"""Metrics with their 95 % intervals, and paired intervals of differences between two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_soup.evaluation.calibration import calibrated_band
from hf_soup.evaluation.metric import Interval, Metric, metric_named
from hf_soup.evaluation.predictions import Predictions, refuse_different_rows
from hf_soup.evaluation.resampling import RESAMPLES, resample_counts

_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval. `low` and `high` are None where there is none, e.g. for a number from a command.

    `n`: the number of rows, 0 where it is not known. `note`: what a reader should know about the interval.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    note: str = ""


def estimate(metric: str | Metric, predictions: Predictions) -> Estimate:
    """Returns the metric of these predictions with the interval that the metric has.

    Wilson's for a proportion; for ECE the band of a perfectly calibrated model; otherwise a percentile bootstrap over rows
    (2,000 resamples, fixed seed). A metric of NaN predictions is NaN without an interval.
    """
    metric = _metric(metric, predictions)
    ordered = predictions.in_order_of_ids()
    value = metric(ordered)
    if predictions.not_finite:
        note = f"the model gives NaN or infinity for {predictions.not_finite} of {predictions.rows} rows"
        return Estimate(value, None, None, predictions.rows, note)
    low, high, note = _INTERVALS[metric.interval](metric, ordered)
    return Estimate(value, low, high, predictions.rows, note)


def paired_difference(metric: str | Metric, a: Predictions, b: Predictions) -> Estimate:
    """Returns metric(a) − metric(b) with the interval of a bootstrap that resamples the same rows for both.

    Raises InputError when the predictions are not about the same rows.
    """
    refuse_different_rows([a, b])
    metric = _metric(metric, a)
    value = metric(a.in_order_of_ids()) - metric(b.in_order_of_ids())
    if a.not_finite or b.not_finite:
        return Estimate(value, None, None, a.rows, "a model gives NaN or infinity")
    of_a, of_b = (metric.resampled(each.in_order_of_ids()) for each in (a, b))
    differences = [of_a(counts) - of_b(counts) for counts in resample_counts(a.rows)]
    return Estimate(
        value, *_percentiles(np.concatenate(differences), a.rows)[:2], a.rows, "paired bootstrap over rows"
    )


def _metric(metric: str | Metric, predictions: Predictions) -> Metric:
    return metric if isinstance(metric, Metric) else metric_named(metric, predictions.kind)


def _wilson(metric: Metric, predictions: Predictions) -> tuple[float | None, float | None, str]:
    from scipy.stats import binomtest

    hits = round(metric(predictions) * predictions.rows)
    interval = binomtest(hits, predictions.rows).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high), str(Interval.WILSON)


def _bootstrap(metric: Metric, predictions: Predictions) -> tuple[float | None, float | None, str]:
    on_counts = metric.resampled(predictions)
    values = [on_counts(counts) for counts in resample_counts(predictions.rows)]
    return _percentiles(np.concatenate(values), predictions.rows)


def _percentiles(values: np.ndarray, rows: int) -> tuple[float | None, float | None, str]:
    defined = values[~np.isnan(values)]
    note = f"{Interval.BOOTSTRAP} over rows"
    if len(defined) < RESAMPLES // 2:
        return None, None, f"undefined in most resamples of {rows} rows: a class is too rare"
    if len(defined) < len(values):
        note += f"; undefined in {len(values) - len(defined)} of {len(values)} resamples, which were left out"
    low, high = np.quantile(defined, _QUANTILES)
    return float(low), float(high), note


def _band(metric: Metric, predictions: Predictions) -> tuple[float | None, float | None, str]:
    low, high, bins = calibrated_band(predictions)
    return (
        low,
        high,
        (
            f"{bins} bins of equal mass, debiased (Kumar et al. 2019); the interval is the 95 % {Interval.CALIBRATED_BAND}"
        ),
    )


_INTERVALS: dict[Interval, Callable[[Metric, Predictions], tuple[float | None, float | None, str]]] = {
    Interval.WILSON: _wilson,
    Interval.BOOTSTRAP: _bootstrap,
    Interval.CALIBRATED_BAND: _band,
}

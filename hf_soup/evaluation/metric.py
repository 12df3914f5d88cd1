"""What a metric is, and the table of all of them, made from decorated functions.

A metric is a function of `Predictions`. Beside it stands its form on resamples, which takes counts of rows instead of rows:
2,000 calls of a library function would take minutes where one matrix product takes milliseconds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.predictions import Kind, Predictions

Value = Callable[[Predictions], float]
OnCounts = Callable[[np.ndarray], np.ndarray]
"""Counts [resamples, rows] → the metric of each resample, float64 [resamples]; NaN where it is not defined."""
Resampled = Callable[[Predictions], OnCounts]


class Interval(StrEnum):
    WILSON = "Wilson"
    BOOTSTRAP = "percentile bootstrap"
    CALIBRATED_BAND = "band of a perfectly calibrated model"


@dataclass(frozen=True)
class Metric:
    name: str
    value: Value
    resampled: Resampled
    maximise: bool
    kinds: frozenset[Kind]
    interval: Interval

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.value) or "").split("\n", 1)[0]

    def __call__(self, predictions: Predictions) -> float:
        """The metric's value; NaN when the model gave NaN or infinity for a row."""
        if predictions.kind not in self.kinds:
            raise InputError(f"The metric {self.name} is not defined for a {predictions.kind} task.")
        return float("nan") if predictions.not_finite else float(self.value(predictions))


_METRICS: dict[str, Metric] = {}
_ALIASES: dict[str, str] = {}


def metric(
    *,
    maximise: bool,
    resampled: Resampled,
    kinds: tuple[Kind, ...] = (Kind.CLASSIFICATION,),
    interval: Interval = Interval.BOOTSTRAP,
    aliases: tuple[str, ...] = (),
) -> Callable[[Value], Value]:
    """Registers a function under its own name. `resampled` prepares predictions and returns the form on counts."""

    def register(value: Value) -> Value:
        name = value.__name__
        _METRICS[name] = Metric(name, value, resampled, maximise, frozenset(kinds), interval)
        _ALIASES.update(dict.fromkeys(aliases, name))
        return value

    return register


def all_metrics() -> dict[str, Metric]:
    """The table, complete: the modules that fill it are imported first."""
    for module in ("classification_metrics", "calibration", "likelihood_metrics"):
        import_module(f"hf_soup.evaluation.{module}")
    return _METRICS


def metric_named(name: str, kind: Kind | None = None) -> Metric:
    """Returns the metric. Raises InputError, listing the known ones, for an unknown name or one of another kind of task."""
    table = all_metrics()
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    found = table.get(_ALIASES.get(plain, plain))
    known = [each.name for each in table.values() if kind is None or kind in each.kinds]
    if found is None or found.name not in known:
        what = "metric" if kind is None else f"metric for a {kind} task"
        raise InputError(f"There is no {what} '{name}'; known: {', '.join(sorted(known))}.")
    return found


def __getattr__(name: str) -> dict[str, Metric]:
    if name == "METRICS":
        return all_metrics()
    raise AttributeError(f"module 'hf_soup.evaluation.metric' has no attribute {name!r}")

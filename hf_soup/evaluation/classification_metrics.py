"""Metrics of classification: values from scikit-learn, and the same formulas on counts of rows."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from hf_soup.evaluation.metric import Interval, OnCounts, metric
from hf_soup.evaluation.predictions import Predictions


def _one_hot(indices: np.ndarray, columns: int, where: np.ndarray | None = None) -> sparse.csr_array:
    """float32 [rows, columns], a one in each row at its index (only in the rows `where` is true)."""
    rows = np.arange(len(indices)) if where is None else np.flatnonzero(where)
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_array((ones, (rows, indices[rows])), shape=(len(indices), columns))


def _sums(counts: np.ndarray, columns: sparse.csr_array) -> np.ndarray:
    """counts @ columns, float64 [resamples, columns]. Sums of counts below 2**24 are exact in float32."""
    return np.asarray(counts @ columns).astype(np.float64)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is zero."""
    undefined = denominator == 0
    return np.where(undefined, np.nan, numerator / np.where(undefined, 1.0, denominator))


def _defined_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the classes for which the value is defined, [resamples, classes] → [resamples]."""
    return _ratio(np.nansum(values, axis=1), (~np.isnan(values)).sum(axis=1).astype(np.float64))


def _accuracies(predictions: Predictions) -> OnCounts:
    correct = (predictions.predicted == predictions.labels).astype(np.float32)
    # Resamples of groups have as many rows as their groups, not always as many as the data.
    return lambda counts: (counts @ correct).astype(np.float64) / counts.sum(axis=1, dtype=np.float64)


@metric(maximise=True, resampled=_accuracies, interval=Interval.WILSON)
def accuracy(predictions: Predictions) -> float:
    """Fraction of rows whose most probable class is the label."""
    from sklearn.metrics import accuracy_score

    return accuracy_score(predictions.labels, predictions.predicted)


def _balanced_accuracies(predictions: Predictions) -> OnCounts:
    labels, classes = predictions.labels, len(predictions.classes)
    true = _one_hot(labels, classes)
    hits = _one_hot(labels, classes, predictions.predicted == labels)
    return lambda counts: _defined_mean(_ratio(_sums(counts, hits), _sums(counts, true)))


@metric(maximise=True, resampled=_balanced_accuracies)
def balanced_accuracy(predictions: Predictions) -> float:
    """Mean over the classes of the fraction of their rows that were recognised."""
    from sklearn.metrics import recall_score

    # balanced_accuracy_score is this, with a warning when a class is predicted that no row has.
    present = np.unique(predictions.labels)
    return recall_score(predictions.labels, predictions.predicted, labels=present, average="macro")


def _macro_f1s(predictions: Predictions) -> OnCounts:
    labels, predicted, classes = predictions.labels, predictions.predicted, len(predictions.classes)
    true, guessed = _one_hot(labels, classes), _one_hot(predicted, classes)
    hits = _one_hot(labels, classes, predicted == labels)

    def on_counts(counts: np.ndarray) -> np.ndarray:
        return _defined_mean(_ratio(2 * _sums(counts, hits), _sums(counts, true) + _sums(counts, guessed)))

    return on_counts


@metric(maximise=True, resampled=_macro_f1s, aliases=("macro_f1",))
def f1_macro(predictions: Predictions) -> float:
    """Mean over the classes of F1 = 2 TP / (2 TP + FP + FN); classes that are neither label nor prediction do not count."""
    from sklearn.metrics import f1_score

    return f1_score(predictions.labels, predictions.predicted, average="macro", zero_division=0.0)


def _matthews_coefficients(predictions: Predictions) -> OnCounts:
    labels, predicted, classes = predictions.labels, predictions.predicted, len(predictions.classes)
    true, guessed = _one_hot(labels, classes), _one_hot(predicted, classes)
    correct = (predicted == labels).astype(np.float32)

    def on_counts(counts: np.ndarray) -> np.ndarray:
        t, p = _sums(counts, true), _sums(counts, guessed)
        total = t.sum(axis=1)
        covariance = (counts @ correct).astype(np.float64) * total - (t * p).sum(axis=1)
        spread = (total**2 - (t**2).sum(axis=1)) * (total**2 - (p**2).sum(axis=1))
        return np.where(spread == 0, 0.0, covariance / np.sqrt(np.where(spread == 0, 1.0, spread)))

    return on_counts


@metric(maximise=True, resampled=_matthews_coefficients)
def matthews(predictions: Predictions) -> float:
    """Matthews' correlation coefficient of labels and predicted classes; 0 when either has one class only."""
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(predictions.labels, predictions.predicted)


def _one_against_rest(predictions: Predictions) -> list[tuple[np.ndarray, np.ndarray]]:
    """(is this class, its probability) for each class that some row has; for two classes one pair is enough."""
    scores = predictions.log_probabilities
    if len(predictions.classes) == 2:
        # Differences of logits order the rows like probabilities do, without rounding to 1.0.
        return [(predictions.labels == 1, scores[:, 1] - scores[:, 0])]
    return [(predictions.labels == each, scores[:, each]) for each in np.unique(predictions.labels)]


def _aucs(predictions: Predictions) -> OnCounts:
    parts = [_auc_of_one(positive, score) for positive, score in _one_against_rest(predictions)]
    return lambda counts: np.mean([part(counts) for part in parts], axis=0)


def _auc_of_one(positive: np.ndarray, score: np.ndarray) -> OnCounts:
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    positives, negatives = np.flatnonzero(positive[order]), np.flatnonzero(~positive[order])
    group = np.searchsorted(starts, np.arange(len(order)), side="right") - 1
    # Only the positives ask how many negatives lie below them: a cumulative sum over the negatives alone is enough.
    below = np.searchsorted(group[negatives], group[positives], side="left")
    not_above = np.searchsorted(group[negatives], group[positives], side="right")
    columns_of_positives, columns_of_negatives = order[positives], order[negatives]

    def on_counts(counts: np.ndarray) -> np.ndarray:
        wins = np.zeros((len(counts), len(negatives) + 1), np.float32)
        np.cumsum(counts[:, columns_of_negatives], axis=1, out=wins[:, 1:])
        chosen = counts[:, columns_of_positives]
        won = np.einsum("ij,ij->i", chosen, wins[:, below] + wins[:, not_above], dtype=np.float64) / 2
        return _ratio(won, chosen.sum(axis=1, dtype=np.float64) * wins[:, -1])

    return on_counts


@metric(maximise=True, resampled=_aucs)
def auc(predictions: Predictions) -> float:
    """Area under the ROC curve; with more than two classes the mean of one class against the rest, over the data's classes.

    NaN where the data have one class only.
    """
    from sklearn.metrics import roc_auc_score

    if len(set(predictions.labels.tolist())) < 2:
        return float("nan")
    return float(np.mean([roc_auc_score(positive, score) for positive, score in _one_against_rest(predictions)]))

"""Negative log-likelihood, perplexity and Brier score: ratios of a sum over rows to a sum over rows."""

from __future__ import annotations

import numpy as np

from hf_soup.evaluation.metric import OnCounts, metric
from hf_soup.evaluation.predictions import Kind, Predictions


def _nats_and_units(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Nats of each row, and what they are divided by: one label a row, or the row's tokens."""
    if predictions.kind is Kind.LANGUAGE:
        return predictions.nll, predictions.tokens.astype(np.float64)
    return -predictions.log_probabilities[np.arange(predictions.rows), predictions.labels], np.ones(predictions.rows)


def _nlls(predictions: Predictions) -> OnCounts:
    columns = np.stack(_nats_and_units(predictions), axis=1)

    def on_counts(counts: np.ndarray) -> np.ndarray:
        sums = counts.astype(np.float64) @ columns
        return sums[:, 0] / np.where(sums[:, 1] == 0, np.nan, sums[:, 1])

    return on_counts


@metric(maximise=False, resampled=_nlls, kinds=(Kind.CLASSIFICATION, Kind.LANGUAGE))
def nll(predictions: Predictions) -> float:
    """Mean negative log-likelihood in nats: per row of a classification, per token of a text."""
    nats, units = _nats_and_units(predictions)
    return float(nats.sum() / units.sum())


def _perplexities(predictions: Predictions) -> OnCounts:
    on_counts = _nlls(predictions)
    return lambda counts: np.exp(on_counts(counts))


@metric(maximise=False, resampled=_perplexities, kinds=(Kind.LANGUAGE,))
def perplexity(predictions: Predictions) -> float:
    """exp of the negative log-likelihood per token."""
    return float(np.exp(nll(predictions)))


def _squared_errors(predictions: Predictions) -> np.ndarray:
    """float64 [rows]."""
    errors = predictions.probabilities
    errors[np.arange(predictions.rows), predictions.labels] -= 1
    return (errors**2).sum(axis=1) / (2 if len(predictions.classes) == 2 else 1)


def _briers(predictions: Predictions) -> OnCounts:
    errors = _squared_errors(predictions)
    return lambda counts: (counts.astype(np.float64) @ errors) / counts.sum(axis=1, dtype=np.float64)


@metric(maximise=False, resampled=_briers)
def brier(predictions: Predictions) -> float:
    """Mean squared error of the probabilities, summed over the classes; of two classes halved, as Brier scores of yes and no are.

    Between 0 and 1 for two classes, between 0 and 2 for more, as in scikit-learn.
    """
    return float(_squared_errors(predictions).mean())

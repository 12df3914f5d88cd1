"""Expected calibration error of the most probable class, without the bias that finite bins have.

The plug-in estimate Σ pₖ |ȳₖ − s̄ₖ| (ȳ: accuracy, s̄: mean confidence, p: share of rows of bin k) is above zero even for a
perfectly calibrated model, because |·| turns noise into error. The debiased estimate subtracts the noise: with
ȳₖ ~ N(ȳₖ, ȳₖ(1−ȳₖ)/nₖ) it takes off E|·| − |·|, bin by bin, here in closed form (the mean of a folded normal).
Source: Kumar, Liang, Ma, Verified Uncertainty Calibration, NeurIPS 2019 (arXiv 1909.10155), section 5 and appendix.
Bins hold equal numbers of rows (equal mass), as in Model soups, appendix B; equal confidences share a bin.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hf_soup.evaluation.metric import Interval, OnCounts, metric
from hf_soup.evaluation.predictions import Predictions
from hf_soup.evaluation.resampling import RESAMPLES, SEED, chunk_sizes

MOST_BINS = 15
ROWS_PER_BIN = 10


def bin_starts(confidence: np.ndarray) -> np.ndarray:
    """Returns where each bin starts in the ascending `confidence` [rows]: at most 15 bins, of 10 rows and more."""
    rows = len(confidence)
    bins = max(1, min(MOST_BINS, rows // ROWS_PER_BIN))
    wanted = np.arange(bins) * rows // bins
    return np.unique(np.searchsorted(confidence, confidence[wanted], side="left"))


def _debiased(confidence: np.ndarray, starts: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Returns the estimator: (counts [some, rows], correct [some or 1, rows]) → ECE [some], both in order of confidence."""

    def estimate(counts: np.ndarray, correct: np.ndarray) -> np.ndarray:
        mass = np.add.reduceat(counts, starts, axis=1, dtype=np.float64)
        safe = np.where(mass == 0, 1.0, mass)
        accuracy = np.add.reduceat(counts * correct, starts, axis=1, dtype=np.float64) / safe
        gap = accuracy - np.add.reduceat(counts * confidence, starts, axis=1, dtype=np.float64) / safe
        # Variance of a weighted mean; for ones it is accuracy * (1 - accuracy) / n, for a resample twice that, as it should.
        squares = np.add.reduceat(counts**2, starts, axis=1, dtype=np.float64)
        deviation = np.sqrt(accuracy * (1 - accuracy) * squares) / safe
        noise = _mean_of_folded_normal(gap, deviation) - np.abs(gap)
        return np.maximum(0.0, ((np.abs(gap) - noise) * mass).sum(axis=1) / counts.sum(axis=1, dtype=np.float64))

    return estimate


def _mean_of_folded_normal(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E|X| for X ~ N(mean, deviation²)."""
    from scipy.special import erf

    safe = np.where(deviation == 0, 1.0, deviation)
    ratio = mean / safe
    folded = safe * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + mean * erf(ratio / math.sqrt(2))
    return np.where(deviation == 0, np.abs(mean), folded)


def _sorted_confidence(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of the rows by confidence, the confidences and whether each is correct, in that order."""
    confidence = predictions.probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    correct = (predictions.predicted == predictions.labels).astype(np.float64)
    return order, confidence[order], correct[order]


def _eces(predictions: Predictions) -> OnCounts:
    order, confidence, correct = _sorted_confidence(predictions)
    estimate = _debiased(confidence, bin_starts(confidence))
    return lambda counts: estimate(counts[:, order].astype(np.float64), correct[None])


@metric(maximise=False, resampled=_eces, interval=Interval.CALIBRATED_BAND)
def ece(predictions: Predictions) -> float:
    """Expected calibration error of the most probable class, debiased, in at most 15 bins of equal mass."""
    return float(_eces(predictions)(np.ones((1, predictions.rows), np.float32))[0])


def calibrated_band(predictions: Predictions) -> tuple[float, float, int]:
    """Returns (low, high, bins): the 95 % range of the estimate if every confidence were the true probability."""
    _, confidence, _ = _sorted_confidence(predictions)
    starts = bin_starts(confidence)
    estimate = _debiased(confidence, starts)
    generator = np.random.default_rng(SEED)
    ones = np.ones((1, predictions.rows))
    values = [
        estimate(
            np.broadcast_to(ones, (size, predictions.rows)), generator.random((size, predictions.rows)) < confidence
        )
        for size in chunk_sizes(predictions.rows, RESAMPLES)
    ]
    low, high = np.quantile(np.concatenate(values), (0.025, 0.975))
    return float(low), float(high), len(starts)

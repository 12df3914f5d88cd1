"""Logistic regression with a normal prior on every coefficient: what calibration and stacking are fitted with."""

from __future__ import annotations

import numpy as np

from hf_soup.scoring.log_odds import from_log_odds

_MOST_STEPS = 100
_SMALLEST_STEP = 1e-10


def fit_logistic(
    features: np.ndarray,
    outcomes: np.ndarray,
    *,
    means: np.ndarray,
    variances: np.ndarray,
    offset: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Returns the coefficients b, float64 [k], that minimise the penalised log loss

        Σ_i [ln(1 + e^z_i) − y_i z_i] + Σ_j (b_j − means_j)² / (2 variances_j),   z = offset + features · b

    the mode of the posterior under independent normal priors. `features`: [n, k]. `outcomes`: [n], in [0, 1], fractions too.
    A variance of infinity is no prior. Newton's method with halved steps; the loss is convex, so the minimum is the only one.
    """
    precision = 1 / np.asarray(variances, dtype=np.float64)
    means = np.asarray(means, dtype=np.float64)
    coefficients = means.copy()
    loss = _loss(features, outcomes, offset, coefficients, means, precision)
    for _ in range(_MOST_STEPS):
        chances = from_log_odds(offset + features @ coefficients)
        gradient = features.T @ (chances - outcomes) + precision * (coefficients - means)
        curvature = (features.T * (chances * (1 - chances))) @ features + np.diag(precision)
        step = _solved(curvature, gradient)
        while True:
            after = _loss(features, outcomes, offset, coefficients - step, means, precision)
            if after <= loss or np.abs(step).max() < _SMALLEST_STEP:
                break
            step = step / 2
        if after > loss:
            break
        coefficients, loss = coefficients - step, after
        if np.abs(step).max() < _SMALLEST_STEP:
            break
    return coefficients


def _solved(curvature: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Without a prior, features that depend on each other leave directions of no curvature: then the shortest step is taken."""
    try:
        return np.linalg.solve(curvature, gradient)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(curvature, gradient, rcond=None)[0]


def _loss(
    features: np.ndarray,
    outcomes: np.ndarray,
    offset: np.ndarray | float,
    coefficients: np.ndarray,
    means: np.ndarray,
    precision: np.ndarray,
) -> float:
    z = offset + features @ coefficients
    return float((np.logaddexp(0, z) - outcomes * z).sum() + (precision * (coefficients - means) ** 2).sum() / 2)

"""Multinomial logistic regression with an L2 penalty, in blocks of rows."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.tiers import row_blocks, softmax

_MOST_STEPS = 1000


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, start: np.ndarray, c: float, *, precision: float = 1e-5
) -> np.ndarray:
    """Returns the W, float64 [D, C], that minimises Σᵢ −ln softmax(xᵢ W)_yᵢ + ‖W‖² / 2c, beginning at `start`.

    `features`: [n, D], `labels`: int64 [n] from 0 to C − 1. No column is exempt from the penalty, a column of ones neither, so
    that a class which no row has keeps a finite intercept. `precision`: the largest slope that is left, by unit features.
    Log-probabilities of several models are nearly collinear, and plain descent would crawl: L-BFGS runs in the coordinates in
    which the second derivatives are about one: second moments times the mean of p (1 − p) at the start, and the penalty.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import minimize

    rows, shape = len(features), start.shape
    curvature = _mean_variance(features, start) * _second_moments(features)
    curvature.flat[:: shape[0] + 1] += 1 / (c * rows)
    upper = cholesky(curvature)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = solve_triangular(upper, flat.reshape(shape))
        value, slope = _loss_and_slope(features, labels, coefficients)
        value += float(np.square(coefficients).sum()) / (2 * c * rows)
        slope += coefficients / (c * rows)
        return value, solve_triangular(upper, slope, trans="T").ravel()

    options = {"maxiter": _MOST_STEPS, "ftol": 1e-6 * precision, "gtol": precision}
    found = minimize(loss, (upper @ start).ravel(), jac=True, method="L-BFGS-B", options=options)
    solved: np.ndarray = solve_triangular(upper, found.x.reshape(shape))
    return solved


def logistic_loss(features: np.ndarray, labels: np.ndarray, coefficients: np.ndarray) -> float:
    """The mean of −ln softmax(x W)_y, without the penalty."""
    return _loss_and_slope(features, labels, coefficients)[0]


def _second_moments(features: np.ndarray) -> np.ndarray:
    total = np.zeros((features.shape[1], features.shape[1]))
    for block in row_blocks(len(features), features.shape[1]):
        each = features[block].astype(np.float64)
        total += each.T @ each
    return total / len(features)


def _mean_variance(features: np.ndarray, coefficients: np.ndarray) -> float:
    """The mean of p (1 − p) over rows and classes."""
    total = 0.0
    for block in row_blocks(len(features), features.shape[1]):
        said = softmax(features[block].astype(np.float64) @ coefficients)
        total += float((said * (1 - said)).mean(axis=1).sum())
    return total / len(features)


def _loss_and_slope(features: np.ndarray, labels: np.ndarray, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
    loss, slope = 0.0, np.zeros(coefficients.shape)
    for block in row_blocks(len(features), features.shape[1]):
        each = features[block].astype(np.float64)
        at = np.arange(len(each)), labels[block]
        said = softmax(each @ coefficients)
        loss -= float(np.log(np.maximum(said[at], np.finfo(np.float64).tiny)).sum())
        said[at] -= 1
        slope += each.T @ said
    return loss / len(features), slope / len(features)

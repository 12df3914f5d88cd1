"""Weights of a mixture of probabilities by maximum likelihood, on the simplex.

minimise  f(α) = −Σᵢ cᵢ ln(Σₖ αₖ pᵢₖ) / Σᵢ cᵢ + ridge · Σₖ (αₖ − 1/K)²   with αₖ ≥ 0, Σ αₖ = 1

f is convex in α (not in w of α = softmax(w), which has the same minimum). Newton's method in which every step is a quadratic
program on the simplex, as in Kim, Carbonetto, Stephens, Anitescu 2020 (arXiv 1806.01412); it needs some ten passes over the rows where
AdamW on w needs hundreds. It ends by a certificate: f(α) − min f ≤ Σₖ αₖ ∂ₖf − minₖ ∂ₖf (the Frank-Wolfe gap), which
without ridge is maxₖ mean(pₖ / mixture) − 1.
"""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.tiers import row_blocks
from hf_soup.errors import SoupError

LARGEST_GAP = 1e-6
_MOST_STEPS = 200
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)
_CURVATURE = 1e-10  # relative; makes the program of identical members have one solution, the one in the middle


def mixture_weights(
    true: np.ndarray, *, counts: np.ndarray | None = None, start: np.ndarray | None = None, ridge: float = 0.0
) -> np.ndarray:
    """Returns α, float64 [K], whose objective is within 1e-6 of the smallest.

    `true`: float64 [n, K], what each input says about the class that came true, above zero everywhere. `counts`: how often each
    row counts, [n]; once without. `start`: where to begin, on the simplex; at equal weights without.
    """
    inputs = true.shape[1]
    weights = np.full(inputs, 1 / inputs) if start is None else np.array(start, np.float64)
    shares = None if counts is None else counts / counts.sum(dtype=np.float64)
    for _ in range(_MOST_STEPS):
        value, gradient, hessian = _expansion(true, shares, weights, ridge)
        if weights @ gradient - gradient.min() <= LARGEST_GAP:
            return weights
        hessian.flat[:: inputs + 1] += _CURVATURE * max(1.0, np.trace(hessian) / inputs)
        step = quadratic_on_simplex(hessian, gradient - hessian @ weights, weights) - weights
        length = 1.0
        while _objective(true, shares, weights + length * step, ridge) > value + _SUFFICIENT * length * (
            gradient @ step
        ):
            length /= 2
            if length < 1e-10:
                break
        weights = np.maximum(weights + length * step, 0.0)
        weights /= weights.sum()
    raise SoupError(
        f"The weights of {inputs} inputs did not settle in {_MOST_STEPS} steps; a ridge above 0 makes it easier."
    )


def quadratic_on_simplex(matrix: np.ndarray, linear: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Returns the x ≥ 0, Σ x = 1 that minimises ½ xᵀ A x + bᵀ x, for positive definite A [K, K], from a start that is feasible.

    Active sets: zeros are held at zero, the rest is one linear system; whatever would become negative joins the zeros, whatever
    would rather be positive leaves them. Source: Nocedal & Wright, Numerical Optimization (2006), algorithm 16.3.
    """
    x, free = start.copy(), start > 0
    size = len(x)
    for _ in range(10 * size + 10):
        places = np.flatnonzero(free)
        system = np.ones((len(places) + 1, len(places) + 1))
        system[:-1, :-1] = matrix[np.ix_(places, places)]
        system[-1, -1] = 0.0
        *wanted, multiplier = np.linalg.solve(system, np.append(-linear[places], 1.0))
        target = np.zeros(size)
        target[places] = wanted
        if (target[places] >= 0).all():
            x = target
            slopes = matrix @ x + linear + multiplier  # zero where free; negative where x wants to grow
            slopes[free] = 0.0
            if slopes.min() >= -1e-12 * max(1.0, float(np.abs(linear).max())):
                break
            free[slopes.argmin()] = True
            continue
        falling = places[target[places] < 0]
        reach = x[falling] / (x[falling] - target[falling])
        x += reach.min() * (target - x)
        free[falling[reach == reach.min()]] = False
        x[~free] = 0.0
    return x / x.sum()


def _objective(true: np.ndarray, shares: np.ndarray | None, weights: np.ndarray, ridge: float) -> float:
    logs = np.log(true @ weights)
    loss = logs.mean() if shares is None else shares @ logs
    return float(ridge * np.square(weights - 1 / len(weights)).sum() - loss)


def _expansion(
    true: np.ndarray, shares: np.ndarray | None, weights: np.ndarray, ridge: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Value, gradient [K] and second derivatives [K, K] of the objective."""
    rows, inputs = true.shape
    loss, gradient, hessian = 0.0, np.zeros(inputs), np.zeros((inputs, inputs))
    for block in row_blocks(rows, inputs):
        mixture = true[block] @ weights
        ratios = true[block] / mixture[:, None]
        share = np.full(len(mixture), 1 / rows) if shares is None else shares[block]
        weighted = ratios * share[:, None]
        loss -= float(share @ np.log(mixture))
        gradient -= weighted.sum(axis=0)
        hessian += ratios.T @ weighted
    away = weights - 1 / inputs
    hessian.flat[:: inputs + 1] += 2 * ridge
    return loss + ridge * float(away @ away), gradient + 2 * ridge * away, hessian

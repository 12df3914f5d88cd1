"""Tests of a mean with questions in groups: the arithmetic under every comparison, from numbers or from their summary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Differences that are the same on every question leave only rounding, about 1e-17, as their standard error.
_NO_VARIATION = 1e-12


@dataclass(frozen=True)
class ClusteredMean:
    """A mean over `n` questions in `groups` groups. `standard_error`: NaN for one group; `df`: groups − 1.

    `skewness`: of the groups' shares in the deviation from the mean, the skewness of the numbers where every question is a group.
    """

    mean: float
    standard_error: float
    n: int
    groups: int
    skewness: float = 0.0

    @property
    def df(self) -> int:
        return self.groups - 1

    @property
    def testable(self) -> bool:
        """False for fewer than two groups, and where the numbers do not vary."""
        return self.groups > 1 and self.standard_error > _NO_VARIATION


@dataclass(frozen=True)
class TTest:
    """Two-sided. `df`: degrees of freedom."""

    t: float
    df: float
    p: float


@dataclass(frozen=True)
class Symmetry:
    """Wilcoxon's signed-rank test: whether the differences lie symmetrically about 0.

    Never a verdict on Brier scores: their differences are skewed, and where both expect the same score it rejected in 4–100 % of
    simulated cases, most often at large n (tests/benchmarks/scoring_simulations.py). `n`: differences other than 0.
    """

    p: float
    n: int
    test: str = "Wilcoxon's signed-rank test, of symmetry about 0"


def clustered_mean(values: np.ndarray, groups: np.ndarray) -> ClusteredMean:
    """Returns the mean of values [Q] (NaN is left out) and its standard error with questions of a group taken together.

    √(G / (G − 1) · Σ_g (Σ_{i∈g} (xᵢ − x̄))²) / n: what ordinary least squares of a constant gives with clusters (CR1). Where
    every question is a group of its own it is the standard error of the usual t test. Source: Liang & Zeger 1986.

    >>> round(clustered_mean(np.array([0.1, 0.3, 0.2, 0.6]), np.array([0, 0, 1, 2])).mean, 10)
    0.3
    """
    kept = ~np.isnan(values)
    values = values[kept]
    n = len(values)
    if not n:
        return ClusteredMean(float("nan"), float("nan"), 0, 0)
    distinct, which = np.unique(groups[kept], return_inverse=True)
    count, mean = len(distinct), values.mean()
    if count < 2:
        return ClusteredMean(float(mean), float("nan"), n, count)
    of_groups = np.bincount(which, weights=values - mean)
    error = np.sqrt(count / (count - 1) * (of_groups**2).sum()) / n
    if error <= _NO_VARIATION:
        return ClusteredMean(float(mean), float(error), n, count)
    skewness = (of_groups**3).mean() / (of_groups**2).mean() ** 1.5
    return ClusteredMean(float(mean), float(error), n, count, float(skewness))


def t_test(difference: float, standard_error: float, df: float) -> TTest:
    """Returns the two-sided t test of a difference from 0, from its summary.

    >>> test = t_test(0.20 - 0.25, 0.12 / 31**0.5, 30)
    >>> round(test.t, 2), round(test.p, 3)
    (-2.32, 0.027)
    """
    from scipy.special import stdtr  # what scipy.stats.t calls after checks that cost a hundred times as much

    statistic = difference / standard_error
    return TTest(float(statistic), float(df), float(2 * stdtr(df, -abs(statistic))))


def unpaired_error(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Returns (difference of the means, its pooled standard error, degrees of freedom n₁ + n₂ − 2). NaN is left out.

    As if the two samples were of different questions. For the protocol of Study 1 only: on the same questions it throws away
    what pairing gains.
    """
    first, second = (each[~np.isnan(each)] for each in (first, second))
    df = len(first) + len(second) - 2
    squares = ((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()
    error = np.sqrt(squares / df * (1 / len(first) + 1 / len(second)))
    return float(first.mean() - second.mean()), float(error), float(df)


def symmetry(differences: np.ndarray) -> Symmetry | None:
    """Returns Wilcoxon's test of differences [Q]; None where all are 0 or missing. See `Symmetry` for what it is not."""
    from scipy.stats import wilcoxon

    # Rounded: equal differences that were computed in two orders would otherwise break ties at random.
    kept = np.round(differences[~np.isnan(differences)], 12)
    kept = kept[kept != 0]
    return Symmetry(float(wilcoxon(kept).pvalue), len(kept)) if len(kept) else None

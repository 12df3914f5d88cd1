"""A mean over questions with everything that must stand beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_soup.scoring.bootstrap import bootstrap_means
from hf_soup.scoring.comparison_tests import ClusteredMean, TTest, clustered_mean, t_test
from hf_soup.scoring.detectable import ALPHA, smallest_detectable
from hf_soup.scoring.table import mean_of_samples


@dataclass(frozen=True)
class Estimate:
    """`value` of `n` numbers in `groups` groups of questions, NaN where there are none; `null`: what it is without a bias.

    `interval`: 95 %, None with fewer than two groups. `test`: t clustered by group, of value − null; None where nothing varies or
    there are fewer than two groups. `detectable`: the smallest bias |value − null| that this n finds with 80 % power.
    `only_above`: below `null` it can lie by chance alone, as an estimate of a variance may; p is one-sided then.
    """

    value: float
    interval: tuple[float, float] | None
    n: int
    groups: int
    test: TTest | None
    detectable: float | None
    null: float = 0.0
    only_above: bool = False


def estimates(values: np.ndarray, groups: np.ndarray, *, only_above: bool = False) -> tuple[Estimate, ...]:
    """Returns the mean of every column of values [N, C], float64, NaN left out; rows of one of `groups` [N] stay together.

    The interval resamples groups, the same ones for all columns. `only_above`: the test asks whether the mean is above 0.
    """
    if not len(values):
        return (nothing(),) * values.shape[1]
    intervals = bootstrap_means(values, groups)
    found = []
    for column in range(values.shape[1]):
        mean = clustered_mean(values[:, column], groups)
        test, detectable = _tested(mean, only_above=only_above) if mean.testable else (None, None)
        found.append(
            Estimate(mean.mean, intervals.of(column), mean.n, mean.groups, test, detectable, only_above=only_above)
        )
    return tuple(found)


def _tested(mean: ClusteredMean, *, only_above: bool) -> tuple[TTest, float]:
    """The test and the smallest bias that it finds with 80 % power."""
    test = t_test(mean.mean, mean.standard_error, mean.df)
    if not only_above:
        return test, smallest_detectable(mean.standard_error, mean.df)
    above = test.p / 2 if test.t > 0 else 1 - test.p / 2
    return replace(test, p=above), smallest_detectable(mean.standard_error, mean.df, alpha=2 * ALPHA)


def nothing() -> Estimate:
    """Of no numbers at all."""
    return Estimate(float("nan"), None, 0, 0, None, None)


def with_mean(values: np.ndarray) -> np.ndarray:
    """Returns [N, M + 1]: the members' columns [N, M] and the mean of those that are there, NaN where none is."""
    return np.column_stack([values, mean_of_samples(values)])


def column_means(values: np.ndarray) -> Sequence[float]:
    """Returns the mean of each column of values [N, C] without NaN; NaN of a column that has nothing else."""
    means: Sequence[float] = mean_of_samples(values.T).tolist()
    return means

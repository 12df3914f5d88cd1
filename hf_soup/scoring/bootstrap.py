"""Bootstrap intervals of means over questions, for many columns at once, resampling groups of questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError

RESAMPLES = 2000
SEED = 20240219  # any fixed number: the same data give the same interval
FEW_GROUPS = 50
_CHUNK_ELEMENTS = 2**21


@dataclass(frozen=True)
class Intervals:
    """`low`, `high`: float64 [C], NaN where a column has fewer than two groups. `level`: 0.95 for 95 %."""

    low: np.ndarray
    high: np.ndarray
    level: float
    resamples: int

    def of(self, column: int) -> tuple[float, float] | None:
        """The interval of one column, None where there is none."""
        low, high = float(self.low[column]), float(self.high[column])
        return None if np.isnan(low) else (low, high)


def bootstrap_means(
    values: np.ndarray,
    groups: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Intervals:
    """Returns intervals of the mean of every column of values [Q, C]; NaN is left out of its column.

    The same groups are drawn for all columns, so intervals of differences are paired where a column holds differences. Groups are
    drawn by their numbers: those of a `ForecastTable` do not depend on the order of its rows, so intervals do not either.
    Percentiles are spread so that they are as wide as the t distribution at this number of groups; without that 95 % are 91 % at
    n = 10 and 94 % at n = 100. Source: Efron & Tibshirani 1993, chapter 13; Hesterberg 2015 (the spread).
    """
    from scipy.special import ndtr, stdtrit

    if not 0 < level < 1 or resamples < 1:
        raise InputError(f"bootstrap: level {level} must lie between 0 and 1, and resamples {resamples} be 1 or more.")
    n_columns = values.shape[1]
    low, high = np.full(n_columns, np.nan), np.full(n_columns, np.nan)
    n_groups, means = _resampled(values, groups, resamples, seed)
    for column in range(n_columns):
        if n_groups[column] < 2:
            continue
        df = n_groups[column] - 1
        outside = ndtr(stdtrit(df, (1 - level) / 2) * np.sqrt(n_groups[column] / df))
        low[column], high[column] = np.nanquantile(means[:, column], (outside, 1 - outside))
    return Intervals(low, high, level, resamples)


def _resampled(values: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(groups with a value [C], mean of every resample [resamples, C], NaN where a resample holds no value)."""
    given = ~np.isnan(values)
    distinct, which = np.unique(groups, return_inverse=True)
    sums = _totals(np.where(given, values, 0.0), which, len(distinct))
    sizes = _totals(given.astype(np.float64), which, len(distinct))
    # Columns with the same gaps, usually all of them, have the same sizes.
    different_sizes, same_as = np.unique(sizes, axis=1, return_inverse=True)
    means = np.empty((resamples, values.shape[1]))
    start = 0
    for counts in _group_counts(len(distinct), resamples, seed):
        with np.errstate(invalid="ignore"):
            means[start : start + len(counts)] = (counts @ sums) / (counts @ different_sizes)[:, same_as]
        start += len(counts)
    return (sizes > 0).sum(axis=0), means


def _totals(values: np.ndarray, which: np.ndarray, n_groups: int) -> np.ndarray:
    """The sums [G, C] of values [Q, C] over the rows of each group."""
    totals = np.zeros((n_groups, values.shape[1]))
    np.add.at(totals, which, values)
    return totals


def _group_counts(n_groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields float64 [some resamples, G]: how often each group is in each resample."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_ELEMENTS // max(1, n_groups))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = generator.integers(0, n_groups, size=(size, n_groups))
        drawn += np.arange(size)[:, None] * n_groups
        yield np.bincount(drawn.ravel(), minlength=size * n_groups).reshape(size, n_groups).astype(np.float64)

"""Sorting and medians along the last axis of arrays with gaps. numpy's nanmedian is a hundred times slower on short rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_CHUNK_VALUES = 4_000_000


def sorted_present(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values sorted along the last axis, NaN last, and how many are not NaN: int64, without that axis."""
    return np.sort(values, axis=-1), (~np.isnan(values)).sum(axis=-1)


def median_of_present(values: np.ndarray) -> np.ndarray:
    """Returns the median along the last axis of what is not NaN (the mean of the middle two); NaN where all is NaN."""
    ordered, counts = sorted_present(values)
    lower, upper = np.maximum(counts - 1, 0) // 2, np.minimum(counts // 2, values.shape[-1] - 1)
    middle = np.take_along_axis(ordered, np.stack([lower, upper], axis=-1), axis=-1)
    return middle.mean(axis=-1)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns [Q]: the lowest value of [Q, K] at which half of the weight is reached; where it is reached exactly, the mean
    of this value and the next. NaN values have no weight; weights are positive."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    sums = np.cumsum(np.where(np.isnan(ordered), 0.0, np.take_along_axis(weights, order, axis=1)), axis=1)
    half = sums[:, -1:] / 2
    slack = 1e-12 * sums[:, -1:]
    at = np.argmax(sums >= half - slack, axis=1)[:, None]
    reached = np.take_along_axis(ordered, at, axis=1)
    exactly = np.abs(np.take_along_axis(sums, at, axis=1) - half) <= slack
    following = np.take_along_axis(ordered, np.minimum(at + 1, values.shape[1] - 1), axis=1)
    return np.where(exactly, (reached + following) / 2, reached)[:, 0]


def row_chunks(n_rows: int, values_per_row: int) -> Iterator[slice]:
    """Slices of rows that hold about 32 MB of float64 each."""
    size = max(1, _CHUNK_VALUES // max(1, values_per_row))
    return (slice(start, start + size) for start in range(0, n_rows, size))

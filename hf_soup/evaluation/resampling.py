"""Resampling rows, or whole groups of them, with replacement, as counts: how often each row is in each resample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 2000
SEED = 20220305  # any fixed number: the same rows give the same interval
_CHUNK_ELEMENTS = 2**21


def resample_counts(
    rows: int, resamples: int = RESAMPLES, seed: int = SEED, groups: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yields float32 arrays [some resamples, rows] of counts; every row of an array sums to `rows`.

    With `groups` (integers [rows]) whole groups are drawn, as many as there are: rows of one group always have the same count,
    and an array's rows sum to `rows` only on average. In chunks, because all of them would take resamples * rows * 4 bytes.
    """
    generator = np.random.default_rng(seed)
    distinct, which = (None, None) if groups is None else np.unique(groups, return_inverse=True)
    units = rows if distinct is None else len(distinct)
    for size in chunk_sizes(rows, resamples):
        drawn = generator.integers(0, units, size=(size, units), dtype=np.int64)
        drawn += np.arange(size)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float32)
        yield counts if which is None else counts[:, which]


def chunk_sizes(rows: int, resamples: int) -> Iterator[int]:
    """Splits a number of resamples so that an array [chunk, rows] stays small."""
    largest = max(1, _CHUNK_ELEMENTS // rows)
    for start in range(0, resamples, largest):
        yield min(largest, resamples - start)

"""Resampling rows with replacement, as counts: how often each row is in each resample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 2000
SEED = 20220305  # any fixed number: the same rows give the same interval
_CHUNK_ELEMENTS = 2**21


def resample_counts(rows: int, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[np.ndarray]:
    """Yields float32 arrays [some resamples, rows] of counts; every row of an array sums to `rows`.

    In chunks, because all of them would take resamples * rows * 4 bytes.
    """
    generator = np.random.default_rng(seed)
    for size in chunk_sizes(rows, resamples):
        drawn = generator.integers(0, rows, size=(size, rows), dtype=np.int64)
        drawn += np.arange(size)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float32)


def chunk_sizes(rows: int, resamples: int) -> Iterator[int]:
    """Splits a number of resamples so that an array [chunk, rows] stays small."""
    largest = max(1, _CHUNK_ELEMENTS // rows)
    for start in range(0, resamples, largest):
        yield min(largest, resamples - start)

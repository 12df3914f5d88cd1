"""Inner products of whole tensors, with the same bits on every kind of CPU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

_LANES = 1_024
_ROWS, _ROWS_OF_MANY = 256, 64
"""Lanes that are looked at together: of many vectors fewer, so that the float64 copies stay small."""
_MANY = 4


def inner_products(granules: Iterable[Sequence[Tensor]]) -> np.ndarray:
    """Returns the Gram matrix ⟨vᵢ, vⱼ⟩ of k vectors, float64, shape [k, k].

    granules: the k vectors' parts on the CPU, granule after granule. Products are formed in float64, where those of float32
    are exact. Within a granule they are summed in 1,024 lanes, one after the other in rows of lanes (256 at a time, 64 of more
    than four vectors), then 16 lanes at a time, and the 64 sums that remain are added exactly: an order that does not depend on how many numbers a processor adds at once, as
    np.dot and torch.sum do. Granules are added in their order.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # NaN and infinity are found, and named, in what is merged
        grams = map(_of_granule, granules)
        total = next(grams)
        for gram in grams:
            total += gram
    return total


def cosine(gram: np.ndarray, i: int, j: int) -> float | None:
    """Returns ⟨a, b⟩ / (‖a‖ ‖b‖), within [-1, 1]; None where a vector is zero or not finite."""
    dot, square_a, square_b = float(gram[i, j]), float(gram[i, i]), float(gram[j, j])
    if not (0 < square_a < math.inf and 0 < square_b < math.inf and math.isfinite(dot)):
        return None
    return min(1.0, max(-1.0, dot / (math.sqrt(square_a) * math.sqrt(square_b))))


def _of_granule(vectors: Sequence[Tensor]) -> np.ndarray:
    k = len(vectors)
    n = len(vectors[0])
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    lanes = np.zeros((len(pairs), _LANES))
    chunk = _LANES * (_ROWS if k <= _MANY else _ROWS_OF_MANY)
    product, summed = np.empty(chunk), np.empty(_LANES)
    stored, wide = [vector.numpy() for vector in vectors], np.empty((k, chunk))
    for start in range(0, n, chunk):
        count = min(chunk, n - start)
        rows = -(-count // _LANES)
        product[count : rows * _LANES] = 0
        for vector, copy in zip(stored, wide, strict=True):
            copy[:count] = vector[start : start + count]
        for sums, (i, j) in zip(lanes, pairs, strict=True):
            np.multiply(wide[i, :count], wide[j, :count], out=product[:count])
            sums += np.add.reduce(product[: rows * _LANES].reshape(rows, _LANES), axis=0, out=summed)
    lanes = np.add.reduce(lanes.reshape(len(pairs), 16, 64), axis=1)
    gram = np.empty((k, k))
    for sums, (i, j) in zip(lanes, pairs, strict=True):
        gram[i, j] = gram[j, i] = _exact_sum(sums.tolist())
    return gram


def _exact_sum(values: list[float]) -> float:
    """math.fsum, which refuses to add infinities of both signs."""
    total = sum(values)
    return math.fsum(values) if math.isfinite(total) else total

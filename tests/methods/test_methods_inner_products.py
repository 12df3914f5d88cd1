"""Inner products: exact products, a fixed order, whatever the processor."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from hf_soup.methods import GRANULE
from hf_soup.methods.inner_products import cosine, inner_products


def slow(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(sum(Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)))


def lane_by_lane(a: torch.Tensor, b: torch.Tensor, rows: int) -> float:
    """The documented order, one number at a time."""
    lanes = [0.0] * 1024
    for chunk in range(0, len(a), rows * 1024):
        x, y = a[chunk : chunk + rows * 1024].tolist(), b[chunk : chunk + rows * 1024].tolist()
        sums: list[float | None] = [None] * 1024
        for place, (p, q) in enumerate(zip(x, y, strict=True)):
            before = sums[place % 1024]
            sums[place % 1024] = p * q if before is None else before + p * q
        lanes = [lane + (part or 0.0) for lane, part in zip(lanes, sums, strict=True)]
    columns = lanes[:64]
    for row in range(1, 16):
        columns = [column + lane for column, lane in zip(columns, lanes[64 * row : 64 * row + 64], strict=True)]
    return math.fsum(columns)


@pytest.mark.parametrize("n", [1, 63, 64, 1023, 1024, 1025, 64 * 1024 + 1, GRANULE - 1, GRANULE])
@pytest.mark.parametrize(("count", "rows"), [(3, 256), (5, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_are_taken_in_the_documented_order(n, dtype, count, rows):
    generator = torch.Generator().manual_seed(n)
    vectors = [torch.randn(n, generator=generator, dtype=dtype) for _ in range(count)]
    gram = inner_products([vectors])
    assert gram.dtype == np.float64
    assert np.array_equal(gram, gram.T)
    for i, j in ((0, 0), (0, 1), (2, 1)):
        assert gram[i, j] == lane_by_lane(vectors[i], vectors[j], rows)


def test_sums_are_right():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(3000, generator=generator), torch.randn(3000, generator=generator)
    gram = inner_products([[a, b]])
    assert gram[0, 1] == pytest.approx(slow(a, b), rel=1e-13)
    assert gram[1, 1] == pytest.approx(slow(b, b), rel=1e-13)


def test_granules_are_added_in_their_order():
    parts = [[torch.tensor([1e8, 3.0])], [torch.tensor([1.0])], [torch.tensor([1e-3])]]
    squares = [inner_products([part])[0, 0] for part in parts]
    assert inner_products(parts)[0, 0] == (squares[0] + squares[1]) + squares[2]


def test_cosine_of_what_has_no_direction_is_none():
    for dot, a, b in ((0.0, 0.0, 1.0), (math.nan, 1.0, 1.0), (1.0, math.inf, 1.0), (1.0, 1.0, math.nan)):
        assert cosine(np.array([[a, dot], [dot, b]]), 0, 1) is None
    assert cosine(np.array([[1.0, 1.0000000001], [1.0000000001, 1.0]]), 0, 1) == 1.0
    assert cosine(np.array([[9.0, -3.0], [-3.0, 4.0]]), 1, 0) == -0.5

"""The distance of two updates against dense matrices."""

from __future__ import annotations

import pytest
import torch

from hf_soup.adapters.product_distance import product_distance


def factors(m: int, n: int, rank: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(m, rank, generator=generator), torch.randn(rank, n, generator=generator)


@pytest.mark.parametrize(("m", "n", "ranks"), [(30, 20, (3, 3)), (4, 50, (3, 2)), (6, 5, (5, 4)), (7, 1, (1, 1))])
def test_norms_are_those_of_the_dense_matrices(m, n, ranks):
    (b, a), (d, c) = factors(m, n, ranks[0], 1), factors(m, n, ranks[1], 2)
    distance, norm = product_distance(b, a, d, c)
    dense, other = b.double() @ a.double(), d.double() @ c.double()
    assert distance == pytest.approx(float(torch.linalg.norm(dense - other)), rel=1e-12)
    assert norm == pytest.approx(float(torch.linalg.norm(dense)), rel=1e-12)


def test_other_factors_of_one_product_are_no_distance_apart():
    b, a = factors(40, 30, 4, 3)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)).Q
    distance, norm = product_distance(b, a, b.double() @ rotation, rotation.T @ a.double())
    assert distance < 1e-12 * norm


def test_a_small_difference_is_not_lost_in_cancellation():
    b, a = factors(200, 300, 8, 5)
    other = b.double().clone()
    other[17, 3] += 1e-9
    distance, _ = product_distance(b, a, other, a)
    assert distance == pytest.approx(1e-9 * float(torch.linalg.norm(a[3].double())), rel=1e-3)

"""Sums of low-rank updates against dense matrices and numpy's singular values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.adapters.low_rank import Factors, concatenated, truncated

_FEW = settings(max_examples=40, deadline=None)
WEIGHTS = st.floats(-3, 3, allow_nan=False).filter(lambda weight: abs(weight) > 1e-3)


def update(rows: int, columns: int, rank: int, seed: int, scale: float = 1.0, dtype=torch.float32) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, columns, generator=generator)
    return Factors(a.to(dtype), torch.randn(rows, rank, generator=generator).to(dtype), scale)


def dense(updates, weights) -> np.ndarray:
    """Σ wᵢ sᵢ Bᵢ Aᵢ of flattened factors, in float64."""
    terms = [w * u.scale * product(u) for u, w in zip(updates, weights, strict=True)]
    return np.sum(terms, axis=0)


def product(factors: Factors) -> np.ndarray:
    return factors.b.flatten(1).double().numpy() @ factors.a.flatten(1).double().numpy()


@st.composite
def sums(draw):
    """Updates of mixed ranks and scales for one matrix, and their weights."""
    rows, columns, count = draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 10_000))
    updates = [
        update(rows, columns, draw(st.integers(1, 6)), seed + place, draw(st.sampled_from([0.25, 1.0, 2.0, 11.3])))
        for place in range(count)
    ]
    return updates, draw(st.lists(WEIGHTS, min_size=count, max_size=count))


@_FEW
@given(sums())
def test_the_concatenation_has_the_rank_of_all_and_is_the_weighted_sum(case):
    updates, weights = case
    result = concatenated(updates, weights)
    assert result.rank == sum(u.rank for u in updates)
    size = sum(abs(w) * u.scale * np.linalg.norm(product(u)) for u, w in zip(updates, weights, strict=True))
    np.testing.assert_allclose(product(result), dense(updates, weights), atol=1e-6 * size, rtol=0)


@_FEW
@given(sums(), st.integers(1, 30))
def test_no_update_of_the_rank_is_nearer_and_the_energy_says_how_near(case, rank):
    updates, weights = case
    whole = dense(updates, weights)
    sigma = np.linalg.svd(whole, compute_uv=False)
    result = truncated(updates, weights, rank=rank)
    size = np.linalg.norm(sigma)
    assert result.rank == min(rank, *whole.shape, sum(u.rank for u in updates))
    error = np.linalg.norm(product(result.factors) - whole)
    assert error == pytest.approx(np.linalg.norm(sigma[rank:]), abs=3e-6 * size)
    assert result.squared_norm == pytest.approx(size**2, rel=1e-5)
    assert result.energy == pytest.approx(np.sum(sigma[:rank] ** 2) / np.sum(sigma**2), abs=1e-5)


@_FEW
@given(sums(), st.floats(0.05, 0.999))
def test_the_smallest_rank_that_reaches_an_energy_is_chosen(case, energy):
    updates, weights = case
    result = truncated(updates, weights, energy=energy)
    assert result.energy >= energy - 1e-12
    if result.rank > 1:
        assert truncated(updates, weights, rank=result.rank - 1).energy < energy


@_FEW
@given(sums())
def test_all_energy_needs_no_more_than_the_rank_of_the_sum(case):
    updates, weights = case
    whole = dense(updates, weights)
    result = truncated(updates, weights, rank=100)
    np.testing.assert_allclose(product(result.factors), whole, atol=3e-6 * np.linalg.norm(whole), rtol=0)
    assert result.energy == pytest.approx(1)


@_FEW
@given(sums(), st.randoms(use_true_random=False))
def test_the_order_of_the_adapters_changes_nothing_but_rounding(case, random):
    updates, weights = case
    order = random.sample(range(len(updates)), len(updates))
    other = truncated([updates[i] for i in order], [weights[i] for i in order], rank=3)
    first = truncated(updates, weights, rank=3)
    assert other.squared_norm == pytest.approx(first.squared_norm, rel=1e-5)
    assert other.energy == pytest.approx(first.energy, rel=1e-6)


def test_one_adapter_of_weight_one_comes_back_bit_for_bit():
    only = update(7, 5, 3, seed=1)
    result = concatenated([only], [1.0])
    assert torch.equal(result.a, only.a)
    assert torch.equal(result.b, only.b)


def test_an_adapter_and_its_negative_cancel():
    one = update(6, 5, 2, seed=1, scale=2)
    assert np.abs(product(concatenated([one, one], [1, -1]))).max() < 1e-12
    nothing = truncated([one, one], [1, -1], rank=2)
    assert nothing.squared_norm < 1e-20
    assert np.abs(product(nothing.factors)).max() < 1e-9


def test_an_untrained_update_keeps_all_of_nothing():
    zero = Factors(torch.randn(2, 5), torch.zeros(4, 2))
    result = truncated([zero], [1.0], energy=0.99)
    assert (result.rank, result.energy, result.squared_norm) == (1, 1.0, 0.0)


def test_an_adapter_of_weight_zero_takes_no_rank():
    one, other = update(6, 5, 2, seed=1), update(6, 5, 3, seed=2)
    assert concatenated([one, other], [1.0, 0.0]).rank == 2
    assert concatenated([one], [0.0]).rank == 2


def test_averaging_the_factors_themselves_is_far_from_the_average_of_the_updates():
    """The control: what a naive average of state dicts does."""
    updates = [update(20, 20, 4, seed) for seed in range(4)]
    naive = Factors(
        torch.stack([u.a for u in updates]).mean(0),
        torch.stack([u.b for u in updates]).mean(0),
    )
    whole = dense(updates, [0.25] * 4)
    assert np.linalg.norm(product(naive) - whole) > 0.5 * np.linalg.norm(whole)
    exact = concatenated(updates, [0.25] * 4)
    assert np.linalg.norm(product(exact) - whole) < 1e-6 * np.linalg.norm(whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_factors_give_float32_without_a_rounding_of_a(dtype):
    updates = [update(9, 8, 3, seed, dtype=dtype) for seed in range(2)]
    result = concatenated(updates, [0.5, 0.5])
    assert result.a.dtype == result.b.dtype == torch.float32
    np.testing.assert_array_equal(product(result), dense(updates, [0.5, 0.5]))


def test_float64_factors_stay_float64():
    result = truncated([update(9, 8, 3, 0, dtype=torch.float64)], [0.1], rank=3)
    assert result.factors.a.dtype == torch.float64
    np.testing.assert_allclose(product(result.factors), dense([update(9, 8, 3, 0)], [0.1]), atol=1e-13)


def test_convolutions_keep_their_shapes_and_their_kernel():
    """The oracle is a convolution with A and then with B, which is what the adapter does to an image."""
    torch.manual_seed(0)
    updates = [Factors(torch.randn(r, 3, 3, 3), torch.randn(6, r, 1, 1), scale=1.5) for r in (2, 4)]
    weights = [0.7, -0.2]
    image = torch.randn(1, 3, 8, 8)

    def applied(update: Factors) -> torch.Tensor:
        return update.scale * torch.conv2d(torch.conv2d(image, update.a), update.b)

    expected = sum(w * applied(u) for u, w in zip(updates, weights, strict=True))
    exact = concatenated(updates, weights)
    assert (exact.a.shape, exact.b.shape) == ((6, 3, 3, 3), (6, 6, 1, 1))
    torch.testing.assert_close(applied(exact), expected, atol=1e-4, rtol=1e-5)
    small = truncated(updates, weights, rank=6).factors
    torch.testing.assert_close(applied(small), expected, atol=1e-4, rtol=1e-5)
    assert truncated(updates, weights, rank=2).factors.a.shape == (2, 3, 3, 3)


def test_factors_of_other_tensors_and_of_grouped_convolutions_are_refused():
    with pytest.raises(ValueError, match="another tensor"):
        concatenated([update(4, 5, 2, 0), update(5, 4, 2, 1)], [1, 1])
    with pytest.raises(ValueError, match="not factors of one product"):
        concatenated([Factors(torch.zeros(4, 3, 3, 3), torch.zeros(6, 2, 1, 1))], [1])
    with pytest.raises(ValueError, match="no finite product"):
        concatenated([update(4, 5, 2, 0)], [float("inf")])

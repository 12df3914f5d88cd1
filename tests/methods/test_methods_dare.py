"""DARE: how much is dropped, that the mean stays, and what the random numbers depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from granules_in_memory import merged
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.methods import GRANULE, method_named
from hf_soup.methods.dropping import random_bits

DARE_LINEAR, DARE_TIES = method_named("dare_linear"), method_named("dare_ties")
TASK_ARITHMETIC, TIES = method_named("task_arithmetic"), method_named("ties")
BOTH = pytest.mark.parametrize("method", [DARE_LINEAR, DARE_TIES], ids=["dare_linear", "dare_ties"])


def ones(n: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    return torch.zeros(n), [torch.ones(n)]


def tensors(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(n, generator=generator)
    return base, [base + torch.randn(n, generator=generator) for _ in range(k)]


@BOTH
@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.77])
def test_the_kept_fraction_is_the_density_and_the_mean_is_preserved(method, density):
    n = 4 * GRANULE
    result = merged(method, *ones(n), density=density)
    chance = round(density * 65536) / 65536
    assert abs(chance - density) <= 1 / 131072
    kept = result != 0
    assert np.array_equal(kept.numpy(), random_bits(0, "model 0", "layer.weight", 0, n) < round(density * 65536))
    sigma = math.sqrt(chance * (1 - chance) / n)
    assert abs(float(kept.float().mean()) - chance) < 5 * sigma
    assert torch.equal(result[kept], torch.full_like(result[kept], 1 / chance))
    assert abs(float(result.double().mean()) - 1) < 5 * sigma / chance


def test_drops_are_independent_of_neighbours_and_of_other_models():
    n = 4 * GRANULE
    a = random_bits(0, "a", "t", 0, n) < 32768
    for other in (np.roll(a, 1), np.roll(a, 16), np.roll(a, 8), random_bits(0, "b", "t", 0, n) < 32768):
        assert abs(np.mean(a == other) - 0.5) < 5 * 0.5 / math.sqrt(n)


def test_bits_are_the_same_however_the_tensor_is_cut():
    whole = random_bits(3, "a", "t", 0, 1000)
    for start, count in ((0, 1), (16, 16), (32, 500), (992, 8), (496, 504)):
        assert np.array_equal(random_bits(3, "a", "t", start, count), whole[start : start + count])


def test_bits_never_change():
    """They are part of what a record promises. Written down once, from Philox 4×64."""
    assert random_bits(0, "fingerprint", "layer.weight", 0, 4).tolist() == [50408, 64790, 47712, 8113]
    assert random_bits(0, "fingerprint", "layer.weight", 65536, 4).tolist() == [42217, 48113, 29542, 7296]


def test_bits_depend_on_seed_model_and_tensor_and_names_do_not_run_together():
    first = random_bits(0, "a", "t", 0, 64)
    for other in (
        (1, "a", "t", 0),
        (0, "b", "t", 0),
        (0, "a", "u", 0),
        (0, "at", "", 0),
        (0, "", "at", 0),
        (0, "a", "t", 64),
    ):
        assert not np.array_equal(random_bits(*other, 64), first)


@BOTH
def test_different_models_lose_different_entries_and_seeds_change_them(method):
    base, models = ones(1000)
    first = merged(method, base, models, density=0.5)
    assert not torch.equal(merged(method, base, models, density=0.5, fingerprints=["another"]), first)
    assert not torch.equal(merged(method, base, models, density=0.5, seed=1), first)
    assert not torch.equal(merged(method, base, models, density=0.5, tensor="another"), first)
    assert torch.equal(merged(method, base, models, density=0.5), first)


@BOTH
@pytest.mark.parametrize("n", [GRANULE - 1, GRANULE, GRANULE + 1, 3 * GRANULE + 17])
def test_blocks_of_any_size_and_order_give_the_same_bytes(method, n):
    base, models = tensors(n, 3)
    at_once = merged(method, base, models, block=4 * GRANULE, density=[0.1, 0.5, 1.0])
    for block in (GRANULE, 2 * GRANULE):
        assert torch.equal(merged(method, base, models, block=block, backwards=True, density=[0.1, 0.5, 1.0]), at_once)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_equals_the_steps_of_the_papers(rescale, normalize, dtype, tolerance):
    n, weight, density = 700, [1.0, 2.0, 0.5], [0.3, 0.6, 1.0]
    base, models = tensors(n, 3)
    base, models = base.to(dtype), [model.to(dtype) for model in models]
    vectors = []
    for i, (model, share) in enumerate(zip(models, density, strict=True)):
        kept = random_bits(5, f"model {i}", "layer.weight", 0, n).astype(int) < round(share * 65536)
        vector = np.where(kept, model.double().numpy() - base.double().numpy(), 0)
        vectors.append(vector / (round(share * 65536) / 65536) if rescale else vector)
    summed, agreed = base.double().numpy().copy(), base.double().numpy().copy()
    for place in range(n):
        votes = [w * float(v[place]) for w, v in zip(weight, vectors, strict=True)]
        summed[place] += 0.7 * sum(votes) / (sum(weight) if normalize else 1)
        winners = [(w, y) for w, y in zip(weight, votes, strict=True) if y != 0 and (y > 0) == (sum(votes) >= 0)]
        total = sum(y for _, y in winners)
        agreed[place] += 0.7 * (total / sum(w for w, _ in winners) if normalize and winners else total)
    parameters = {
        "weight": weight,
        "density": density,
        "rescale": rescale,
        "normalize": normalize,
        "scale": 0.7,
        "seed": 5,
    }
    for method, expected in ((DARE_LINEAR, summed), (DARE_TIES, agreed)):
        result = merged(method, base, models, **parameters)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.numpy(), expected, rtol=tolerance, atol=tolerance)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200))
def test_at_density_one_nothing_is_random(seed, n):
    base, models = tensors(n, 3, seed)
    parameters = {"weight": [1, 2, -0.5], "density": 1.0, "seed": seed}
    assert torch.equal(
        merged(DARE_LINEAR, base, models, **parameters), merged(TASK_ARITHMETIC, base, models, weight=[1, 2, -0.5])
    )
    untrimmed = merged(TIES, base, models, weight=[1, 2, -0.5], density=1.0)
    assert torch.equal(merged(DARE_TIES, base, models, **parameters), untrimmed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(3)))
def test_order_of_models_means_nothing_but_rounding(seed, order):
    base, models = tensors(100, 3, seed)
    names = ["a", "b", "c"]
    for method in (DARE_LINEAR, DARE_TIES):
        first = merged(method, base, models, density=0.5, fingerprints=names)
        again = merged(method, base, [models[i] for i in order], density=0.5, fingerprints=[names[i] for i in order])
        torch.testing.assert_close(again, first, rtol=1e-5, atol=1e-5)


def test_defaults_and_ranges():
    assert DARE_LINEAR.defaults["density"] == DARE_TIES.defaults["density"] == 0.1
    assert DARE_LINEAR.defaults["normalize"] is False
    assert DARE_TIES.defaults["normalize"] is True
    for wrong in ({"density": 0}, {"density": 1.1}, {"seed": -1}, {"seed": 0.5}):
        with pytest.raises(InputError):
            DARE_LINEAR.bind(2, wrong)


@BOTH
def test_nan_comes_through_even_where_it_is_dropped(method):
    base, (model,) = ones(2000)
    model[:] = float("nan")
    assert bool(merged(method, base, [model], density=0.5).isnan().all())

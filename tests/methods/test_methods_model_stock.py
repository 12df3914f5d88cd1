"""Model Stock: the ratio from the angles, and where there are none."""

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

MODEL_STOCK = method_named("model_stock")


def tensors(n: int, k: int, seed: int = 0, shared: float = 0.5) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A base and models whose task vectors have something in common."""
    generator = torch.Generator().manual_seed(seed)
    base, common, *own = (torch.randn(n, generator=generator) for _ in range(k + 2))
    return base, [base + shared * common + vector for vector in own]


def slow_model_stock(base, models):
    base, models = base.double().numpy(), [model.double().numpy() for model in models]
    vectors = [model - base for model in models]
    k = len(models)
    cosines = []
    for i in range(k):
        for j in range(i + 1, k):
            norms = math.sqrt(math.fsum(vectors[i] ** 2)) * math.sqrt(math.fsum(vectors[j] ** 2))
            cosines.append(math.fsum(vectors[i] * vectors[j]) / norms if norms else 0.0)
    cos = max(0.0, sum(cosines) / len(cosines))
    t = k * cos / (1 + (k - 1) * cos)
    return t * sum(models) / k + (1 - t) * base


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 20, GRANULE + 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_equals_the_formula_of_the_paper(k, n, dtype, tolerance):
    base, models = tensors(n, k)
    base, models = base.to(dtype), [model.to(dtype) for model in models]
    result = merged(MODEL_STOCK, base, models)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy(), slow_model_stock(base, models), rtol=tolerance, atol=tolerance)


def test_two_models_at_sixty_degrees():
    """cos 60° = 1/2: t = 2 · ½ / (1 + ½) = 2/3."""
    base = torch.zeros(2, dtype=torch.float64)
    models = [torch.tensor([1.0, 0.0]).double(), torch.tensor([0.5, math.sqrt(3) / 2]).double()]
    torch.testing.assert_close(merged(MODEL_STOCK, base, models), 2 / 3 * (models[0] + models[1]) / 2)


def test_one_model_is_refused():
    with pytest.raises(InputError, match="takes 2 models or more, there is 1"):
        MODEL_STOCK.bind(1, {})


def test_equal_models_come_back():
    base, (model, *_) = tensors(300, 2)
    torch.testing.assert_close(merged(MODEL_STOCK, base, [model] * 3), model)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_task_vectors_of_zero_share_nothing(others):
    base, models = tensors(300, 3)
    models = [*models[:others], base, base]
    result = merged(MODEL_STOCK, base, models)
    np.testing.assert_allclose(result.numpy(), slow_model_stock(base, models), rtol=1e-6, atol=1e-6)
    if others < 2:
        assert torch.equal(result, base)


def test_opposite_models_give_the_base():
    base, (model, *_) = tensors(300, 2)
    for beyond_base in (False, True):
        assert torch.equal(merged(MODEL_STOCK, base, [model, 2 * base - model], beyond_base=beyond_base), base)


def test_a_negative_cosine_gives_the_base_or_leads_beyond_it():
    """cos 120° = −1/2: t = −2 for two models."""
    base = torch.ones(2, dtype=torch.float64)
    models = [base + torch.tensor([1.0, 0.0]), base + torch.tensor([-0.5, math.sqrt(3) / 2], dtype=torch.float64)]
    mean = (models[0] + models[1]) / 2
    assert torch.equal(merged(MODEL_STOCK, base, models), base)
    torch.testing.assert_close(merged(MODEL_STOCK, base, models, beyond_base=True), -2 * mean + 3 * base)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(3)), st.floats(-1, 2))
def test_order_means_nothing_and_the_result_lies_between_base_and_average(seed, order, shared):
    base, models = tensors(64, 3, seed, shared)
    result = merged(MODEL_STOCK, base, models)
    torch.testing.assert_close(merged(MODEL_STOCK, base, [models[i] for i in order]), result, rtol=1e-5, atol=1e-5)
    mean = sum(models) / 3
    low, high = torch.minimum(base, mean) - 1e-5, torch.maximum(base, mean) + 1e-5
    assert bool(((result >= low) & (result <= high)).all())


@pytest.mark.parametrize("n", [GRANULE - 1, GRANULE, GRANULE + 1, 2 * GRANULE + 1029])
def test_blocks_give_the_same_bytes_as_the_whole(n):
    base, models = tensors(n, 3)
    at_once = merged(MODEL_STOCK, base, models, block=4 * GRANULE)
    assert torch.equal(merged(MODEL_STOCK, base, models, backwards=True), at_once)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_come_through(bad):
    base, models = tensors(2000, 3)
    models[1][7] = bad
    assert not torch.isfinite(merged(MODEL_STOCK, base, models)[7])

"""linear and task_arithmetic against sums written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from granules_in_memory import GranulesInMemory, Lazy, merged
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.methods import GRANULE, METHODS, Place, method_named

LINEAR, TASK_ARITHMETIC = method_named("linear"), method_named("task_arithmetic")


def tensors(n: int, k: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=generator, dtype=dtype) for _ in range(k)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("normalize", [True, False])
def test_weighted_sums_are_what_they_say(dtype, tolerance, normalize):
    base, *models = tensors(500, 4, dtype=dtype)
    weight = [3.0, 1.0, -0.5]
    total = sum(weight) if normalize else 1.0
    linear, arithmetic = np.zeros(500), base.double().numpy().copy()
    for w, model in zip(weight, models, strict=True):
        linear += w / total * model.double().numpy()
        arithmetic += 0.4 * w / total * (model.double().numpy() - base.double().numpy())
    result = merged(LINEAR, None, models, weight=weight, normalize=normalize)
    np.testing.assert_allclose(result.numpy(), linear, rtol=tolerance, atol=tolerance)
    assert result.dtype == dtype
    result = merged(TASK_ARITHMETIC, base, models, weight=weight, normalize=normalize, scale=0.4)
    np.testing.assert_allclose(result.numpy(), arithmetic, rtol=tolerance, atol=tolerance)
    assert result.dtype == dtype


def test_defaults_of_task_arithmetic():
    assert TASK_ARITHMETIC.defaults == {"weight": 1.0, "scale": 1.0, "normalize": False}
    assert TASK_ARITHMETIC.needs_base
    assert "2212.04089" in TASK_ARITHMETIC.source
    base, *models = tensors(100, 3)
    expected = base + (models[0] - base) + (models[1] - base)
    torch.testing.assert_close(merged(TASK_ARITHMETIC, base, models), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_a_single_model_of_any_weight_comes_back(seed, weight):
    base, model = tensors(50, 2, seed)
    assert torch.equal(merged(LINEAR, None, [model], weight=weight), model)
    torch.testing.assert_close(merged(TASK_ARITHMETIC, base, [model], weight=weight, normalize=True), model)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_order_of_models_means_nothing_but_rounding(seed, order):
    base, *models = tensors(50, 5, seed)
    weight = [1.0, 0.5, -2.0, 3.0]
    for method, start in ((LINEAR, None), (TASK_ARITHMETIC, base)):
        result = merged(method, start, [models[i] for i in order], weight=[weight[i] for i in order])
        torch.testing.assert_close(result, merged(method, start, models, weight=weight), rtol=1e-5, atol=1e-5)


def test_task_arithmetic_forgets_with_a_negative_weight():
    base, model = tensors(50, 2)
    torch.testing.assert_close(merged(TASK_ARITHMETIC, base, [model], weight=-1), base - (model - base))


@pytest.mark.parametrize("n", [GRANULE - 1, GRANULE, GRANULE + 1, 3 * GRANULE + 17])
def test_blocks_give_the_same_bytes_as_the_whole(n):
    base, *models = tensors(n, 4)
    for method, start in ((LINEAR, None), (TASK_ARITHMETIC, base)):
        at_once = merged(method, start, models, block=4 * GRANULE, weight=[1, 2, 3])
        assert torch.equal(merged(method, start, models, weight=[1, 2, 3], backwards=True), at_once)


def test_weights_that_mean_nothing_are_refused():
    for name in ("linear", "task_arithmetic", "dare_linear"):
        with pytest.raises(InputError, match="all weights are zero"):
            method_named(name).bind(2, {"weight": 0})
        with pytest.raises(InputError, match="sum to zero"):
            method_named(name).bind(2, {"weight": [1, -1], "normalize": True})
    TASK_ARITHMETIC.bind(2, {"weight": [1, -1]})


@pytest.mark.parametrize(
    "name", ["linear", "task_arithmetic", "ties", "dare_linear", "dare_ties", "slerp", "model_stock"]
)
def test_no_method_changes_the_base_or_gives_it_away(name):
    method = METHODS[name]
    base, *models = tensors(200, 3)
    before = [tensor.clone() for tensor in (base, *models)]
    parameters = method.bind(2, {})
    survey = method.look(GranulesInMemory(base, models), parameters)
    result = method(Lazy(models), base, survey, Place("t", 0, ["a", "b"]), parameters)
    result.fill_(7)
    assert all(torch.equal(a, b) for a, b in zip((base, *models), before, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("weight", [1.0, [1.0, 2.0]])
def test_a_gpu_gives_the_same_within_rounding(name, weight):
    method = METHODS[name]
    base, *models = tensors(5000, 3)
    parameters = method.bind(2, {"weight": weight} if "weight" in method.defaults else {})
    survey = method.look(GranulesInMemory(base, models), parameters)
    place = Place("t", 0, ["a", "b"])
    result = method([model.cuda() for model in models], base.cuda(), survey, place, parameters)
    assert result.is_cuda
    torch.testing.assert_close(result.cpu(), method(models, base, survey, place, parameters))

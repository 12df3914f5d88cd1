"""TIES against the paper's steps written out, entry by entry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from granules_in_memory import GranulesInMemory, Lazy, merged
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.methods import GRANULE, Place, method_named

TIES = method_named("ties")


def slow_ties(base, models, density, weight, scale=1.0, normalize=True):
    """Sort, vote and average with Python's floats."""
    base = base.double().numpy()
    vectors = []
    for model, share in zip(models, density, strict=True):
        vector = model.double().numpy() - base
        order = np.argsort(-np.abs(vector), kind="stable")
        quota = max(1, int(share * len(vector))) if share else 0
        trimmed = np.zeros_like(vector)
        trimmed[order[:quota]] = vector[order[:quota]]
        vectors.append(trimmed)
    out = base.copy()
    for place in range(len(base)):
        votes = [w * float(v[place]) for w, v in zip(weight, vectors, strict=True)]
        plus = sum(votes) >= 0
        winners = [(w, y) for w, y in zip(weight, votes, strict=True) if (y > 0 if plus else y < 0)]
        total = sum(y for _, y in winners)
        if normalize and winners and sum(w for w, _ in winners) != 0:
            total /= sum(w for w, _ in winners)
        out[place] += scale * total
    return out


def coarse(n: int, seed: int) -> torch.Tensor:
    """Multiples of 1/16, whose sums and differences are exact, with many ties and exact conflicts."""
    return torch.randint(-40, 41, (n,), generator=torch.Generator().manual_seed(seed)) / 16


@pytest.mark.parametrize(
    "weight", [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 0.5, 2.0], [1.0, -0.5, 0.25], [-1.0, -1.0, -1.0]]
)
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_the_steps_of_the_paper(weight, normalize):
    n = 3000
    base, models = coarse(n, 9), [coarse(n, seed) for seed in range(3)]
    parameters = {"density": [0.2, 0.5, 0.9], "weight": weight, "scale": 0.5, "normalize": normalize}
    expected = slow_ties(base, models, **parameters)
    for dtype, places in ((torch.float32, 6), (torch.float64, 14)):
        result = merged(TIES, base.to(dtype), [model.to(dtype) for model in models], **parameters)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.numpy(), expected, rtol=10**-places, atol=10**-places)


def test_defaults_are_the_papers():
    assert TIES.defaults == {"density": 0.2, "weight": 1.0, "scale": 1.0, "normalize": True}


def test_agrees_over_several_granules():
    n = 2 * GRANULE + 5
    base, models = coarse(n, 9), [coarse(n, seed) for seed in range(3)]
    expected = slow_ties(base, models, [0.3] * 3, [1.0] * 3)
    np.testing.assert_allclose(merged(TIES, base, models, density=0.3).numpy(), expected, rtol=1e-6, atol=1e-6)


def test_a_worked_example():
    base = torch.zeros(4)
    models = [torch.tensor([4.0, -1.0, 3.0, 0.0]), torch.tensor([2.0, -3.0, -5.0, 0.0])]
    #  of each model the two largest: [4, 0, 3, 0] and [0, -3, -5, 0]; the third place elects -
    assert merged(TIES, base, models, density=0.5).tolist() == [4.0, -3.0, -5.0, 0.0]
    #  nothing trimmed: means of those that agree
    assert merged(TIES, base, models, density=1.0).tolist() == [3.0, -2.0, -5.0, 0.0]
    assert merged(TIES, base, models, density=1.0, normalize=False).tolist() == [6.0, -4.0, -5.0, 0.0]


def test_weights_take_part_in_the_election():
    base, models = torch.zeros(1), [torch.tensor([1.0]), torch.tensor([-2.0])]
    assert merged(TIES, base, models, density=1.0).tolist() == [-2.0]
    assert merged(TIES, base, models, density=1.0, weight=[3, 1]).tolist() == [1.0]


def test_a_tie_of_the_masses_elects_plus():
    models = [torch.tensor([-2.0]), torch.tensor([1.0]), torch.tensor([1.0])]
    assert merged(TIES, torch.zeros(1), models, density=1.0).tolist() == [1.0]
    assert merged(TIES, torch.zeros(1), models, density=1.0, weight=[0.5, 1, 0]).tolist() == [1.0]
    assert merged(TIES, torch.zeros(1), models, density=1.0, normalize=False).tolist() == [2.0]


def test_weights_that_cancel_do_not_blow_up():
    """0.1 + 0.6 − 0.7 is 6e-8 in float32."""
    models = [torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([-1.0])]
    (value,) = merged(TIES, torch.zeros(1), models, density=1.0, weight=[0.1, 0.6, -0.7]).tolist()
    assert value == pytest.approx(1.4)


def test_all_weights_zero_are_refused():
    with pytest.raises(InputError, match="all weights are zero"):
        TIES.bind(2, {"weight": 0})
    with pytest.raises(InputError, match="density\\[0\\]"):
        TIES.bind(2, {"density": 1.5})


@pytest.mark.parametrize("n_models", [127, 128, 300])
def test_many_models_are_counted_right(n_models):
    models = [torch.tensor([1.0, -1.0, 1.0 if i % 2 else -1.5]) for i in range(n_models)]
    assert merged(TIES, torch.zeros(3), models, density=1.0).tolist() == [1.0, -1.0, -1.5]


sizes = st.sampled_from([1, 2, 63, 64, 65, 1000])


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 10**6), st.floats(0.01, 1), st.sampled_from([0.25, 1.0, 3.0]))
def test_one_untrimmed_model_comes_back_and_a_trimmed_one_keeps_its_largest(n, seed, density, weight):
    base, model = coarse(n, seed), coarse(n, seed + 1)
    assert torch.equal(merged(TIES, base, [model], density=1.0, weight=weight), model)
    result = merged(TIES, base, [model], density=density)
    changed = result != base
    assert torch.equal(result[changed], model[changed])
    assert int(changed.sum()) <= max(1, int(density * n))


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 10**6), st.permutations(range(4)), st.booleans(), st.booleans())
def test_order_of_models_means_nothing_and_scale_scales(n, seed, order, normalize, uniform):
    base, models = coarse(n, seed), [coarse(n, seed + i) for i in range(1, 5)]
    density, weight = [0.2, 0.4, 0.6, 0.8], [1.0] * 4 if uniform else [1.0, 2.0, 0.5, 4.0]
    first = merged(TIES, base, models, density=density, weight=weight, normalize=normalize)
    second = merged(
        TIES,
        base,
        [models[i] for i in order],
        density=[density[i] for i in order],
        weight=[weight[i] for i in order],
        normalize=normalize,
    )
    assert torch.equal(first, second)
    double = merged(TIES, base, models, density=density, weight=weight, normalize=normalize, scale=2.0)
    torch.testing.assert_close(double - base, 2 * (first - base), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [GRANULE - 1, GRANULE, GRANULE + 1, 2 * GRANULE, 3 * GRANULE + 17])
def test_blocks_of_any_size_and_order_give_the_same_bytes(n):
    generator = torch.Generator().manual_seed(n)
    base = torch.randn(n, generator=generator).bfloat16().float()
    models = [(base + 0.1 * torch.randn(n, generator=generator)).bfloat16().float() for _ in range(3)]
    for parameters in ({}, {"weight": [1, 2, 3]}, {"normalize": False}):
        at_once = merged(TIES, base, models, block=4 * GRANULE, **parameters)
        assert torch.equal(merged(TIES, base, models, **parameters), at_once)
        assert torch.equal(merged(TIES, base, models, backwards=True, block=2 * GRANULE, **parameters), at_once)


def test_nan_comes_through_for_the_engine_to_find():
    model = torch.tensor([1.0, float("nan"), 2.0])
    for weight in (1.0, [1.0, 2.0]):
        for normalize in (True, False):
            result = merged(TIES, torch.zeros(3), [model, torch.ones(3)], weight=weight, normalize=normalize)
            assert result.isnan().tolist() == [False, True, False]


def test_neither_the_survey_nor_the_base_of_a_block_is_changed():
    base, models = coarse(500, 9), [coarse(500, seed) for seed in range(3)]
    before = [tensor.clone() for tensor in (base, *models)]
    parameters = TIES.bind(3, {})
    survey = TIES.look(GranulesInMemory(base, models), parameters)
    TIES(Lazy(models), base, survey, Place("t", 0, ["a", "b", "c"]), parameters)
    assert all(torch.equal(a, b) for a, b in zip((base, *models), before, strict=True))

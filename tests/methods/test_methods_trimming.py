"""Trimming keeps exactly the largest entries, whatever the values; ties by position."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from granules_in_memory import GranulesInMemory
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.methods import GRANULE
from hf_soup.methods.trimming import Trim, trims


def kept_by_sorting(vector: torch.Tensor, density: float) -> np.ndarray:
    """Positions kept, by a full stable sort."""
    order = np.argsort(-vector.abs().numpy().astype(np.float64), kind="stable")
    quota = max(1, int(density * len(vector))) if density > 0 else 0
    return np.sort(order[:quota])


def kept_by(trim: Trim, vector: torch.Tensor) -> np.ndarray:
    magnitude = vector.abs().numpy().astype(np.float64)
    place = np.arange(len(vector))
    return np.flatnonzero((magnitude > trim.threshold) | ((magnitude == trim.threshold) & (place < trim.cut)))


def assert_exact(granules: GranulesInMemory, density: list[float]) -> None:
    for model, trim, share in zip(granules.models, trims(granules, density), density, strict=True):
        vector = model - granules.base
        expected = kept_by_sorting(vector, share)
        assert int((vector[expected] == 0).sum()) == 0 or trim.threshold == 0
        if trim.threshold > 0:
            assert np.array_equal(kept_by(trim, vector), expected)
        applied = torch.cat([trim.apply(v.clone(), i * GRANULE) for i, v in enumerate(vector.split(GRANULE))])
        trimmed = torch.zeros_like(vector)
        trimmed[expected] = vector[expected]
        assert torch.equal(applied, trimmed)


def values(kind: str, n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(n, generator=generator)
    match kind:
        case "normal":
            return normal
        case "bfloat16":
            base = (normal * 0.02).bfloat16()
            return (base + 0.002 * torch.randn(n, generator=generator)).bfloat16().float() - base.float()
        case "mostly zero":
            return normal * (torch.rand(n, generator=generator) < 0.05)
        case "all zero":
            return torch.zeros(n)
        case "all equal":
            return torch.full((n,), -3.0)
        case "five values":
            return (normal * 1.5).round().clamp(-4, 4)
        case "ascending":
            return torch.arange(n, dtype=torch.float32)
        case "descending":
            return -torch.arange(n, 0, -1, dtype=torch.float32)
        case "many scales":
            return normal * torch.logspace(-30, 30, n)
        case "last granule only":
            return torch.cat([torch.zeros(n - n // 9), normal[: n // 9]])
    raise ValueError(kind)


KINDS = [
    "normal",
    "bfloat16",
    "mostly zero",
    "all zero",
    "all equal",
    "five values",
    "ascending",
    "descending",
    "many scales",
    "last granule only",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exactly_the_largest_are_kept_and_of_equal_ones_the_first(kind, dtype):
    n = 3 * GRANULE + 77
    model = values(kind, n).to(dtype)
    base = torch.zeros(n, dtype=dtype)
    assert_exact(GranulesInMemory(base, [model, model.flip(0)] * 2), [0.2, 0.5, 0.013, 0.93])


@pytest.mark.parametrize("kind", ["normal", "bfloat16", "mostly zero", "five values", "ascending"])
@pytest.mark.parametrize("sample", [slice(0, 3000), slice(-3000, None), slice(0, 1), slice(0, 0)])
def test_a_sample_that_misleads_costs_passes_but_changes_nothing(kind, sample):
    n = 4 * GRANULE
    granules = GranulesInMemory(torch.zeros(n), [values(kind, n)], sample)
    assert_exact(granules, [0.3])
    assert granules.reads < 6 * len(granules)


def test_more_values_than_the_buffer_holds_are_counted():
    """A sample of one value leaves everything in the bracket, 1.6 million of them where 0.8 million are held."""
    n = 25 * GRANULE
    for kind in ("normal", "bfloat16", "five values"):
        granules = GranulesInMemory(torch.zeros(n), [values(kind, n)], slice(0, 1))
        assert_exact(granules, [0.3])
        assert granules.reads <= 4 * len(granules)


def test_equal_values_that_the_buffer_does_not_hold_are_found_by_position():
    n = 25 * GRANULE
    chance = torch.rand(n, generator=torch.Generator().manual_seed(0))
    model = (chance < 0.7).float() + (chance < 0.1).float()  # 0.98 million ones
    for sample in (slice(0, 1), None):
        assert_exact(GranulesInMemory(torch.zeros(n), [model], sample), [0.5])


def test_a_good_sample_needs_one_pass_and_one_granule_more():
    n = 12 * GRANULE
    for kind in ("normal", "bfloat16"):
        granules = GranulesInMemory(torch.zeros(n), [values(kind, n, seed) for seed in range(3)])
        assert_exact(granules, [0.2, 0.2, 0.5])
        assert granules.reads <= len(granules) + 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 1e-45, 3e38, -0.5]), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_small_tensors_of_few_values(entries, density):
    vector = torch.tensor(entries)
    assert_exact(GranulesInMemory(torch.zeros(len(entries)), [vector]), [density])


def test_nothing_is_kept_at_density_zero_and_everything_at_one():
    vector = values("normal", 1000)
    none, everything = trims(GranulesInMemory(torch.zeros(1000), [vector, vector]), [0.0, 1.0])
    assert torch.equal(none.apply(vector.clone(), 0), torch.zeros(1000))
    assert torch.equal(everything.apply(vector.clone(), 0), vector)


@pytest.mark.parametrize("n", [1, 100, 3 * GRANULE])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.001])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_neither_crash_nor_loop(n, share, bad):
    spoilt = torch.rand(n, generator=torch.Generator().manual_seed(1)) < share
    model = torch.where(spoilt, bad, values("normal", n))
    granules = GranulesInMemory(torch.zeros(n), [model])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (trim,) = trims(granules, [0.5])
        result = torch.cat([trim.apply(v.clone(), i * GRANULE) for i, v in enumerate(model.split(GRANULE))])
    assert granules.reads <= 4 * len(granules)
    assert torch.equal(result.isnan(), model.isnan())
    #  NaN counts as smaller than everything
    numbers = model.nan_to_num(nan=0.0, posinf=float("inf"), neginf=float("-inf"))
    expected = torch.zeros(n)
    kept = kept_by_sorting(numbers, 0.5)
    expected[kept] = numbers[kept]
    assert torch.equal(torch.where(model.isnan(), 0.0, result), expected)

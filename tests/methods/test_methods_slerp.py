"""Spherical interpolation: lengths and angles on the arc, and the line where there is none."""

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

SLERP = method_named("slerp")


def two(n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=generator, dtype=dtype) for _ in range(2)]


def slow_slerp(a, b, t):
    a, b = [float(x) for x in a], [float(x) for x in b]
    dot, aa, bb = (math.fsum(x * y for x, y in zip(p, q, strict=True)) for p, q in ((a, b), (a, a), (b, b)))
    omega = math.acos(dot / math.sqrt(aa * bb))
    p, q = math.sin((1 - t) * omega) / math.sin(omega), math.sin(t * omega) / math.sin(omega)
    return np.array([p * x + q * y for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize(("t", "n"), [(0.0, 100), (0.5, 2), (0.9, 1000), (1.0, 100), (0.25, GRANULE + 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_equals_the_formula_with_the_angle_of_the_whole_tensor(t, n, dtype, tolerance):
    models = two(n, dtype=dtype)
    result = merged(SLERP, None, models, t=t)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy(), slow_slerp(*models, t), rtol=tolerance, atol=tolerance)


def test_it_takes_two_models_and_they_have_an_order():
    assert not SLERP.commutative
    assert SLERP.defaults == {"t": 0.5}
    with pytest.raises(InputError, match="takes exactly 2 models, there are 3"):
        SLERP.bind(3, {})
    with pytest.raises(InputError, match=r"t = 1\.5"):
        SLERP.bind(2, {"t": 1.5})


def test_ends_are_the_models_themselves():
    a, b = two(100, dtype=torch.float32)
    assert torch.equal(merged(SLERP, None, [a, b], t=0), a)
    assert torch.equal(merged(SLERP, None, [a, b], t=1), b)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(2, 200))
def test_vectors_of_length_one_stay_on_the_sphere_at_the_angle_t(seed, t, n):
    a, b = (x / x.norm() for x in two(n, seed))
    if abs(float(a @ b)) > 0.999:
        return
    c = merged(SLERP, None, [a, b], t=t)
    assert float(c.norm()) == pytest.approx(1)
    assert math.acos(min(1, max(-1, float(a @ c)))) == pytest.approx(t * math.acos(float(a @ b)), abs=1e-6)
    torch.testing.assert_close(merged(SLERP, None, [b, a], t=1 - t), c)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_without_an_arc_the_line_is_taken(factor):
    a = two(500, dtype=torch.float32)[0]
    torch.testing.assert_close(merged(SLERP, None, [a, factor * a], t=0.25), 0.75 * a + 0.25 * factor * a)
    torch.testing.assert_close(merged(SLERP, None, [factor * a, a], t=0.25), 0.75 * factor * a + 0.25 * a)


def test_the_line_is_taken_from_a_cosine_of_0_9995():
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for cos, straight in ((0.99951, True), (0.99949, False), (-0.99951, True), (-0.99949, False)):
        b = torch.tensor([cos, math.sqrt(1 - cos**2)], dtype=torch.float64)
        result = merged(SLERP, None, [a, b], t=0.3)
        assert torch.allclose(result, 0.7 * a + 0.3 * b, rtol=0, atol=1e-9) == straight


@pytest.mark.parametrize("n", [GRANULE - 1, GRANULE, GRANULE + 1, 2 * GRANULE + 1029])
def test_blocks_give_the_same_bytes_as_the_whole(n):
    models = two(n, dtype=torch.float32)
    assert torch.equal(merged(SLERP, None, models), merged(SLERP, None, models, block=4 * GRANULE, backwards=True))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_do_not_crash_the_survey(bad):
    a, b = two(2000, dtype=torch.float32)
    a[7] = bad
    b[9] = -bad
    assert not torch.isfinite(merged(SLERP, None, [a, b])[7])

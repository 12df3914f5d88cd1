"""Spherical linear interpolation between two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from hf_soup.methods.blocks import Granules
from hf_soup.methods.inner_products import cosine, inner_products
from hf_soup.methods.method import merge_method

_PARALLEL = 0.9995  # |cos| above which an arc is a straight line, or has no direction

Fraction = Annotated[float, Field(ge=0, le=1)]


def coefficients(granules: Granules, t: float) -> tuple[float, float]:
    """Returns what the two models are multiplied by, from the angle between their flattened tensors."""
    cos = cosine(inner_products(list(granules[index][1]) for index in range(len(granules))), 0, 1)
    if cos is None or abs(cos) > _PARALLEL:
        return 1 - t, t
    angle = math.acos(cos)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


@merge_method(commutative=False, exactly=2, survey=coefficients, idempotent=True)
def slerp(models: Sequence[Tensor], survey: tuple[float, float], *, t: Fraction = 0.5) -> Tensor:
    """Interpolates between two models along the arc between them, from t = 0, the first, to t = 1, the second.

    models: two tensors of one shape, float32 or float64. Returns (sin (1−t)Ω x₀ + sin tΩ x₁) / sin Ω in that dtype, where Ω
    is the angle between the flattened tensors, measured in double precision. The tensors keep their lengths: the paper's
    are of length one. Where they are nearly parallel, |cos Ω| > 0.9995, or one of them is zero, the line is taken:
    (1−t) x₀ + t x₁.
    Source: K. Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985.
    """
    first, second = models
    return (first * survey[0]).add_(second * survey[1])

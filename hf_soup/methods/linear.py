"""The weighted average, of which the uniform soup is the case of equal weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hf_soup.methods.method import Finite, PerModel, merge_method


def _check(parameters: dict[str, Any]) -> list[str]:
    weight = parameters["weight"]
    if all(w == 0 for w in weight):
        return ["all weights are zero; at least one must count."]
    if parameters["normalize"] and math.fsum(weight) == 0:
        return [f"the weights {weight} sum to zero and cannot be normalised; set normalize=false or change them."]
    return []


@merge_method(commutative=True, check=_check)
def linear(models: Sequence[Tensor], *, weight: PerModel[Finite] = 1.0, normalize: bool = True) -> Tensor:  # type: ignore[assignment]
    """Weighted average of the ingredients.

    models: tensors of one shape, float32 or float64. Returns Σ wᵢ xᵢ / Σ wᵢ in that dtype, or Σ wᵢ xᵢ without
    `normalize`. The quotient wᵢ / Σ wᵢ is taken first, in double precision, so a single model of any weight comes back
    unchanged; products are formed before sums, never fused, so that every kind of CPU gives the same bits.
    Source: Model soups, arXiv 2203.05482, section 2 (uniform soup: equal weights).
    """
    total = math.fsum(weight) if normalize else 1.0
    merged = models[0] * (weight[0] / total)
    for w, x in zip(weight[1:], models[1:], strict=True):
        merged += x * (w / total)
    return merged

"""The weighted average, of which the uniform soup is the case of equal weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hf_soup.methods.method import Finite, PerModel, merge_method
from hf_soup.methods.mixing_weights import check_weights, quotients


@merge_method(commutative=True, check=check_weights, idempotent="normalize")
def linear(models: Sequence[Tensor], *, weight: PerModel[Finite] = 1.0, normalize: bool = True) -> Tensor:  # type: ignore[assignment]
    """Weighted average of the ingredients.

    models: tensors of one shape, float32 or float64. Returns Σ wᵢ xᵢ / Σ wᵢ in that dtype, or Σ wᵢ xᵢ without
    `normalize`. The quotient wᵢ / Σ wᵢ is taken first, in double precision, so a single model of any weight comes back
    unchanged; products are formed before sums, never fused, so that every kind of CPU gives the same bits.
    Source: Model soups, arXiv 2203.05482, section 2 (uniform soup: equal weights).
    """
    factors = quotients(weight, normalize)
    equal = len(set(factors)) == 1
    terms = (x if equal else x.mul_(factor) for factor, x in zip(factors, models, strict=True))
    merged = next(terms)
    for term in terms:
        merged += term
    return merged.mul_(factors[0]) if equal and factors[0] != 1 else merged

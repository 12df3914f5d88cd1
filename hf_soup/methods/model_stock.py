"""Model Stock: how far to trust the average of a few fine-tuned models, told by the angle between them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from hf_soup.methods.blocks import Granules
from hf_soup.methods.inner_products import cosine, inner_products
from hf_soup.methods.method import merge_method


def ratio(granules: Granules, beyond_base: bool) -> float:
    """Returns the paper's t for one tensor, between 0 (the base) and 1 (the average of the models).

    With `beyond_base` a negative mean cosine makes it negative, except where the formula has no value.
    """
    gram = inner_products(_vectors(granules, index) for index in range(len(granules)))
    k = granules.n_models
    pairs = [(i, j) for i in range(k) for j in range(i)]
    cosines = [cosine(gram, i, j) or 0.0 for i, j in pairs]
    cos = math.fsum(cosines) / len(pairs)
    divisor = 1 + (k - 1) * cos
    if cos < 0 and not (beyond_base and divisor > 1e-6):
        return 0.0
    return k * cos / divisor


@merge_method(commutative=True, at_least=2, survey=ratio, idempotent=True)
def model_stock(base: Tensor, models: Sequence[Tensor], survey: float, *, beyond_base: bool = False) -> Tensor:
    """Goes from the base towards the average of the models, as far as the angles between their task vectors say.

    base, models: two models or more, tensors of one shape, float32 or float64. Returns t · mean(xᵢ) + (1 − t) · base in
    that dtype, with t = k cos θ / (1 + (k − 1) cos θ) for k models; cos θ is the mean cosine between pairs of xᵢ − base,
    for each tensor of its own, biases too. Equal models have t = 1, their average; orthogonal ones t = 0, the base. A task
    vector of zero has no angle: its cosines count as 0. A negative mean cosine, which the paper does not meet, gives the
    base; with `beyond_base` the formula holds there too, as in mergekit, and leads away from the models.
    Source: Model Stock, arXiv 2403.19522 (the ratio for N fine-tuned models).
    """
    terms = iter(models)
    total = next(terms).clone()
    for x in terms:
        total.add_(x)
    return total.mul_(survey / len(models)).add_(base * (1 - survey))


def _vectors(granules: Granules, index: int) -> list[Tensor]:
    base, models = granules[index]
    assert base is not None
    return [x - base for x in models]

"""Task arithmetic: what fine-tuning changed, added to the base."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hf_soup.methods.method import Finite, PerModel, merge_method
from hf_soup.methods.mixing_weights import check_weights, quotients
from hf_soup.methods.task_vectors import added, sum_of, task_vectors


@merge_method(commutative=True, check=check_weights, idempotent=True)
def task_arithmetic(
    base: Tensor,
    models: Sequence[Tensor],
    *,
    weight: PerModel[Finite] = 1.0,  # type: ignore[assignment]
    scale: Finite = 1.0,
    normalize: bool = False,
) -> Tensor:
    """Base plus the weighted sum of the task vectors.

    base, models: tensors of one shape, float32 or float64. Returns base + scale · Σ wᵢ (xᵢ − base) in that dtype; with
    `normalize` the weights are divided by their sum first. The paper adds task vectors of weight 1 and looks for the
    scale, its λ, on held-out data, mostly below 1; a negative weight makes a model forget its task.
    Source: Editing Models with Task Arithmetic, arXiv 2212.04089, section 2.
    """
    return added(base, sum_of(task_vectors(models, base), quotients(weight, normalize)), scale)

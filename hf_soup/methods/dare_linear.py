"""DARE with task arithmetic: drop most of each task vector at random, rescale the rest, add."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hf_soup.methods.blocks import Place
from hf_soup.methods.dropping import Density, Seed, dropped
from hf_soup.methods.method import Finite, PerModel, merge_method
from hf_soup.methods.mixing_weights import check_weights, quotients
from hf_soup.methods.task_vectors import added, sum_of, task_vectors


@merge_method(commutative=True, check=check_weights, idempotent=True)
def dare_linear(
    base: Tensor,
    models: Sequence[Tensor],
    place: Place,
    *,
    density: PerModel[Density] = 0.1,  # type: ignore[assignment]
    weight: PerModel[Finite] = 1.0,  # type: ignore[assignment]
    scale: Finite = 1.0,
    rescale: bool = True,
    normalize: bool = False,
    seed: Seed = 0,
) -> Tensor:
    """DARE: drops entries of the task vectors at random, rescales the others, and adds their weighted sum to the base.

    base, models: 1-D blocks, float32 or float64; returns a block in that dtype. An entry of xᵢ − base is kept with
    probability `density` and, with `rescale`, divided by it. Then as task_arithmetic: base + scale · Σ wᵢ δᵢ, the weights
    divided by their sum with `normalize`. The paper has no default: it drops 90 or even 99 % of one model without loss,
    hence density 0.1; for merging language models its authors name the best drop rates, 0.1 to 0.9 and mostly 0.1 to
    0.6, so a density of 0.4 to 0.9 is worth a try.
    Source: DARE, Language Models are Super Mario, arXiv 2311.03099.
    """
    vectors = dropped(task_vectors(models, base), place, density, seed, rescale)
    return added(base, sum_of(vectors, quotients(weight, normalize)), scale)

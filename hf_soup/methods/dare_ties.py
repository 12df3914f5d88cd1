"""DARE with the election of TIES: random drops take the place of trimming."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hf_soup.methods.blocks import Place
from hf_soup.methods.dropping import Density, Seed, dropped
from hf_soup.methods.election import elected
from hf_soup.methods.method import Finite, PerModel, merge_method
from hf_soup.methods.mixing_weights import check_some_weight
from hf_soup.methods.task_vectors import added, task_vectors


@merge_method(commutative=True, check=check_some_weight, idempotent=True)
def dare_ties(
    base: Tensor,
    models: Sequence[Tensor],
    place: Place,
    *,
    density: PerModel[Density] = 0.1,  # type: ignore[assignment]
    weight: PerModel[Finite] = 1.0,  # type: ignore[assignment]
    scale: Finite = 1.0,
    rescale: bool = True,
    normalize: bool = True,
    seed: Seed = 0,
) -> Tensor:
    """DARE with TIES: drops entries at random, elects a sign at each position, and adds the mean of what agrees with it.

    base, models: 1-D blocks, float32 or float64; returns a block in that dtype. Entries of xᵢ − base are dropped and
    rescaled as in dare_linear, with the same random numbers; what is left is merged as in ties, without trimming. An
    entry that was dropped does not vote and does not count in the mean of `normalize`, which is TIES' (mergekit's default is
    the sum: normalize=false).
    Source: DARE, arXiv 2311.03099, with TIES-Merging, arXiv 2306.01708, algorithm 1.
    """
    vectors = dropped(task_vectors(models, base), place, density, seed, rescale)
    return added(base, elected(vectors, weight, normalize), scale)

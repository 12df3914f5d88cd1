"""TIES: trim each task vector, elect a sign at each position, merge what agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from hf_soup.methods.blocks import Place
from hf_soup.methods.election import elected
from hf_soup.methods.method import Finite, PerModel, merge_method
from hf_soup.methods.mixing_weights import check_some_weight
from hf_soup.methods.task_vectors import added, task_vectors
from hf_soup.methods.trimming import Trim, trims


@merge_method(commutative=True, survey=trims, check=check_some_weight, idempotent=True)
def ties(
    base: Tensor,
    models: Sequence[Tensor],
    survey: Sequence[Trim],
    place: Place,
    *,
    density: PerModel[Annotated[float, Field(ge=0, le=1)]] = 0.2,  # type: ignore[assignment]
    weight: PerModel[Finite] = 1.0,  # type: ignore[assignment]
    scale: Finite = 1.0,
    normalize: bool = True,
) -> Tensor:
    """TIES: trims small changes, elects a sign at each position, and adds the mean of what agrees with it.

    base, models: 1-D blocks, float32 or float64; returns a block in that dtype. Of each task vector xᵢ − base the
    int(density · n) entries of largest magnitude are kept, at equal magnitude the first ones; n counts a tensor, as in
    other merging tools, where the paper's code trims the model as a whole. Then wᵢ times what was kept takes part in the
    election, so that weights count there too, as in mergekit; the winners are divided by the sum of their weights, or
    summed without `normalize`, multiplied by `scale` (the paper's λ) and added to base. Defaults are the paper's where there
    is no data to tune on: top 20 %, λ = 1, equal weights.
    Source: TIES-Merging, arXiv 2306.01708, algorithm 1.
    """
    vectors = task_vectors(models, base)
    trimmed = (trim.apply(vector, place.start) for trim, vector in zip(survey, vectors, strict=True))
    return added(base, elected(trimmed, weight, normalize), scale)

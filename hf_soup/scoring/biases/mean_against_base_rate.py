"""Whether forecasts are too high or too low on the whole: their mean against the share that ended yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.biases.estimate import Estimate, column_means, estimates


@dataclass(frozen=True)
class MeanAgainstBaseRate:
    """`mean`: of the forecasts of resolved questions; `base_rate`: the share of the same questions that ended yes.

    `excess`: mean − base rate. It is no acquiescence by itself: a forecaster may say yes too often, or have thought these
    questions likelier than they were; negated questions tell the two apart.
    """

    name: str
    mean: float
    base_rate: float
    excess: Estimate


def means_against_base_rate(
    names: Sequence[str], values: np.ndarray, outcomes: np.ndarray, groups: np.ndarray
) -> tuple[MeanAgainstBaseRate, ...]:
    """Returns a row for each column of values [Q, C], on the questions that it answered and that have an outcome [Q].

    >>> found, = means_against_base_rate(["m"], np.array([[0.75], [0.5]]), np.array([1.0, 0.0]), np.arange(2))
    >>> found.mean, found.base_rate, found.excess.value
    (0.625, 0.5, 0.125)
    """
    yes = np.where(np.isnan(values), np.nan, outcomes[:, None])
    excess = estimates(values - yes, groups)
    means = column_means(np.where(np.isnan(yes), np.nan, values))
    return tuple(MeanAgainstBaseRate(*each) for each in zip(names, means, column_means(yes), excess, strict=True))

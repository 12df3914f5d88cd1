"""Whether forecasters say yes to a question and to its opposite: p + p_not − 1 over negated pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.biases.estimate import Estimate, column_means, estimates, with_mean
from hf_soup.scoring.table import mean_of_samples


@dataclass(frozen=True)
class Acquiescence:
    """`mean`: of p, `mean_of_negated`: of p_not, over the pairs that the forecaster answered whole; no outcome is needed.

    `lean`: the mean of p + p_not − 1: above 0 yes is said too readily, below 0 too rarely; 0 for a forecaster whose two answers
    add up to one. `inconsistency`: the mean of |p + p_not − 1|, which noise alone makes larger than 0.
    """

    name: str
    mean: float
    mean_of_negated: float
    lean: Estimate
    inconsistency: float


def acquiescence(
    names: Sequence[str], asked: np.ndarray, negated: np.ndarray, groups: np.ndarray
) -> tuple[Acquiescence, ...]:
    """Returns a row for each of M members and one for their mean, with the last of `names` [M + 1].

    `asked`: float64 [P, M, S], forecasts of the question of each pair, NaN for none; `negated`: [P, M, any number of samples],
    those of the opposite, the probability that the opposite comes true. `groups`: int64 [P]. The mean of the members is, on both
    sides of a pair, that of the members who answered both. Source: Sudhir et al. 2024, "Consistency checks for language model
    forecasters" (NegChecker), without its clamps and thresholds.

    >>> one, crowd = acquiescence(["m", "mean"], np.array([[[0.75]], [[0.5]]]), np.array([[[0.5]], [[0.5]]]), np.arange(2))
    >>> one.lean.value, one.mean_of_negated
    (0.125, 0.5)
    """
    p, p_not = mean_of_samples(asked), mean_of_samples(negated)
    whole = ~(np.isnan(p) | np.isnan(p_not))
    p, p_not = (with_mean(np.where(whole, each, np.nan)) for each in (p, p_not))
    surplus = p + p_not - 1
    return tuple(
        Acquiescence(*each)
        for each in zip(
            names,
            column_means(p),
            column_means(p_not),
            estimates(surplus, groups),
            column_means(np.abs(surplus)),
            strict=True,
        )
    )

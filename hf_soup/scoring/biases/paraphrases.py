"""How much forecasts change with the words of a question, beyond how much they change when nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.biases.estimate import Estimate, column_means, estimates, with_mean
from hf_soup.scoring.table import mean_of_samples


@dataclass(frozen=True)
class ParaphraseSensitivity:
    """Over pairs of a question and another wording of it, Δ = the forecast of the other wording − that of the question.

    `shift`: the mean Δ. `mean_absolute` and `root_mean_square`: of Δ; samples that differ by chance make both larger than 0.
    `by_sampling`: what the root mean square would be by that chance alone, from the samples of each wording; NaN where a member
    has one sample only. `beyond_sampling`: the mean of Δ² less that chance, a variance: 0 where words do not matter.
    `wording_deviation`: its square root, the standard deviation that is due to the words, 0 where the estimate is below 0.
    """

    name: str
    shift: Estimate
    mean_absolute: float
    root_mean_square: float
    by_sampling: float
    beyond_sampling: Estimate
    wording_deviation: float


def paraphrase_sensitivity(
    names: Sequence[str], asked: np.ndarray, reworded: np.ndarray, groups: np.ndarray
) -> tuple[ParaphraseSensitivity, ...]:
    """Returns a row for each of M members and one for their mean, with the last of `names` [M + 1].

    `asked`, `reworded`: float64 [P, M, samples], NaN for none. `groups`: int64 [P]; all wordings of a question are one group.
    With s²/n the variance of a mean of n samples, Δ² − s₁²/n₁ − s₂²/n₂ has the expectation of what is due to the words.
    """
    p, q = mean_of_samples(asked), mean_of_samples(reworded)
    whole = ~(np.isnan(p) | np.isnan(q))
    change = with_mean(np.where(whole, q, np.nan)) - with_mean(np.where(whole, p, np.nan))
    noise = np.where(whole, _variance_of_mean(asked) + _variance_of_mean(reworded), np.nan)
    members = whole.sum(axis=1)
    # One member without a second sample leaves the chance of the mean unknown, so its NaN must not be left out.
    known = whole.any(axis=1) & ~(whole & np.isnan(noise)).any(axis=1)
    of_mean = np.where(known, np.nansum(noise, axis=1) / np.maximum(members, 1) ** 2, np.nan)
    noise = np.column_stack([noise, of_mean])
    beyond = estimates(change**2 - noise, groups, only_above=True)
    return tuple(
        ParaphraseSensitivity(name, shift, absolute, square**0.5, chance**0.5, words, max(words.value, 0.0) ** 0.5)
        for name, shift, absolute, square, chance, words in zip(
            names,
            estimates(change, groups),
            column_means(np.abs(change)),
            column_means(change**2),
            column_means(noise),
            beyond,
            strict=True,
        )
    )


def _variance_of_mean(values: np.ndarray) -> np.ndarray:
    """[P, M]: s² / n of the samples, NaN with fewer than two."""
    present = ~np.isnan(values)
    n = present.sum(axis=-1)
    squares = np.where(present, (values - mean_of_samples(values)[..., None]) ** 2, 0.0).sum(axis=-1)
    return np.divide(squares, (n - 1) * n, out=np.full(n.shape, np.nan), where=n > 1)

"""How many members and how many samples are worth asking: the expected Brier score of a smaller crowd drawn from this one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.comparison_tests import clustered_mean
from hf_soup.scoring.table import mean_of_samples

MEAN, MEDIAN = "mean", "median"
_COVERED = 0.9
_DRAWS = 32
_SEED = 20240219  # any fixed number: the same table gives the same curve
_EVERY = 10  # up to here every number of members is a point, beyond it each is a quarter larger


@dataclass(frozen=True)
class LearningPoint:
    """A crowd of `members` members with `samples` samples each; `aggregate`: "mean", or "median", of the members' means.

    `brier`: its expectation over all such crowds; `standard_error`: over questions, by group. `gain`: the Brier score of one
    member with one sample − this one; `gain_error`: its own standard error, smaller since the questions are the same.
    `draws`: 0 where the expectation is over all crowds exactly; else how many draws of samples it is the mean of, each over all
    choices of members, and `draw_error` is the standard error of that.
    """

    aggregate: str
    members: int
    samples: int
    brier: float
    standard_error: float
    gain: float
    gain_error: float
    draws: int = 0
    draw_error: float = 0.0


@dataclass(frozen=True)
class LearningCurve:
    """`points`: by aggregate, samples, members, all on the same `n` resolved questions in `groups` groups; `left_out`: resolved
    questions that fewer than `members` members answered. `members`, `samples`: the most that a point has, of `all_members` members
    and the `all_samples` samples that the one with most gave.
    """

    points: tuple[LearningPoint, ...]
    members: int
    samples: int
    n: int
    groups: int
    left_out: int
    all_members: int
    all_samples: int

    def line(self, aggregate: str, samples: int) -> tuple[LearningPoint, ...]:
        """The points of one line of a diagram, by number of members."""
        return tuple(each for each in self.points if (each.aggregate, each.samples) == (aggregate, samples))

    def point(self, aggregate: str, members: int, samples: int) -> LearningPoint | None:
        """The point with these numbers, None where the curve has none."""
        return next((each for each in self.line(aggregate, samples) if each.members == members), None)

    def why_it_ends(self) -> str:
        """Returns why the curve has fewer members or samples than there are, and which questions it leaves out; empty if neither."""
        said = []
        if self.members < self.all_members:
            said.append(
                f"It ends at {self.members} of {self.all_members} members: more did not answer enough of the resolved questions (90 %)."
            )
        if self.samples < self.all_samples:
            said.append(
                f"It ends at {self.samples} of {self.all_samples} samples: more were not given often enough (90 %)."
            )
        if self.left_out:
            questions = "1 resolved question is" if self.left_out == 1 else f"{self.left_out} resolved questions are"
            member = "1 member" if self.members == 1 else f"{self.members} members"
            said.append(f"{questions} left out: fewer than {member} answered.")
        return " ".join(said)


def learning_curve(values: np.ndarray, outcomes: np.ndarray, groups: np.ndarray) -> LearningCurve | None:
    """Returns the curve of values [Q, M, S]; None without a resolved question.

    It goes up to the number of members that 90 % of the resolved questions have, and is made of these questions alone, so that
    the ones which few answer do not make small crowds look better; of each question the members are drawn that answered it,
    and the samples from those they gave. A member with fewer samples than a point asks for gives all it has; the curve ends at
    the number of samples that 90 % of the answers have.

    The mean's expectation is that of two-stage sampling without replacement (Cochran 1977, chapter 10): with V the variance of
    the members' means, v_m that of member m's samples, Brier(k, s) = (p̄ − y)² + (1 − k/M) V/k + Σ_m (1/s − 1/S_m) v_m / (kM). The
    median's is over all choices of members, by the distribution of order statistics of a finite population; which samples a member
    gives is drawn 32 times, unless it gives all.
    """
    counts = (~np.isnan(values)).sum(axis=2)
    answered = (counts > 0).sum(axis=1)
    resolved = ~np.isnan(outcomes) & (answered > 0)
    if not resolved.any():
        return None
    most_members = _covered(answered[resolved])
    kept = resolved & (answered >= most_members)
    values, outcomes, groups, counts = values[kept], outcomes[kept], groups[kept], counts[kept]
    most_samples = _covered(counts[counts > 0])
    sizes = list(_sizes(most_members))
    means = _of_means(values, outcomes, counts, sizes, most_samples)
    medians = _of_medians(values, outcomes, sizes, most_samples, complete=bool((counts <= most_samples).all()))
    points = []
    for aggregate, found in ((MEAN, means), (MEDIAN, medians)):
        first = found[0][2]
        for members, samples, briers, draws in found:
            brier, gain = (clustered_mean(each, groups) for each in (briers, first - briers))
            points.append(
                LearningPoint(
                    aggregate=aggregate,
                    members=members,
                    samples=samples,
                    brier=brier.mean,
                    standard_error=brier.standard_error,
                    gain=gain.mean,
                    gain_error=gain.standard_error,
                    draws=len(draws),
                    draw_error=float(np.std(draws, ddof=1) / len(draws) ** 0.5) if len(draws) else 0.0,
                )
            )
    return LearningCurve(
        points=tuple(points),
        members=most_members,
        samples=most_samples,
        n=len(outcomes),
        groups=len(np.unique(groups)),
        left_out=int(resolved.sum() - kept.sum()),
        all_members=values.shape[1],
        all_samples=int(counts.max()),
    )


_Found = tuple[int, int, np.ndarray, np.ndarray]  # members, samples, expected Brier [Q], overall Brier of every draw


def _covered(counts: np.ndarray) -> int:
    """The largest number that 90 % of `counts` reach."""
    return int(np.quantile(counts, 1 - _COVERED, method="lower"))


def _sizes(most: int) -> Iterator[int]:
    size = 1
    while size < most:
        yield size
        size = size + 1 if size < _EVERY else -(-size * 5 // 4)
    yield most


def _of_means(
    values: np.ndarray, outcomes: np.ndarray, counts: np.ndarray, sizes: list[int], most_samples: int
) -> list[_Found]:
    means = mean_of_samples(values)
    n_members = (counts > 0).sum(axis=1)
    centre = mean_of_samples(means)
    between = _variance(means, n_members)
    within = _variance(values, counts)
    found = []
    for samples in range(1, most_samples + 1):
        missing = np.where(counts > 0, 1 / np.clip(counts, 1, samples) - 1 / np.maximum(counts, 1), 0.0)
        of_samples = (missing * within).sum(axis=1) / n_members
        for k in sizes:
            expected = (centre - outcomes) ** 2 + (1 - k / n_members) * between / k + of_samples / k
            found.append((k, samples, expected, np.empty(0)))
    return found


def _variance(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over the last axis, with n − 1; 0 for a single number."""
    squares = np.nansum((values - mean_of_samples(values)[..., None]) ** 2, axis=-1)
    return np.divide(squares, counts - 1, out=np.zeros(counts.shape), where=counts > 1)


def _of_medians(
    values: np.ndarray, outcomes: np.ndarray, sizes: list[int], most_samples: int, *, complete: bool
) -> list[_Found]:
    generator = np.random.default_rng(_SEED)
    found = []
    for samples in range(1, most_samples + 1):
        all_given = complete and samples == most_samples
        totals = np.zeros((len(sizes), len(outcomes)))
        draws = np.empty((len(sizes), 1 if all_given else _DRAWS))
        for draw in range(draws.shape[1]):
            drawn = mean_of_samples(values if all_given else _drawn(values, samples, generator))
            briers = _expected_medians(np.sort(drawn, axis=1), outcomes, sizes)
            totals += briers
            draws[:, draw] = briers.mean(axis=1)
        expected = totals / draws.shape[1]
        for at, k in enumerate(sizes):
            found.append((k, samples, expected[at], np.empty(0) if all_given else draws[at]))
    return found


def _drawn(values: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    """[Q, M, samples]: so many of each member's samples, or all where it has fewer."""
    keys = np.where(np.isnan(values), np.inf, generator.random(values.shape))
    return np.take_along_axis(values, np.argsort(keys, axis=2)[:, :, :samples], axis=2)


def _expected_medians(ordered: np.ndarray, outcomes: np.ndarray, sizes: list[int]) -> np.ndarray:
    """float64 [len(sizes), Q]: E(median − y)² over all choices of k of a question's forecasts, ascending in [Q, M], NaN last."""
    briers = np.empty((len(sizes), len(outcomes)))
    counts = (~np.isnan(ordered)).sum(axis=1)
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        x, y = ordered[rows, :count], outcomes[rows]
        for at, k in enumerate(sizes):
            pairs = _middle_pairs(int(count), k)
            middle = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
            first = x @ middle
            second = ((x**2) @ middle + ((x @ pairs) * x).sum(axis=1)) / 2
            briers[at, rows] = second - 2 * y * first + y**2
    return briers


def _middle_pairs(n: int, k: int) -> np.ndarray:
    """float64 [n, n]: the chance that the middle two of k of n ordered numbers are the i-th and the j-th; i = j for odd k."""
    from scipy.special import gammaln

    def log_choose(of: np.ndarray, chosen: int) -> np.ndarray:
        possible = of >= chosen
        safe = np.where(possible, of, chosen)
        return np.where(possible, gammaln(safe + 1) - gammaln(chosen + 1) - gammaln(safe - chosen + 1), -np.inf)

    below, above = np.arange(n), n - 1 - np.arange(n)
    outside = (k - 1) // 2
    logs = log_choose(below, outside)[:, None] + log_choose(above, outside)[None, :] - log_choose(np.array(n), k)
    chances = np.exp(logs)
    return np.diag(np.diag(chances)) if k % 2 else np.triu(chances, 1)

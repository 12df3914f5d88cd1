"""Two columns of forecasts on the questions that both answered: difference, interval, tests, and what could have been found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.bootstrap import FEW_GROUPS, RESAMPLES, SEED, bootstrap_means
from hf_soup.scoring.comparison_tests import Symmetry, TTest, clustered_mean, symmetry, t_test
from hf_soup.scoring.detectable import smallest_detectable
from hf_soup.scoring.equivalence import Equivalence, refuse_bound, tost
from hf_soup.scoring.multiple import ALPHA
from hf_soup.scoring.scores import LOG_CLIP, score_named

# Below this, skewness decides and cannot be estimated: TOST at 5 % errs in 7 % at n = 100 (tests/benchmarks/scoring_simulations.py).
LEAST_OF_AN_OUTCOME = 10


@dataclass(frozen=True)
class Column:
    """Forecasts of one forecaster, aggregate or crowd. `values`: float64 [Q], probabilities, NaN for none."""

    name: str
    values: np.ndarray


@dataclass(frozen=True)
class Beside:
    """Another column's mean score on exactly the questions of a comparison, and how many of them it answered."""

    name: str
    mean: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """`difference` = mean score of `first` − mean score of `second`, on the `n` resolved questions that both answered.

    `groups`: what they fall into; all errors are clustered by them. `only_first`, `only_second`, `neither`: resolved questions
    that are left out for want of an answer. `interval`: 95 %, paired bootstrap over groups, None where there is none.
    `test`: paired t, the verdict; None where `no_test` says why. `detectable`: the true difference that would have been found
    with 80 % power. `symmetry`: Wilcoxon's test, never a verdict. `beside`: other columns on the same questions. `adjusted_p`: the
    p of `test`, adjusted over all comparisons that were made together (`hf_soup.scoring.comparison_family`); None for one that was
    made alone.
    """

    first: str
    second: str
    score: str
    smaller_is_better: bool
    n: int
    groups: int
    only_first: int
    only_second: int
    neither: int
    first_mean: float
    second_mean: float
    difference: float
    standard_error: float
    interval: tuple[float, float] | None
    test: TTest | None
    no_test: str
    detectable: float | None
    equivalence: Equivalence | None
    symmetry: Symmetry | None
    beside: tuple[Beside, ...]
    warnings: tuple[str, ...]
    adjusted_p: float | None = None

    @property
    def name(self) -> str:
        return f"{self.first} against {self.second}"

    @property
    def better(self) -> str | None:
        """Who scored better by the paired t test at 5 %, adjusted where several were made; None: these data do not decide."""
        if self.adjusted_p is not None and not self.adjusted_p < ALPHA:
            return None
        return self.better_by_itself

    @property
    def better_by_itself(self) -> str | None:
        """As `better`, as if no other comparison had been made."""
        if self.test is None or not self.test.p < ALPHA:
            return None
        return self.first if (self.difference < 0) == self.smaller_is_better else self.second


def compare(
    first: Column,
    second: Column,
    outcomes: np.ndarray,
    groups: np.ndarray,
    *,
    score: str = "brier",
    bound: float | None = None,
    beside: Sequence[Column] = (),
    clip: float = LOG_CLIP,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Returns one comparison; see `compare_pairs`."""
    return compare_pairs(
        [(first, second)],
        outcomes,
        groups,
        score=score,
        bound=bound,
        beside=beside,
        clip=clip,
        resamples=resamples,
        seed=seed,
    )[0]


def compare_pairs(
    pairs: Sequence[tuple[Column, Column]],
    outcomes: np.ndarray,
    groups: np.ndarray,
    *,
    score: str = "brier",
    bound: float | None = None,
    beside: Sequence[Column] = (),
    clip: float = LOG_CLIP,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[Comparison, ...]:
    """Returns a comparison of every pair, with one bootstrap of groups for all of them.

    outcomes: float64 [Q], 1, 0, NaN where there is none. groups: int64 [Q]. `score`: a name of `scores.SCORES`. `bound`: for
    TOST, in points of the score, stated before looking; None: no TOST. `beside`: columns whose mean is shown on the same
    questions, such as the aggregate: a member that refuses hard questions is then seen beside what they cost others.
    Fewer than two groups give scores and no test. Raises InputError for an unknown score, a bound that is none, or other lengths.
    """
    if bound is not None:
        refuse_bound(bound)
    scored = score_named(score)
    _refuse_other_lengths([*(column for pair in pairs for column in pair), *beside], outcomes, groups)
    if not pairs:
        return ()
    resolved = ~np.isnan(outcomes)
    scores = [tuple(scored(column.values, outcomes, clip) for column in pair) for pair in pairs]
    differences = np.stack([a - b for a, b in scores], axis=1)
    intervals = bootstrap_means(differences, groups, resamples=resamples, seed=seed)
    others = [(column.name, scored(column.values, outcomes, clip)) for column in beside]
    compared = []
    for number, ((first, second), (a, b)) in enumerate(zip(pairs, scores, strict=True)):
        both = ~np.isnan(differences[:, number])
        mean = clustered_mean(differences[:, number], groups)
        testable = mean.testable
        compared.append(
            Comparison(
                first=first.name,
                second=second.name,
                score=score,
                smaller_is_better=scored.smaller_is_better,
                n=mean.n,
                groups=mean.groups,
                only_first=int((~np.isnan(a) & np.isnan(b)).sum()),
                only_second=int((np.isnan(a) & ~np.isnan(b)).sum()),
                neither=int((resolved & np.isnan(a) & np.isnan(b)).sum()),
                first_mean=_mean(a[both]),
                second_mean=_mean(b[both]),
                difference=mean.mean,
                standard_error=mean.standard_error,
                interval=intervals.of(number) if testable else None,
                test=t_test(mean.mean, mean.standard_error, mean.df) if testable else None,
                no_test="" if testable else _why_no_test(mean.n, mean.groups),
                detectable=smallest_detectable(mean.standard_error, mean.df) if testable else None,
                equivalence=tost(
                    mean.mean,
                    mean.standard_error,
                    mean.df,
                    bound,
                    skewness=mean.skewness,
                    withheld=few_of_an_outcome(outcomes[both], groups[both]),
                )
                if testable and bound is not None
                else None,
                symmetry=symmetry(differences[:, number]) if testable else None,
                beside=tuple(
                    Beside(name, _mean(values[both]), int((~np.isnan(values[both])).sum())) for name, values in others
                ),
                warnings=_warnings(mean.n, mean.groups, few_of_an_outcome(outcomes[both], groups[both]))
                if testable
                else (),
            )
        )
    return tuple(compared)


def compare_with_constant(
    first: Column, outcomes: np.ndarray, groups: np.ndarray, *, constant: float = 0.5, bound: float | None = None
) -> Comparison:
    """Returns the comparison with someone who always says `constant`; for 0.5 a Brier score of .25 on every question."""
    second = Column(f"always {100 * constant:g} %", np.where(np.isnan(first.values), np.nan, constant))
    compared = compare(first, second, outcomes, groups, bound=bound)
    # The constant would have answered every question; that it is shown on the same ones is no refusal.
    return replace(compared, only_second=0)


def _why_no_test(n: int, groups: int) -> str:
    if n == 0:
        return "no resolved question was answered by both: nothing to compare"
    if n == 1:
        return "one resolved question only: scores, no test"
    if groups < 2:
        return f"all {n} questions belong to one group: scores, no test"
    return f"the difference does not vary over {n} questions: no test"


def few_of_an_outcome(outcomes: np.ndarray, groups: np.ndarray) -> str:
    """Returns which outcome has too few groups of questions for tests to hold their level, in words; empty where neither.

    outcomes: float64 [n], 1 or 0. groups: int64 [n]; ten rows of one question are one.
    """
    yes, no = (len(np.unique(groups[outcomes == outcome])) for outcome in (1, 0))
    if min(yes, no) >= LEAST_OF_AN_OUTCOME:
        return ""
    what = "questions" if len(np.unique(groups)) == len(groups) else "groups of questions"
    return f"only {min(yes, no)} of {len(np.unique(groups))} {what} ended {'yes' if yes < no else 'no'}"


def _warnings(n: int, groups: int, few: str) -> tuple[str, ...]:
    warnings = []
    if groups < FEW_GROUPS:
        what = f"n = {n}" if n == groups else f"{n} questions in {groups} group{'s' if groups != 1 else ''}"
        warnings.append(
            f"{what}: below {FEW_GROUPS} intervals are rough, and only large differences can be found; read them with the smallest "
            "detectable difference."
        )
    if few:
        warnings.append(
            f"{few}: below {LEAST_OF_AN_OUTCOME} a few questions decide, tests at 5 % can reject more often than that, and no "
            "equivalence is concluded."
        )
    return tuple(warnings)


def _mean(values: np.ndarray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _refuse_other_lengths(columns: Sequence[Column], outcomes: np.ndarray, groups: np.ndarray) -> None:
    problems = [
        f"{column.name}: has {column.values.shape} forecasts, there are {len(outcomes)} questions."
        for column in columns
        if column.values.shape != outcomes.shape
    ]
    if groups.shape != outcomes.shape:
        problems.append(f"groups: has {len(groups)} values for {len(outcomes)} questions.")
    if problems:
        raise InputError(problems)

"""TOST: two one-sided tests of whether a difference lies within bounds that were stated before the data were seen.

One-sided t tests suffer from skewness, which differences of Brier scores have: at n = 100 with 17 % of yes, 5 % become 6.5 %
(tests/benchmarks/scoring_simulations.py). So equivalence is called shown only where it also holds with the skewness removed, and
never with fewer than ten questions of an outcome, where the skewness cannot be seen: with both, 5 % stay below 6 % from n = 100.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.comparison_tests import unpaired_error

ALPHA = 0.05
PAPER_D = 0.5


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t tests against ±`bound`, in points of the score.

    `lower`: t and p against "−bound or less"; `upper`: against "+bound or more"; `p`: the larger. `low`, `high`: the 90 %
    interval of the difference (1 − 2α), which lies inside the bounds exactly where `p` < α. `p_without_skewness`: the same p after
    Hall's transformation, which removes the skewness. `stated`: what the bound comes from. `withheld`: why nothing is concluded
    whatever the tests say, else empty. `adjusted_p`: the larger of both p, adjusted over all equivalence tests that were made
    together and the looks at the data (`hf_soup.scoring.comparison_family`); None for a test that was made alone and once.
    """

    difference: float
    standard_error: float
    df: float
    bound: float
    lower_t: float
    lower_p: float
    upper_t: float
    upper_p: float
    low: float
    high: float
    alpha: float
    stated: str
    p_without_skewness: float
    withheld: str = ""
    adjusted_p: float | None = None

    @property
    def p(self) -> float:
        return max(self.lower_p, self.upper_p)

    @property
    def decisive_p(self) -> float:
        """The larger of the p of the tests and the p without skewness, not adjusted."""
        return max(self.p, self.p_without_skewness)

    @property
    def shown(self) -> bool:
        """Whether all p lie below α, adjusted where that is due: the difference was shown to be within the bounds.

        False is no sign of a difference.
        """
        p = self.decisive_p if self.adjusted_p is None else self.adjusted_p
        return not self.withheld and p < self.alpha


def tost(
    difference: float,
    standard_error: float,
    df: float,
    bound: float,
    *,
    skewness: float = 0.0,
    alpha: float = ALPHA,
    stated: str = "",
    withheld: str = "",
) -> Equivalence:
    """Returns the two one-sided tests from a difference, its standard error (clustered by group) and degrees of freedom.

    `bound`: above 0, in points of the score, chosen for what would matter and before looking. Raises InputError otherwise.
    `skewness`: of a `ClusteredMean`. `withheld`: a reason not to conclude anything. Source: Schuirmann 1987; Lakens 2017.

    >>> tests = tost(0.0078, 0.0411, 60, 0.081)
    >>> round(tests.lower_t, 2), round(tests.lower_p, 3), round(tests.upper_t, 2), round(tests.upper_p, 3)
    (2.16, 0.017, -1.78, 0.04)
    """
    from scipy.special import stdtr, stdtrit

    refuse_bound(bound)
    lower, upper = (difference + bound) / standard_error, (difference - bound) / standard_error
    half = stdtrit(df, 1 - alpha) * standard_error
    return Equivalence(
        difference=float(difference),
        standard_error=float(standard_error),
        df=float(df),
        bound=float(bound),
        lower_t=float(lower),
        lower_p=float(stdtr(df, -lower)),
        upper_t=float(upper),
        upper_p=float(stdtr(df, upper)),
        low=float(difference - half),
        high=float(difference + half),
        alpha=alpha,
        stated=stated or f"±{bound:g}, stated beforehand",
        p_without_skewness=float(
            max(
                stdtr(df, -_without_skewness(lower, skewness, df + 1)),
                stdtr(df, _without_skewness(upper, skewness, df + 1)),
            )
        ),
        withheld=withheld,
    )


def papers_tost(first: np.ndarray, second: np.ndarray, d: float = PAPER_D) -> Equivalence:
    """Returns the TOST of arXiv 2402.19379: unpaired, bounds ±d · the pooled SD of the two samples, n₁ + n₂ − 2 df.

    first, second: scores [Q] of the two forecasters, NaN is left out. The bound is estimated from the same data and the
    pairing is not used; with 31 questions it called a crowd that was worse by .0215 equivalent in 27 % of resamples.
    """
    difference, error, df = unpaired_error(first, second)
    bound = d * pooled_sd(first, second)
    return tost(difference, error, df, bound, stated=f"±{d:g} × the pooled SD of both samples, as in arXiv 2402.19379")


def pooled_sd(first: np.ndarray, second: np.ndarray) -> float:
    """Returns √(Σ squared deviations of both from their own means / (n₁ + n₂ − 2)), never the SD of the differences."""
    first, second = (each[~np.isnan(each)] for each in (first, second))
    squares = ((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()
    return float(np.sqrt(squares / (len(first) + len(second) - 2)))


def _without_skewness(t: float, skewness: float, n: float) -> float:
    """Hall's transformation of a t statistic, which grows with t and has no skewness at order 1/√n. Source: Hall 1992."""
    a = skewness / n**0.5
    return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6


def refuse_bound(bound: float) -> None:
    if not (np.isfinite(bound) and bound > 0):
        raise InputError(
            f"bound: {bound} is no bound for equivalence; state the smallest difference that would matter, above 0, in points of "
            "the score (0.02 of Brier, say)."
        )

"""Two systems on the same rows: which is better, and if the rows do not tell, what difference they could have told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.ensembles.evidence.scored import LabelledRows, Scored, percentile_interval
from hf_soup.evaluation.metric import metric_named

POWER = 0.80


@dataclass(frozen=True)
class Difference:
    """metric(of) − metric(against) on the rows of `set`, with its 95 % interval (None where there is none).

    `standard_error`: of the difference, from the spread over resamples; `df`: the independent rows or groups, less one.
    """

    set: str
    metric: str
    of: str
    against: str
    value: float
    low: float | None
    high: float | None
    standard_error: float
    df: int
    n: int

    @property
    def better(self) -> str | None:
        """`of` or `against` where the interval leaves out 0; None: these rows cannot tell them apart."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return self._ahead

    def better_of(self, comparisons: int) -> str | None:
        """As `better`, for a difference that was picked out of so many: by a t test at 5 % over all of them (Bonferroni)."""
        from scipy.special import stdtrit

        if not self.standard_error > 0:
            return None
        found = abs(self.value) > stdtrit(self.df, 1 - 0.025 / comparisons) * self.standard_error
        return self._ahead if found else None

    @property
    def p(self) -> float | None:
        """Of the t test of no difference, two-sided; None where the two never differ."""
        from scipy.special import stdtr

        if not self.standard_error > 0:
            return None
        return float(2 * stdtr(self.df, -abs(self.value) / self.standard_error))

    @property
    def detectable(self) -> float | None:
        """The true difference that so many rows find with 80 % power; None where the two never differ on them.

        (t₁₋α/₂ + t_power) · standard error (Bloom 1995): from the spread alone, never from the difference that was observed.
        """
        from scipy.special import stdtrit

        if not self.standard_error > 0:
            return None
        return float(stdtrit(self.df, 0.975) + stdtrit(self.df, POWER)) * self.standard_error

    @property
    def _ahead(self) -> str:
        return self.of if (self.value > 0) == metric_named(self.metric).maximise else self.against


def difference(
    rows: LabelledRows, set_name: str, metric: str, of: tuple[str, Scored], against: tuple[str, Scored]
) -> Difference:
    """Returns the paired difference of two systems, each (name, what it scored on these rows)."""
    a, b = of[1], against[1]
    resampled = a.resampled[metric] - b.resampled[metric]
    low, high, _ = percentile_interval(resampled, rows.units)
    return Difference(
        set=set_name,
        metric=metric,
        of=of[0],
        against=against[0],
        value=a.estimates[metric].value - b.estimates[metric].value,
        low=low,
        high=high,
        standard_error=_standard_error(resampled, rows.units),
        df=rows.units - 1,
        n=rows.rows,
    )


def _standard_error(resampled: np.ndarray, units: int) -> float:
    """0 where the two never differ, or where there is too little to draw from."""
    defined = resampled[~np.isnan(resampled)]
    if units < 2 or len(defined) < 2:
        return 0.0
    return float(defined.std(ddof=1) * np.sqrt(units / (units - 1)))

"""The smallest difference that a comparison could have found: what a result that is not significant means."""

from __future__ import annotations

import math

POWER = 0.80
ALPHA = 0.05


def smallest_detectable(standard_error: float, df: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Returns the true difference that a two-sided t test finds with this power: (t₁₋α/₂ + t_power) · standard error.

    `standard_error`: of the difference, clustered by group; `df`: its degrees of freedom. It depends on n and on how much the
    differences vary, never on the difference that was observed: power at the observed effect only repeats the p-value
    (Hoenig & Heisey 2001). Source of the formula: Bloom 1995.

    >>> round(smallest_detectable(0.0411, 60), 3)
    0.117
    """
    from scipy.special import stdtrit

    return float((stdtrit(df, 1 - alpha / 2) + stdtrit(df, power)) * standard_error) if df > 0 else math.nan

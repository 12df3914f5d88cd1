"""Whether forecasts are too sure of themselves, or not sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.biases.estimate import Estimate, column_means, estimates
from hf_soup.scoring.calibration_index import (
    ReliabilityBin,
    calibration_index,
    calibration_index_by_chance,
    reliability_bins,
)
from hf_soup.scoring.comparison_tests import t_test
from hf_soup.scoring.cross_validation import too_few
from hf_soup.scoring.detectable import smallest_detectable
from hf_soup.scoring.log_odds import CLIP, from_log_odds, log_odds
from hf_soup.scoring.logistic import fit_logistic

_STEEPEST = 50.0  # a slope beyond it is that of forecasts that divide the outcomes without an error


@dataclass(frozen=True)
class Confidence:
    """`slope` and `shift`: b and a of log odds of yes = a + b · log odds of p, fitted by logistic regression on p kept between
    `clip` and 1 − `clip`. b = 1 and a = 0 for calibrated forecasts; b below 1: too sure (over-confident), above 1: not sure
    enough. None where `why_no_slope` says why. The mean of calibrated members is not sure enough, the more they know that the others
    do not (Ranjan & Gneiting 2010): of a crowd this is no fault of its members.
    `sureness`: the mean of max(p, 1 − p); `right`: how often the likelier side came true (half where p is 50 %). `surplus`:
    sureness − right, above 0 for the over-confident.
    `calibration_index` stands beside what perfect forecasts would have `by_chance` at this n; `reliability`: bins of a diagram.
    """

    name: str
    slope: Estimate | None
    shift: Estimate | None
    why_no_slope: str | None
    sureness: float
    right: float
    surplus: Estimate
    calibration_index: float
    by_chance: float
    reliability: tuple[ReliabilityBin, ...]
    clip: float


def confidence(
    names: Sequence[str], values: np.ndarray, outcomes: np.ndarray, groups: np.ndarray, *, clip: float = CLIP
) -> tuple[Confidence, ...]:
    """Returns a row for each column of values [Q, C], on the questions that it answered and that have an outcome [Q].

    Errors of slope and shift are clustered by groups [Q] (the sandwich of Liang & Zeger 1986, times G / (G − 1)), intervals and
    tests use t with G − 2 degrees of freedom. Sources: Cox 1958 (the recalibration); Lichtenstein, Fischhoff & Phillips 1982
    (the surplus).
    """
    answered = np.where(np.isnan(outcomes)[:, None], np.nan, values)
    sure = np.maximum(answered, 1 - answered)
    right = np.where(answered == 0.5, 0.5, ((answered > 0.5) == (outcomes[:, None] == 1)).astype(np.float64))
    right = np.where(np.isnan(answered), np.nan, right)
    surplus = estimates(sure - right, groups)
    found = []
    for column, name in enumerate(names):
        p = answered[:, column]
        fitted = _recalibration(p, outcomes, groups, clip)
        slope, shift, why = (None, None, fitted) if isinstance(fitted, str) else (*fitted, None)
        found.append(
            Confidence(
                name=name,
                slope=slope,
                shift=shift,
                why_no_slope=why,
                sureness=column_means(sure)[column],
                right=column_means(right)[column],
                surplus=surplus[column],
                calibration_index=calibration_index(p, outcomes),
                by_chance=calibration_index_by_chance(p, outcomes),
                reliability=reliability_bins(p, outcomes),
                clip=clip,
            )
        )
    return tuple(found)


def _recalibration(
    p: np.ndarray, outcomes: np.ndarray, groups: np.ndarray, clip: float
) -> tuple[Estimate, Estimate] | str:
    """Slope and shift, or why there are none."""
    kept = ~np.isnan(p)
    x, y, groups = log_odds(p[kept], clip), outcomes[kept], groups[kept]
    if reason := too_few(y):
        return f"it {reason}"
    if np.ptp(x) == 0:
        return "its forecasts are all the same"
    features = np.column_stack([np.ones_like(x), x])
    coefficients = fit_logistic(features, y, means=np.zeros(2), variances=np.full(2, np.inf))
    if not np.abs(coefficients).max() < _STEEPEST:
        return "its forecasts divide yes from no without an error, so that no finite slope fits best"
    return _clustered(features, y, groups, coefficients)


def _clustered(
    features: np.ndarray, outcomes: np.ndarray, groups: np.ndarray, coefficients: np.ndarray
) -> tuple[Estimate, Estimate] | str:
    from scipy.special import stdtrit

    distinct, which = np.unique(groups, return_inverse=True)
    count, df = len(distinct), len(distinct) - 2
    if df < 1:
        return f"its questions are in {count} group{'s' if count != 1 else ''}, and three are needed"
    chances = from_log_odds(features @ coefficients)
    bread = np.linalg.inv((features.T * (chances * (1 - chances))) @ features)
    scores = np.zeros((count, 2))
    np.add.at(scores, which, features * (outcomes - chances)[:, None])
    errors = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread) * count / (count - 1))
    shift, slope = (
        Estimate(
            value=float(value),
            interval=(float(value - stdtrit(df, 0.975) * error), float(value + stdtrit(df, 0.975) * error)),
            n=len(outcomes),
            groups=count,
            test=t_test(float(value) - null, float(error), df),
            detectable=smallest_detectable(float(error), df),
            null=null,
        )
        for value, error, null in zip(coefficients, errors, (0.0, 1.0), strict=True)
    )
    return slope, shift

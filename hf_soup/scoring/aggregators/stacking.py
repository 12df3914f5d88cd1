"""Logistic regression on the members' log odds."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hf_soup.scoring.aggregators.aggregator import Clip, Within, fitted_aggregator
from hf_soup.scoring.cross_validation import Predict
from hf_soup.scoring.log_odds import CLIP, from_log_odds, log_odds
from hf_soup.scoring.logistic import fit_logistic
from hf_soup.scoring.table import mean_of_samples


@fitted_aggregator
def stacking(
    members: np.ndarray, outcomes: np.ndarray, *, prior_sd: Annotated[float, Within(0)] = 0.5, clip: Clip = CLIP
) -> Predict:
    """Logistic regression with an L2 penalty on the members' log odds, which with little data is their plain mean.

    expit(c + s · l̄ + Σ_m d_m (l_m − l̄)), l = ln(p / (1 − p)) of p clipped to [clip, 1 − clip], l̄ its mean over the members that
    answered. Priors: c and d_m N(0, prior_sd²), s N(1, prior_sd²). It is linear in the l_m like plain stacking, but weights are
    pulled towards equal ones instead of 0, and a member that did not answer adds no term: nothing is put in its place.
    Source: Wolpert 1992, "Stacked generalization", Neural Networks 5.
    """
    features = _features(members, clip)
    known = ~np.isnan(features[:, 1])
    centre = np.zeros(features.shape[1])
    centre[1] = 1.0
    coefficients = fit_logistic(
        features[known], outcomes[known], means=centre, variances=np.full(len(centre), prior_sd**2)
    )
    return lambda other: from_log_odds(_features(other, clip) @ coefficients)


def _features(members: np.ndarray, clip: float) -> np.ndarray:
    """float64 [n, 2 + M]: one, the mean of log odds (NaN without any), and each member's deviation from it, 0 without one."""
    logits = log_odds(members, clip)
    centre = mean_of_samples(logits)[:, None]
    deviations = np.where(np.isnan(logits), 0.0, logits - centre)
    return np.hstack([np.ones_like(centre), centre, deviations])

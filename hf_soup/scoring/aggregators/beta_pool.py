"""The beta-transformed linear pool."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hf_soup.scoring.aggregators.aggregator import Clip, Within, fitted_aggregator
from hf_soup.scoring.cross_validation import Predict
from hf_soup.scoring.log_odds import CLIP
from hf_soup.scoring.table import mean_of_samples


@fitted_aggregator
def beta_pool(
    members: np.ndarray, outcomes: np.ndarray, *, prior_sd: Annotated[float, Within(0)] = 1.0, clip: Clip = CLIP
) -> Predict:
    """The mean of the members, put through the distribution function of a beta distribution that is fitted.

    H(mean p; a, b), H the beta distribution function; a, b minimise the log loss + (ln²a + ln²b) / (2 prior_sd²), so that few or
    separable outcomes leave them near 1, where nothing is changed. Means are clipped to [clip, 1 − clip] first.
    Source: Ranjan & Gneiting 2010, "Combining probability forecasts", J. R. Stat. Soc. B 72, with equal weights.
    """
    from scipy.optimize import minimize
    from scipy.special import betainc, betaincc

    means = mean_of_samples(members)
    known = ~np.isnan(means)
    of_yes, n_yes = _steps(means[known & (outcomes == 1)], clip)
    of_no, n_no = _steps(means[known & (outcomes == 0)], clip)

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(logs)
        chances = np.concatenate([betainc(a, b, of_yes), betaincc(a, b, of_no)])
        log_chance = np.log(np.maximum(chances, 1e-300)) @ np.concatenate([n_yes, n_no])
        return float((logs**2).sum() / (2 * prior_sd**2) - log_chance)

    a, b = np.exp(minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-4.0, 4.0)] * 2).x)
    return lambda other: betainc(a, b, np.clip(mean_of_samples(other), clip, 1 - clip))


def _steps(means: np.ndarray, clip: float) -> tuple[np.ndarray, np.ndarray]:
    """Different values and how often each is there. For the fit alone they are rounded to a thousandth: the distribution
    function is slow, and ten thousand questions have a thousand such values."""
    return np.unique(np.clip(means.round(3), clip, 1 - clip), return_counts=True)

"""A mean with weights from earlier scores."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hf_soup.scoring.aggregators.aggregator import Within, fitted_aggregator
from hf_soup.scoring.cross_validation import Predict
from hf_soup.scoring.table import mean_of_samples


@fitted_aggregator
def inverse_brier(members: np.ndarray, outcomes: np.ndarray, *, floor: Annotated[float, Within(0)] = 0.01) -> Predict:
    """The mean of the members, weighted by one over the Brier score each had on the questions that were fitted on.

    w_m = 1 / max(B_m, floor); B_m = the mean score of all questions + the mean over m's questions of (its score − the mean score
    of all members there), so that leaving out hard questions earns no weight. Without gaps B_m is m's Brier score. A member
    without a forecast there has no weight.
    Source: performance weights in the sense of Cooke 1991, "Experts in Uncertainty".
    """
    scores = (members - outcomes[:, None]) ** 2
    of_question = mean_of_samples(scores)
    above = mean_of_samples((scores - of_question[:, None]).T)
    weights = 1 / np.maximum(mean_of_samples(of_question) + above, floor)
    weights = np.where(np.isnan(above), 0.0, weights)

    def predict(other: np.ndarray) -> np.ndarray:
        share = np.where(np.isnan(other), 0.0, weights)
        total = share.sum(axis=1)
        sums = (share * np.where(np.isnan(other), 0.0, other)).sum(axis=1)
        return np.divide(sums, total, out=np.full(len(other), np.nan), where=total > 0)

    return predict

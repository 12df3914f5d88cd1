"""The Hodges–Lehmann estimator on log odds."""

from __future__ import annotations

import numpy as np

from hf_soup.scoring.aggregators.aggregator import Clip, aggregator
from hf_soup.scoring.aggregators.order_statistics import median_of_present, row_chunks
from hf_soup.scoring.log_odds import CLIP, from_log_odds, log_odds


@aggregator
def hodges_lehmann(members: np.ndarray, *, clip: Clip = CLIP) -> np.ndarray:
    """The median of the means of all pairs of members, in log odds: robust like a median, efficient like a mean.

    expit(median_{i ≤ j}{(l_i + l_j) / 2}), l = ln(p / (1 − p)) of p clipped to [clip, 1 − clip]; a member pairs with itself too.
    Source: Hodges & Lehmann 1963, "Estimates of location based on rank tests", Ann. Math. Stat. 34.
    """
    logits = log_odds(members, clip)
    first, second = np.triu_indices(members.shape[1])
    found = np.empty(len(members))
    for rows in row_chunks(len(members), len(first)):
        found[rows] = median_of_present((logits[rows][:, first] + logits[rows][:, second]) / 2)
    return from_log_odds(found)

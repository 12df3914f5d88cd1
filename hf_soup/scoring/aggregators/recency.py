"""The median in which later forecasts weigh more."""

from __future__ import annotations

import numpy as np

from hf_soup.scoring.aggregators.aggregator import aggregator
from hf_soup.scoring.aggregators.order_statistics import row_chunks, weighted_median


@aggregator
def recency_median(members: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The median of the members, weighted by how late each made its latest forecast.

    w_t = e^√t for the t-th forecast in the order of time, 1 the oldest; those of the same time share the mean of their ranks.
    Source: the weights of Metaculus's community prediction, as given in Halawi et al. 2024, arXiv 2402.18563, appendix.
    """
    found = np.empty(len(members))
    for rows in row_chunks(len(members), members.shape[1] ** 2):
        present = ~np.isnan(members[rows])
        when = np.where(present, times[rows], np.nan)
        earlier = (when[:, None, :] < when[:, :, None]).sum(axis=2)
        same = (when[:, None, :] == when[:, :, None]).sum(axis=2)
        weights = np.exp(np.sqrt(earlier + (same + 1) / 2))
        found[rows] = weighted_median(members[rows], weights)
    return found

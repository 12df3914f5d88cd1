"""Medians: of all forecasts of a question, and of its members' medians."""

from __future__ import annotations

import numpy as np

from hf_soup.scoring.aggregators.aggregator import aggregator
from hf_soup.scoring.aggregators.order_statistics import median_of_present


@aggregator
def median(samples: np.ndarray) -> np.ndarray:
    """The pooled median: of all forecasts of a question, whichever member they are from.

    In words: pooled
    median{p_ms}. The mode of the paper, as far as is known; a member with more samples weighs more in it.
    Source: Schoenegger et al. 2024, "Wisdom of the Silicon Crowd", arXiv 2402.19379.
    """
    return median_of_present(samples.reshape(len(samples), samples.shape[1] * samples.shape[2]))


@aggregator
def median_of_medians(samples: np.ndarray) -> np.ndarray:
    """The median over members of the median of each member's samples: every member weighs the same.

    median_m{median_s{p_ms}}
    Source: the paper's median with equal weights for members; arXiv 2402.19379 does not say which of the two it used.
    """
    return median_of_present(median_of_present(samples))

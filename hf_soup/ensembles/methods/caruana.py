"""Greedy selection of inputs with replacement."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.methods.method import Fit, ensemble_method
from hf_soup.ensembles.tiers import row_blocks

STEPS = 100


def _selected(true: np.ndarray, counts: np.ndarray, weights: np.ndarray, ridge: float) -> np.ndarray:
    rows, inputs = true.shape
    chosen, total = np.zeros(inputs), np.zeros(rows)
    best, best_loss = chosen, np.inf
    everything = counts.sum(dtype=np.float64)
    for step in range(1, STEPS + 1):
        gains = np.zeros(inputs)
        for block in row_blocks(rows, inputs):
            gains += counts[block] @ np.log(total[block, None] + true[block])
        added = int(gains.argmax())
        total += true[:, added]
        chosen[added] += 1
        loss = np.log(step) - gains[added] / everything
        if loss < best_loss:
            best, best_loss = chosen / step, loss
    return best


@ensemble_method(reweigh=_selected, resamples=100)
def caruana(inputs: Inputs) -> Fit:
    """Adds, 100 times, the input that lowers the log loss of the mean most; weights are how often each was taken.

    Of all lengths the best is kept. No more than two decimals of a weight can be fitted, which is a regularisation of a kind.
    Source: Caruana, Niculescu-Mizil, Crew, Ksikes 2004, Ensemble selection from libraries of models (ICML), sections 2.1 and 2.2.
    """
    return Fit(weights=_selected(inputs.true, np.ones(inputs.rows), np.empty(0), 0.0))

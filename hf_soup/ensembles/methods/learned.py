"""Learned softmax weights: the second tier of AWARE-NET."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.methods.method import Fit, ensemble_method
from hf_soup.ensembles.mixture import mixture_weights


def _again(true: np.ndarray, counts: np.ndarray, weights: np.ndarray, ridge: float) -> np.ndarray:
    return mixture_weights(true, counts=counts, start=weights, ridge=ridge)


@ensemble_method(reweigh=_again)
def learned(inputs: Inputs) -> Fit:
    """The weights with the lowest log loss of y(x) = Σ α_A p_A(x), within 1e-6 of the optimum.

    The paper writes α = softmax(w) and descends in w; the loss is convex in α itself, so here nothing depends on a learning
    rate, and a weight can be exactly zero. `ridge` pulls towards equal weights.
    Source: AWARE-NET, arXiv 2505.00312.
    """
    return Fit(weights=mixture_weights(inputs.true, ridge=inputs.ridge))

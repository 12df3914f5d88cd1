"""Equal weights: nothing is fitted, so nothing can be overfitted."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.methods.method import Fit, ensemble_method


def _same(true: np.ndarray, counts: np.ndarray, weights: np.ndarray, ridge: float) -> np.ndarray:
    return weights


@ensemble_method(reweigh=_same)
def equal(inputs: Inputs) -> Fit:
    """The same weight for every input: families, or for a flat combination members."""
    return Fit(weights=np.full(len(inputs.names), 1 / len(inputs.names)))

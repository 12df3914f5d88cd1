"""Stacking: a logistic regression on the log-probabilities of all inputs."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.combination import Stacking
from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.logistic import fit_logistic, logistic_loss
from hf_soup.ensembles.methods.method import Fit, ensemble_method
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.splits import folds
from hf_soup.ensembles.tiers import log_of

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""C, the inverse of the penalty, as in scikit-learn's LogisticRegression; the first of them is the strongest penalty."""
_FOLDS = 5
_ROWS_TO_CHOOSE_ON = 10_000  # with more the penalty hardly counts
_PRECISION_TO_CHOOSE = 1e-4


@ensemble_method(tempered=False)
def stacking(inputs: Inputs) -> Fit:
    """softmax(b + Σ W_A ln p_A), fitted with an L2 penalty on b and W that grouped cross-validation chooses.

    The coefficients hold what temperatures would do. Unlike weights they can be wrong in any way, so this needs more rows.
    On more than 10,000 rows the penalty is chosen on a random 10,000, whole groups. With a single group nothing can be
    chosen, and C is 1.
    Source: Wolpert 1992, Stacked generalization; Ting & Witten 1999, Issues in stacked generalization.
    """
    features = _features(inputs)
    start = _equal_pool(len(inputs.names), inputs.classes)
    c = _best_penalty(features, inputs, start)
    coefficients = fit_logistic(features, inputs.labels, start, c)
    matrices = coefficients[1:].reshape(len(inputs.names), inputs.classes, inputs.classes)
    return Fit(
        stacking=Stacking(
            intercepts=tuple(coefficients[0].tolist()),
            coefficients=tuple(tuple(tuple(row) for row in matrix) for matrix in matrices.tolist()),
            c=c,
        )
    )


def _features(inputs: Inputs) -> np.ndarray:
    """float32 [n, 1 + K C]: one, and the logarithms."""
    features = np.ones((inputs.rows, 1 + len(inputs.names) * inputs.classes), np.float32)
    for block, values in inputs.blocks():
        features[block, 1:] = log_of(values).transpose(1, 0, 2).reshape(values.shape[1], -1)
    return features


def _equal_pool(inputs: int, classes: int) -> np.ndarray:
    """The coefficients of the mean of log-probabilities: where the descent begins."""
    return np.concatenate([np.zeros((1, classes)), *([np.eye(classes) / inputs] * inputs)])


def _best_penalty(features: np.ndarray, inputs: Inputs, start: np.ndarray) -> float:
    rows = _some_rows(inputs.data, inputs.seed)
    data = inputs.data if len(rows) == inputs.rows else inputs.data.subset(rows)
    groups = data.rows if data.groups is None else len(np.unique(data.groups))
    if groups < 2:
        return 1.0
    losses = np.zeros(len(PENALTIES))
    for train, test in folds(data, min(_FOLDS, groups), inputs.seed):
        known, unseen = features[rows[train]], features[rows[test]]
        coefficients = start
        for place, c in enumerate(PENALTIES):
            coefficients = fit_logistic(
                known, inputs.labels[rows[train]], coefficients, c, precision=_PRECISION_TO_CHOOSE
            )
            losses[place] += logistic_loss(unseen, inputs.labels[rows[test]], coefficients) * len(test)
    return PENALTIES[int(losses.argmin())]


def _some_rows(data: MemberProbabilities, seed: int) -> np.ndarray:
    """Indices of all rows, or of whole groups drawn until there are enough rows, in ascending order."""
    if data.rows <= _ROWS_TO_CHOOSE_ON:
        return np.arange(data.rows)
    groups = np.arange(data.rows) if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    sizes = np.bincount(groups)
    drawn = np.random.default_rng(seed).permutation(len(sizes))
    enough = int(np.searchsorted(np.cumsum(sizes[drawn]), _ROWS_TO_CHOOSE_ON)) + 1
    return np.flatnonzero(np.isin(groups, drawn[:enough]))

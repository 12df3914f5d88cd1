"""Weights of their own for every class, for inputs that know different classes well."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.methods.method import Fit, ensemble_method
from hf_soup.ensembles.mixture import mixture_weights
from hf_soup.ensembles.tiers import FLOOR, row_blocks

_SMALLEST = 1e-3  # of a weight at the start: from zero softmax does not come back
_MOST_STEPS = 500


@ensemble_method()
def per_class(inputs: Inputs) -> Fit:
    """The class weights with the lowest log loss of y_c ∝ Σ α_Ac p_Ac that descent finds from the learned weights.

    For every class the weights sum to 1; the results are divided by their sum over the classes, which makes the loss not
    convex: what is found is at least as good as the learned weights on these rows, and another start might find better.
    `ridge` pulls each class towards equal weights, in the mean over the classes.
    """
    from scipy.optimize import minimize

    classes = inputs.classes
    convex = mixture_weights(inputs.true, ridge=inputs.ridge)
    one_for_all = np.repeat(convex[:, None], classes, axis=1)
    values = np.empty((len(convex), inputs.rows, classes), np.float32)
    for block, each in inputs.blocks():
        values[:, block] = each

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = _softmax(flat.reshape(one_for_all.shape))
        value, slope = _loss(values, inputs.labels, weights, inputs.ridge)
        return value, (weights * (slope - (weights * slope).sum(axis=0))).ravel()

    start = np.log(np.maximum(one_for_all, _SMALLEST)).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_STEPS, "ftol": 1e-10})
    weights = _softmax(found.x.reshape(one_for_all.shape))
    before = _loss(values, inputs.labels, one_for_all, inputs.ridge)[0]
    if found.fun > before:
        weights = one_for_all
    return Fit(weights=weights.mean(axis=1), class_weights=weights)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def _loss(values: np.ndarray, labels: np.ndarray, weights: np.ndarray, ridge: float) -> tuple[float, np.ndarray]:
    """The penalised loss of class weights [K, C], and its derivatives by them, for values [K, n, C]."""
    inputs, rows, classes = values.shape
    loss, slope = 0.0, np.zeros(weights.shape)
    for block in row_blocks(rows, inputs * classes):
        each = values[:, block].astype(np.float64)
        mixed = np.einsum("knc,kc->nc", each, weights) + FLOOR
        total = mixed.sum(axis=1)
        at = np.arange(len(total)), labels[block]
        loss += float(np.log(total).sum() - np.log(mixed[at]).sum())
        by_mixed = np.repeat(1 / total[:, None], classes, axis=1)
        by_mixed[at] -= 1 / mixed[at]
        slope += np.einsum("knc,nc->kc", each, by_mixed)
    away = weights - 1 / inputs
    penalty = ridge * float(np.square(away).sum()) / classes
    return loss / rows + penalty, slope / rows + 2 * ridge * away / classes

"""AUC where rows of different folds were predicted by different combinations: only rows of one fold are compared.

Each fold's combination has its own temperatures and weights, so a row of one fold may stand above a row of another for no
reason but the fold. Pairs (a row of the class, another row) within a fold are all told by one combination:

AUC = Σ_folds U_fold / Σ_folds (pairs of the fold),  U: pairs in the right order, equal scores count half

which is the mean of the folds' AUCs weighted by their pairs; with one fold it is the AUC of all rows.
Source of the bias of pooling, and of averaging as its cure: Forman & Scholz 2010, SIGKDD Explorations 12(1), section 3;
of the weighting: the stratified Mann-Whitney statistic, van Elteren 1960.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hf_soup.evaluation.metric import OnCounts
from hf_soup.evaluation.predictions import Predictions

Sums = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def auc_within(predictions: Predictions, fold: np.ndarray) -> OnCounts:
    """Returns the AUC on counts [resamples, rows]; with more than two classes the mean of one class against the rest.

    `fold`: int64 [rows], in the order of the predictions. NaN where a class that the data have has no pair in any fold.
    """
    scores, labels = predictions.log_probabilities, predictions.labels
    if len(predictions.classes) == 2:
        # Differences of logits order the rows like probabilities do, without rounding to 1.0.
        parts = [_won_and_pairs(labels == 1, scores[:, 1] - scores[:, 0], fold)]
    else:
        parts = [_won_and_pairs(labels == each, scores[:, each], fold) for each in np.unique(labels)]

    def on_counts(counts: np.ndarray) -> np.ndarray:
        areas = []
        for part in parts:
            won, pairs = part(counts)
            areas.append(np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan))
        return np.mean(areas, axis=0)

    return on_counts


def _won_and_pairs(positive: np.ndarray, score: np.ndarray, fold: np.ndarray) -> Sums:
    """Returns counts → (pairs in the right order, pairs), float64 [resamples] each, both summed over the folds."""
    order = np.lexsort((score, fold))
    its_fold, its_score, is_positive = fold[order], score[order], positive[order]
    new = np.r_[True, (np.diff(its_fold) != 0) | (np.diff(its_score) != 0)]
    place = np.cumsum(new)  # equal for rows of one fold with one score
    negatives = np.flatnonzero(~is_positive)
    positives = np.flatnonzero(is_positive)
    below = np.searchsorted(place[negatives], place[positives], side="left")
    not_above = np.searchsorted(place[negatives], place[positives], side="right")
    start = np.searchsorted(its_fold[negatives], its_fold[positives], side="left")
    end = np.searchsorted(its_fold[negatives], its_fold[positives], side="right")
    columns_of_positives, columns_of_negatives = order[positives], order[negatives]

    def sums(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        until = np.zeros((len(counts), len(negatives) + 1), np.float32)  # counts below 2**24: exact
        np.cumsum(counts[:, columns_of_negatives], axis=1, out=until[:, 1:])
        chosen, first = counts[:, columns_of_positives], until[:, start]
        won = (until[:, below] - first) + (until[:, not_above] - first)
        return _dot(chosen, won) / 2, _dot(chosen, until[:, end] - first)

    return sums


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b, dtype=np.float64)

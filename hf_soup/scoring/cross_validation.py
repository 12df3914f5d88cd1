"""Fitting on some questions and predicting others: the only way in which anything in this room is fitted.

No function here returns a prediction for a question that the fit had seen, or that is in a group with one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.shown_numbers import counted

Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Predict]
"""(inputs [n, …], outcomes [n]) → (inputs [k, …] → predictions [k])."""

N_FOLDS = 10
LEAST_RESOLVED = 30
LEAST_OF_EACH = 10


@dataclass(frozen=True)
class Split:
    """`train`, `predict`: bool [Q]. What is in neither gets no prediction from this split."""

    train: np.ndarray
    predict: np.ndarray


@dataclass(frozen=True)
class Splits:
    """`how`: in words, for the report."""

    splits: tuple[Split, ...]
    how: str


def group_folds(outcomes: np.ndarray, groups: np.ndarray, *, n_folds: int = N_FOLDS, seed: int = 0) -> Splits:
    """Returns folds that keep every group together and have about the same share of both outcomes.

    `outcomes`: float64 [Q], NaN for none. `groups`: int64 [Q]. Each fold is predicted by what was fitted on the resolved
    questions of all other folds. Open questions are predicted too: with the fold of their group, or, where nothing of their
    group is resolved, by a fit on all resolved questions. Groups are shuffled by `seed`, sorted by their share of outcomes
    that are 1, and dealt in turn, in the order of their numbers: those of a `ForecastTable` do not depend on the order of its rows.
    Raises InputError with fewer than two resolved groups, or for less than two folds.
    """
    resolved = ~np.isnan(outcomes)
    _, group = np.unique(groups, return_inverse=True)
    n_groups = int(group.max()) + 1 if len(group) else 0
    counts = np.bincount(group[resolved], minlength=n_groups)
    with_outcome = np.flatnonzero(counts)
    if n_folds < 2:
        raise InputError(f"n_folds={n_folds}: two folds or more are needed.")
    if len(with_outcome) < 2:
        raise InputError(
            f"Cross-validation needs resolved questions of two groups or more; there are {len(with_outcome)}. Nothing can be fitted "
            "on these data."
        )
    n_folds = min(n_folds, len(with_outcome))
    n_yes = np.bincount(group[resolved], weights=outcomes[resolved], minlength=n_groups)
    shares = n_yes[with_outcome] / counts[with_outcome]
    shuffled = np.random.default_rng(seed).permutation(len(with_outcome))
    dealt = shuffled[np.argsort(shares[shuffled], kind="stable")]
    fold_of_group = np.full(n_groups, -1)
    fold_of_group[with_outcome[dealt]] = np.arange(len(dealt)) % n_folds
    fold = fold_of_group[group]
    splits = [Split(resolved & (fold != n), fold == n) for n in range(n_folds)]
    if (fold < 0).any():
        splits.append(Split(resolved, fold < 0))
    return Splits(tuple(splits), f"{n_folds}-fold cross-validation that keeps groups together (seed {seed})")


def earlier_split(
    outcomes: np.ndarray,
    groups: np.ndarray,
    resolution_times: np.ndarray,
    forecast_times: np.ndarray,
    cutoff: float,
) -> Splits:
    """Returns one split in time: fitted on what was resolved before `cutoff`, predicted what was forecast from then on.

    All times in seconds since 1970, [Q]; `forecast_times`: the first forecast of each question. Questions whose time is not
    known, that straddle the cutoff, or that share a group with a predicted one are not fitted on; what is not predicted stays
    NaN. Raises InputError where nothing is left on one side.
    """
    predict = forecast_times >= cutoff
    train = ~np.isnan(outcomes) & (resolution_times < cutoff) & ~np.isin(groups, groups[predict])
    for side, mask in (("was resolved before", train), ("was forecast after", predict)):
        if not mask.any():
            raise InputError(
                f"A split in time: no question {side} the cutoff; choose another, and see that times of forecasts and resolution "
                "dates are known."
            )
    return Splits(
        (Split(train, predict),),
        f"a split in time, on {counted(int(train.sum()), 'question')} resolved before the cutoff for {int(predict.sum())} forecast from it on",
    )


def out_of_fold(fit: Fit, inputs: np.ndarray, outcomes: np.ndarray, groups: np.ndarray, splits: Splits) -> np.ndarray:
    """Returns predictions, float64 [Q], each by a fit that saw neither its question nor its group; NaN where in no split.

    Raises InputError for splits that would let a question be predicted by a fit on its own group, or twice.
    """
    check_splits(outcomes, groups, splits)
    values = np.full(len(outcomes), np.nan)
    for split in splits.splits:
        values[split.predict] = fit(inputs[split.train], outcomes[split.train])(inputs[split.predict])
    return values


def check_splits(outcomes: np.ndarray, groups: np.ndarray, splits: Splits) -> None:
    """Raises InputError unless in every split what is fitted on and what is predicted share no group."""
    predicted = np.zeros(len(outcomes), dtype=int)
    for number, split in enumerate(splits.splits, 1):
        if split.train.shape != outcomes.shape or split.predict.shape != outcomes.shape:
            raise InputError(f"Split {number} is of {len(split.train)} questions, the table has {len(outcomes)}.")
        both = np.intersect1d(groups[split.train], groups[split.predict])
        if len(both):
            raise InputError(
                f"Split {number} fits on group {both[0]} and predicts it as well: such predictions know the outcome. Make splits "
                "with group_folds or earlier_split."
            )
        if np.isnan(outcomes[split.train]).any():
            raise InputError(f"Split {number} fits on questions without an outcome.")
        predicted += split.predict
    if (predicted > 1).any():
        raise InputError(f"Question {int(np.argmax(predicted > 1)) + 1} is predicted by more than one split.")


def too_few(outcomes: np.ndarray) -> str | None:
    """Returns a sentence where there are too few outcomes, float64 [Q], to fit anything on them; None where there are enough.

    With 31 training questions plain calibrators made two of three real crowds worse; a shift with a prior costs little.
    """
    n_yes, n_no = int((outcomes == 1).sum()), int((outcomes == 0).sum())
    if n_yes + n_no >= LEAST_RESOLVED and min(n_yes, n_no) >= LEAST_OF_EACH:
        return None
    return (
        f"needs {LEAST_RESOLVED} resolved questions with {LEAST_OF_EACH} of each outcome; there are {n_yes + n_no}, {n_yes} yes and "
        f"{n_no} no"
    )

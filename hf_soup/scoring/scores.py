"""Scores of probabilities of yes/no questions, question by question, and measures of a whole column of forecasts.

The scores of a question are in `SCORES`: decorate a function and it appears in tables, comparisons and the report. Every
function takes p, float64 [Q] or [Q, C], and y, float64 [Q], 1 or 0. NaN in either gives NaN: a missing forecast has no score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np

from hf_soup.errors import InputError

# Metaculus keeps forecasts between 0.1 % and 99.9 %; a logarithm of 0 would be infinitely bad.
LOG_CLIP = 0.001
_AUC_DIGITS = 10

PerQuestion = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Score:
    """`function`(p, y) → [Q] or [Q, C]. `logarithmic`: infinite for p = 0 or 1, so forecasts are clipped first."""

    name: str
    title: str
    function: PerQuestion
    smaller_is_better: bool
    logarithmic: bool

    def __call__(self, p: np.ndarray, y: np.ndarray, clip: float = LOG_CLIP) -> np.ndarray:
        """Returns the score of every question; `clip` is used by logarithmic scores only."""
        return self.function(clip_probabilities(p, clip)[0] if self.logarithmic else p, y)


SCORES: dict[str, Score] = {}


def score(title: str, *, smaller_is_better: bool, logarithmic: bool = False) -> Callable[[PerQuestion], PerQuestion]:
    """Registers a function (p, y) → score of every question, under its own name."""

    def register(function: PerQuestion) -> PerQuestion:
        SCORES[function.__name__] = Score(
            function.__name__, title, function, smaller_is_better=smaller_is_better, logarithmic=logarithmic
        )
        return function

    return register


def score_named(name: str) -> Score:
    """Raises InputError with the names that exist."""
    if name not in SCORES:
        raise InputError(f"'{name}' is no score of single questions; there are {', '.join(SCORES)}.")
    return SCORES[name]


@score("Brier score", smaller_is_better=True)
def brier(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns (p − y)²: 0 is perfect, .25 a constant 50 %. Source: Brier 1950; computed by scoringrules.

    >>> brier(np.array([0.2, np.nan]), np.array([1.0, 1.0]))
    array([0.64,  nan])
    """
    return _by_scoringrules("brier_score", p, y)


@score("Log score", smaller_is_better=True, logarithmic=True)
def log(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns −ln of the probability that was given to what happened, in nats; ∞ where that was 0. Source: Good 1952."""
    return _by_scoringrules("log_score", p, y)


@score("Spherical score", smaller_is_better=False)
def spherical(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns p_o / √(p² + (1 − p)²), p_o the probability of what happened: 1 is perfect, .707 a constant 50 %."""
    return _of_what_happened(p, y) / np.sqrt(p**2 + (1 - p) ** 2)


@score("Metaculus baseline score", smaller_is_better=False, logarithmic=True)
def metaculus_baseline(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns 100 · (1 + log₂ p_o): 100 is perfect, 0 a constant 50 %. Source: Metaculus, scores FAQ."""
    with np.errstate(divide="ignore"):
        return 100 * (1 + np.log2(_of_what_happened(p, y)))


def peer_scores(members: np.ndarray, y: np.ndarray, clip: float = LOG_CLIP) -> np.ndarray:
    """Returns Metaculus peer scores [Q, M] of the member forecasts [Q, M]: 100 · (ln p_o − mean of ln p_o of the others).

    Above 0: better than the others on that question. NaN where a member gave no forecast or was alone.
    """
    logs = -log(clip_probabilities(members, clip)[0], y)
    given = ~np.isnan(logs)
    others = given.sum(axis=1, keepdims=True) - 1
    total = np.where(given, logs, 0.0).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * (logs - np.where(others > 0, (total - logs) / others, np.nan))


def peer_score_against(p: np.ndarray, members: np.ndarray, y: np.ndarray, clip: float = LOG_CLIP) -> np.ndarray:
    """Returns the peer score [Q] of a column that is none of the members, such as an aggregate, against all of them."""
    logs = -log(clip_probabilities(members, clip)[0], y)
    given = ~np.isnan(logs)
    with np.errstate(invalid="ignore"):
        mean = np.where(given, logs, 0.0).sum(axis=1) / np.where(given.any(axis=1), given.sum(axis=1), np.nan)
    return 100 * (-log(clip_probabilities(p, clip)[0], y) - mean)


def brier_index(mean_brier: float) -> float:
    """Returns 100 · (1 − √Brier), ForecastBench's index: 100 is perfect, 50 a constant 50 %.

    >>> round(brier_index(0.103), 1)
    67.9
    """
    return float(100 * (1 - np.sqrt(mean_brier)))


def auc(p: np.ndarray, y: np.ndarray) -> float:
    """Returns the area under the ROC curve: how often a question that became yes got more than one that became no.

    p, y: [Q]. Values are rounded to 10 digits first, since ties would otherwise depend on the order of a summation. NaN where
    not both outcomes occur.
    """
    from scipy.stats import rankdata

    scored = ~(np.isnan(p) | np.isnan(y))
    yes = y[scored] == 1
    n_yes, n_no = int(yes.sum()), int((~yes).sum())
    if not n_yes or not n_no:
        return float("nan")
    # Mann–Whitney's U; roc_auc_score gives the same number, and takes five times as long to check its input.
    ranks = rankdata(np.round(p[scored], _AUC_DIGITS))
    return float((ranks[yes].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no))


def clip_probabilities(p: np.ndarray, clip: float = LOG_CLIP) -> tuple[np.ndarray, int]:
    """Returns (p kept between `clip` and 1 − `clip`, how many values that changed). NaN stays NaN.

    Raises InputError where `clip` does not lie between 0 and 0.5.
    """
    if not 0 <= clip < 0.5:
        raise InputError(f"clip: {clip} is not at least 0 and below 0.5.")
    clipped = np.clip(p, clip, 1 - clip)
    return clipped, int(((clipped != p) & ~np.isnan(p)).sum())


def _of_what_happened(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    y = _beside(y, p)
    return np.where(np.isnan(y), np.nan, np.where(y == 1, p, 1 - p))


def _beside(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The outcomes [Q] in the shape of p."""
    return np.broadcast_to(y.reshape(y.shape + (1,) * (p.ndim - y.ndim)), p.shape)


def _by_scoringrules(name: str, p: np.ndarray, y: np.ndarray) -> np.ndarray:
    y = _beside(y, p)
    scored = ~(np.isnan(p) | np.isnan(y))
    values = np.full(p.shape, np.nan)
    with np.errstate(divide="ignore"):
        values[scored] = getattr(_scoringrules(), name)(y[scored], p[scored])
    return values


def _scoringrules() -> ModuleType:
    try:
        return import_module("scoringrules")
    except ImportError as error:
        raise InputError('Scoring needs scoringrules: pip install "hf-soup[scores]".') from error

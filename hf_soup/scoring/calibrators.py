"""Ways to correct forecasts that are too high, too low, too timid or too bold; a table made from decorated functions.

Each takes forecasts and outcomes, float64 [n] without NaN, and returns a function that corrects other forecasts. They are only
called by `hf_soup.scoring.calibration`, which keeps what is fitted on and what is corrected apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.log_odds import from_log_odds, log_odds
from hf_soup.scoring.logistic import fit_logistic


@dataclass(frozen=True)
class Fitted:
    """`parameters`: what was found, by name; empty for what has no fixed number of them."""

    correct: Callable[[np.ndarray], np.ndarray]
    parameters: Mapping[str, float]


Calibrator = Callable[[np.ndarray, np.ndarray, float], Fitted]
"""(forecasts [n], outcomes [n], clip of log odds) → what was fitted."""

_CALIBRATORS: dict[str, Calibrator] = {}


def calibrator(fit: Calibrator) -> Calibrator:
    _CALIBRATORS[fit.__name__] = fit
    return fit


def calibrator_named(name: str) -> Calibrator:
    """Returns the calibrator. Raises InputError, listing the known ones, for an unknown name."""
    found = _CALIBRATORS.get(name.strip().lower().replace("-", "_"))
    if found is None:
        raise InputError(f"There is no calibrator '{name}'; known: {', '.join(_CALIBRATORS)}.")
    return found


@calibrator
def shift(forecasts: np.ndarray, outcomes: np.ndarray, clip: float) -> Fitted:
    """Log odds moved by a constant, with a prior: the one that costs next to nothing where there is nothing to correct.

    expit(l + c), l = ln(p / (1 − p)) of p clipped; c minimises the log loss + 2c², which is a prior N(0, 1/4).
    Source: Cox 1958, "Two further applications of a model for binary regression", Biometrika 45, its intercept alone; the prior
    is ours, from learning curves on three real data sets.
    """
    (moved,) = fit_logistic(
        np.ones((len(forecasts), 1)),
        outcomes,
        means=np.zeros(1),
        variances=np.array([0.25]),
        offset=log_odds(forecasts, clip),
    )
    return Fitted(lambda other: from_log_odds(log_odds(other, clip) + moved), {"shift": float(moved)})


@calibrator
def shift_and_slope(forecasts: np.ndarray, outcomes: np.ndarray, clip: float) -> Fitted:
    """Log odds moved by a constant and stretched, both with a prior.

    expit(c + s · l), l = ln(p / (1 − p)) of p clipped; priors c N(0, 1/4), s N(1, 1/4).
    Source: Cox 1958, "Two further applications of a model for binary regression", Biometrika 45; the priors are ours.
    """
    c, s = fit_logistic(
        _with_one(log_odds(forecasts, clip)), outcomes, means=np.array([0.0, 1.0]), variances=np.full(2, 0.25)
    )
    return Fitted(lambda other: from_log_odds(c + s * log_odds(other, clip)), {"shift": float(c), "slope": float(s)})


@calibrator
def platt(forecasts: np.ndarray, outcomes: np.ndarray, clip: float) -> Fitted:
    """Log odds moved and stretched without a prior: needs a hundred questions or more.

    expit(a + b · l), l = ln(p / (1 − p)) of p clipped, fitted to the targets (n₁ + 1)/(n₁ + 2) for yes and 1/(n₀ + 2) for no, which
    keep it finite where yes and no can be told apart without error.
    Source: Platt 1999, "Probabilistic outputs for support vector machines", with log odds as the score.
    """
    n_yes = float(outcomes.sum())
    targets = np.where(outcomes == 1, (n_yes + 1) / (n_yes + 2), 1 / (len(outcomes) - n_yes + 2))
    a, b = fit_logistic(
        _with_one(log_odds(forecasts, clip)), targets, means=np.array([0.0, 1.0]), variances=np.full(2, np.inf)
    )
    return Fitted(lambda other: from_log_odds(a + b * log_odds(other, clip)), {"shift": float(a), "slope": float(b)})


@calibrator
def beta(forecasts: np.ndarray, outcomes: np.ndarray, clip: float) -> Fitted:
    """The beta calibration map, which treats forecasts near 0 and near 1 differently.

    expit(c + a ln p − b ln(1 − p)) of p clipped, a, b ≥ 0: one that comes out negative is set to 0 and the others fitted again.
    Priors N(1, 25) on a and b and N(0, 25) on c only keep it finite where yes and no can be told apart without error.
    Source: Kull, Silva Filho & Flach 2017, "Beta calibration", AISTATS.
    """

    def features(p: np.ndarray) -> np.ndarray:
        clipped = np.clip(p, clip, 1 - clip)
        return np.stack([np.log(clipped), -np.log1p(-clipped), np.ones_like(clipped)], axis=1)

    centre = np.array([1.0, 1.0, 0.0])
    free = np.array([True, True, True])
    coefficients = np.zeros(3)
    given = features(forecasts)
    while True:
        coefficients[~free] = 0.0
        coefficients[free] = fit_logistic(
            given[:, free], outcomes, means=centre[free], variances=np.full(int(free.sum()), 25.0)
        )
        negative = np.flatnonzero(coefficients[:2] < 0)
        if not len(negative):
            break
        free[negative[np.argmin(coefficients[negative])]] = False
    a, b, c = coefficients
    return Fitted(
        lambda other: from_log_odds(features(other) @ coefficients), {"a": float(a), "b": float(b), "c": float(c)}
    )


@calibrator
def isotonic(forecasts: np.ndarray, outcomes: np.ndarray, clip: float) -> Fitted:
    """The rising step function nearest to the outcomes: needs many questions, the worst calibrator on most real data sets.

    min Σ (y − f(p))² over all f that do not fall; between the forecasts that were fitted on it is interpolated. `clip` is not used.
    Source: Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates", KDD.
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(forecasts, outcomes)
    return Fitted(fitted.predict, {})


def _with_one(values: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(values), values], axis=1)

"""Calibration that is applied only where cross-validation says that it helps, and scored as if all of that were new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.calibrators import Calibrator, Fitted, calibrator_named
from hf_soup.scoring.comparison_tests import clustered_mean
from hf_soup.scoring.cross_validation import N_FOLDS, check_splits, group_folds, out_of_fold, too_few
from hf_soup.scoring.log_odds import CLIP


@dataclass(frozen=True)
class Calibration:
    """Calibrated forecasts, and whether calibration is worth it.

    `values`: float64 [Q]; each by a fit and a decision that saw neither its question nor its group, so that scores of them are
    honest. `applied`: whether the gate, asked with all resolved questions, is open; it decides for questions that are open.
    `why`: a sentence with the numbers. `gain`, `standard_error`: of the cross-validated Brier score on all resolved questions
    (positive is better), the error clustered by group; NaN where nothing was fitted. `brier_before`, `brier_after`: of the
    resolved questions as given and of `values` (nested cross-validation). `folds_applied` of `folds`: in how many outer folds the
    gate was open. `parameters`: of the fit on all resolved questions, empty where the gate is shut.
    """

    method: str
    values: np.ndarray
    applied: bool
    why: str
    n: int
    n_yes: int
    gain: float
    standard_error: float
    brier_before: float
    brier_after: float
    folds_applied: int
    folds: int
    parameters: Mapping[str, float]
    clip: float


def calibrate(
    forecasts: np.ndarray,
    outcomes: np.ndarray,
    groups: np.ndarray,
    *,
    method: str = "shift",
    clip: float = CLIP,
    n_folds: int = N_FOLDS,
    seed: int = 0,
) -> Calibration:
    """Returns calibrated forecasts, or the same ones where calibration does not pay.

    `forecasts`: float64 [Q], NaN where missing. `outcomes`: float64 [Q], 1, 0, NaN where there is none. `groups`: int64 [Q],
    never divided between what is fitted on and what is corrected. `method`: a name of `hf_soup.scoring.calibrators`. `clip`: of
    log odds.

    The gate: with fewer than 30 resolved questions or 10 of one outcome nothing is fitted. Else the cross-validated gain in Brier
    score must exceed one standard error of itself; without that condition a shift is applied to perfectly calibrated crowds a
    quarter to a third of the time. In each outer fold gate and fit are made anew from the other folds, and correct that fold.

    Raises InputError for an unknown method, a clip outside (0, 1/2), and arrays that do not fit each other.
    """
    calibrator = calibrator_named(method)
    if not 0 < clip < 0.5:
        raise InputError(f"calibration: clip={clip!r} must be above 0 and below 0.5.")
    if not len(forecasts) == len(outcomes) == len(groups):
        raise InputError(
            f"calibration: {len(forecasts)} forecasts, {len(outcomes)} outcomes and {len(groups)} groups do not fit each other."
        )
    known = ~np.isnan(forecasts)
    usable = np.where(known, outcomes, np.nan)
    scored = ~np.isnan(usable)
    reason = too_few(usable) or (
        "needs resolved questions of two groups or more" if _one_group(groups[scored]) else None
    )
    if reason:
        return _unchanged(method, forecasts, usable, f"not applied: it {reason}", clip)
    gate = _Gate(calibrator, clip, n_folds, seed)
    p, y, of_group = forecasts[known], usable[known], groups[known]
    nested, folds_applied, folds = _nested(gate, p, y, of_group)
    values = forecasts.copy()
    values[known] = nested
    decision = gate.decide(forecasts[scored], outcomes[scored], groups[scored])
    applied = decision.fitted is not None
    return Calibration(
        method,
        values,
        applied,
        f"{'applied' if applied else 'not applied'}: the cross-validated Brier score of {int(scored.sum())} resolved questions "
        f"{'falls' if decision.gain > 0 else 'rises'} by {abs(decision.gain):.4f}, "
        f"{'more' if applied else 'not a fall of more'} than its standard error of {decision.standard_error:.4f}",
        int(scored.sum()),
        int(outcomes[scored].sum()),
        decision.gain,
        decision.standard_error,
        _brier(forecasts[scored], outcomes[scored]),
        _brier(values[scored], outcomes[scored]),
        folds_applied,
        folds,
        decision.fitted.parameters if decision.fitted else {},
        clip,
    )


@dataclass(frozen=True)
class _Decision:
    """`fitted` is None where the gate is shut."""

    gain: float
    standard_error: float
    fitted: Fitted | None


@dataclass(frozen=True)
class _Gate:
    calibrator: Calibrator
    clip: float
    n_folds: int
    seed: int

    def decide(self, forecasts: np.ndarray, outcomes: np.ndarray, groups: np.ndarray) -> _Decision:
        """All resolved, without NaN."""
        if _one_group(groups):
            return _Decision(float("nan"), float("nan"), None)
        splits = group_folds(outcomes, groups, n_folds=self.n_folds, seed=self.seed)
        corrected = out_of_fold(
            lambda p, y: self.calibrator(p, y, self.clip).correct, forecasts, outcomes, groups, splits
        )
        gains = (forecasts - outcomes) ** 2 - (corrected - outcomes) ** 2
        gain, error = float(gains.mean()), clustered_mean(gains, groups).standard_error
        # Forecasts that are not changed at all gain nothing, with an error of nothing.
        return _Decision(
            gain, error, self.calibrator(forecasts, outcomes, self.clip) if gain > max(error, 0.0) else None
        )


def _nested(gate: _Gate, p: np.ndarray, y: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Values, and of how many folds with resolved questions the gate was open in how many."""
    splits = group_folds(y, groups, n_folds=gate.n_folds, seed=gate.seed)
    check_splits(y, groups, splits)
    values = p.copy()
    opened = folds = 0
    for split in splits.splits:
        fitted = gate.decide(p[split.train], y[split.train], groups[split.train]).fitted
        if fitted is not None:
            values[split.predict] = fitted.correct(p[split.predict])
        if not np.isnan(y[split.predict]).all():
            folds += 1
            opened += fitted is not None
    return values, opened, folds


def _unchanged(method: str, forecasts: np.ndarray, outcomes: np.ndarray, why: str, clip: float) -> Calibration:
    scored = ~np.isnan(outcomes)
    before = _brier(forecasts[scored], outcomes[scored])
    nan = float("nan")
    n_yes = int((outcomes == 1).sum())
    return Calibration(
        method, forecasts.copy(), False, why, int(scored.sum()), n_yes, nan, nan, before, before, 0, 0, {}, clip
    )


def _brier(forecasts: np.ndarray, outcomes: np.ndarray) -> float:
    return float(((forecasts - outcomes) ** 2).mean()) if len(forecasts) else float("nan")


def _one_group(groups: np.ndarray) -> bool:
    return len(np.unique(groups)) < 2

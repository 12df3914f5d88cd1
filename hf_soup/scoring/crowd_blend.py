"""A human crowd's forecast and the models' one, blended in log odds, and always shown beside both alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.cross_validation import Predict, Splits, group_folds, out_of_fold, too_few
from hf_soup.scoring.log_odds import CLIP, from_log_odds, log_odds
from hf_soup.scoring.table import ForecastTable

CROWD_WEIGHT = 0.75
CrowdWeight = float | Literal["fit"]
"""The crowd's weight in a blend, or that it is fitted by cross-validation."""
_GRID = np.linspace(0, 1, 101)
_SHOWN = 5


@dataclass(frozen=True)
class CrowdBlend:
    """Three forecasts of the same questions, float64 [Q], NaN in all three where one of them is missing.

    `blend`, `crowd`, `models`: to be scored side by side. `weights`: float64 [Q], the crowd's weight in each blend; a fitted one
    comes from the other folds. `how`: the weight in words. `left_out`: questions that have one of the two only.
    `unchecked`: of how many blended questions the time of the crowd or of a forecast is not known, so that the crowd may be later.
    `clipped`: forecasts of either that the clip of log odds moved. `notes`: sentences that belong beside the scores.
    """

    blend: np.ndarray
    crowd: np.ndarray
    models: np.ndarray
    weights: np.ndarray
    how: str
    clip: float
    clipped: int
    left_out: int
    unchecked: int
    notes: tuple[str, ...]


def blend_with_crowd(
    table: ForecastTable,
    models: np.ndarray,
    *,
    crowd_weight: CrowdWeight = CROWD_WEIGHT,
    clip: float = CLIP,
    splits: Splits | None = None,
) -> CrowdBlend:
    """Returns expit(w · logit(crowd) + (1 − w) · logit(models)), log odds of probabilities clipped to [clip, 1 − clip].

    `models`: float64 [Q], an aggregate of the table. `crowd_weight`: w. Its default, 0.75, was chosen on one data set: 3,848
    rows with GPT-4 forecasts and the crowd of the same date. "fit": the w out of 0, 0.01, …, 1 with the lowest Brier score on the
    other folds (`splits`: ten folds that keep groups together).

    Raises InputError where a crowd's value is dated after a forecast it is blended with, where forecasts were made after the
    crowd's was shown (they hold it already, and are not the models alone), and for a weight outside [0, 1].
    """
    if crowd_weight != "fit" and not (isinstance(crowd_weight, int | float) and 0 <= crowd_weight <= 1):
        raise InputError(f"crowd_weight={crowd_weight!r}: must lie between 0 and 1, or be 'fit'.")
    if splits is not None and crowd_weight != "fit":
        raise InputError("crowd blend: splits are for a fitted weight (crowd_weight='fit').")
    if not 0 < clip < 0.5:
        raise InputError(f"crowd blend: clip={clip!r} must be above 0 and below 0.5.")
    if len(models) != len(table.questions):
        raise InputError(f"crowd blend: {len(models)} aggregates for {len(table.questions)} questions.")
    both = ~(np.isnan(table.crowd) | np.isnan(models))
    if reason := why_not_alone(table, both):
        raise InputError(reason)
    refuse_late_crowd(table, both)
    left_out = int((np.isnan(table.crowd) != np.isnan(models)).sum())
    sides = log_odds(np.stack([table.crowd, models], axis=1), clip)
    if crowd_weight == "fit":
        outcomes = np.where(both, table.outcomes, np.nan)
        if reason := too_few(outcomes):
            raise InputError(f"crowd blend: a fitted weight {reason}; give a weight (crowd_weight={CROWD_WEIGHT}).")
        splits = splits or group_folds(outcomes, table.groups)
        weights = out_of_fold(_fit_weight, sides, outcomes, table.groups, splits)
        how = f"crowd's weight {np.nanmin(weights):.2f}–{np.nanmax(weights):.2f}, fitted by {splits.how}"
    else:
        weights = np.full(len(models), float(crowd_weight))
        chosen = ", which was chosen on one data set" if crowd_weight == CROWD_WEIGHT else ""
        how = f"crowd's weight {crowd_weight:g}{chosen}"
    blend = _blended(sides, weights)
    blended = ~np.isnan(blend)
    crowd, models = np.where(blended, table.crowd, np.nan), np.where(blended, models, np.nan)
    return CrowdBlend(
        blend=blend,
        crowd=crowd,
        models=models,
        weights=weights,
        how=how,
        clip=clip,
        clipped=int(sum(((each < clip) | (each > 1 - clip)).sum() for each in (crowd, models))),
        left_out=left_out,
        unchecked=int((blended & ~_times_known(table)).sum()),
        notes=interim_notes(table),
    )


def late_crowd(table: ForecastTable) -> np.ndarray:
    """Returns bool [Q]: the crowd's value is dated after one of the question's forecasts, and may know what they could not."""
    if table.times is None or table.crowd_times is None:
        return np.zeros(len(table.questions), dtype=bool)
    made = np.where(np.isnan(table.values), np.nan, table.times)
    return ~np.isnan(table.crowd) & (table.crowd_times[:, None, None] > made).any(axis=(1, 2))


def refuse_late_crowd(table: ForecastTable, among: np.ndarray | None = None) -> None:
    """Raises InputError where `late_crowd`, of the questions in `among`, bool [Q]."""
    late = late_crowd(table) & (True if among is None else among)
    if late.any():
        raise InputError(
            f"The crowd's forecast of {_named(table, late)} is dated after a forecast of the same question (crowd_time), so it may "
            "know more. Give the crowd's value as of before the forecasts, or leave it blank. A crowd_time without a time of day "
            "is the end of that day."
        )


def why_not_alone(table: ForecastTable, among: np.ndarray | None = None) -> str | None:
    """Returns a sentence where forecasts of the questions in `among`, bool [Q], were made after the crowd's was shown."""
    if table.shown_crowd is None:
        return None
    shown = (table.shown_crowd & ~np.isnan(table.values)).any(axis=(1, 2)) & (True if among is None else among)
    if not shown.any():
        return None
    return (
        f"Forecasts of {_named(table, shown)} were made after the crowd's was shown: they are not the models alone, and a blend "
        "would count the crowd twice. Blend the first turn's forecasts, or those of a prompt that does not show the crowd."
    )


def interim_notes(table: ForecastTable) -> tuple[str, ...]:
    """Returns what must be said of scores while questions are open."""
    return interim_note(table.n_open, len(table.questions))


def interim_note(n_open: int, n_questions: int) -> tuple[str, ...]:
    """Returns the one sentence that all scores of the room carry while questions are open, none where none is."""
    if not n_open:
        return ()
    return (
        f"{n_open} of {n_questions} questions {'is' if n_open == 1 else 'are'} still open. Those that resolve early are "
        "over-represented until then, and may differ from the others: these scores are interim.",
    )


def _times_known(table: ForecastTable) -> np.ndarray:
    if table.times is None or table.crowd_times is None:
        return np.zeros(len(table.questions), dtype=bool)
    unknown = (~np.isnan(table.values) & np.isnan(table.times)).any(axis=(1, 2))
    return ~np.isnan(table.crowd_times) & ~unknown


def _fit_weight(sides: np.ndarray, outcomes: np.ndarray) -> Predict:
    """Log odds of crowd and models, [n, 2] → a function that returns the weight, the same for all. Of equal ones the larger."""
    known = ~np.isnan(sides).any(axis=1)
    scores = ((_blended(sides[known], _GRID[:, None]) - outcomes[known]) ** 2).mean(axis=1)
    best = _GRID[len(_GRID) - 1 - int(np.argmin(scores[::-1]))]
    return lambda other: np.full(len(other), best)


def _blended(sides: np.ndarray, weights: np.ndarray | float) -> np.ndarray:
    return from_log_odds(weights * sides[:, 0] + (1 - weights) * sides[:, 1])


def _named(table: ForecastTable, mask: np.ndarray) -> str:
    ids = [f"'{table.questions[n]}'" for n in np.flatnonzero(mask)]
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{'question' if len(ids) == 1 else 'questions'} {', '.join(ids[:_SHOWN])}{more}"

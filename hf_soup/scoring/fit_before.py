"""Fitted aggregators by a split in time: fitted on what was resolved before a day, scored on what was forecast from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from hf_soup.errors import InputError
from hf_soup.forecasting.cells import read_moment
from hf_soup.scoring.aggregation import Aggregation, aggregation
from hf_soup.scoring.cross_validation import Splits, earlier_split, too_few
from hf_soup.scoring.shown_numbers import counted
from hf_soup.scoring.table import ForecastTable

FitBefore = str | date | datetime
"""A day or a time in ISO 8601; a day is its first second, in UTC where it says nothing else."""


@dataclass(frozen=True)
class Later:
    """`splits`: for fitted aggregators, None for cross-validation. `scored`: bool [Q], the questions that are scored. `notes`: both
    in words.
    """

    splits: Splits | None
    scored: np.ndarray
    notes: tuple[str, ...]


def later_questions(table: ForecastTable, before: FitBefore | None, crowd_weight: object = None) -> Later:
    """Returns what is fitted on and what is scored. `before` None: all questions are scored, and fits are by cross-validation.

    Else fitted aggregators are fitted once, on the questions that were resolved before that moment, and everything, also what is
    not fitted, is scored on the questions whose first forecast was made from then on: of the same ones.

    Raises InputError for what is no date, where times are not known, where too few questions are resolved before to fit on, and for
    a crowd's weight that is fitted ("fit"), since that is by cross-validation over all that is scored.
    """
    if before is None:
        return Later(None, np.ones(len(table.questions), dtype=bool), ())
    cutoff, written = _moment(before)
    problems = []
    if table.times is None:
        problems.append("fit_before (--fit-before): the forecasts have no time (column time).")
    if table.resolution_times is None or np.isnan(table.resolution_times).all():
        problems.append("fit_before (--fit-before): no question has a resolution_date.")
    if crowd_weight == "fit":
        problems.append(
            "fit_before (--fit-before): does not go with a fitted weight of the crowd (--crowd-weight fit), which is fitted by "
            "cross-validation over the questions that are scored; give a weight."
        )
    if problems or table.times is None or table.resolution_times is None:
        raise InputError(problems)
    first = np.where(np.isnan(table.values) | np.isnan(table.times), np.inf, table.times).min(axis=(1, 2))
    first[np.isinf(first)] = np.nan
    _refuse_what_cannot_be_fitted(table, table.resolution_times < cutoff, first >= cutoff, written)
    splits = earlier_split(table.outcomes, table.groups, table.resolution_times, first, cutoff)
    (split,) = splits.splits
    notes = (
        f"Split in time at {written}: what is fitted is fitted on {counted(int(split.train.sum()), 'question')} resolved before it, and everything, "
        f"also what is not fitted, is of the {int(split.predict.sum())} that were forecast from then on; "
        f"{int((~split.predict & ~split.train).sum())} are in neither.",
    )
    return Later(splits, split.predict, notes)


def _refuse_what_cannot_be_fitted(table: ForecastTable, before: np.ndarray, later: np.ndarray, written: str) -> None:
    """`before`, `later`: bool [Q], resolved before the moment, and first forecast from then on."""
    place = f"fit_before (--fit-before) {written}"
    if not later.any():
        raise InputError(f"{place}: no question is known to have been forecast from then on; choose an earlier day.")
    resolved = ~np.isnan(table.outcomes) & before
    tied = resolved & np.isin(table.groups, table.groups[later])
    reason = too_few(table.outcomes[resolved & ~tied])
    if reason is None:
        return
    if not tied.any():
        raise InputError(f"{place}: a fit {reason}, resolved before it; choose a later day.")
    raise InputError(
        f"{place}: a fit {reason}, that can be fitted on; {int(resolved.sum())} were resolved before it, but {int(tied.sum())} of them are "
        "in one group with a question that was forecast from then on and is scored. Choose another day, or groups (column group) that "
        "do not reach over it."
    )


def aggregation_of_later(
    table: ForecastTable, methods: Sequence[str], *, everything: bool = False, fit_before: FitBefore | None = None
) -> Aggregation:
    """Returns the aggregates of the questions that `later_questions` names; see `aggregation`."""
    later = later_questions(table, fit_before)
    found = aggregation(table, methods, everything=everything, splits=later.splits)
    return replace(found.subset(later.scored), of_which=later.notes)


def _moment(before: FitBefore) -> tuple[float, str]:
    """In seconds since 1970, and as it was written."""
    try:
        moment = read_moment(before, end_of_day=False)
    except ValueError as error:
        raise InputError(f"fit_before (--fit-before): {error}; write a day, such as 2026-03-01.") from error
    if moment is None:
        raise InputError("fit_before (--fit-before): is blank; write a day, such as 2026-03-01.")
    return moment.timestamp(), str(before)

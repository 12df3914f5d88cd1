"""An aggregate, calibrated where that pays, with what it was before beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.aggregation import PRIMARY
from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.calibration import Calibration, calibrate
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.documents import document
from hf_soup.scoring.table import ForecastTable


@dataclass(frozen=True, repr=False)
class Calibrating:
    """`before`: float64 [Q], the aggregate called `primary`. `outcomes`: float64 [Q]."""

    questions: tuple[str, ...]
    primary: str
    before: np.ndarray
    outcomes: np.ndarray
    calibration: Calibration

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each question: the aggregate, the calibrated one, the outcome."""
        columns = zip(self.questions, self.before, self.calibration.values, self.outcomes, strict=True)
        return [
            {"question_id": question, self.primary: before, "calibrated": after, "outcome": outcome}
            for question, before, after, outcome in columns
        ]

    def to_json(self) -> dict[str, Any]:
        return {"primary": self.primary, **document(self.calibration), "questions": document(self.rows())}

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        applied = "applied" if self.calibration.applied else "not applied"
        return f"<Calibrating of the {self.primary} by {self.calibration.method}: {applied}; print it for the reasons>"

    def table(self) -> str:
        """Returns whether calibration was applied and why, and the scores before and after."""
        c = self.calibration
        lines = [f"Calibration of the {self.primary} by {c.method}: {c.why}."]
        if not c.n:
            return lines[0]
        lines.append(f"{c.n} resolved questions, {c.n_yes} ended yes. Brier score as given: {number(c.brier_before)}.")
        if c.folds:
            lines.append(
                f"With fit and decision made anew in each of {c.folds} folds (nested cross-validation): {number(c.brier_after)}; "
                f"applied in {c.folds_applied} of them."
            )
        if c.parameters:
            found = ", ".join(f"{name} {value:.4f}" for name, value in c.parameters.items())
            lines.append(f"Fitted on all resolved questions, for those that are open: {found}.")
        lines.append(f"Log odds are taken of forecasts kept between {c.clip:g} and {1 - c.clip:g}.")
        return "\n".join(lines)


def calibrating(table: ForecastTable, *, primary: str = PRIMARY, method: str = "shift") -> Calibrating:
    """Returns the aggregate `primary`, calibrated by `method` (a name of `hf_soup.scoring.calibrators`) if that pays.

    Raises InputError for an unknown aggregator or method.
    """
    aggregator = aggregator_named(primary)
    before = aggregator(table).values
    calibration = calibrate(before, table.outcomes, table.groups, method=method)
    return Calibrating(table.questions, aggregator.name, before, table.outcomes, calibration)

"""Forecasts that somebody has already: judged like those of a run, with two tables and without a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.judged import Judged, Questions, Source


@dataclass(frozen=True, repr=False)
class ReadyForecasts(Judged):
    """`data`, `questions` and how they are read, as `read_forecasts` takes them; see `Forecasts.from_file`."""

    data: Any
    questions: Questions | None = None
    unit: Unit = "fraction"
    questions_unit: Unit | None = None
    members: Sequence[str] | None = None
    columns: Mapping[str, str] | None = None
    where: Mapping[str, Any] | None = None

    def source(self, questions: Questions | None, questions_unit: Unit | None) -> Source:
        return Source(
            self.data,
            self.questions if questions is None else questions,
            {
                "unit": self.unit,
                "questions_unit": questions_unit or self.questions_unit,
                "members": self.members,
                "columns": self.columns,
                "where": self.where,
            },
        )

    def costs(self) -> None:
        return None

    def __repr__(self) -> str:
        what = self.data if isinstance(self.data, str) or hasattr(self.data, "suffix") else type(self.data).__name__
        return f"ReadyForecasts({what}, unit={self.unit!r})"

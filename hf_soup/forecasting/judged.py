"""What can be done with a run once questions are resolved. The room that does it is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.question import Question

if TYPE_CHECKING:
    from hf_soup.scoring.aggregation import Aggregation
    from hf_soup.scoring.comparing import Comparing
    from hf_soup.scoring.scoring import Scoring
    from hf_soup.scoring.table import ForecastTable

Questions = str | Path | Sequence[Mapping[str, Any]] | Sequence[Question]


class Judged:
    """A run in the folder `path`. Everywhere `questions` are those of the run, or the same ones with what has become of them
    since (a file, a list of dicts); `unit` is that of their crowd. Of two turns the first counts.
    """

    path: Path

    def aggregate(
        self, method: str = "mean", *, questions: Questions | None = None, unit: Unit = "fraction"
    ) -> Aggregation:
        """Returns the aggregate of every question, `.values` [Q], with spread and members. Raises InputError for an unknown
        method.
        """
        from hf_soup.scoring.aggregation import aggregation

        return aggregation(self._read(questions, unit, late="leave out"), [method])

    def score(
        self,
        primary: str = "mean",
        *,
        everything: bool = False,
        questions: Questions | None = None,
        unit: Unit = "fraction",
    ) -> Scoring:
        """Returns the scores of members, the aggregate `primary` (`everything`: all aggregates) and the crowd."""
        from hf_soup.scoring.scoring import scoring

        return scoring(self._read(questions, unit), [primary], everything=everything)

    def compare(
        self,
        against: str | Sequence[str] | None = None,
        *,
        primary: str = "mean",
        bound: float | None = None,
        looks: int = 1,
        questions: Questions | None = None,
        unit: Unit = "fraction",
    ) -> Comparing:
        """Returns the tests of the aggregate `primary` against "crowd", "half", "members" or names of them; all without."""
        from hf_soup.scoring.comparing import comparing

        return comparing(self._read(questions, unit), against, primary=primary, bound=bound, looks=looks)

    def _read(
        self, questions: Questions | None, unit: Unit, late: Literal["refuse", "leave out"] = "refuse"
    ) -> ForecastTable:
        from hf_soup.scoring.read_forecasts import read_forecasts

        of_crowd: Unit = "fraction" if questions is None else unit
        return read_forecasts(self.path, questions, unit="fraction", questions_unit=of_crowd, late=late)

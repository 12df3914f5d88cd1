"""What can be done with forecasts once questions are resolved. The room that does it is imported when it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.question import Question

if TYPE_CHECKING:
    from hf_soup.reporting.forecast_report import Report
    from hf_soup.scoring.aggregation import Aggregation
    from hf_soup.scoring.bias_report import BiasReport
    from hf_soup.scoring.calibrating import Calibrating
    from hf_soup.scoring.comparing import Comparing
    from hf_soup.scoring.fit_before import FitBefore
    from hf_soup.scoring.scoring import Scoring
    from hf_soup.scoring.study1_result import Study1Result
    from hf_soup.scoring.study2_result import Study2Result
    from hf_soup.scoring.table import ForecastTable

Questions = str | Path | Sequence[Mapping[str, Any]] | Sequence[Question]


@dataclass(frozen=True)
class Source:
    """Where forecasts are read from: what all readers of `scoring` take, `reading` by name."""

    data: Any
    questions: Questions | None
    reading: dict[str, Any]


class Judged(ABC):
    """Forecasts of a run, or ready-made ones. Everywhere `questions` are those that they came with, or the same ones with what has
    become of them since (a file, a list of dicts); `questions_unit`: of their crowd, if another than that of the forecasts. Of two
    turns the first counts.
    """

    @abstractmethod
    def source(self, questions: Questions | None, questions_unit: Unit | None) -> Source:
        """Returns where the forecasts are, with these questions in place of their own; `questions_unit`: of their crowd."""

    @abstractmethod
    def costs(self) -> dict[str, float | None] | None:
        """Returns the dollars that each member's answers cost; None where that is not known."""

    def aggregate(
        self,
        method: str = "mean",
        *,
        fit_before: FitBefore | None = None,
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Aggregation:
        """Returns the aggregate of every question, `.values` [Q], with spread and members.

        `fit_before`: a day; a fitted method is fitted on the questions resolved before it, and the aggregates are of those forecast
        from then on. Without it, it is cross-validated. Raises InputError for an unknown method, and where nothing can be fitted.
        """
        from hf_soup.scoring.fit_before import aggregation_of_later

        return aggregation_of_later(
            self._read(questions, questions_unit, late="leave out"), [method], fit_before=fit_before
        )

    def score(
        self,
        primary: str = "mean",
        *,
        everything: bool = False,
        looks: int = 1,
        crowd_weight: float | Literal["fit"] = 0.75,
        fit_before: FitBefore | None = None,
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Scoring:
        """Returns the scores of members, the aggregate `primary` (`everything`: all aggregates), the crowd, and where there is one
        its blend with the aggregate: `crowd_weight` in log odds, "fit" by cross-validation. `looks`: how often these questions were
        tested, this time included. `fit_before`: a day; aggregates are fitted on the questions resolved before it, and all is scored
        on those forecast from then on.
        """
        from hf_soup.scoring.scoring import scoring

        table = self._read(questions, questions_unit)
        return scoring(
            table, [primary], everything=everything, looks=looks, crowd_weight=crowd_weight, fit_before=fit_before
        )

    def compare(
        self,
        against: str | Sequence[str] | None = None,
        *,
        primary: str = "mean",
        pairwise: bool = False,
        bound: float | None = None,
        looks: int = 1,
        crowd_weight: float | Literal["fit"] = 0.75,
        fit_before: FitBefore | None = None,
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Comparing:
        """Returns the tests of the aggregate `primary` against "crowd", "half", "members" or names of them; all without.

        `pairwise`: also every two members, on the questions that both answered. `fit_before`: as in `score`.
        """
        from hf_soup.scoring.comparing import comparing

        table = self._read(questions, questions_unit)
        return comparing(
            table,
            against,
            primary=primary,
            pairwise=pairwise,
            bound=bound,
            looks=looks,
            crowd_weight=crowd_weight,
            fit_before=fit_before,
        )

    def calibrate(
        self,
        primary: str = "mean",
        *,
        method: str = "shift",
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Calibrating:
        """Returns the aggregate `primary`, corrected by `method` where cross-validation says that it helps, and why or why not."""
        from hf_soup.scoring.calibrating import calibrating

        return calibrating(self._read(questions, questions_unit, late="leave out"), primary=primary, method=method)

    def study1(
        self,
        primary: str = "median",
        *,
        bound: float | None = None,
        looks: int = 1,
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Study1Result:
        """Returns Study 1 of arXiv 2402.19379: the aggregate `primary` against 50 % and the human crowd, and its biases."""
        from hf_soup.scoring.study1_result import study1_result

        return study1_result(self._read(questions, questions_unit), primary=primary, bound=bound, looks=looks)

    def study2(
        self,
        *,
        crowd_weight: float = 0.75,
        bound: float | None = None,
        looks: int = 1,
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Study2Result:
        """Returns Study 2 of arXiv 2402.19379: the forecasts before and after the human median was shown, each member against its own
        averages with the crowd. Raises InputError where the run was not asked in two turns (prompt `update`).
        """
        from hf_soup.scoring.read_two_turns import read_two_turns
        from hf_soup.scoring.study2_result import study2_result

        source = self.source(questions, questions_unit)
        turns = read_two_turns(source.data, source.questions, **source.reading)
        return study2_result(turns, crowd_weight=crowd_weight, bound=bound, looks=looks)

    def bias(
        self,
        *,
        negated: str | Path | Judged | None = None,
        paraphrases: Sequence[str | Path | Judged] = (),
        looks: int = 1,
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> BiasReport:
        """Returns the checks of bias, with what the run cost. `negated`: a run of the prompt `negated`, or a file with the
        probabilities of the opposite questions; `paraphrases`: runs or files of other wordings. Files are in the unit of these
        forecasts; what is in another one is given as `Forecasts.from_file(…)`.
        """
        from hf_soup.scoring.bias_report import bias_report

        return bias_report(
            self._read(questions, questions_unit, late="leave out"),
            **self._rewordings(negated, paraphrases, self.source(questions, questions_unit)),
            costs=self.costs(),
            looks=looks,
        )

    def report(
        self,
        path: str | Path = "report.html",
        *,
        primary: str = "mean",
        everything: bool = False,
        pairwise: bool = False,
        bound: float | None = None,
        looks: int = 1,
        crowd_weight: float | Literal["fit"] = 0.75,
        negated: str | Path | Judged | None = None,
        paraphrases: Sequence[str | Path | Judged] = (),
        questions: Questions | None = None,
        questions_unit: Unit | None = None,
    ) -> Report:
        """Writes the page with scores, comparisons, biases and figures, and returns it; Markdown where the name ends with .md.

        `primary`: the aggregate that counts; `everything`: all others beside it. `pairwise`: also every two members. `bound`: of the
        equivalence test, stated beforehand. `looks`: how often these questions were tested, this time included. `crowd_weight`: as in
        `score`. `negated`, `paraphrases`: as in `bias`. Raises InputError for another ending.
        """
        from hf_soup.reporting.forecast_report import refuse_other_pages, report
        from hf_soup.reporting.material import read_material

        refuse_other_pages(Path(path))
        source = self.source(questions, questions_unit)
        found = read_material(source.data, source.questions, **source.reading)
        made = report(
            found.table,
            questions_text=found.texts,
            run=found.run,
            primary=primary,
            everything=everything,
            pairwise=pairwise,
            bound=bound,
            looks=looks,
            crowd_weight=crowd_weight,
            **self._rewordings(negated, paraphrases, self.source(questions, questions_unit)),
        )
        made.save(path)
        return made

    def _rewordings(
        self,
        negated: str | Path | Judged | None,
        paraphrases: Sequence[str | Path | Judged],
        asked: Source,
    ) -> dict[str, Any]:
        """The forecasts of opposite questions and of other wordings, for `bias_report` and `report`."""
        from hf_soup.scoring.read_rewordings import read_negated, read_paraphrases

        def read(reader: Callable[..., ForecastTable], given: str | Path | Judged) -> ForecastTable:
            if isinstance(given, Judged):
                source = given.source(None, None)
                return reader(source.data, source.questions, **source.reading)
            units = {name: asked.reading[name] for name in ("unit", "questions_unit")}
            return reader(given, asked.questions, **units)

        return {
            "negated": None if negated is None else read(read_negated, negated),
            "paraphrases": [read(read_paraphrases, each) for each in paraphrases],
        }

    def _read(
        self, questions: Questions | None, questions_unit: Unit | None, late: Literal["refuse", "leave out"] = "refuse"
    ) -> ForecastTable:
        from hf_soup.scoring.read_forecasts import read_forecasts

        source = self.source(questions, questions_unit)
        return read_forecasts(source.data, source.questions, late=late, **source.reading)

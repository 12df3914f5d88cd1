"""Everything that a report shows, computed once before a word of it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.reporting.names import aggregator_words
from hf_soup.reporting.page import one_line
from hf_soup.reporting.run_facts import RunFacts, run_facts
from hf_soup.scoring.bias_report import BiasReport, bias_report
from hf_soup.scoring.blending import Blending
from hf_soup.scoring.calibrating import Calibrating, calibrating
from hf_soup.scoring.comparing import Comparing, comparing
from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.crowd_blend import CrowdWeight
from hf_soup.scoring.scores import brier
from hf_soup.scoring.scores_table import ColumnScores
from hf_soup.scoring.scoring import SameQuestions, Scoring, scoring
from hf_soup.scoring.table import ForecastTable

BESIDE_PRIMARY = ("mean", "median", "geometric_odds")
"""Aggregates that are shown beside the primary one, whichever that is."""


@dataclass(frozen=True)
class Findings:
    """`texts`: one line for each question, in the table's order, its id where the text is not known. `aggregate` and `briers`:
    float64 [Q], of the primary aggregate, NaN where there is none. `reworded_elsewhere`: forecasts of other wordings or of opposites came
    from elsewhere than the table.
    """

    table: ForecastTable
    texts: tuple[str, ...]
    run: RunFacts | None
    scoring: Scoring
    comparing: Comparing
    calibrating: Calibrating
    bias: BiasReport
    reworded_elsewhere: bool
    aggregate: np.ndarray
    briers: np.ndarray

    @property
    def primary(self) -> ColumnScores:
        return self.scoring.primary

    @property
    def n_scored(self) -> int:
        """Resolved questions that the primary aggregate answered."""
        return self.primary.n

    @property
    def blend(self) -> Blending | str | None:
        """With the crowd; a sentence where there is none, None without a crowd."""
        return self.scoring.blending

    @property
    def has_crowd(self) -> bool:
        return not np.isnan(self.table.crowd).all()

    def against(self, second: str) -> Comparison | None:
        """The comparison of the primary aggregate with this column; None where it was not made."""
        made = (each for each in self.comparing.comparisons if each.first == self.comparing.primary)
        return next((each for each in made if each.second == second), None)

    def same_questions(self, member: str) -> SameQuestions:
        """This member and the primary aggregate on the questions that both answered."""
        return next(each for each in self.scoring.same_questions if each.member == member)

    def who(self) -> str:
        """The primary aggregate, as a reader says it."""
        members = len(self.table.members)
        name = aggregator_words(self.primary.name)
        return f"{name} of {members} models" if members > 1 else f"{name} of one model"


def find(
    table: ForecastTable,
    *,
    texts: Mapping[str, str],
    run: Forecasts | None,
    primary: str,
    everything: bool,
    pairwise: bool,
    bound: float | None,
    looks: int,
    crowd_weight: CrowdWeight,
    negated: ForecastTable | None,
    paraphrases: Sequence[ForecastTable],
) -> Findings:
    """Returns the findings. Raises InputError for an unknown aggregator, a bound or a number of looks that is none, for pairs of one
    member, and for rewordings that are of other questions or other members."""
    facts = run_facts(run, table.members) if run is not None else None
    scored = scoring(table, [primary, *BESIDE_PRIMARY], everything=everything, crowd_weight=crowd_weight, looks=looks)
    name = scored.aggregates.primary
    aggregate = scored.aggregates.values
    costs = {each.name: each.cost for each in facts.members if each.cost is not None} if facts else None
    return Findings(
        table=table,
        texts=tuple(one_line(texts.get(id) or id) for id in table.questions),
        run=facts,
        scoring=scored,
        comparing=comparing(
            table, primary=name, pairwise=pairwise, bound=bound, looks=looks, crowd_weight=crowd_weight
        ),
        calibrating=calibrating(table, primary=name),
        bias=bias_report(table, negated=negated, paraphrases=paraphrases, costs=costs, looks=looks),
        reworded_elsewhere=negated is not None or bool(paraphrases),
        aggregate=aggregate,
        briers=brier(aggregate, table.outcomes),
    )

"""Study 1 of arXiv 2402.19379 in words and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.comparison import Column
from hf_soup.scoring.comparison_document import comparison_document
from hf_soup.scoring.comparison_sentence import (
    WILCOXON,
    comparison_sentence,
    equivalence_sentence,
    number,
    p_cell,
    p_value,
    signed,
    t_value,
)
from hf_soup.scoring.documents import document
from hf_soup.scoring.shown_numbers import counted, points
from hf_soup.scoring.study1 import Acquiescence, Hypothesis, ModelRow, Study1, study1
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table

PAPERS_AGGREGATOR = "median"


@dataclass(frozen=True, repr=False)
class Study1Result:
    """`description`: how the crowd of models was made."""

    study: Study1
    description: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """For beside the text; the protocol's own notes are in it."""
        pairs = [self.study.against_half, self.study.against_humans]
        found = [warning for pair in pairs if pair is not None for warning in pair.warnings]
        return tuple(dict.fromkeys([*self.study.scores.warnings, *found]))

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each model, against the aggregate on the questions that both answered."""
        return [_row(each) for each in self.study.models]

    def to_json(self) -> dict[str, Any]:
        s = self.study
        models = [
            {**document(each), "against_aggregate": comparison_document(each.against_aggregate)} for each in s.models
        ]
        return {
            **document(s),
            "against_half": comparison_document(s.against_half),
            "against_humans": None if s.against_humans is None else comparison_document(s.against_humans),
            "models": models,
            "description": self.description,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        half = self.study.against_half
        brier = f"Brier {number(half.first_mean)} (n = {half.n})" if half.n else "nothing resolved"
        return f"<Study1Result (models: {len(self.study.models)}): {self.study.aggregate}, {brier}; print it for the tables>"

    def table(self) -> str:
        """Returns hypotheses, comparisons, biases, models and topics, and what the paper leaves open."""
        s = self.study
        parts = [
            f"Study 1. Crowd of models: {self.description}.",
            "\n".join(
                [
                    *map(_hypothesis, s.hypotheses, s.adjusted.adjusted),
                    s.adjusted.sentence("hypothesis test"),
                ]
            ),
            comparison_sentence(s.against_half),
        ]
        if s.against_humans is not None:
            parts.append(
                f"{comparison_sentence(s.against_humans)} (Adjusted as if it stood in the place of H2, which is not paired.)"
            )
        parts += [f"{self._symmetry()}\n{WILCOXON}"] if self._symmetry() else []
        if s.papers_equivalence is not None:
            h2 = s.hypotheses[1]
            parts.append(
                f"As in the paper, unpaired, n = {h2.n}: {equivalence_sentence(s.papers_equivalence)} The smallest difference that it "
                f"finds with 80 % power is {number(h2.detectable)}."
            )
        parts += [_acquiescence(s.acquiescence), self._heaping(), self._models()]
        if s.topics:
            body = [[each.topic or "(no topic)", str(each.scores.n), _shown(each.scores.brier)] for each in s.topics]
            parts.append(text_table([["topic", "n", "Brier"], *body]))
        parts.append(self._reliability())
        return "\n\n".join([*(part for part in parts if part), "\n".join(s.notes)])

    def _heaping(self) -> str:
        h = self.study.heaping
        return (
            f"Round numbers: of {counted(h.forecasts, 'forecast')} {h.exactly_50} are exactly 50 % ({h.exactly_49_or_51} are 49 or 51 %), "
            f"{h.multiples_of_5} multiples of 5, {h.multiples_of_10} of 10."
        )

    def _symmetry(self) -> str:
        pairs = [each for each in (self.study.against_half, self.study.against_humans) if each is not None]
        found = [f"{each.name} p {p_value(each.symmetry.p)}, n = {each.symmetry.n}" for each in pairs if each.symmetry]
        return f"Symmetry (Wilcoxon): {'; '.join(found)}." if found else ""

    def _models(self) -> str:
        header = ["model", "forecasts", "n", "missing", "Brier", "SD", "cal. index"]
        header += ["minus aggregate", "on", "aggregate there", "p", "p (BH)", "detectable"]
        body = [
            [
                each.scores.name,
                str(each.forecasts),
                str(each.scores.n),
                str(each.scores.missing),
                _shown(each.scores.brier),
                _shown(each.scores.sd),
                _shown(each.scores.calibration_index),
                signed(each.against_aggregate.difference) if each.against_aggregate.n else "–",
                str(each.against_aggregate.n),
                _shown(each.against_aggregate.second_mean),
                p_cell(each.against_aggregate.test.p if each.against_aggregate.test else None),
                p_cell(each.against_aggregate.adjusted_p),
                "–" if each.against_aggregate.detectable is None else number(each.against_aggregate.detectable),
            ]
            for each in self.study.models
        ]
        worse = (
            f"{self.study.worse_models} of {len(body)} models have a worse Brier score than the aggregate on the same questions. "
            f"{self.study.of_models.sentence('model')}"
        )
        return f"{text_table([header, *body])}\n{worse}"

    def _reliability(self) -> str:
        if not self.study.reliability:
            return ""
        body = [
            [
                f"{100 * each.low:g}–{100 * each.high:g} %",
                str(each.n),
                f"{100 * each.mean_forecast:.1f}%",
                f"{100 * each.share_yes:.1f}%",
                f"{100 * each.share_low:.0f}–{100 * each.share_high:.0f}%",
            ]
            for each in self.study.reliability
        ]
        return text_table([["forecasts", "n", "mean", "ended yes", "95 % interval"], *body])


def study1_result(
    table: ForecastTable, *, primary: str = PAPERS_AGGREGATOR, bound: float | None = None, looks: int = 1
) -> Study1Result:
    """Returns Study 1 of the table with the aggregate `primary` as the crowd of models; see `study1`."""
    aggregate = aggregator_named(primary)(table)
    study = study1(table, aggregate=Column(aggregate.name, aggregate.values), bound=bound, looks=looks)
    return Study1Result(study, aggregate.description)


def _row(each: ModelRow) -> dict[str, Any]:
    compared = each.against_aggregate
    low, high = compared.interval or (float("nan"), float("nan"))
    return {
        "model": each.scores.name,
        "forecasts": each.forecasts,
        "n": each.scores.n,
        "missing": each.scores.missing,
        "brier": each.scores.brier,
        "sd": each.scores.sd,
        "calibration_index": each.scores.calibration_index,
        "against_aggregate": compared.difference,
        "against_aggregate_n": compared.n,
        "aggregate_brier": compared.second_mean,
        "low": low,
        "high": high,
        "p": compared.test.p if compared.test else None,
        "adjusted_p": compared.adjusted_p,
        "detectable": compared.detectable,
        "symmetry_wilcoxon_p": compared.symmetry.p if compared.symmetry else None,
    }


def _hypothesis(each: Hypothesis, adjusted: float | None) -> str:
    if each.test is None or adjusted is None:
        return f"{each.name}: {each.wording.removesuffix('; not tested')}: not tested, n = {each.n}."
    return (
        f"{each.name}: {each.wording}: difference {signed(each.difference)}, n = {each.n}, t({each.test.df:g}) = "
        f"{t_value(each.test.t)}, p {p_value(each.test.p)}, adjusted p {p_value(adjusted)}; smallest detectable difference "
        f"{number(each.detectable)}."
    )


def _acquiescence(a: Acquiescence) -> str:
    if not a.forecasts:
        return ""
    words = (
        f"Acquiescence: mean forecast {100 * a.mean:.1f} % over {counted(a.forecasts, 'forecast')} of "
        f"{counted(a.groups, 'question or group', 'questions or groups')}"
    )
    if a.test is not None and a.detectable is not None:
        looks = "" if a.adjusted_p is None else f", with all looks counted p {p_value(a.adjusted_p)}"
        words += (
            f", against 50 %: t({a.test.df:g}) = {t_value(a.test.t)}, p {p_value(a.test.p)} (by itself, not adjusted with the "
            f"hypotheses){looks}, clustered by question (smallest detectable "
            f"{100 * a.detectable:.1f} points)"
        )
    words += f"; {100 * a.base_rate:.1f} % ended yes, excess {points(a.excess)} points"
    if a.excess_interval is not None:
        low, high = a.excess_interval
        words += f" (95 % interval {points(low)} to {points(high)})"
    return f"{words}."


def _shown(value: float) -> str:
    return "–" if np.isnan(value) else number(value)

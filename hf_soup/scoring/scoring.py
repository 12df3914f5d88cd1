"""Scores of members, aggregates and the crowd, as a table for people and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.aggregation import Aggregation, aggregation
from hf_soup.scoring.blending import Blending, blending
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, CrowdWeight
from hf_soup.scoring.documents import document
from hf_soup.scoring.fit_before import FitBefore, later_questions
from hf_soup.scoring.multiple import refuse_looks
from hf_soup.scoring.score_rows import (
    ALL_SCORES,
    ALL_SCORES_HEADER,
    SCORES_HEADER,
    all_scores_cells,
    score_cell,
    score_cells,
    score_row,
)
from hf_soup.scoring.scores import brier
from hf_soup.scoring.scores_table import ColumnScores, Kind, ScoreTable, score_table
from hf_soup.scoring.shown_numbers import counted
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table


@dataclass(frozen=True)
class SameQuestions:
    """Brier scores of a member and of the primary aggregate, both on the `n` resolved questions that the two answered.

    `left_out`: resolved questions that the aggregate answered and the member did not. NaN where n = 0.
    """

    member: str
    n: int
    left_out: int
    brier: float
    aggregate_brier: float


@dataclass(frozen=True, repr=False)
class Scoring:
    """`scores`: of everybody. `aggregates`: what was aggregated and how. `warnings`: for beside the table.

    `same_questions`: of every member, so that leaving out the hard questions does not look like skill. `blending`: the primary
    aggregate, the crowd and their blend on the same questions; a sentence where there is no blend, None where there is no crowd.
    `everything`: whether all aggregators and all scores are shown. `notes`: what was scored on which questions.
    """

    scores: ScoreTable
    aggregates: Aggregation
    same_questions: tuple[SameQuestions, ...]
    blending: Blending | str | None
    everything: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def primary(self) -> ColumnScores:
        """Of the aggregate that was named before scoring."""
        return self.scores.column(self.aggregates.primary)

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each column of forecasts, overall, by topic and by source, and then those of the blend."""
        beside = {each.member: each.aggregate_brier for each in self.same_questions}
        rows = [
            score_row(each, beside=beside.get(each.name) if each.kind is Kind.MEMBER else None)
            for each in self.scores.columns
        ]
        for topic, columns in self.scores.by_topic.items():
            rows += [score_row(each, topic=topic) for each in columns]
        for source, columns in self.scores.by_source.items():
            rows += [score_row(each, source=source) for each in columns]
        return rows + ([score_row(each) for each in self.blending.rows] if isinstance(self.blending, Blending) else [])

    def to_json(self) -> dict[str, Any]:
        return {
            "primary": self.aggregates.primary,
            "descriptions": {name: each.description for name, each in self.aggregates.found.items()},
            "left_out": self.aggregates.left_out,
            **document(self.scores),
            "same_questions": document(self.same_questions),
            "notes": list(self.notes),
            "blending": self.blending.to_json() if isinstance(self.blending, Blending) else self.blending,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        best = f"{self.primary.name} {score_cell(self.primary.brier)}"
        members = sum(each.kind is Kind.MEMBER for each in self.scores.columns)
        return f"<Scoring (resolved questions: {self.scores.resolved}, members: {members}): {best} (Brier); print it for the tables>"

    def table(self) -> str:
        """Returns the scores, those by topic and by source where these are known, and what stands behind them."""
        counts = f"{counted(self.scores.resolved, 'question')} resolved, {self.scores.open} open, {self.scores.annulled} annulled."
        clipped = sum(each.clipped for each in self.scores.columns)
        clip = self.scores.clip
        parts = [
            text_table([SCORES_HEADER, *map(score_cells, self.scores.columns)]),
            *self._left_out(),
            "\n".join(
                [
                    counts,
                    *self.notes,
                    f"Log scores: forecasts are kept between {clip:g} and {1 - clip:g}, which moved {clipped}.",
                ]
            ),
        ]
        if self.everything:
            body = list(map(all_scores_cells, self.scores.columns))
            parts.append(f"{text_table([ALL_SCORES_HEADER, *body])}\n{ALL_SCORES}")
        for title, groups in (("topic", self.scores.by_topic), ("source", self.scores.by_source)):
            if groups:
                parts.append(_by(title, groups))
        if self.blending is not None:
            parts.append(str(self.blending))
        return "\n\n".join([*parts, "\n".join(self.aggregates.notes())])

    def _left_out(self) -> list[str]:
        """A table of the members that left questions out, which are easily the hard ones."""
        fewer = [each for each in self.same_questions if each.left_out]
        if not fewer:
            return []
        primary = self.aggregates.primary
        header = ["left questions out", "n", "left out", "Brier", f"{primary} on the same n"]
        body = [
            [each.member, str(each.n), str(each.left_out), score_cell(each.brier), score_cell(each.aggregate_brier)]
            for each in fewer
        ]
        overall = f"{primary} on all {self.primary.n} that it answered: {score_cell(self.primary.brier)}."
        return [f"{text_table([header, *body])}\n{overall}"]


def scoring(
    table: ForecastTable,
    methods: Sequence[str] = ("mean",),
    *,
    everything: bool = False,
    crowd_weight: CrowdWeight = CROWD_WEIGHT,
    fit_before: FitBefore | None = None,
    looks: int = 1,
) -> Scoring:
    """Returns the scores of the members, of the aggregates (the first of `methods` is the primary one), and of the crowd.

    Where there is a crowd, the primary aggregate is blended with it (`crowd_weight`, see `blend_with_crowd`) and compared with both;
    `looks`: how often these data were tested, this time included. `fit_before`: a day, see `later_questions`. Raises InputError for
    an unknown aggregator, where a member is called as an aggregator or the crowd is, for fewer than one look, and for a blend or a
    split in time that cannot be made.
    """
    refuse_looks(looks)
    later = later_questions(table, fit_before, crowd_weight)
    aggregates = aggregation(table, methods, everything=everything, splits=later.splits).subset(later.scored)
    table = table.subset(later.scored)
    scores = score_table(table, {name: each.values for name, each in aggregates.found.items()})
    blended = blending(table, aggregates.values, aggregates.primary, crowd_weight=crowd_weight, looks=looks)
    of_blend = blended.warnings if isinstance(blended, Blending) else ()
    return Scoring(
        scores=scores,
        aggregates=aggregates,
        same_questions=_same_questions(table, aggregates.values),
        blending=blended,
        everything=everything,
        notes=later.notes,
        warnings=(*scores.warnings, *shown_crowd_warnings(table), *of_blend),
    )


def _same_questions(table: ForecastTable, aggregate: np.ndarray) -> tuple[SameQuestions, ...]:
    of_members, of_aggregate = (brier(values, table.outcomes) for values in (table.member_means(), aggregate))
    found = []
    for name, scores in zip(table.members, of_members.T, strict=True):
        both = ~np.isnan(scores + of_aggregate)
        means = [float(each[both].mean()) if both.any() else float("nan") for each in (scores, of_aggregate)]
        left_out = int((np.isnan(scores) & ~np.isnan(of_aggregate)).sum())
        found.append(SameQuestions(name, int(both.sum()), left_out, *means))
    return tuple(found)


def shown_crowd_warnings(table: ForecastTable) -> tuple[str, ...]:
    """Returns a sentence where forecasts were made after the crowd's was shown, which are not the models' alone."""
    if table.shown_crowd is None:
        return ()
    shown = int((table.shown_crowd & ~np.isnan(table.values)).sum())
    if not shown:
        return ()
    if shown == 1:
        return ("1 forecast was made after the crowd's was shown: it is not the model's alone.",)
    return (f"{shown} forecasts were made after the crowd's was shown: they are not the models' alone.",)


def _by(title: str, groups: Mapping[str, Sequence[ColumnScores]]) -> str:
    """n: of the label's resolved questions that anybody answered; who answered fewer has the own number in brackets."""
    names = [each.name for each in next(iter(groups.values()))]
    body, fewer = [], False
    for label, columns in groups.items():
        most = max(each.n for each in columns)
        fewer = fewer or any(each.n < most for each in columns)
        cells = [score_cell(each.brier) + (f" ({each.n})" if each.n < most else "") for each in columns]
        body.append([label or f"(no {title})", str(most), *cells])
    shown = text_table([[f"Brier by {title}", "n", *names], *body])
    return f"{shown}\nIn brackets: the number of questions, where it is below n." if fewer else shown

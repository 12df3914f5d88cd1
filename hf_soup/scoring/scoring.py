"""Scores of members, aggregates and the crowd, as a table for people and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.aggregation import Aggregation, aggregation
from hf_soup.scoring.blending import Blending, blending
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, CrowdWeight
from hf_soup.scoring.documents import document
from hf_soup.scoring.score_rows import SCORES_HEADER, score_cell, score_cells, score_row
from hf_soup.scoring.scores_table import ColumnScores, ScoreTable, score_table
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table


@dataclass(frozen=True)
class Scoring:
    """`scores`: of everybody. `aggregates`: what was aggregated and how. `warnings`: for beside the table.

    `blending`: the primary aggregate, the crowd and their blend on the same questions; a sentence where there is no blend, None
    where there is no crowd.
    """

    scores: ScoreTable
    aggregates: Aggregation
    blending: Blending | str | None
    warnings: tuple[str, ...]

    @property
    def primary(self) -> ColumnScores:
        """Of the aggregate that was named before scoring."""
        return self.scores.column(self.aggregates.primary)

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each column of forecasts, overall, by topic and by source, and then those of the blend."""
        rows = [score_row(each) for each in self.scores.columns]
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
            "blending": self.blending.to_json() if isinstance(self.blending, Blending) else self.blending,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """Returns the scores, those by topic and by source where these are known, and what stands behind them."""
        counts = (
            f"{self.scores.resolved} questions resolved, {self.scores.open} open, {self.scores.annulled} annulled."
        )
        clipped = sum(each.clipped for each in self.scores.columns)
        clip = self.scores.clip
        parts = [
            text_table([SCORES_HEADER, *map(score_cells, self.scores.columns)]),
            f"{counts}\nLog scores: forecasts are kept between {clip:g} and {1 - clip:g}, which moved {clipped}.",
        ]
        for title, groups in (("topic", self.scores.by_topic), ("source", self.scores.by_source)):
            if groups:
                parts.append(_by(title, groups))
        if self.blending is not None:
            parts.append(str(self.blending))
        return "\n\n".join([*parts, "\n".join(self.aggregates.notes())])


def scoring(
    table: ForecastTable,
    methods: Sequence[str] = ("mean",),
    *,
    everything: bool = False,
    crowd_weight: CrowdWeight = CROWD_WEIGHT,
) -> Scoring:
    """Returns the scores of the members, of the aggregates (the first of `methods` is the primary one), and of the crowd.

    Where there is a crowd, the primary aggregate is blended with it (`crowd_weight`, see `blend_with_crowd`). Raises InputError for
    an unknown aggregator, where a member is called as an aggregator or the crowd is, and for a blend that cannot be made.
    """
    aggregates = aggregation(table, methods, everything=everything)
    scores = score_table(table, {name: each.values for name, each in aggregates.found.items()})
    blended = blending(table, aggregates.values, aggregates.primary, crowd_weight=crowd_weight)
    return Scoring(scores, aggregates, blended, (*scores.warnings, *shown_crowd_warnings(table)))


def shown_crowd_warnings(table: ForecastTable) -> tuple[str, ...]:
    """Returns a sentence where forecasts were made after the crowd's was shown, which are not the models' alone."""
    if table.shown_crowd is None:
        return ()
    shown = int((table.shown_crowd & ~np.isnan(table.values)).sum())
    if not shown:
        return ()
    return (f"{shown} forecasts were made after the crowd's was shown: they are not the models' alone.",)


def _by(title: str, groups: Any) -> str:
    names = [each.name for each in next(iter(groups.values()))]
    body = [
        [label or f"(no {title})", str(max(each.n for each in columns)), *(score_cell(each.brier) for each in columns)]
        for label, columns in groups.items()
    ]
    return text_table([[f"Brier by {title}", "n", *names], *body])

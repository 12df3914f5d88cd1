"""Scores of members, aggregates and the crowd, as a table for people and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.forecasting.text_table import text_table
from hf_soup.scoring.aggregation import Aggregation, aggregation
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.documents import document
from hf_soup.scoring.scores_table import ColumnScores, ScoreTable, score_table
from hf_soup.scoring.table import ForecastTable


@dataclass(frozen=True)
class Scoring:
    """`scores`: of everybody. `aggregates`: what was aggregated and how. `warnings`: for beside the table."""

    scores: ScoreTable
    aggregates: Aggregation
    warnings: tuple[str, ...]

    @property
    def primary(self) -> ColumnScores:
        """Of the aggregate that was named before scoring."""
        return self.scores.column(self.aggregates.primary)

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each column of forecasts, overall and then by topic and by source."""
        rows = [_row(each, "", "") for each in self.scores.columns]
        rows += [_row(each, topic, "") for topic, columns in self.scores.by_topic.items() for each in columns]
        return rows + [_row(each, "", source) for source, columns in self.scores.by_source.items() for each in columns]

    def to_json(self) -> dict[str, Any]:
        return {
            "primary": self.aggregates.primary,
            "descriptions": {name: each.description for name, each in self.aggregates.found.items()},
            "left_out": self.aggregates.left_out,
            **document(self.scores),
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
            text_table([_HEADER, *map(_cells, self.scores.columns)]),
            f"{counts}\nLog scores: forecasts are kept between {clip:g} and {1 - clip:g}, which moved {clipped}.",
        ]
        for title, groups in (("topic", self.scores.by_topic), ("source", self.scores.by_source)):
            if groups:
                parts.append(_by(title, groups))
        return "\n\n".join([*parts, "\n".join(self.aggregates.notes())])


def scoring(table: ForecastTable, methods: Sequence[str] = ("mean",), *, everything: bool = False) -> Scoring:
    """Returns the scores of the members, of the aggregates (the first of `methods` is the primary one), and of the crowd.

    Raises InputError for an unknown aggregator, and where a member is called as an aggregator or the crowd is.
    """
    aggregates = aggregation(table, methods, everything=everything)
    scores = score_table(table, {name: each.values for name, each in aggregates.found.items()})
    return Scoring(scores, aggregates, (*scores.warnings, *shown_crowd_warnings(table)))


def shown_crowd_warnings(table: ForecastTable) -> tuple[str, ...]:
    """Returns a sentence where forecasts were made after the crowd's was shown, which are not the models' alone."""
    if table.shown_crowd is None:
        return ()
    shown = int((table.shown_crowd & ~np.isnan(table.values)).sum())
    if not shown:
        return ()
    return (f"{shown} forecasts were made after the crowd's was shown: they are not the models' alone.",)


_HEADER = [
    "",
    "kind",
    "n",
    "missing",
    "Brier",
    "95 % interval",
    "index",
    "log",
    "clipped",
    "AUC",
    "cal. index",
    "by chance",
    "ECE",
]


def _cells(each: ColumnScores) -> list[str]:
    interval = "–" if each.interval is None else f"{number(each.interval[0])} to {number(each.interval[1])}"
    return [
        each.name,
        str(each.kind),
        str(each.n),
        str(each.missing),
        _shown(each.brier),
        interval,
        "–" if np.isnan(each.brier_index) else f"{each.brier_index:.1f}",
        _shown(each.means["log"]),
        str(each.clipped),
        _shown(each.auc),
        _shown(each.calibration_index),
        _shown(each.by_chance),
        _shown(each.ece),
    ]


def _by(title: str, groups: Any) -> str:
    names = [each.name for each in next(iter(groups.values()))]
    body = [
        [label or f"(no {title})", str(max(each.n for each in columns)), *(_shown(each.brier) for each in columns)]
        for label, columns in groups.items()
    ]
    return text_table([[f"Brier by {title}", "n", *names], *body])


def _shown(value: float) -> str:
    return "–" if np.isnan(value) else number(value)


def _row(each: ColumnScores, topic: str, source: str) -> dict[str, Any]:
    low, high = each.interval or (float("nan"), float("nan"))
    return {
        "name": each.name,
        "kind": str(each.kind),
        "topic": topic,
        "source": source,
        "n": each.n,
        "missing": each.missing,
        **each.means,
        "brier_low": low,
        "brier_high": high,
        "brier_index": each.brier_index,
        "auc": each.auc,
        "calibration_index": each.calibration_index,
        "calibration_index_by_chance": each.by_chance,
        "ece": each.ece,
        "clipped": each.clipped,
    }

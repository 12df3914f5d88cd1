"""A column's scores as a line of a table for people, and as a row of one for programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.scores_table import ColumnScores
from hf_soup.scoring.shown_numbers import decimal

SCORES_HEADER = [
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

MURPHY = ("reliability", "resolution", "uncertainty", "within_bins")
ALL_SCORES_HEADER = [
    "all scores",
    "n",
    "log",
    "spherical",
    "Metaculus",
    "peer",
    "reliability",
    "resolution",
    "uncertainty",
    "within bins",
]
ALL_SCORES = (
    "Metaculus: baseline score, 100 is perfect and 0 always 50 %. Peer: against the other members, above 0 is better than they. Brier = "
    "reliability − resolution + uncertainty + within bins (Murphy); a small reliability and a large resolution are good."
)


def score_cells(each: ColumnScores) -> list[str]:
    """Returns the cells under `SCORES_HEADER`; a dash for what there is not."""
    interval = "–" if each.interval is None else f"{number(each.interval[0])} to {number(each.interval[1])}"
    return [
        each.name,
        str(each.kind),
        str(each.n),
        str(each.missing),
        score_cell(each.brier),
        interval,
        "–" if np.isnan(each.brier_index) else f"{each.brier_index:.1f}",
        score_cell(each.means["log"]),
        str(each.clipped),
        score_cell(each.auc),
        score_cell(each.calibration_index),
        score_cell(each.by_chance),
        score_cell(each.ece),
    ]


def score_cell(value: float) -> str:
    """Returns a score as the tables print it."""
    return "–" if np.isnan(value) else number(value)


def all_scores_cells(each: ColumnScores) -> list[str]:
    """Returns the cells under `ALL_SCORES_HEADER`; a dash for what there is not."""
    hundreds = ("metaculus_baseline", "peer")
    return [
        each.name,
        str(each.n),
        *(score_cell(each.means[name]) for name in ("log", "spherical")),
        *(decimal(each.means[name], 1) for name in hundreds),
        *(score_cell(getattr(each.murphy, name)) for name in MURPHY),
    ]


def score_row(each: ColumnScores, topic: str = "", source: str = "", beside: float | None = None) -> dict[str, Any]:
    """Returns all scores of a column, of one topic or source where these are named.

    `beside`: the primary aggregate's Brier score on the questions that a member answered.
    """
    low, high = each.interval or (float("nan"), float("nan"))
    return {
        "name": each.name,
        "kind": str(each.kind),
        "topic": topic,
        "source": source,
        "n": each.n,
        "missing": each.missing,
        "primary_brier_on_same_questions": beside,
        **each.means,
        "brier_low": low,
        "brier_high": high,
        "brier_index": each.brier_index,
        "auc": each.auc,
        "calibration_index": each.calibration_index,
        "calibration_index_by_chance": each.by_chance,
        "ece": each.ece,
        "clipped": each.clipped,
        **{f"murphy_{name}": getattr(each.murphy, name) for name in MURPHY},
    }

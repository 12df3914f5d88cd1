"""A column's scores as a line of a table for people, and as a row of one for programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.scores_table import ColumnScores

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


def score_row(each: ColumnScores, topic: str = "", source: str = "") -> dict[str, Any]:
    """Returns all scores of a column, of one topic or source where these are named."""
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

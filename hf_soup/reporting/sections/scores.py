"""The scores of aggregates, crowd, blend and members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_soup.reporting.figures.brier_scores import brier_scores
from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words, column_name
from hf_soup.reporting.page import Block, Grid, Prose, Section, one_line
from hf_soup.reporting.sections.cells import NOTHING, interval, score
from hf_soup.scoring.blending import Blending
from hf_soup.scoring.comparison_sentence import comparison_sentence
from hf_soup.scoring.scores_table import ColumnScores, Kind

_HEADER = (
    "forecaster",
    "Brier",
    "95 % interval",
    "n",
    "missing",
    "index",
    "log",
    "AUC",
    "calibration",
    "by chance",
    "ECE",
    "kind",
)


def scores(found: Findings) -> Section:
    """Returns everybody's scores with intervals, the figure of them, the blend with a crowd, and scores by topic and source."""
    if not found.scoring.scores.resolved:
        return Section("scores", "Scores", (Prose("No question is resolved, so there is nothing to score yet."),))
    primary = found.primary.name
    columns = _in_order(found.scoring.scores.columns, primary)
    grid = Grid(
        f"Scores; the aggregate that was named before scoring is the {aggregator_words(primary)}",
        _HEADER,
        tuple(_row(each, primary) for each in columns),
    )
    words = (
        "Lower is better for Brier (0 is perfect, .25 is always 50 %), log, calibration and ECE; higher for index (50 is always "
        "50 %) and AUC (.5 is guessing). Rows with missing answers are scored on fewer questions than the others: compare them in "
        "the table of comparisons, which uses the questions that both answered."
    )
    blocks: list[Block] = [grid, Prose(words), brier_scores(columns, primary)]
    if isinstance(found.blend, Blending) and found.blend.rows[0].n:
        blocks += _blend(found.blend)
    for title, groups in (("topic", found.scoring.scores.by_topic), ("source", found.scoring.scores.by_source)):
        if groups:
            blocks.append(_by(title, groups, primary))
    return Section("scores", "Scores", tuple(blocks))


def _in_order(columns: Sequence[ColumnScores], primary: str) -> list[ColumnScores]:
    """The primary one, other aggregates, the crowd, then members, best first; without a score last."""
    kinds = [Kind.AGGREGATE, Kind.CROWD, Kind.MEMBER]
    return sorted(
        columns,
        key=lambda each: (
            each.name != primary,
            kinds.index(each.kind),
            not each.n,
            each.brier if each.kind is Kind.MEMBER and each.n else 0.0,
        ),
    )


def _row(each: ColumnScores, primary: str) -> tuple[str, ...]:
    return (
        column_name(each),
        score(each.brier),
        interval(each.interval),
        f"{each.n:,}",
        f"{each.missing:,}",
        NOTHING if each.brier_index != each.brier_index else f"{each.brier_index:.1f}",
        score(each.means["log"]),
        score(each.auc),
        score(each.calibration_index),
        score(each.by_chance),
        score(each.ece),
        "primary aggregate" if each.name == primary else str(each.kind),
    )


def _blend(found: Blending) -> list[Block]:
    rows = [(column_name(each), score(each.brier), interval(each.interval), f"{each.n:,}") for each in found.rows]
    grid = Grid(
        "Blend of models and crowd beside both alone, on the same questions",
        ("forecaster", "Brier", "95 % interval", "n"),
        tuple(rows),
    )
    said = f"The blend is a weighted mean of log odds: {found.blend.how}."
    sentences = " ".join(comparison_sentence(each) for each in found.comparisons)
    return [grid, Prose(f"{said} {sentences} These two comparisons stand beside the table of comparisons, not in it.")]


def _by(title: str, groups: Mapping[str, tuple[ColumnScores, ...]], primary: str) -> Grid:
    shown = [each.name for each in next(iter(groups.values())) if each.kind is not Kind.MEMBER]
    rows = []
    for label, columns in groups.items():
        by_name = {each.name: each for each in columns}
        rows.append(
            (
                one_line(label, 60) or f"(no {title})",
                f"{max(each.n for each in columns):,}",
                *(score(by_name[name].brier) for name in shown),
            )
        )
    return Grid(f"Brier scores by {title}", (title, "n", *(aggregator_words(name) for name in shown)), tuple(rows))

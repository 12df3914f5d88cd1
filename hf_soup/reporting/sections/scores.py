"""The scores of aggregates, crowd, blend and members."""

from __future__ import annotations

from hf_soup.reporting.figures.brier_scores import brier_scores
from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words, column_name
from hf_soup.reporting.page import Block, Grid, Prose, Section, capital
from hf_soup.reporting.sections.cells import NOTHING, interval, score
from hf_soup.reporting.sections.scores_by_label import scores_by_label
from hf_soup.scoring.blending import BLEND, CROWD_ALONE, Blending
from hf_soup.scoring.comparison_sentence import comparison_sentence
from hf_soup.scoring.score_rows import ALL_SCORES, ALL_SCORES_HEADER, all_scores_cells
from hf_soup.scoring.scores_table import ColumnScores, Kind
from hf_soup.scoring.shown_numbers import counted

FEWER = "*"
"""Behind the name of a member that left out questions which the aggregate answered."""


def scores(found: Findings) -> Section:
    """Returns everybody's scores with intervals, the figure of them, the blend with a crowd, and scores by topic and source."""
    if not found.scoring.scores.resolved:
        return Section("scores", "Scores", (Prose("No question is resolved, so there is nothing to score yet."),))
    primary = found.primary.name
    words = aggregator_words(primary)
    columns = _in_order(found)
    grid = Grid(
        f"Scores; the aggregate that was named before scoring is the {words}",
        (
            "forecaster",
            "Brier",
            f"{words}, same questions",
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
        ),
        tuple(_row(found, each) for each in columns),
    )
    all_scores = Grid(
        "Other scores, and what the Brier score consists of",
        ("forecaster", *ALL_SCORES_HEADER[1:]),
        tuple((_marked(found, each), *all_scores_cells(each)[1:]) for each in columns),
    )
    fewer = frozenset(each.name for each in columns if _left_out(found, each))
    blocks: list[Block] = [grid, Prose(_explained(found, words, len(fewer)))]
    blocks += [brier_scores(columns, primary, fewer), all_scores, Prose(ALL_SCORES)]
    if isinstance(found.blend, Blending) and found.blend.rows[0].n:
        blocks += _blend(found.blend, primary)
    for title, groups in (("topic", found.scoring.scores.by_topic), ("source", found.scoring.scores.by_source)):
        if groups:
            blocks += scores_by_label(title, groups)
    return Section("scores", "Scores", tuple(blocks))


def _in_order(found: Findings) -> list[ColumnScores]:
    """The primary one, other aggregates, the crowd, then members; without a score last.

    Members stand by their difference from the aggregate on the questions that both answered, best first: by their own mean, one that
    refuses the hard questions would head them.
    """
    kinds = [Kind.AGGREGATE, Kind.CROWD, Kind.MEMBER]

    def place(each: ColumnScores) -> tuple[bool, int, bool, float]:
        by = 0.0
        if each.kind is Kind.MEMBER and each.n:
            same = found.same_questions(each.name)
            by = same.brier - same.aggregate_brier if same.n else 1.0
        return each.name != found.primary.name, kinds.index(each.kind), not each.n, by

    return sorted(found.scoring.scores.columns, key=place)


def _row(found: Findings, each: ColumnScores) -> tuple[str, ...]:
    return (
        _marked(found, each),
        score(each.brier),
        score(found.same_questions(each.name).aggregate_brier) if each.kind is Kind.MEMBER else NOTHING,
        interval(each.interval),
        f"{each.n:,}",
        f"{each.missing:,}",
        NOTHING if each.brier_index != each.brier_index else f"{each.brier_index:.1f}",
        score(each.means["log"]),
        score(each.auc),
        score(each.calibration_index),
        score(each.by_chance),
        score(each.ece),
        "primary" if each.name == found.primary.name else str(each.kind),
    )


def _left_out(found: Findings, each: ColumnScores) -> int:
    return found.same_questions(each.name).left_out if each.kind is Kind.MEMBER else 0


def _marked(found: Findings, each: ColumnScores) -> str:
    return f"{column_name(each)} {FEWER}" if _left_out(found, each) else column_name(each)


def _explained(found: Findings, words: str, fewer: int) -> str:
    said = (
        "Lower is better for Brier (0 is perfect, .25 is always 50 %), log, calibration and ECE; higher for index (50 is always "
        "50 %) and AUC (.5 is guessing). Members stand in the order of their difference from the aggregate on the same questions."
    )
    if fewer:
        left = counted(fewer, "model that left questions out is", "models that left questions out are")
        said += (
            f" {left} marked with {FEWER}: whoever refuses the hard ones looks better than the others. Compare "
            f"{'its' if fewer == 1 else 'their'} Brier score with that of the {words} on the same questions, which stands beside it, and not "
            "with other rows."
        )
    return said


def _blend(found: Blending, primary: str) -> list[Block]:
    rows = [(column_name(each), score(each.brier), interval(each.interval), f"{each.n:,}") for each in found.rows]
    grid = Grid(
        "Blend of models and crowd beside both alone, on the same questions",
        ("forecaster", "Brier", "95 % interval", "n"),
        tuple(rows),
    )
    said = f"The blend is a weighted mean of log odds: {found.blend.how}."
    names = (BLEND, CROWD_ALONE, f"models alone ({primary})")
    sentences = [capital(comparison_sentence(each), *names) for each in found.comparisons]
    return [grid, *map(Prose, [said, *sentences, found.adjustment()])]

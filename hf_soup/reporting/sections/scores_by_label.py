"""Brier scores by topic or by source: a row for each of them, and a table of the members."""

from __future__ import annotations

from collections.abc import Mapping

from hf_soup.reporting.names import aggregator_words, column_name
from hf_soup.reporting.page import Block, Grid, Prose, one_line
from hf_soup.reporting.sections.cells import score
from hf_soup.scoring.scores_table import ColumnScores, Kind

_MOST_LABELS = 8
"""So many topics have a column in the table of the members; the others are in the documents."""


def scores_by_label(title: str, groups: Mapping[str, tuple[ColumnScores, ...]]) -> list[Block]:
    """Returns the table of aggregates and crowd, a row for each label, and that of the members, a row for each of them.

    `title`: topic or source. `groups`: label → columns, as `ScoreTable` has them. A score on fewer questions than the label has is
    followed by their number in brackets.
    """
    columns = next(iter(groups.values()))
    aggregates = [each.name for each in columns if each.kind is not Kind.MEMBER]
    members = [each for each in columns if each.kind is Kind.MEMBER]
    most = {label: max(each.n for each in of_label) for label, of_label in groups.items()}
    cells = {(label, each.name): _cell(each, most[label]) for label, of_label in groups.items() for each in of_label}
    overall = Grid(
        f"Brier scores by {title}",
        (title, "n", *(aggregator_words(name) for name in aggregates)),
        tuple(
            (_shown(label, title), f"{most[label]:,}", *(cells[label, name] for name in aggregates))
            for label in groups
        ),
    )
    shown = sorted(groups, key=lambda label: -most[label])[:_MOST_LABELS]
    first = aggregates[0]
    rows = [
        ("questions", *(f"{most[label]:,}" for label in shown)),
        (aggregator_words(first), *(cells[label, first] for label in shown)),
        *((column_name(each), *(cells[label, each.name] for label in shown)) for each in members),
    ]
    of_members = Grid(
        f"Brier scores of the models by {title}",
        ("forecaster", *(_shown(label, title) for label in shown)),
        tuple(rows),
    )
    said = "In brackets: the number of questions, where it is smaller than that of the topic or source."
    if len(groups) > len(shown):
        said += f" Of {len(groups)} {title}s those {len(shown)} with most questions are shown: hf-soup forecast score -o FILE.csv writes all."
    return [overall, of_members, Prose(said)]


def _cell(each: ColumnScores, most: int) -> str:
    return score(each.brier) + (f" ({each.n:,})" if 0 < each.n < most else "")


def _shown(label: str, title: str) -> str:
    return one_line(label, 40) or f"(no {title})"

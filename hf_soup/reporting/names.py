"""How forecasters are called on the page."""

from __future__ import annotations

from hf_soup.reporting.page import one_line
from hf_soup.scoring.scores_table import ColumnScores, Kind

LONGEST_NAME = 80


def aggregator_words(name: str) -> str:
    """Returns an aggregator's name as words.

    >>> aggregator_words("geometric_odds")
    'geometric odds'
    """
    return name.replace("_", " ")


def member_name(name: str) -> str:
    """Returns a member's name as it is, on one line."""
    return one_line(name, LONGEST_NAME)


def column_name(column: ColumnScores) -> str:
    return aggregator_words(column.name) if column.kind is Kind.AGGREGATE else member_name(column.name)

"""Rows of cells as the lines of a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

_ESCAPES = str.maketrans({"|": "\\|", "\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;", "`": "'"})


def cell(value: object) -> str:
    """Returns text that cannot break out of a table, whatever a folder or a data file is called."""
    return str(value).translate(_ESCAPES)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> list[str]:
    """Returns the lines of a table whose last `numbers` columns are aligned to the right."""
    marks = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return [_line(header), _line(marks), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""A table with a title, as text for a terminal and as Markdown for a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_soup.markdown_table import cell, markdown_table
from hf_soup.text_table import text_table


@dataclass(frozen=True)
class Grid:
    """`header` and `rows` are texts; all columns but the first hold numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        return "\n".join([self.title, text_table([self.header, *self.rows])])

    def markdown(self) -> str:
        lines = markdown_table(
            [*map(cell, self.header)], [[*map(cell, row)] for row in self.rows], numbers=len(self.header) - 1
        )
        return "\n".join([f"**{cell(self.title)}**", "", *lines])

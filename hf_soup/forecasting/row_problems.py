"""What is wrong with the rows of a table, collected so that all of it is said at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_soup.evaluation.data_files import row_numbers

_SPELLED_OUT = 20  # problems of one column; of the others only the rows are told


@dataclass
class RowProblems:
    """`table`: the name that every sentence begins with."""

    table: str
    _all: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, row: int, id: str | None, column: str, what: str) -> None:
        """`what`: a clause without a full stop. Rows count from 1, without the header."""
        who = f"row {row} ('{id[:60]}')" if id else f"row {row}"
        self._all.append((row, column, f"{self.table}: {who}: {what}."))

    def sentences(self) -> list[str]:
        """Returns a sentence for each problem, in the order of rows; a thousand of one column are not all spelled out."""
        shown: list[str] = []
        rows: dict[str, list[int]] = {}
        for row, column, sentence in sorted(self._all, key=lambda each: each[0]):
            rows.setdefault(column, []).append(row)
            if len(rows[column]) <= _SPELLED_OUT:
                shown.append(sentence)
        return shown + [
            f"{self.table}: {column} is wrong in {row_numbers(of_column[_SPELLED_OUT:])} as well."
            for column, of_column in rows.items()
            if len(of_column) > _SPELLED_OUT
        ]

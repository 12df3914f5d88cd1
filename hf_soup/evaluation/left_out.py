"""Rows that are left out because they cannot be read, and images, which can look whole until they are decoded."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_soup.evaluation.cells import CELLS
from hf_soup.evaluation.data_files import row_numbers

_SHOWN = 5


@dataclass(frozen=True)
class LeftOut:
    """A row that no model could be asked about. `row`: its number, from 1, without a header; `id`: by which users know it."""

    row: int
    id: str
    reason: str

    def __str__(self) -> str:
        named = "" if self.id == str(self.row) else f" ({self.id})"
        return f"row {self.row}{named}: {self.reason}"


def unreadable_images(cells: Sequence[Any], folder: Path, column: str) -> list[LeftOut]:
    """Returns the rows whose image cannot be decoded to its end, in their order. `cells`: as the data have them, one a row."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without the interpreter's lock
        reasons = list(pool.map(lambda cell: _why_unreadable(cell, folder), cells))
    return [
        LeftOut(number, _named(cell) or str(number), f"'{column}' {reason}")
        for number, (cell, reason) in enumerate(zip(cells, reasons, strict=True), 1)
        if reason
    ]


def left_out_sentence(data: str, left_out: Sequence[LeftOut], rows: int) -> str:
    """Says which of how many rows are left out, and why. `rows`: those that are left."""
    shown = "; ".join(map(str, left_out[:_SHOWN]))
    more = _numbers(left_out[_SHOWN:])
    count = f"{len(left_out):,} of {rows + len(left_out):,} rows"
    return f"{data}: {count} cannot be read and {'are' if len(left_out) > 1 else 'is'} left out for all members: {shown}{more}."


def says_rows_are_left_out(sentence: str) -> bool:
    """Whether `left_out_sentence` may have written this.

    >>> says_rows_are_left_out(left_out_sentence("a.csv", [LeftOut(2, "x.png", "cannot be decoded")], 40))
    True
    """
    return bool(
        re.match(r".*: [\d,]+ of [\d,]+ rows cannot be read and (is|are) left out for all members: ", sentence)
    )


def decoded(source: Any) -> Any:
    """Returns the image of Pillow in a file or in bytes, decoded to its end; other things as they are. Raises ValueError that says why not."""
    from PIL import Image

    if not isinstance(source, bytes | Path):
        return source
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            return file.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be decoded ({error})") from error


def _why_unreadable(cell: Any, folder: Path) -> str:
    try:
        decoded(CELLS["image"](cell, folder)[0])
    except ValueError as error:
        return str(error)
    return ""


def _named(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = cell.get("path")
    return cell if isinstance(cell, str) else cell.name if isinstance(cell, Path) else ""


def _numbers(left_out: Iterable[LeftOut]) -> str:
    numbers = [one.row for one in left_out]
    return f"; and {row_numbers(numbers)}" if numbers else ""

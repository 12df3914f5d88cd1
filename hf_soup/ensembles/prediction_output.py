"""Predictions of an ensemble as a file: CSV, JSONL or Parquet with the columns id, predicted, and one for each class."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from hf_soup.ensembles.prediction import EnsemblePredictions
from hf_soup.errors import InputError, SoupError

_OWN = ("id", "predicted")
Row = dict[str, Any]


def refuse_unknown_format(path: Path) -> None:
    """Raises InputError where predictions cannot be written there; asked before anything is computed."""
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"{path}: is of no known format; end the name with {', '.join(_WRITERS)}.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder '{path.parent}'; make it first, or name another file.")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError as error:
            raise InputError(f'{path}: writing Parquet needs pyarrow: pip install "hf-soup[data]".') from error


def write_predictions(path: Path, predictions: EnsemblePredictions) -> None:
    """Writes one row for each row that was predicted; `ensemble fit --predictions` reads such a file as a member's.

    Raises InputError for a class that is called like one of the other columns, SoupError where the file cannot be written.
    """
    columns, rows = _table(predictions)
    try:
        _WRITERS[path.suffix.lower()](path, columns, rows)
    except OSError as error:
        raise SoupError(f"{path}: cannot be written ({error.strerror or error}).") from error


def as_csv(predictions: EnsemblePredictions) -> str:
    """Returns what `write_predictions` writes into a CSV file, with plain ends of lines."""
    text = io.StringIO()
    _write_csv(text, *_table(predictions), lineterminator="\n")
    return text.getvalue()


def _table(predictions: EnsemblePredictions) -> tuple[list[str], list[Row]]:
    if taken := [name for name in predictions.classes if name in _OWN]:
        raise InputError(f"A class is called '{taken[0]}', which is the name of another column of the output.")
    rows = [
        {"id": str(row_id), "predicted": label, **dict(zip(predictions.classes, values.tolist(), strict=True))}
        for row_id, label, values in zip(predictions.ids, predictions.labels, predictions.probabilities, strict=True)
    ]
    return [*_OWN, *predictions.classes], rows


def _csv(path: Path, columns: list[str], rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        _write_csv(file, columns, rows, lineterminator="\r\n")


def _write_csv(file: TextIO, columns: list[str], rows: list[Row], *, lineterminator: str) -> None:
    writer = csv.DictWriter(file, columns, lineterminator=lineterminator)
    writer.writeheader()
    writer.writerows(rows)


def _jsonl(path: Path, columns: list[str], rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _parquet(path: Path, columns: list[str], rows: list[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({name: [row[name] for row in rows] for name in columns}), path)


_WRITERS: dict[str, Callable[[Path, list[str], list[Row]], None]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}

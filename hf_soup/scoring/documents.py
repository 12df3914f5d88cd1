"""Results as JSON documents and CSV files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError, SoupError


def document(value: Any) -> Any:
    """Returns what JSON can hold: dataclasses as objects, arrays as lists, None for NaN and infinities.

    >>> document({"brier": float("nan"), "n": np.int64(3)})
    {'brier': None, 'n': 3}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return document(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): document(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [document(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def refuse_other_than_csv(path: Path) -> None:
    """Raises InputError where a table cannot be written there; asked before anything is computed."""
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: tables are written as CSV; give the file a name that ends with .csv.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first, or name another file.")


def refuse_overwriting(out: Path, read: Iterable[Path | None]) -> None:
    """Raises InputError where a result would take the place of a file that it is made from."""
    if out.exists() and any(each is not None and each.exists() and out.samefile(each) for each in read):
        raise InputError(f"{out}: is one of the files that are read; name another one for the result (-o).")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows of the same columns; what is not known is blank. Raises SoupError where the file cannot be written."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else [])
            writer.writeheader()
            writer.writerows(document(row) for row in rows)
    except OSError as error:
        raise SoupError(f"{path}: cannot be written ({error.strerror or error}).") from error


def write_json(path: Path, value: Any) -> None:
    """Writes a result's `to_json()`. Raises SoupError where the file cannot be written."""
    try:
        path.write_text(json.dumps(document(value), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SoupError(f"{path}: cannot be written ({error.strerror or error}).") from error

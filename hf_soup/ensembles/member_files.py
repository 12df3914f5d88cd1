"""One member's predictions as a file, read and checked by itself.

A table (CSV, JSONL, Parquet) has a column of ids and one for each class; an array (.npy) has neither names nor ids.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.ensembles.answers import row_ids
from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import read_table, row_numbers


@dataclass(frozen=True)
class MemberFile:
    """One member's file. `values`: float64 [rows, classes], or [rows] of an array with one column; NaN where there is no number.

    `ids` and `classes` are None for an array, which has neither. `problems`: of its rows.
    """

    name: str
    ids: list[str] | None
    classes: tuple[str, ...] | None
    values: np.ndarray
    problems: tuple[str, ...] = ()


def read_member_file(name: str, path: Path, no_classes: set[str], id_column: str) -> MemberFile:
    """Returns what is in the file. `no_classes`: columns that are no probabilities. Raises InputError with its problems; those of
    single numbers are in `problems`, since the rest of the file can be compared with the other members' all the same."""
    return _array(name, path) if path.suffix == ".npy" else _table(name, path, no_classes, id_column)


def member_names(paths: Sequence[tuple[str, Path]]) -> list[str]:
    """The files' names; with their family, and then their number, where two would be called the same."""
    counts = Counter(path.stem for _, path in paths)
    names = [path.stem if counts[path.stem] == 1 else f"{family}/{path.stem}" for family, path in paths]
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}-{place}" for place, name in enumerate(names, 1)]


def _array(name: str, path: Path) -> MemberFile:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is not a readable .npy file ({error}).") from error
    if not np.issubdtype(values.dtype, np.number) or values.ndim not in (1, 2):
        raise InputError(f"{path}: holds {values.dtype} of shape {values.shape}; numbers [rows, classes] are needed.")
    return MemberFile(name, None, None, values.astype(np.float64))


def _table(name: str, path: Path, no_classes: set[str], id_column: str) -> MemberFile:
    table = read_table(path)
    if id_column not in table.columns:
        raise InputError(
            f"{table.name}: has no column '{id_column}', by which rows are matched; its columns: {', '.join(table.columns)}. "
            "Say which one it is: --column id=…"
        )
    classes = tuple(column for column in table.columns if column not in no_classes)
    if not classes:
        raise InputError(f"{table.name}: has no column of probabilities beside '{id_column}'; one a class is needed.")
    values = np.full((len(table.records), len(classes)), np.nan)
    problems = []
    for place, column in enumerate(classes):
        wrong = []
        for row, record in enumerate(table.records):
            number = _number(record.get(column))
            if number is None:
                wrong.append(row + 1)
            else:
                values[row, place] = number
        if wrong:
            problems.append(f"{table.name}: {row_numbers(wrong)}: '{column}' is not a number, or not a finite one.")
    try:
        ids = row_ids(table, id_column)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from error
    return MemberFile(name, ids, classes, values, tuple(problems))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None

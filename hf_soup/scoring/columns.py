"""A table as columns, each as its different cells and where they stand: a million rows have few different cells to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import read_table
from hf_soup.forecasting.cells import read_text

_HASHED = (str, int, float, date, type(None))


@dataclass(frozen=True)
class Column:
    """`cells`: the different ones; `codes`: int64 [rows], which of them a row has."""

    cells: list[Any]
    codes: np.ndarray

    @classmethod
    def of(cls, cells: list[Any]) -> Column:
        """Of the cells of all rows."""
        if all(isinstance(cell, str) for cell in cells):
            keys = cells
        else:  # 1, 1.0 and True are one key of a dict, and a list is none
            keys = [(type(cell), cell if isinstance(cell, _HASHED) else repr(cell)) for cell in cells]
        number: dict[Any, int] = {}
        codes = np.fromiter((number.setdefault(key, len(number)) for key in keys), dtype=np.int64, count=len(keys))
        different: list[Any] = [None] * len(number)
        for code, cell in zip(codes.tolist(), cells, strict=True):
            different[code] = cell
        return cls(different, codes)

    def read(self, read: Callable[[Any], Any]) -> tuple[list[Any], dict[int, str]]:
        """Returns what each different cell reads as, and by code what is wrong with those that cannot be read (None then)."""
        values, wrong = [], {}
        for code, cell in enumerate(self.cells):
            try:
                values.append(read(cell))
            except ValueError as error:
                values.append(None)
                wrong[code] = str(error)
        return values, wrong


@dataclass(frozen=True)
class Columns:
    """`name`: how messages call the table. `rows`: int64 [rows], their numbers in the file, from 1 without the header."""

    name: str
    by_name: Mapping[str, Column]
    rows: np.ndarray

    def where(self, conditions: Mapping[str, Any]) -> Columns:
        """Returns the rows in which every named column has the given value, both taken as texts."""
        kept = np.ones(len(self.rows), dtype=bool)
        for name, value in conditions.items():
            if name not in self.by_name:
                raise InputError(
                    f"{self.name}: has no column '{name}' to choose by; it has {', '.join(self.by_name)}."
                )
            column = self.by_name[name]
            texts, _ = column.read(read_text)
            kept &= np.array([text == read_text(value) for text in texts], dtype=bool)[column.codes]
        if not kept.any():
            chosen = ", ".join(f"{name}={value}" for name, value in conditions.items())
            raise InputError(f"{self.name}: no row has {chosen}.")
        return replace(
            self,
            by_name={name: Column(each.cells, each.codes[kept]) for name, each in self.by_name.items()},
            rows=self.rows[kept],
        )


def read_columns(data: Any) -> Columns:
    """Returns the columns of a CSV, JSONL or Parquet file, a list of dicts or a `datasets.Dataset`.

    CSV and Parquet files are read by pyarrow where it is installed, which is ten times faster; what it refuses, and everything
    else, is read row by row. Raises InputError for a file that is missing, empty, damaged or of another format.
    """
    if isinstance(data, str | Path):
        by_name = _read_by_arrow(Path(data))
        if by_name is not None:
            n_rows = len(next(iter(by_name.values())).codes)
            return Columns(Path(data).name, by_name, np.arange(1, n_rows + 1))
    table = read_table(data)
    return Columns(
        table.name,
        {name: Column.of([record.get(name) for record in table.records]) for name in table.columns},
        np.arange(1, len(table.records) + 1),
    )


def _read_by_arrow(path: Path) -> dict[str, Column] | None:
    """None where the row-by-row reader must judge: no pyarrow, another format, or something is wrong with the file."""
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ModuleNotFoundError:
        return None
    try:
        if path.suffix.lower() == ".csv":
            with csv.open_csv(path) as opened:
                names = opened.schema.names
            table = csv.read_csv(
                path,
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False
                ),
            )
        elif path.suffix.lower() == ".parquet":
            table = parquet.ParquetFile(path).read()
        else:
            return None
        if not table.num_rows or table.num_columns == 1 or len(set(table.column_names)) < table.num_columns:
            return None
        return {name: _encoded(table.column(name)) for name in table.column_names}
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, pyarrow.ArrowKeyError, OSError):
        return None


def _encoded(column: Any) -> Column:
    if hasattr(column.type, "value_type") and hasattr(column.type, "index_type"):  # encoded already, blanks apart
        column = column.cast(column.type.value_type)
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return Column(encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64))

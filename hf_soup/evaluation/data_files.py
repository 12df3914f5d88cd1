"""Tables as users have them: CSV, JSONL and Parquet files, lists of dicts, `datasets` objects. All become lists of dicts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError

Record = dict[str, Any]
_LONGEST_FIELD = 2**31 - 1


@dataclass(frozen=True)
class Table:
    """`columns`: the names of all columns; `records`: one dict a row; `name`: how messages name it; `folder`: what image
    paths are relative to."""

    name: str
    columns: tuple[str, ...]
    records: list[Record]
    folder: Path


def read_table(data: Any) -> Table:
    """Returns the table in `data`. Raises InputError for a file that is missing, empty, damaged or of another format."""
    if isinstance(data, str | Path):
        return _from_file(Path(data))
    if _is_dataset(data):
        return _from_dataset(data)
    if isinstance(data, Mapping):
        raise InputError(
            f"Held-out data: this is a mapping of {', '.join(map(str, data))}; give one split, e.g. data['test']."
        )
    if isinstance(data, Sequence) and all(isinstance(record, Mapping) for record in data):
        return _table("the given rows", [dict(record) for record in data], Path())
    raise InputError(
        f"Data: a {type(data).__name__} is not understood; give a CSV, JSONL or Parquet file, a list of dicts, a datasets.Dataset "
        "(of a data frame: frame.to_dict('records')), or, to HeldOut, a function that scores a model."
    )


def _table(name: str, records: list[Record], folder: Path, columns: Iterable[str] | None = None) -> Table:
    if not records:
        raise InputError(f"{name}: has no rows.")
    if columns is None:
        columns = dict.fromkeys(str(key) for record in records for key in record)
    return Table(name, tuple(columns), records, folder)


def _from_file(path: Path) -> Table:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: is of no known format; known: {', '.join(_READERS)}.")
    try:
        columns, records = read(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    return _table(path.name, records, path.parent, columns)


def _csv(path: Path) -> tuple[list[str], list[Record]]:
    earlier = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or [])
            twice = [name for name, count in Counter(columns).items() if count > 1]
            if twice:
                raise InputError(f"{path.name}: the column '{twice[0]}' is there twice.")
            records = list(reader)
    except csv.Error as error:
        raise InputError(f"{path.name}: is not a readable CSV file near line {reader.line_num} ({error}).") from error
    finally:
        csv.field_size_limit(earlier)
    if len(columns) == 1 and (mark := next((each for each in ";\t|" if each in columns[0]), None)):
        raise InputError(
            f"{path.name}: its header is one field, {columns[0]!r}: the fields seem to be separated by {mark!r}; separate them by commas."
        )
    ragged = [number for number, record in enumerate(records, 1) if None in record or None in record.values()]
    if ragged:
        raise InputError(
            f"{path.name}: {row_numbers(ragged)} {'has' if len(ragged) == 1 else 'have'} another number of fields than the "
            f"header, which has {len(columns)}; quote texts that hold commas."
        )
    return columns, [dict(record) for record in records]


def _jsonl(path: Path) -> tuple[list[str], list[Record]]:
    records: list[Record] = []
    problems = []
    # Not splitlines(): a text may hold characters such as U+2028 that it takes for ends of lines.
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problems.append(f"{path.name}: line {number} is not JSON ({error.msg}).")
            continue
        if isinstance(record, dict):
            records.append(record)
        else:
            problems.append(f"{path.name}: line {number} is not a JSON object.")
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(key for record in records for key in record)), records


def _parquet(path: Path) -> tuple[list[str], list[Record]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise InputError(f'{path}: reading Parquet needs pyarrow: pip install "hf-soup[data]".') from error
    try:
        table = parquet.ParquetFile(path).read()
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: is not a readable Parquet file ({str(error).splitlines()[0]}).") from error
    return table.column_names, table.to_pylist()


_READERS: dict[str, Callable[[Path], tuple[list[str], list[Record]]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


def _is_dataset(data: Any) -> bool:
    """Whether this is a datasets.Dataset, without importing datasets."""
    return (
        isinstance(getattr(data, "column_names", None), list)
        and hasattr(data, "features")
        and hasattr(data, "__len__")
    )


def _from_dataset(dataset: Any) -> Table:
    """Class numbers become their names; images stay undecoded until they are needed."""
    for column, feature in dataset.features.items():
        if type(feature).__name__ == "Image":
            dataset = dataset.cast_column(column, type(feature)(decode=False))
    names = {column: feature.names for column, feature in dataset.features.items() if hasattr(feature, "names")}
    records = [dict(record) for record in dataset]
    for record in records:
        for column, of_class in names.items():
            number = record[column]
            record[column] = of_class[number] if isinstance(number, int) and 0 <= number < len(of_class) else None
    return _table("the dataset", records, Path(), dataset.column_names)


def row_numbers(numbers: Sequence[int], most: int = 10) -> str:
    """ "row 3", "rows 3, 7", "rows 3, 7, … and 12 more": rows are counted from 1, without the header."""
    shown = ", ".join(map(str, numbers[:most]))
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return f"{'row' if len(numbers) == 1 else 'rows'} {shown}{more}"

"""Rows to predict, with or without labels. What cannot be read is named and left out, and the others go on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.cells import CELLS
from hf_soup.evaluation.data_files import Record, Table, read_table
from hf_soup.evaluation.held_out import HeldOut
from hf_soup.evaluation.left_out import LeftOut, decoded
from hf_soup.evaluation.task import Example, Task

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_DECODED_BYTES = 256 * 2**20  # images that stay decoded, so that not every member decodes them again


@dataclass(frozen=True, eq=False)
class Rows:
    """`examples`: by the task's column names, without labels. `digests`: of their contents. `ids`: str [rows], how the user
    names them. `left_out`: rows that could not be read."""

    examples: Sequence[Example]
    digests: Sequence[str]
    ids: np.ndarray
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    def subset(self, places: np.ndarray) -> Rows:
        return Rows([self.examples[i] for i in places], [self.digests[i] for i in places], self.ids[places])

    @classmethod
    def of_held_out(cls, held_out: HeldOut) -> Rows:
        """All rows, which `HeldOut` has read; their ids are their numbers from 1."""
        examples = [{name: value for name, value in each.items() if name != "label"} for each in held_out.examples]
        return cls(examples, held_out.ids, np.arange(1, held_out.rows + 1).astype(np.str_))


def read_rows(data: Any, task: Task, columns: Mapping[str, str] | None = None) -> Rows:
    """Returns the rows in `data`, of which no label is read.

    `data`: a file or table as for `HeldOut`, a `HeldOut`, a list of texts or of images, or a folder of images. `columns`:
    {"text": "sentence"}. A row whose text is empty or whose image cannot be decoded is in `left_out`.
    Raises InputError for data without rows or without the task's columns, and where no row can be read.
    """
    if isinstance(data, HeldOut):
        return Rows.of_held_out(data)
    main = task.required[0]
    table = _folder_of_images(data, main) if _is_folder(data) else read_table(_as_records(data, main))
    wanted = [name for name in (*task.required, *task.optional) if name != "label"]
    present = {name: (columns or {}).get(name, name) for name in wanted}
    lacking = [name for name in wanted if name in task.required and present[name] not in table.columns]
    if lacking:
        raise InputError(
            f"{table.name}: has no column '{present[lacking[0]]}'; its columns: {', '.join(table.columns)}. Say which one it is: "
            f"--column {lacking[0]}=… (columns={{'{lacking[0]}': '…'}})."
        )
    present = {name: column for name, column in present.items() if column in table.columns}
    reader = _Reader(present, table.folder)
    named = "id" in table.columns
    left_out, examples, digests, ids = [], [], [], []
    for number, record in enumerate(table.records, 1):
        row_id = str(record.get("id") if named else number)
        try:
            example, digest = reader.read(record)
        except ValueError as problem:
            left_out.append(LeftOut(number, row_id, str(problem)))
            continue
        examples.append(example)
        digests.append(digest)
        ids.append(row_id)
    if not examples:
        raise InputError([f"{table.name}: none of its rows can be read.", *map(str, left_out[:10])])
    return Rows(examples, digests, np.array(ids, np.str_), tuple(left_out))


class _Reader:
    def __init__(self, present: Mapping[str, str], folder: Path) -> None:
        self._present = present
        self._folder = folder
        self._free = _DECODED_BYTES

    def read(self, record: Record) -> tuple[Example, str]:
        """Returns (example, digest of its contents). Raises ValueError that names the column and what is wrong with it."""
        example, contents = {}, []
        for name, column in self._present.items():
            try:
                value, content = CELLS[name](record.get(column), self._folder)
                example[name] = self._decoded(value) if name == "image" else value
            except ValueError as error:
                raise ValueError(f"'{column}' {error}") from error
            contents.append(f"{name} {content}")
        return example, hashlib.sha256("\n".join(contents).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _decoded(self, source: Any) -> Any:
        """The image, decoded to the end: a file that is cut off looks whole until then. The first 256 MiB of pixels are kept."""
        image = decoded(source)
        if image is source:
            return source
        nbytes = image.width * image.height * len(image.getbands())
        if nbytes > self._free:
            return source
        self._free -= nbytes
        return image


def _is_folder(data: Any) -> bool:
    return isinstance(data, str | Path) and Path(data).is_dir()


def _as_records(data: Any, main: str) -> Any:
    """A list of texts, or of images, as a list of dicts."""
    if isinstance(data, list | tuple) and data and not any(isinstance(each, Mapping) for each in data):
        return [{main: each} for each in data]
    return data


def _folder_of_images(folder: str | Path, main: str) -> Table:
    if main != "image":
        raise InputError(f"{folder}: is a folder; for this task give a CSV, JSONL or Parquet file.")
    root = Path(folder)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in _IMAGES)
    if not names:
        raise InputError(f"{folder}: holds no images ({', '.join(_IMAGES)}).")
    return Table(str(folder), ("id", "image"), [{"id": name, "image": name} for name in names], root)

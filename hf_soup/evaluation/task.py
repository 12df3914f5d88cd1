"""What a task is, and the table of all of them: how rows are checked and encoded, and what a model's outputs mean.

A new task is one class in one file: `@task("its-name")`, its columns, `encode`, `forward` and `predictions`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hf_soup.errors import InputError
from hf_soup.evaluation.cells import CELLS
from hf_soup.evaluation.data_files import Table, row_numbers
from hf_soup.evaluation.labels import LabelMap
from hf_soup.evaluation.predictions import Kind, Predictions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Example = dict[str, Any]


class Encoded(ABC):
    """All rows, ready for a model: tokenised, or opened when they are asked for."""

    lengths: Sequence[int]
    """What batches are sorted by, so that little is padding."""
    most_rows: int | None = None
    """The largest batch that the model can take, whatever the memory; None for no limit."""

    @abstractmethod
    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The inputs of these rows, on the CPU."""


class Task(ABC):
    name: ClassVar[str]
    kind: ClassVar[Kind]
    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    auto_class: ClassVar[str]
    """The class of transformers that loads a model for this task."""
    default_metric: ClassVar[str]
    batch_size: ClassVar[int]
    """To start with."""

    @abstractmethod
    def preprocessor(self, folder: Path, trust_remote_code: bool) -> Any:
        """Opens the tokenizer or processor in `folder`. Raises InputError where there is none."""

    @abstractmethod
    def encode(
        self, examples: Sequence[Example], preprocessor: Any, config: Any, *, max_length: int | None
    ) -> Encoded:
        """Encodes the rows with this task's `preprocessor`, for a model with this config (of transformers)."""

    @abstractmethod
    def forward(self, model: Any, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """Runs one batch; returns arrays whose first dimension is the rows of the batch."""

    @abstractmethod
    def predictions(
        self,
        ids: Sequence[str],
        examples: Sequence[Example],
        outputs: Mapping[str, np.ndarray],
        label_map: LabelMap | None,
    ) -> Predictions:
        """Puts the outputs of all batches, in the order of the rows, together."""

    def clean(self, table: Table, present: Mapping[str, str]) -> tuple[list[Example], list[str], list[str]]:
        """Returns (examples by this task's column names, their digests, problems).

        `present`: the column of the table for each of this task's columns that there is.
        """
        examples, digests = [], []
        problems: dict[str, list[int]] = {}
        for number, record in enumerate(table.records, 1):
            example, contents = {}, []
            for name, column in present.items():
                try:
                    example[name], content = CELLS[name](record.get(column), table.folder)
                except ValueError as error:
                    problems.setdefault(f"'{column}' {error}", []).append(number)
                else:
                    contents.append((name, content))
            examples.append(example)
            digests.append(_row_digest(contents))
        sentences = [f"{row_numbers(rows)}: {problem}." for problem, rows in problems.items()]
        if "label" in present and not problems:
            sentences += _too_few_classes(examples)
        return examples, digests, sentences


def _too_few_classes(examples: Sequence[Example]) -> list[str]:
    counts = Counter(example["label"] for example in examples)
    if len(counts) != 1:
        return []
    return [
        f"all {len(examples)} rows have the label '{next(iter(counts))}'; a model can be judged on two classes or more."
    ]


def _row_digest(contents: list[tuple[str, str]]) -> str:
    text = json.dumps(sorted(contents), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


T = TypeVar("T", bound=type[Task])
_TASKS: dict[str, Task] = {}


def task(name: str, *aliases: str) -> Callable[[T], T]:
    """Registers a class as the task of this name."""

    def register(kind: T) -> T:
        kind.name = name
        _TASKS.update(dict.fromkeys((name, *aliases), kind()))
        return kind

    return register


def all_tasks() -> dict[str, Task]:
    """The table, complete: the modules that fill it are imported first."""
    for module in ("text_classification", "image_classification", "language_modelling"):
        import_module(f"hf_soup.evaluation.{module}")
    return _TASKS


def task_named(name: str | None) -> Task:
    """Returns the task. Raises InputError, listing the known ones, for an unknown name."""
    known = ", ".join(sorted(all_tasks()))
    if name is None:
        raise InputError(f"Held-out data needs a task; known tasks: {known}.")
    if name not in all_tasks():
        raise InputError(f"There is no task '{name}'; known tasks: {known}.")
    return all_tasks()[name]


def __getattr__(name: str) -> dict[str, Task]:
    if name == "TASKS":
        return all_tasks()
    raise AttributeError(f"module 'hf_soup.evaluation.task' has no attribute {name!r}")

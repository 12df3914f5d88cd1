"""Held-out data: what models are judged on, read and checked at once, before any model is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import Table, read_table, row_numbers
from hf_soup.evaluation.labels import LabelMap, label_name, match_labels
from hf_soup.evaluation.left_out import LeftOut, unreadable_images
from hf_soup.evaluation.metric import Metric, all_metrics, metric_named
from hf_soup.evaluation.score_command import ScoreCommand
from hf_soup.evaluation.task import Task, task_named
from hf_soup.problems import Problems


class HeldOut:
    """Examples with their answers, or a function or command that scores a model.

    >>> HeldOut([{"text": "fine", "label": "good"}, {"text": "poor", "label": "bad"}], task="text-classification").rows
    2

    `data`: a path to a CSV, JSONL or Parquet file, a list of dicts, a `datasets.Dataset`, a `ScoreCommand`, or a function of
    the model in memory that returns a number, numbers by metric, or `Predictions`.
    `task`: "text-classification" (columns text, label, and text_pair where there is one), "image-classification" (image: a path
    relative to the data file, bytes, or a PIL image; label), or "causal-lm" (text). A function or command needs none.
    `metric`: see `METRICS`; the task's own default without. `maximise`: only for a metric of a function or command
    that is not one of ours; true without. `columns`: {"text": "sentence"} for a column that has another name.
    `labels`: {"LABEL_0": "negative"}, what the model's classes mean. `name`: of the data in tables; for a function it is also
    its identity in the cache, without a name its scores are not kept. Scores of a command are kept until it changes: its
    words, the working directory, or a file that it names. `max_length`: tokens a text is cut to;
    without, as many as the model takes. `batch_size`: to start with; it shrinks when memory does not suffice.
    `group_by`: the column that says which rows belong together, as the frames of one video do: they are never split between
    the rows that weights are fitted on and those they are judged on, and are resampled together.
    `unreadable`: rows whose image cannot be read are an "error", or with "leave_out" in `left_out` and not among the examples.

    Raises InputError with all problems of the data, with row numbers counted from 1 without the header.
    """

    def __init__(
        self,
        data: Any,
        task: str | None = None,
        metric: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        name: str | None = None,
        maximise: bool | None = None,
        max_length: int | None = None,
        batch_size: int | None = None,
        group_by: str | None = None,
        unreadable: Literal["error", "leave_out"] = "error",
    ) -> None:
        self.labels = dict(labels or {})
        self.columns = dict(columns or {})
        self.max_length = max_length
        self.batch_size = batch_size
        self.group_by = group_by
        self.groups: list[str] | None = None
        """The group of each row; None without `group_by`."""
        self.unreadable = unreadable
        self.left_out: tuple[LeftOut, ...] = ()
        """Rows that are not among the examples, since they cannot be read."""
        self.path: Path | None = None
        """The file that the examples came from, where they came from one."""
        self.judge: ScoreCommand | Callable[[Any], Any] | None = None
        for option, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise InputError(f"{option}={value}: must be at least 1.")
        if unreadable not in ("error", "leave_out"):
            raise InputError(f"unreadable='{unreadable}': it is 'error' or 'leave_out'.")
        if isinstance(data, ScoreCommand) or (callable(data) and not hasattr(data, "column_names")):
            self._judge(data, task, metric, name, maximise)
        else:
            self._examples(data, task, metric, columns or {}, name, maximise)

    def _judge(
        self, judge: Any, task: str | None, metric: str | None, name: str | None, maximise: bool | None
    ) -> None:
        if self.group_by is not None:
            raise InputError("group_by names a column of data; a function or command brings its own.")
        self.judge = judge
        self.task_type: Task | None = task_named(task) if task is not None else None
        self.examples: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.metric = metric or "score"
        known = all_metrics().get(self.metric)
        self.maximise = known.maximise if maximise is None and known else maximise is not False
        if isinstance(judge, ScoreCommand):
            self.name: str = name or judge.name
            self.fingerprint: str | None = judge.fingerprint()
        else:
            self.name = name or str(getattr(judge, "__name__", type(judge).__name__))
            self.fingerprint = _digest("function", name) if name is not None else None

    def _examples(
        self,
        data: Any,
        task: str | None,
        metric: str | None,
        columns: Mapping[str, str],
        name: str | None,
        maximise: bool | None,
    ) -> None:
        problems = Problems()
        kind = problems.of(lambda: task_named(task))
        found = problems.of(lambda: _metric(metric, kind, maximise)) if kind is not None else None
        table = problems.of(lambda: read_table(data))
        problems.raise_any()
        assert kind is not None
        assert found is not None
        assert table is not None
        self.task_type = kind
        self.metric, self.maximise = found.name, found.maximise
        self.path = Path(data) if isinstance(data, str | Path) else None
        self.name = name or table.name
        left_out: list[LeftOut] = []
        column = columns.get("image", "image")
        if self.unreadable == "leave_out" and "image" in kind.required and column in table.columns:
            left_out = unreadable_images([record.get(column) for record in table.records], table.folder, column)
        self.examples, self.ids = _clean(_with_blanks(table, column, left_out), kind, columns)
        if self.group_by is not None:
            self.groups = _groups(table, self.group_by)
        self.fingerprint = _digest(kind.name, *self.ids)
        if left_out:
            self._leave_out(left_out)

    def like(self, data: Any, name: str | None = None) -> HeldOut:
        """Other data with this one's task, metric, columns, labels and settings: a test set, or a shift.

        Raises InputError for a function or command, which brings its own data.
        """
        if self.judge is not None:
            raise InputError(f"{self.name}: brings its own data; test and shift sets need held-out data with a task.")
        return self._read_again(data, name, self.group_by)

    def grouped(self, group_by: str) -> HeldOut:
        """The same rows, which belong together as this column says. Raises InputError where they are no longer at hand."""
        if self.path is None:
            raise InputError(
                f"{self.name}: its other columns are not kept; say HeldOut(…, group_by='{group_by}') where its rows are read."
            )
        return self._read_again(self.path, self.name, group_by)

    def _read_again(self, data: Any, name: str | None, group_by: str | None) -> HeldOut:
        return HeldOut(
            data,
            task=self.task,
            metric=self.metric,
            columns=self.columns,
            labels=self.labels,
            name=name,
            max_length=self.max_length,
            batch_size=self.batch_size,
            group_by=group_by,
            unreadable=self.unreadable,
        )

    def readable(self) -> HeldOut:
        """The same rows without those whose image cannot be decoded, which are in its `left_out`; so are those of sets `like` it.

        Decodes every image once. Raises InputError where no row, or one class only, is left.
        """
        if self.unreadable == "leave_out" or self.task_type is None or "image" not in self.task_type.required:
            return self
        other = copy(self)
        other.unreadable = "leave_out"
        column = self.columns.get("image", "image")
        if left_out := unreadable_images([example["image"] for example in self.examples], Path(), column):
            other._leave_out(left_out)
        return other

    def _leave_out(self, left_out: list[LeftOut]) -> None:
        assert self.task_type is not None
        gone = {one.row - 1 for one in left_out}
        kept = [place for place in range(len(self.examples)) if place not in gone]
        self.examples = [self.examples[place] for place in kept]
        self.ids = [self.ids[place] for place in kept]
        if self.groups is not None:
            self.groups = [self.groups[place] for place in kept]
        self.left_out = tuple(left_out)
        self.fingerprint = _digest(self.task_type.name, *self.ids)
        labels = {example["label"] for example in self.examples}
        if len(labels) < 2:
            left = f"those that are left have the label '{labels.pop()}'" if labels else "none is left"
            raise InputError(
                [
                    f"{self.name}: {len(gone)} rows cannot be read, and {left}.",
                    *(f"{self.name}: {one}." for one in left_out[:10]),
                ]
            )

    def calling(self, labels: Mapping[str, str]) -> HeldOut:
        """The same rows, for a model whose classes have these meanings."""
        other = copy(self)
        other.labels = dict(labels)
        return other

    @property
    def rows(self) -> int:
        """The number of examples; 0 for a function or command."""
        return len(self.examples)

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"HeldOut({self.name!r}, task={self.task!r}, metric={self.metric!r}, rows={self.rows})"

    @property
    def task(self) -> str | None:
        return self.task_type.name if self.task_type is not None else None

    def label_map(self, config: Mapping[str, Any], model: str) -> LabelMap | None:
        """How the labels belong to the logits of the model with this config.json; None for a task without labels.

        Raises InputError when they do not match: call it for every model before the first is evaluated.
        """
        if self.judge is not None or self.task_type is None or "label" not in self.task_type.required:
            return None
        return match_labels([each["label"] for each in self.examples], config, self.labels, self.name, model)


def _metric(name: str | None, task: Task, maximise: bool | None) -> Metric:
    found = metric_named(name or task.default_metric, task.kind)
    if maximise not in (None, found.maximise):
        raise InputError(f"The metric {found.name} is one to {'maximise' if found.maximise else 'minimise'}.")
    return found


def _with_blanks(table: Table, column: str, left_out: list[LeftOut]) -> Table:
    """The table with blank images in rows that are going to be left out: the numbers of the others stay what they are in messages."""
    if not left_out:
        return table
    from PIL import Image

    records, blank = list(table.records), Image.new("L", (1, 1))
    for one in left_out:
        records[one.row - 1] = {**records[one.row - 1], column: blank}
    return replace(table, records=records)


def _clean(table: Table, task: Task, columns: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the examples by the task's own column names, and a digest of each. Raises InputError with all problems."""
    problems = []
    known = (*task.required, *task.optional)
    for name in columns:
        if name not in known:
            problems.append(f"columns: {task.name} has no column '{name}'; it has {', '.join(known)}.")
    wanted = {name: columns.get(name, name) for name in known}
    for name in (*task.required, *(name for name in task.optional if name in columns)):
        if wanted[name] not in table.columns:
            problems.append(
                f"{table.name}: has no column '{wanted[name]}'; its columns: {', '.join(table.columns)}. "
                f"Say which one it is: --column {name}=… (columns={{'{name}': '…'}})."
            )
    present = {name: column for name, column in wanted.items() if column in table.columns}
    examples, digests, found = task.clean(table, present)
    problems += [f"{table.name}: {problem}" for problem in found]
    if problems:
        raise InputError(problems)
    return examples, digests


def _groups(table: Table, column: str) -> list[str]:
    if column not in table.columns:
        raise InputError(
            f"{table.name}: has no column '{column}' to group by; its columns: {', '.join(table.columns)}."
        )
    values = [record.get(column) for record in table.records]
    groups = ["" if value is None or value != value else label_name(value) for value in values]
    if empty := [number for number, group in enumerate(groups, 1) if not group]:
        raise InputError(
            f"{table.name}: {row_numbers(empty)}: '{column}' is empty; every row needs its group, or give a row that stands alone a "
            "value of its own."
        )
    return groups


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()

"""What one model says about every row of one data set."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

import numpy as np

from hf_soup.errors import InputError


class Kind(StrEnum):
    CLASSIFICATION = "classification"
    LANGUAGE = "language"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions in the order of the data's rows.

    `ids`: [rows] digests of the rows, so that predictions on other data cannot be mistaken for these.
    Classification: `classes` are names in a fixed order (sorted, whatever the order in the model), `labels` int64 [rows]
    are indices into them, `logits` float32 [rows, classes].
    Language models: `nll` float64 [rows] in nats, summed over the row's predicted tokens; `tokens` int64 [rows], their number.
    """

    ids: np.ndarray
    classes: tuple[str, ...] = ()
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    logits: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    nll: np.ndarray = field(default_factory=lambda: np.empty(0, np.float64))
    tokens: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        rows = len(self.ids)
        expected: dict[str, tuple[int, ...]]
        if self.classes:
            expected = {"labels": (rows,), "logits": (rows, len(self.classes))}
        else:
            expected = {"nll": (rows,), "tokens": (rows,)}
        for name, shape in expected.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"Predictions: {name} has shape {found}, expected {shape}.")

    @property
    def kind(self) -> Kind:
        return Kind.CLASSIFICATION if self.classes else Kind.LANGUAGE

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 [rows, classes]."""
        return np.exp(self.log_probabilities)

    @property
    def log_probabilities(self) -> np.ndarray:
        """float64 [rows, classes]."""
        logits = self.logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    @property
    def predicted(self) -> np.ndarray:
        """Index of the most probable class, int64 [rows]; the first one of equals."""
        return self.logits.argmax(axis=1)

    @property
    def not_finite(self) -> int:
        """The number of rows with NaN or infinity."""
        values = self.logits if self.classes else self.nll[:, None]
        return int((~np.isfinite(values)).any(axis=1).sum())

    def in_order_of_ids(self) -> Predictions:
        """The same rows sorted by their content, so that nothing computed from them depends on their order."""
        order = np.argsort(self.ids, kind="stable")
        moved = {
            each.name: getattr(self, each.name)[order]
            for each in fields(self)
            if each.name != "classes" and len(getattr(self, each.name)) == len(order)
        }
        return Predictions(classes=self.classes, **moved)

    def save(self, path: Path) -> None:
        """Writes an .npz file without pickle, complete or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {each.name: getattr(self, each.name) for each in fields(self)}
        arrays["classes"] = np.array(self.classes, dtype=np.str_)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Reads what `save` wrote. Raises InputError for a file that is damaged or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {each.name: file[each.name] for each in fields(cls)}
            classes = tuple(str(name) for name in arrays.pop("classes"))
            return cls(classes=classes, **arrays)
        except (ValueError, KeyError, EOFError, OSError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: is not a readable file of predictions ({error}).") from error


def refuse_different_rows(several: Sequence[Predictions]) -> None:
    """Raises InputError unless all predictions are about the same rows in the same order."""
    first = several[0]
    for other in several[1:]:
        if other.rows != first.rows or (other.ids != first.ids).any() or (other.labels != first.labels).any():
            raise InputError(
                f"Predictions on different rows cannot be compared or combined ({first.rows} and {other.rows} rows, or other "
                "contents); evaluate all models on the same data."
            )
        if other.classes != first.classes:
            raise InputError(
                f"Predictions with different classes cannot be compared or combined: {', '.join(first.classes) or 'none'} and "
                f"{', '.join(other.classes) or 'none'}."
            )

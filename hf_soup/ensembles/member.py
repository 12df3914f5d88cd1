"""Who votes: a model with its weights, or a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import Checkpoint, ModelRef, PinnedRef

Predict = Callable[[list[dict[str, Any]]], Any]
Reference = str | Path | ModelRef | PinnedRef


@dataclass(frozen=True, eq=False)
class ModelMember:
    """`checkpoint`: pinned and opened; a soup of several models where a family is souped. `called`: what its classes mean, by
    the names that its config.json gives them; empty where those are the names of the labels."""

    name: str
    checkpoint: Checkpoint
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> PinnedRef | None:
        """The commit or folder; None for a soup."""
        return self.checkpoint.ref

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.checkpoint.label if self.ref is not None else f"the soup of {self.name}"

    @property
    def parameters(self) -> int:
        return sum(self.checkpoint.info(name).numel for name in self.checkpoint.names())

    @property
    def bytes(self) -> int:
        """Of its tensors, which it takes in memory."""
        return sum(self.checkpoint.info(name).nbytes for name in self.checkpoint.names())


@dataclass(frozen=True, eq=False)
class FunctionMember:
    """A function that gives the probabilities of rows, as a member beside models.

    >>> FunctionMember(lambda rows: [0.9 if "fine" in row["text"] else 0.2 for row in rows], "keyword").label
    'keyword'

    `predict`: takes a list of dicts, one a row, with the task's columns without the label (text, or image as the data have it),
    and returns an array [rows, classes], or [rows] for the second of two classes. `logits`: it returns logits; they become
    probabilities here, once. `classes`: the order of its columns; without, that of the ensemble's classes, which is sorted.
    """

    predict: Predict
    name: str = ""
    logits: bool = False
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", str(getattr(self.predict, "__name__", type(self.predict).__name__)))

    @property
    def label(self) -> str:
        return self.name


Member = ModelMember | FunctionMember

"""Which logit of a model speaks for which label of the data: matched by name, never by position.

Rule: the labels of the data are names. A model's class has the name that `id2label` gives it, or the one that the user gives
that name (`--labels LABEL_0=negative`). Whole numbers in the data are names too ("0", "1"); only where every class of the
model has its default name (LABEL_0, LABEL_1, …) and the user names none, do they stand for the model's class numbers.
A model with one logit (a sigmoid head, which transformers trains as "multi_label_classification" of one label) has two classes; its
logit speaks for the second, "1", or for the one it is named after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import row_numbers


@dataclass(frozen=True)
class LabelMap:
    """`classes`: names in the order of `Predictions`; `columns[i]`: the model's logit for class i."""

    classes: tuple[str, ...]
    columns: tuple[int, ...]
    one_logit: bool = False

    @property
    def logits(self) -> int:
        """How many logits the model must give."""
        return 1 if self.one_logit else len(self.classes)

    def arrange(self, logits: np.ndarray) -> np.ndarray:
        """The model's logits, float32 [rows, logits], as [rows, classes]; one logit z becomes (0, z) or (z, 0)."""
        if self.one_logit:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        return np.ascontiguousarray(logits[:, list(self.columns)])

    def indices(self, labels: Sequence[str]) -> np.ndarray:
        """int64 [rows]: the index in `classes` of each label."""
        place = {name: index for index, name in enumerate(self.classes)}
        return np.array([place[label] for label in labels], np.int64)


def match_labels(
    labels: Sequence[str], config: Mapping[str, Any], names: Mapping[str, str] | None, data: str, model: str
) -> LabelMap:
    """Returns how the data's labels, one a row, belong to the logits of the model with this config.json.

    `names`: what the user calls the model's classes, {"LABEL_0": "negative"}. `data` and `model` are for messages. Raises
    InputError, with both maps and the option that would help, when a label is not the name of a class.
    """
    of_model = class_names(config)
    problem_type = config.get("problem_type")
    if problem_type == "regression" and len(of_model) == 1:
        raise InputError(
            f"{model}: its head is for regression (problem_type in config.json): its one output is a number, not the logit of a class, "
            "and has no probability. Train it again with problem_type='multi_label_classification', under which one output is a logit."
        )
    if problem_type == "regression" or (problem_type == "multi_label_classification" and len(of_model) > 1):
        kind = str(problem_type).replace("_", " ")
        raise InputError(
            f"{model}: its head is for {kind} (problem_type in config.json), these metrics need one class per row."
        )
    unknown = sorted(set(names or {}) - set(of_model))
    if unknown:
        raise InputError(
            f"--labels names {', '.join(unknown)}, but {model} has no such class; its classes: {_numbered(of_model)}."
        )
    called = [(names or {}).get(name, name) for name in of_model]
    twice = [name for name, count in Counter(called).items() if count > 1]
    if twice:
        raise InputError(f"Two classes of {model} have the name '{twice[0]}'; its classes: {_numbered(called)}.")
    if len(of_model) == 1:
        return _one_logit(labels, called[0], named=_default_names(of_model) != called, data=data, model=model)
    if not names and of_model == _default_names(of_model) and all(_is_number(label) for label in set(labels)):
        called = [str(index) for index in range(len(of_model))]
    if not set(labels) <= set(called):
        raise InputError(_mismatch(labels, of_model, called, data, model))
    order = sorted(range(len(called)), key=lambda index: _natural(called[index]))
    return LabelMap(tuple(called[index] for index in order), tuple(order))


def class_names(config: Mapping[str, Any]) -> list[str]:
    """The names of a model's classes by number, from its config.json: `id2label`, or `label_names` as timm writes them; without
    either LABEL_0, LABEL_1, …
    """
    id2label = config.get("id2label")
    if id2label:
        return [str(id2label[key]) for key in sorted(id2label, key=int)]
    if label_names := config.get("label_names"):
        return [str(name) for name in label_names]
    return [f"LABEL_{index}" for index in range(config.get("num_labels") or 2)]


def label_name(value: Any) -> str:
    """A label as it is compared: text as it stands, a whole number without its point, so that all file formats agree."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _one_logit(labels: Sequence[str], positive: str, *, named: bool, data: str, model: str) -> LabelMap:
    found = sorted(set(labels), key=_natural)
    if len(found) != 2:
        raise InputError(
            f"{model} has one logit: a regression head, or a head for two classes; {data} has {len(found)} different labels "
            f"({_some(found)})."
        )
    if not named:
        positive = "1"
    if positive not in found:
        raise InputError(
            f"{model} has one logit, and it is not known for which of the labels {' and '.join(found)} of {data} it speaks; "
            f"say so, e.g. --labels LABEL_0={found[1]} (labels={{'LABEL_0': '{found[1]}'}})."
        )
    return LabelMap(tuple(found), (0, 1) if found[1] == positive else (1, 0), one_logit=True)


def _mismatch(labels: Sequence[str], of_model: list[str], called: list[str], data: str, model: str) -> str:
    counts = Counter(labels)
    missing = sorted(set(counts) - set(called), key=_natural)
    rows = [number for number, label in enumerate(labels, 1) if label in missing]
    in_data = ", ".join(f"{name} ({counts[name]})" for name in sorted(counts, key=_natural)[:20])
    shown = [f"{name} (called {new})" if new != name else name for name, new in zip(of_model, called, strict=True)]
    problem = (
        f"{data}: {row_numbers(rows)}: {model} has no class {_some(missing)}. Classes of the model: {_numbered(shown)}. "
        f"Labels of the data (rows): {in_data}."
    )
    return f"{problem} {_remedy(sorted(counts, key=_natural), of_model, called)}"


def _remedy(in_data: list[str], of_model: list[str], called: list[str]) -> str:
    """The --labels that would fix it, paired by spelling where that is clear, else by order, for the user to check."""
    if len(in_data) > len(of_model):
        return f"The data has {len(in_data)} labels, the model {len(of_model)} classes: this is another model's data."
    by_spelling = {name.casefold(): name for name in in_data}
    free = [name for name in in_data if name not in called and name.casefold() not in {c.casefold() for c in called}]
    pairs = []
    for name, new in zip(of_model, called, strict=True):
        meant = new if new in in_data else by_spelling.get(new.casefold()) or (free.pop(0) if free else None)
        if meant is not None and meant != name:
            pairs.append((name, meant))
    option = ",".join(f"{name}={meant}" for name, meant in pairs)
    python = ", ".join(f"'{name}': '{meant}'" for name, meant in pairs)
    return f"If that is what they mean: --labels {option} (labels={{{python}}})."


def _default_names(names: Sequence[str]) -> list[str]:
    return [f"LABEL_{index}" for index in range(len(names))]


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _natural(name: str) -> tuple[int, int, str]:
    """Numbers in their order, then texts in theirs."""
    return (0, int(name), name) if _is_number(name) else (1, 0, name)


def _numbered(names: Sequence[str]) -> str:
    shown = ", ".join(f"{index}={name}" for index, name in enumerate(names[:20]))
    return shown + (f", … ({len(names)} in all)" if len(names) > 20 else "")


def _some(names: Sequence[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names[:10])
    return quoted + (f", … ({len(names)} in all)" if len(names) > 10 else "")

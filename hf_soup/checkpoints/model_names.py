"""The names of a transformers class's tensors: in memory, where an adapter names its modules, and in files.

Names in files are what `save_pretrained` writes; from ViT's `layers.0.attention.q_proj` they differ as
`encoder.layer.0.attention.attention.query`. They are read off transformers' own conversion, on a model without weights.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

_AUTO_CLASS = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "FEATURE_EXTRACTION": "AutoModel",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
}
"""By PEFT's task_type."""
_BUILDING = threading.Lock()
"""Adapters are opened by several threads, and transformers' classes arrive by imports that two threads can find half done."""


@dataclass(frozen=True)
class ModelNames:
    """`stored`: the name in files of every tensor in memory that lies there as it is, with its memory name as the key.

    `converted`: of every other the names of what its numbers lie in: cut, fused with others, or in another order. `tied`: those
    that share another's weights, whose name is the value, and need not be in files. `prefix`: of the headless model.
    """

    class_name: str
    stored: dict[str, str]
    converted: dict[str, tuple[str, ...]]
    tied: dict[str, str]
    prefix: str

    def in_files(self) -> dict[str, str]:
        """Returns every name in files, with the name in memory of what it holds, or holds a part of."""
        one = {stored: name for name, stored in self.stored.items()}
        return one | {stored: name for name, several in self.converted.items() for stored in several}


def model_names(config: dict[str, Any], class_name: str | None, task_type: str | None) -> ModelNames | None:
    """Returns the names of `meta_model`, None where there is none."""
    model = meta_model(config, class_name, task_type)
    return names_of(model) if model is not None else None


def meta_model(config: dict[str, Any], class_name: str | None, task_type: str | None) -> Any | None:
    """Returns, without weights, the model that is named, or that a task has for this config; else the config's own.

    None where this version of transformers does not know the class or the config.
    """
    import torch
    import transformers

    if "model_type" not in config:
        return None
    try:
        with _BUILDING:
            parsed = transformers.AutoConfig.for_model(**config)
            kind = _class_of(config, parsed, class_name, task_type)
            if kind is None:
                return None
            with torch.device("meta"):
                return kind(parsed)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ImportError,
        RuntimeError,
    ):  # unknown, or not to be built so
        return None


def names_of(model: Any) -> ModelNames:
    """Returns the names of a transformers model's tensors, in memory and in files."""
    stored, converted = _stored_names(model)
    return ModelNames(type(model).__name__, stored, converted, _tied(model), model.base_model_prefix)


def stored_in(name: str, prefix: str, there: Collection[str]) -> str | None:
    """Returns what a file with the names `there` calls a stored tensor, None where it has none.

    A headless model is saved without the `prefix` that it has inside a model with a head.
    """
    candidates = [name]
    if prefix:
        candidates += [name.removeprefix(f"{prefix}."), f"{prefix}.{name}"]
    return next((candidate for candidate in candidates if candidate in there), None)


def _class_of(config: dict[str, Any], parsed: Any, class_name: str | None, task_type: str | None) -> Any:
    import transformers

    if class_name is None and task_type in _AUTO_CLASS:
        return getattr(transformers, _AUTO_CLASS[task_type])._model_mapping[type(parsed)]
    named = class_name or next(iter(config.get("architectures") or []), None)
    return getattr(transformers, named, None) if named else None


def _stored_names(model: Any) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """What comes out of the conversion as the object that went in was renamed at most."""
    from transformers.core_model_loading import revert_weight_conversion

    tensors = model.state_dict()
    whole = revert_weight_conversion(model, dict(tensors))
    if whole.keys() == tensors.keys() and all(whole[name] is tensor for name, tensor in tensors.items()):
        return {name: name for name in tensors}, {}
    stored: dict[str, str] = {}
    converted: dict[str, tuple[str, ...]] = {}
    for name, tensor in tensors.items():
        try:
            found = revert_weight_conversion(model, {name: tensor})
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError):
            found = {}  # cannot be told without the tensors that lie in files together with it
        if len(found) == 1 and next(iter(found.values())) is tensor:
            stored[name] = next(iter(found))
        else:
            converted[name] = tuple(found)
    return stored, converted


def _tied(model: Any) -> dict[str, str]:
    return dict(getattr(model, "all_tied_weights_keys", None) or {})

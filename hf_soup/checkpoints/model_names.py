"""The names of a transformers class's tensors: in memory, where an adapter names its modules, and in files.

Names in files are what `save_pretrained` writes; from ViT's `layers.0.attention.q_proj` they differ as
`encoder.layer.0.attention.attention.query`. They are read off transformers' own conversion, on a model without weights.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class ModelNames:
    """`stored`: the name in files of every tensor in memory that has one of its own, with its memory name as the key.

    `tied`: tensors in memory that share another's weights and need not be in files. `prefix`: of the headless model.
    """

    class_name: str
    stored: dict[str, str]
    tied: frozenset[str]
    prefix: str


def model_names(config: dict[str, Any], class_name: str | None, task_type: str | None) -> ModelNames | None:
    """Returns the names of the class that is named, or that a task has for this config; else of the config's own.

    None where this version of transformers does not know the class or the config.
    """
    import torch
    import transformers

    if "model_type" not in config:
        return None
    try:
        parsed = transformers.AutoConfig.for_model(**config)
        kind = _class_of(config, parsed, class_name, task_type)
        if kind is None:
            return None
        with torch.device("meta"):
            model = kind(parsed)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ImportError,
        RuntimeError,
    ):  # unknown, or not to be built so
        return None
    return ModelNames(kind.__name__, _stored_names(model), _tied(model), model.base_model_prefix)


def _class_of(config: dict[str, Any], parsed: Any, class_name: str | None, task_type: str | None) -> Any:
    import transformers

    if class_name is None and task_type in _AUTO_CLASS:
        return getattr(transformers, _AUTO_CLASS[task_type])._model_mapping[type(parsed)]
    named = class_name or next(iter(config.get("architectures") or []), None)
    return getattr(transformers, named, None) if named else None


def _stored_names(model: Any) -> dict[str, str]:
    from transformers.core_model_loading import revert_weight_conversion

    tensors = model.state_dict()
    if set(revert_weight_conversion(model, dict(tensors))) == set(tensors):
        return {name: name for name in tensors}
    stored = {}
    for name, tensor in tensors.items():
        found = list(revert_weight_conversion(model, {name: tensor}))
        if len(found) == 1:  # others are fused or stacked in memory: several tensors in files
            stored[name] = found[0]
    return stored


def _tied(model: Any) -> frozenset[str]:
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return frozenset(tied)

"""The modules of a transformers model that PEFT can adapt, and what it needs to know of its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hf_soup.checkpoints.model_names import ModelNames, model_names
from hf_soup.errors import InputError

Kind = Literal["linear", "conv1d", "conv", "embedding"]
_TASKS = {
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
}
_HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}


@dataclass(frozen=True)
class AdaptableModel:
    """`kinds`: what can be adapted, by module name in memory.

    `heads`: names that PEFT saves in full for the task, whatever a config says. `names`: in memory and in files.
    `shared`: tensors whose weights another one has too, such as embeddings that are tied to the output matrix.
    """

    kinds: Mapping[str, Kind]
    names: ModelNames
    task: str | None
    heads: tuple[str, ...]
    shared: frozenset[str]


def adaptable_model(config: dict[str, Any], label: str) -> AdaptableModel:
    """Reads a config.json; makes the model without its weights. Raises InputError for a class that transformers lacks."""
    import torch
    import transformers

    names = model_names(config, None, None)
    if names is None:
        raise InputError(
            f"{label}: transformers {transformers.__version__} does not know the class in its config.json, so its modules cannot "
            "be told; extract from a model that it loads."
        )
    with torch.device("meta"):
        model = getattr(transformers, names.class_name)(transformers.AutoConfig.for_model(**config))
    kinds = {name: kind for name, module in model.named_modules() if (kind := _kind(module)) is not None}
    task = next((task for suffix, task in _TASKS.items() if names.class_name.endswith(suffix)), None)
    shared = frozenset((getattr(model, "all_tied_weights_keys", None) or {}).values())
    return AdaptableModel(kinds, names, task, _HEADS.get(str(task), ()), shared)


def _kind(module: Any) -> Kind | None:
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, torch.nn.Linear):
        return "linear"
    if isinstance(module, Conv1D):
        return "conv1d"
    if isinstance(module, torch.nn.Embedding):
        return "embedding"
    if isinstance(module, torch.nn.Conv2d) and module.groups == 1:
        return "conv"
    return None

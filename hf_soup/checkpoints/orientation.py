"""Whether a matrix is stored as [in, out], as transformers' Conv1D does; PEFT turns the update around then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate
from hf_soup.checkpoints.lora_config import MERGE_FIRST

_CONV1D_MODELS = ("clvp", "decision_transformer", "gpt2", "imagegpt", "openai-gpt")
_CONV1D_MODULES = ("c_attn", "c_fc", "c_proj", "q_attn")


def is_turned(
    adapter: LoraAdapter, update: LoraUpdate, shape: tuple[int, ...], model_type: Any, model: Callable[[], Any]
) -> bool | str:
    """Returns whether the matrix of a linear update is stored as [in, out], or a sentence where that cannot be told.

    Square ones look alike both ways. PEFT goes by the module's class, whatever `fan_in_fan_out` says; it saves the flag for a
    Conv1D only. `model`: makes the adapted class without weights, None where transformers does not know it; asked where the
    flag stands and the model type is not one of those with a Conv1D.
    """
    if shape != update.shape:
        return shape == update.shape[::-1]
    if model_type in _CONV1D_MODELS:
        return update.module.rsplit(".", 1)[-1] in _CONV1D_MODULES
    if not adapter.config.fan_in_fan_out:
        return False
    kind = _class_of(model(), update.module)
    if kind is None:
        return (
            f"{adapter.label}: says fan_in_fan_out, and its update of '{update.module}' is square; whether the weight is stored "
            f"turned, only the module's class tells, which transformers does not know here; {MERGE_FIRST}."
        )
    return kind == "Conv1D"


def _class_of(model: Any, module: str) -> str | None:
    if model is None:
        return None
    try:
        return type(model.get_submodule(module)).__name__
    except AttributeError:  # adapters of older versions name some modules otherwise
        return None

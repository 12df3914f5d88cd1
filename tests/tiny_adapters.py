"""Adapters as PEFT saves them, with random factors instead of training, and PEFT's own merge to hold ours against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

_MANTISSA = {torch.float32: 2.0**-23, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}


def save_base(folder: Path, kind: str = "LlamaForCausalLM", *, dtype: torch.dtype = torch.float32, **settings: Any):
    """Writes a tiny model of a transformers class with weights of usual size; returns its folder."""
    import transformers

    torch.manual_seed(0)
    config_kind = getattr(transformers, getattr(transformers, kind).config_class.__name__)
    model = getattr(transformers, kind)(config_kind(**(_SETTINGS.get(config_kind.model_type, {}) | settings))).to(
        dtype
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    return folder


_LLAMA = {
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": False,
}
_BERT = {
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "bert": _BERT,
    "gpt2": {
        "vocab_size": 24,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 16,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "vit": {
        "hidden_size": 16,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 8,
        "patch_size": 4,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
}


def save_adapter(
    folder: Path,
    base: Path,
    auto: str = "AutoModelForCausalLM",
    *,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    size: float = 0.2,
    load: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Adapts the base with PEFT, fills everything trainable with random numbers, and saves the adapter."""
    import peft
    import transformers

    torch.manual_seed(1)  # new heads start equal
    model = getattr(transformers, auto).from_pretrained(base, **(load or {}))
    torch.manual_seed(seed)
    adapted = peft.get_peft_model(model, peft.LoraConfig(**config))
    for name, parameter in adapted.named_parameters():
        if "lora_magnitude" in name:
            parameter.data.mul_(1 + 0.2 * torch.rand_like(parameter))
        elif parameter.requires_grad:
            parameter.data.add_(size * torch.randn_like(parameter))
    if dtype is not None:
        adapted = adapted.to(dtype)
    adapted.save_pretrained(folder)
    return folder


def merged_by_peft(
    adapter: Path, base: Path, out: Path, auto: str = "AutoModelForCausalLM", load: dict[str, Any] | None = None
) -> dict[str, torch.Tensor]:
    """Returns the tensors that PEFT's merge, with its defaults, saves."""
    import peft
    import transformers

    model = getattr(transformers, auto).from_pretrained(base, **(load or {}))
    peft.PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)
    return load_file(out / "model.safetensors")


def roundings_apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, in steps of the dtype at the size of the number and, below that, of the tensor's rms."""
    assert one.dtype == other.dtype
    a, b = one.double(), other.double()
    size = torch.maximum(torch.maximum(a.abs(), b.abs()), a.square().mean().sqrt())
    return float(((a - b).abs() / (size * _MANTISSA[one.dtype])).max()) if one.numel() else 0.0

"""Adapters as PEFT saves them, with random factors instead of training, and PEFT's own merge to hold ours against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from hf_soup.checkpoints import AdapterCheckpoint, open_checkpoint

PEFT_ROUNDS = {torch.float32: 4.0, torch.float16: 1.5, torch.bfloat16: 1.5}
"""How many steps of the dtype PEFT's merge may lie beside the correctly rounded one. In float32 it rounds the product, the scaled
product and the sum, with DoRA also norm, quotient and product. In 16 bits it rounds the update, which it computes in float32,
and then the sum: half a step each, beside the half of ours."""
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
_QWEN3_MOE = _LLAMA | {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "head_dim": 8}
_EXPERTS = _LLAMA | {"num_local_experts": 3, "num_experts_per_tok": 2}
_SETTINGS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "mixtral": _EXPERTS,
    "gpt_oss": _EXPERTS | {"head_dim": 8, "layer_types": ["full_attention"] * 2},
    "llama4_text": _EXPERTS | {"head_dim": 8, "intermediate_size_mlp": 20},
    "granitemoe": _EXPERTS,
    "inkling2_text": _LLAMA
    | {"unpadded_vocab_size": 24, "n_routed_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 12},
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_vl_moe": {
        "text_config": _QWEN3_MOE | {"num_hidden_layers": 1, "pad_token_id": 0},
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": 4,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
    },
    "bert": _BERT,
    "nomic_bert": _BERT | {"head_dim": 8},
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
    tokens: int | None = None,
    **config: Any,
) -> Path:
    """Adapts the base with PEFT, fills everything trainable with random numbers, and saves the adapter.

    `tokens`: the number of embeddings that the base gets first.
    """
    import peft

    torch.manual_seed(1)  # new heads and embeddings start equal
    model = _load(base, auto, load, tokens)
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


def _load(base: Path, auto: str, load: dict[str, Any] | None, tokens: int | None, **more: Any) -> Any:
    import transformers

    model = getattr(transformers, auto).from_pretrained(base, **(load or {}), **more)
    if tokens is not None:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    return model


def merged_by_peft(
    adapter: Path,
    base: Path,
    out: Path,
    auto: str = "AutoModelForCausalLM",
    load: dict[str, Any] | None = None,
    tokens: int | None = None,
) -> dict[str, torch.Tensor]:
    """Returns the tensors that PEFT's merge, with its defaults, saves."""
    import peft

    model = _load(base, auto, load, tokens)
    peft.PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)
    return load_file(out / "model.safetensors")


def merged_in_float64(
    adapter: Path,
    base: Path,
    out: Path,
    auto: str = "AutoModelForCausalLM",
    load: dict[str, Any] | None = None,
    tokens: int | None = None,
) -> dict[str, torch.Tensor]:
    """Returns what a merge without rounding would save, in float64: the textbook formulas, one module after the other."""
    import peft

    model = _load(base, auto, load, tokens, dtype=torch.float64)
    adapted = peft.PeftModel.from_pretrained(model, adapter, autocast_adapter_dtype=False)
    with torch.no_grad():
        for module in list(adapted.modules()):
            if isinstance(module, peft.tuners.lora.LoraLayer):
                _update(module)
            elif isinstance(module, peft.tuners.trainable_tokens.TrainableTokensLayer):
                for row, values in zip(
                    module.token_indices["default"], module.trainable_tokens_delta["default"], strict=True
                ):
                    module.get_base_layer().weight[row] = values
    adapted.unload().save_pretrained(out)
    return load_file(out / "model.safetensors")


def _update(module: Any) -> None:
    """Adds s·B·A to the weight that a LoRA module wraps, and what DoRA and lora_bias do beside."""
    from peft.tuners.lora.layer import ParamWrapper

    scale, layer = module.scaling["default"], module.get_base_layer()
    if isinstance(module, ParamWrapper):
        weight = module.get_param()
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        experts = weight.shape[0] if weight.dim() == 3 else 1
        rank = module.r["default"]
        for expert in range(experts):
            own = torch.zeros(b.shape[0], a.shape[1], dtype=torch.float64)
            for k in range(rank):
                own += scale * torch.outer(b[:, k * experts + expert], a[expert * rank + k])
            matrix = weight[expert] if weight.dim() == 3 else weight
            matrix += own.T if getattr(layer, "is_transposed", False) and weight.dim() == 3 else own
        return
    weight, outputs = layer.weight, 0  # the axis of the outputs
    if "default" in module.lora_embedding_A:
        a, b = module.lora_embedding_A["default"], module.lora_embedding_B["default"]
        update, outputs = scale * (b @ a).T, 1
    else:
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        update = scale * torch.einsum("or,ri...->oi...", b.flatten(1), a)
        if type(layer).__name__ == "Conv1D":
            update, outputs = update.T, 1
        if module.lora_bias["default"]:
            layer.bias += scale * module.lora_B["default"].bias
    assert weight.dtype == update.dtype == torch.float64
    weight += update
    if module.use_dora["default"]:
        wanted = module.lora_magnitude_vector["default"].weight.flatten()
        for number, length in enumerate(wanted):
            vector = weight.select(outputs, number)
            vector *= length / vector.square().sum().sqrt()


def assert_exact(
    adapter: Path,
    base: Path,
    folder: Path,
    auto: str = "AutoModelForCausalLM",
    load: dict[str, Any] | None = None,
    tokens: int | None = None,
) -> AdapterCheckpoint:
    """Asserts that an adapter is, as a checkpoint, the merge in float64 rounded once, and PEFT's to within PEFT's rounding.

    Returns the checkpoint. Also asserts that everything that the adapter touches differs from the base.
    """
    expected = merged_by_peft(adapter, base, folder / "merged", auto, load, tokens)
    exact = merged_in_float64(adapter, base, folder / "exact", auto, load, tokens)
    checkpoint = open_checkpoint(adapter)
    assert isinstance(checkpoint, AdapterCheckpoint)
    assert checkpoint.names() == sorted(expected) == sorted(exact)
    start = load_file(base / "model.safetensors")
    for name, by_peft in expected.items():
        ours = checkpoint.read(name)
        assert checkpoint.info(name).shape == tuple(by_peft.shape)
        if not ours.is_floating_point():
            assert torch.equal(ours, by_peft), name
            continue
        assert torch.equal(ours, exact[name].to(ours.dtype)), name
        assert roundings_apart(ours, by_peft) <= PEFT_ROUNDS[ours.dtype], name
        if name in start and (name in checkpoint.fitted.updates or name in checkpoint.fitted.replaced):
            assert not torch.equal(ours, start[name]), name
    return checkpoint


def roundings_apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, in steps of the dtype at the size of the number and, below that, of the tensor's rms."""
    assert one.dtype == other.dtype
    a, b = one.double(), other.double()
    size = torch.maximum(torch.maximum(a.abs(), b.abs()), a.square().mean().sqrt())
    apart = (a - b).abs()
    return float((apart / (size * _MANTISSA[one.dtype]))[apart != 0].max()) if apart.any() else 0.0

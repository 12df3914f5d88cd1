"""Models to measure with: random relatives in the layout of Llama, bfloat16; and recipes over them.

Recipes are in mergekit's notation, which both programs read, so that both are asked for the same thing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from torch import Tensor

LAYERS, HEADS = 12, 8
WEIGHTS = "model.safetensors"
WARM_UP_MB = 1
"""Of models that are merged before anything is measured, so that imports that happen on the way are over."""


def make_models(root: Path, count: int, megabytes: int) -> list[Path]:
    """Returns the folders base and m1 to m`count` under `root`; those that are missing are made, about of that size."""
    folders = [root / "base", *(root / f"m{number}" for number in range(1, count + 1))]
    for seed, folder in enumerate(folders):
        if not (folder / WEIGHTS).exists():
            make_model(folder, megabytes, seed)
    return folders


def make_model(folder: Path, megabytes: int, seed: int) -> None:
    """Writes a model of about that size. Seed 0 is the base, all others are the base and small changes of their own."""
    import torch
    from safetensors.torch import save_file

    hidden = max(1, round((megabytes * 1e6 / 512) ** 0.5 / 16)) * 16  # 2 bytes times about 256 hidden²
    base = torch.Generator().manual_seed(0)
    own = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, shape in _shapes(hidden).items():
        tensor = torch.randn(shape, generator=base).mul_(0.02)
        if seed:
            tensor.add_(torch.randn(shape, generator=own).mul_(0.002))
        tensors[name] = tensor.bfloat16()
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": hidden // HEADS,
        "vocab_size": _words(hidden),
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    draft = folder / f"{WEIGHTS}.draft"  # an interrupted run must not leave what a later one takes for a model
    save_file(tensors, draft, metadata={"format": "pt"})
    draft.replace(folder / WEIGHTS)


def weights_of(models: Sequence[Path]) -> list[Path]:
    return [model / WEIGHTS for model in models]


def _words(hidden: int) -> int:
    return hidden * 32_000 // 1024


def _shapes(hidden: int) -> dict[str, tuple[int, ...]]:
    square, wide, tall = (hidden, hidden), (4 * hidden, hidden), (hidden, 4 * hidden)
    layer: dict[str, tuple[int, ...]] = {f"self_attn.{name}_proj": square for name in "qkvo"}
    layer |= {"mlp.gate_proj": wide, "mlp.up_proj": wide, "mlp.down_proj": tall}
    layer |= {"input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
    words = (_words(hidden), hidden)
    outside = {"model.embed_tokens": words, "model.norm": (hidden,), "lm_head": words}
    inside = {f"model.layers.{i}.{name}": shape for i in range(LAYERS) for name, shape in layer.items()}
    return {f"{name}.weight": shape for name, shape in (outside | inside).items()}


@dataclass(frozen=True)
class Case:
    """A merge of `count` models. `each`: parameters of every model; `shared`: of the method."""

    method: str
    count: int
    needs_base: bool = False
    each: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)

    def sources(self, root: Path) -> list[Path]:
        """The folders that are read, of those that `make_models` makes."""
        models = [root / f"m{number}" for number in range(1, self.count + 1)]
        return [*models, *([root / "base"] if self.needs_base else [])]

    def write(self, path: Path, place: str | Path) -> Path:
        """Writes the recipe over the models at `place`, a folder or a user of the Hub; returns its path.

        A folder has to be absolute: mergekit takes a relative one for a name on the Hub, at its end.
        """
        models = [
            {"model": f"{place}/m{number}", **({"parameters": dict(self.each)} if self.each else {})}
            for number in range(1, self.count + 1)
        ]
        document: dict[str, Any] = {"merge_method": self.method, "models": models, "dtype": "bfloat16"}
        if self.needs_base or self.method == "slerp":
            document["base_model"] = f"{place}/base" if self.needs_base else f"{place}/m1"
        if self.shared:
            document["parameters"] = dict(self.shared)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path


_WEIGHT = {"weight": 1.0}
_DENSE = {"weight": 1.0, "density": 0.5}
_NORMALIZE = {"normalize": True}

CASES = {
    "linear x3": Case("linear", 3, each=_WEIGHT),
    "linear x8": Case("linear", 8, each=_WEIGHT),
    "slerp x2": Case("slerp", 2, shared={"t": 0.5}),
    "task_arithmetic x3": Case("task_arithmetic", 3, True, _WEIGHT, _NORMALIZE),
    "ties x3": Case("ties", 3, True, _DENSE, _NORMALIZE),
    "dare_ties x3": Case("dare_ties", 3, True, _DENSE, _NORMALIZE),
    "model_stock x3": Case("model_stock", 3, True),
}

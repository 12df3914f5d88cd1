"""An adapter as PEFT stores it: the tensors of adapter_model.safetensors, and the adapter_config.json that fits them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.adapters.low_rank import Factors

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What PEFT puts before the names of the model that it wraps."""
TARGETING = ("target_modules", "layers_to_transform", "layers_pattern", "exclude_modules")
"""The fields of adapter_config.json that say which modules are adapted."""
_INHERITED = ("task_type", "auto_mapping", "fan_in_fan_out")


@dataclass(frozen=True)
class WrittenAdapter:
    """What is written. Names of modules and of replaced tensors are those in memory, without PEFT's prefix.

    `updates`: by module, e.g. `model.layers.0.self_attn.q_proj`; `embeddings`: those of them that are embeddings, whose
    factors have names of their own. `replaced`: tensors that take the place of the base's, by name (`classifier.weight`);
    `modules_to_save`: as in adapter_config.json. `inherited`: fields of adapter_config.json that the source had.
    """

    base: str | None
    revision: str | None
    updates: Mapping[str, Factors]
    replaced: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings: frozenset[str] = frozenset()
    modules_to_save: Sequence[str] = ()
    inherited: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Returns the content of adapter_model.safetensors."""
        found = {}
        for module, factors in self.updates.items():
            names = ("lora_embedding_A", "lora_embedding_B")
            if module not in self.embeddings:
                names = ("lora_A.weight", "lora_B.weight")
            for name, tensor in zip(names, (factors.a, factors.b), strict=True):
                found[f"{PREFIX}{module}.{name}"] = tensor.contiguous()
        for name, tensor in self.replaced.items():
            module, _, parameter = name.rpartition(".")
            inside = f"{module}.base_layer.{parameter}" if module in self.updates else name
            found[f"{PREFIX}{inside}"] = tensor.contiguous()
        return found

    def config(self) -> dict[str, Any]:
        """Returns adapter_config.json. lora_alpha equals r everywhere, so that PEFT scales by exactly 1."""
        rank, patterns = _ranks(self.updates)
        config: dict[str, Any] = {
            "peft_type": "LORA",
            "auto_mapping": None,
            "task_type": None,
            "fan_in_fan_out": False,
            **{name: value for name, value in self.inherited.items() if name in (*TARGETING, *_INHERITED)},
            "base_model_name_or_path": self.base,
            "revision": self.revision,
            "r": rank,
            "lora_alpha": rank,
            "rank_pattern": patterns,
            "alpha_pattern": patterns,
            "use_rslora": False,
            "use_dora": False,
            "lora_bias": False,
            "lora_dropout": 0.0,
            "bias": self._bias(),
            "modules_to_save": list(self.modules_to_save) or None,
            "init_lora_weights": True,
            "inference_mode": True,
        }
        return {"target_modules": sorted(self.updates), **config}

    def write(self, folder: Path) -> list[str]:
        """Writes both files; returns their names."""
        from safetensors.torch import save_file

        (folder / CONFIG_NAME).write_text(json.dumps(self.config(), indent=2) + "\n", encoding="utf-8")
        save_file(self.tensors(), folder / WEIGHTS_NAME, metadata={"format": "pt"})
        return [CONFIG_NAME, WEIGHTS_NAME]

    def _bias(self) -> str:
        """Which biases PEFT saves again with this adapter: those that it replaces."""
        saved = tuple(self.modules_to_save)
        biases = [
            name.removesuffix(".bias")
            for name in self.replaced
            if name.endswith(".bias") and not is_saved(name.removesuffix(".bias"), saved)
        ]
        if not biases:
            return "none"
        return "lora_only" if all(module in self.updates for module in biases) else "all"


def is_saved(module: str, modules_to_save: Sequence[str]) -> bool:
    """Whether a module, or one that it lies in, is one of `modules_to_save`, by PEFT's rule: the end of its name."""
    parts = module.split(".")
    return any(
        ".".join(parts[:count]).endswith(name) for count in range(1, len(parts) + 1) for name in modules_to_save
    )


def agreed_targeting(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the fields that name the target modules where all adapters have the same; else {}, and modules are listed."""
    first = configs[0]
    same = all(_targeting(config) == _targeting(first) for config in configs)
    return {name: first[name] for name in TARGETING if first.get(name) is not None} if same else {}


def agreed_traits(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the task and the like where all adapters say the same."""
    first = configs[0]
    return {
        name: first[name]
        for name in _INHERITED
        if name in first and all(config.get(name) == first[name] for config in configs)
    }


def _targeting(config: Mapping[str, Any]) -> list[Any]:
    values = [config.get(name) for name in TARGETING]
    return [sorted(value, key=str) if isinstance(value, list) else value for value in values]


def _ranks(updates: Mapping[str, Factors]) -> tuple[int, dict[str, int]]:
    """The most common rank, and a pattern for every module of another one.

    PEFT looks for `(.*\\.)?(PATTERN)$`: a caret and the escaped full name fit one module only.
    """
    counts = Counter(factors.rank for factors in updates.values())
    rank = max(counts, key=lambda each: (counts[each], each)) if counts else 1
    others = {f"^{re.escape(module)}": factors.rank for module, factors in updates.items() if factors.rank != rank}
    return rank, others

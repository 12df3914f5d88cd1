"""Embeddings that an adapter trains as a copy of its own (modules_to_save), where the base ties them to its output matrix.

PEFT copies one of the two matrices and leaves the other as it is, unless `ensure_weight_tying` says that both are one: what it
merges is a model whose matrices are not tied any more. PEFT 0.21 (`peft/tuners/tuners_utils.py: _unload_and_optionally_merge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_soup.checkpoints.lora_adapter import LoraAdapter
from hf_soup.checkpoints.lora_config import MERGE_FIRST
from hf_soup.checkpoints.model_names import ModelNames
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint

_TIED_MODULES = ("embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out")


@dataclass(frozen=True)
class Untied:
    """`kept`: by the name in memory of a matrix that keeps the base's numbers, that of the one which the base has them under.

    `tied`: whether the result still ties its matrices, as the base does.
    """

    kept: Mapping[str, str]
    tied: bool
    problems: tuple[str, ...] = ()


def own_copies(adapter: LoraAdapter) -> list[str]:
    """The matrices among the tensors that the adapter replaces because of its modules_to_save; some may be tied."""
    return [
        name
        for name, stored in adapter.replaced.items()
        if is_own_copy(name, adapter) and len(adapter.tensors.info(stored).shape) == 2
    ]


def is_own_copy(name: str, adapter: LoraAdapter) -> bool:
    """Whether a tensor is of a module that modules_to_save names, or of one within it."""
    return any(f".{module}." in f".{name}" for module in adapter.config.modules_to_save)


def stays_tied(adapter: LoraAdapter) -> bool:
    """Whether PEFT ties its copies too."""
    return bool(adapter.config.raw.get("ensure_weight_tying"))


def may_be_tied(adapter: LoraAdapter, config: Mapping[str, Any]) -> bool:
    """Whether the class has to be asked: the adapter copies matrices, and the config does not say that none is tied."""
    return config.get("tie_word_embeddings") is not False and bool(own_copies(adapter))


def untied_by(
    adapter: LoraAdapter, base: StoredCheckpoint, names: ModelNames | None, config: Mapping[str, Any]
) -> Untied:
    """Returns what becomes of matrices that are tied. `names`: of the adapted class, None where transformers does not know it."""
    copies = own_copies(adapter)
    if names is None:
        unsure = [name for name in copies if name.split(".")[-2:-1] and name.split(".")[-2] in _TIED_MODULES]
        if not unsure or config.get("tie_word_embeddings") is not True:
            return Untied({}, tied=True)
        return Untied({}, True, (_refusal(adapter, unsure[0], base, "another matrix of a class that is not known"),))
    if stays_tied(adapter):
        return Untied({}, tied=True)
    kept, problems = {}, []
    for target, source in names.tied.items():
        mine = [name for name in (target, source) if name in copies]
        if not mine:
            continue
        others = [name for name in (*names.tied, source) if name != mine[0]]
        if len(names.tied) > 1:
            problems.append(_refusal(adapter, mine[0], base, ", ".join(f"'{name}'" for name in others)))
        elif len(mine) == 1 and others[0] not in adapter.replaced:
            kept[others[0]] = mine[0]
    untied = any(name in copies for pair in names.tied.items() for name in pair)
    return Untied(kept, not untied, tuple(dict.fromkeys(problems)))


def _refusal(adapter: LoraAdapter, name: str, base: StoredCheckpoint, others: str) -> str:
    return (
        f"{adapter.label}: trains a copy of its own of '{name}' (modules_to_save), whose weights {base.label} shares with {others}; "
        f"{MERGE_FIRST}."
    )

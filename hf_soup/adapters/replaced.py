"""Tensors that adapters replace in full (heads, biases): averaged as weights, with the base where some have none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from hf_soup.adapters.adapter_files import is_saved
from hf_soup.adapters.base_tensors import BaseTensors
from hf_soup.adapters.finite import read_finite
from hf_soup.checkpoints.lora_adapter import LoraAdapter
from hf_soup.errors import InputError, NonFiniteWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LEFTOVERS = (".original_module.", ".modules_to_save.")  # PEFT with bias="all" saves copies under these names too


def replaced_names(adapters: Sequence[LoraAdapter]) -> list[str]:
    """Every tensor that any adapter replaces, by its name in memory."""
    return sorted({name for adapter in adapters for name in replacements(adapter)})


def needs_base(adapters: Sequence[LoraAdapter], weights: Sequence[float]) -> list[str]:
    """Returns the replaced tensors in which the base keeps a share, so that it has to be read."""
    return [name for name in replaced_names(adapters) if share_of_base(name, adapters, weights)]


def share_of_base(name: str, adapters: Sequence[LoraAdapter], weights: Sequence[float]) -> float:
    """Returns 1 − Σ wᵢ over the adapters that replace a tensor, 0 where that is rounding."""
    share = 1 - math.fsum(w for adapter, w in zip(adapters, weights, strict=True) if name in replacements(adapter))
    return share if abs(share) > 1e-9 else 0.0


def mixed_replacements(
    adapters: Sequence[LoraAdapter], weights: Sequence[float], base: BaseTensors
) -> dict[str, Tensor]:
    """Returns Σ wᵢ·replacementᵢ + (1 − Σ wᵢ)·base for every replaced tensor, the sum over the adapters that replace it.

    That is base + Σ wᵢ·(replacementᵢ − base). Summed in float64, in the widest dtype of the replacements. Shapes are as
    `fit.misfits` and `fit.base_misfits` find no fault with; raises InputError where the base is needed and has no such tensor,
    NonFiniteWeights for NaN and for a sum that its dtype does not hold.
    """
    return {name: _mixed(name, adapters, weights, base) for name in replaced_names(adapters)}


def _mixed(name: str, adapters: Sequence[LoraAdapter], weights: Sequence[float], base: BaseTensors) -> Tensor:
    replacing = [
        (adapter, weight) for adapter, weight in zip(adapters, weights, strict=True) if name in replacements(adapter)
    ]
    tensors = [read_finite(adapter.tensors, replacements(adapter)[name]) for adapter, _ in replacing]
    terms = [(tensor, weight) for tensor, (_, weight) in zip(tensors, replacing, strict=True)]
    dtype = _widest(tensors)
    if share := share_of_base(name, adapters, weights):
        start = base.read(name, replacing[0][0].config)
        if start.shape != tensors[0].shape:
            raise InputError(
                f"{replacing[0][0].label}: replaces '{name}' by {list(tensors[0].shape)}, in its base it is {list(start.shape)}, and "
                "weights whose sum is not 1 mix the two; use weights that sum to 1."
            )
        terms.append((start, share))
    if len(terms) == 1 and terms[0][1] == 1:
        return terms[0][0]
    total = terms[0][0].double() * terms[0][1]
    for tensor, weight in terms[1:]:
        total += tensor.double() * weight
    result = total.to(dtype)
    if not result.isfinite().all():
        raise NonFiniteWeights(
            f"Tensor '{name}', which the adapters replace: the weighted sum is too large for {str(dtype).removeprefix('torch.')}; use smaller "
            "weights."
        )
    return result


def saved_modules(adapters: Sequence[LoraAdapter], updated: Mapping[str, object]) -> list[str]:
    """Returns modules_to_save of the result: what any adapter saves, without modules that the result updates.

    PEFT cannot do both to one module. The replacement of such a module becomes its base layer, which PEFT loads too.
    """
    modules = sorted({name.rpartition(".")[0] for name in replaced_names(adapters)})
    entries = []
    for entry in dict.fromkeys(entry for adapter in adapters for entry in adapter.config.modules_to_save):
        if any(is_saved(module, (entry,)) for module in updated):
            entries += [module for module in modules if is_saved(module, (entry,)) and module not in updated]
        else:
            entries.append(entry)
    return list(dict.fromkeys(entries))


def replacements(adapter: LoraAdapter) -> dict[str, str]:
    """Returns the tensors that an adapter replaces, by their names in memory, with their names in its file."""
    return {name: stored for name, stored in adapter.replaced.items() if not any(w in name for w in _LEFTOVERS)}


def _widest(tensors: Sequence[Tensor]) -> torch.dtype:
    import torch

    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors))

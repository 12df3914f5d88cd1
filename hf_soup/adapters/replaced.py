"""Tensors that adapters replace in full (heads, biases): averaged as weights, with the base where some have none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from hf_soup.adapters.adapter_files import is_saved
from hf_soup.adapters.finite import read_finite
from hf_soup.checkpoints.lora_adapter import LoraAdapter
from hf_soup.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ReadBase = Callable[[str], "Tensor"]
"""Returns a tensor of the base by its name in memory. Raises InputError where there is none."""
_LEFTOVERS = (".original_module.", ".modules_to_save.")  # PEFT with bias="all" saves copies under these names too


def replaced_names(adapters: Sequence[LoraAdapter]) -> list[str]:
    """Every tensor that any adapter replaces, by its name in memory."""
    return sorted({name for adapter in adapters for name in _replaced(adapter)})


def needs_base(adapters: Sequence[LoraAdapter], weights: Sequence[float]) -> list[str]:
    """Returns the replaced tensors in which the base keeps a share, so that it has to be read."""
    return [name for name in replaced_names(adapters) if share_of_base(name, adapters, weights)]


def share_of_base(name: str, adapters: Sequence[LoraAdapter], weights: Sequence[float]) -> float:
    """Returns 1 − Σ wᵢ over the adapters that replace a tensor, 0 where that is rounding."""
    share = 1 - math.fsum(w for adapter, w in zip(adapters, weights, strict=True) if name in _replaced(adapter))
    return share if abs(share) > 1e-9 else 0.0


def mixed_replacements(
    adapters: Sequence[LoraAdapter], weights: Sequence[float], read_base: ReadBase
) -> dict[str, Tensor]:
    """Returns Σ wᵢ·replacementᵢ + (1 − Σ wᵢ)·base for every replaced tensor, the sum over the adapters that replace it.

    That is base + Σ wᵢ·(replacementᵢ − base). Summed in float64, in the widest dtype of the replacements. Raises InputError
    for shapes that differ, all of them at once.
    """
    mixed, problems = {}, []
    for name in replaced_names(adapters):
        terms = [
            (adapter.label, read_finite(adapter.tensors, _replaced(adapter)[name]), weight)
            for adapter, weight in zip(adapters, weights, strict=True)
            if name in _replaced(adapter)
        ]
        dtype = _widest([tensor for _, tensor, _ in terms])
        if share := share_of_base(name, adapters, weights):
            terms.append(("the base", read_base(name), share))
        if shapes := {tuple(tensor.shape) for _, tensor, _ in terms} - {tuple(terms[0][1].shape)}:
            other = next(label for label, tensor, _ in terms if tuple(tensor.shape) in shapes)
            problems.append(
                f"{terms[0][0]}: replaces '{name}' by {list(terms[0][1].shape)}, in {other} it is {list(min(shapes))}; "
                "were they trained for different tasks?"
            )
            continue
        if len(terms) == 1 and terms[0][2] == 1:
            mixed[name] = terms[0][1]
        else:
            mixed[name] = sum(tensor.double() * weight for _, tensor, weight in terms).to(dtype)  # type: ignore[union-attr]
    if problems:
        raise InputError(problems)
    return mixed


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


def _replaced(adapter: LoraAdapter) -> dict[str, str]:
    return {name: stored for name, stored in adapter.replaced.items() if not any(w in name for w in _LEFTOVERS)}


def _widest(tensors: Sequence[Tensor]) -> torch.dtype:
    import torch

    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors))

"""From a fine-tune and its base to the low-rank part of every difference, and what is no part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_soup.adapters.adaptable import AdaptableModel, Kind
from hf_soup.adapters.adapter_files import is_saved
from hf_soup.adapters.best_rank import best_low_rank
from hf_soup.adapters.low_rank import Factors
from hf_soup.adapters.record import ModuleRecord
from hf_soup.checkpoints.dtypes import FLOATING
from hf_soup.checkpoints.model_names import stored_in
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.progress import byte_bar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Differences:
    """What the pass over the tensors collects, by names in memory.

    `updates` and `modules`: by module; `replaced`: tensors that are kept in full; `left_out`: tensors that differ and are not
    kept, with the norm of their difference. Tensors that lie in files otherwise than in memory (experts of a mixture, cut or
    stacked) cannot be kept and go by their names in files; of one that the base lacks the norm is its own.
    """

    updates: dict[str, Factors] = field(default_factory=dict)
    modules: dict[str, ModuleRecord] = field(default_factory=dict)
    replaced: dict[str, Tensor] = field(default_factory=dict)
    left_out: dict[str, float] = field(default_factory=dict)


def differences(
    tuned: StoredCheckpoint,
    base: StoredCheckpoint,
    skeleton: AdaptableModel,
    rank: int | None,
    energy: float | None,
    full: bool,
) -> Differences:
    """Returns what a pass over all tensors finds: of every difference the best update of `rank`, or of the rank that keeps `energy`.

    `full`: keep tensors of one dimension that differ in full. Raises InputError that names every tensor with NaN or infinity; after
    the first of them the pass only looks for more.
    """
    found, problems = Differences(), list[str]()
    in_tuned, in_base = set(tuned.names()), set(base.names())
    there = {name: stored for name, stored in skeleton.names.stored.items() if stored in in_tuned}
    kinds = {f"{module}.weight": kind for module, kind in skeleton.kinds.items()}
    rest = sorted(in_tuned - set(there.values()))
    total = sum(tuned.info(stored).nbytes for stored in (*there.values(), *rest))
    with byte_bar("extracting", total) as advance:
        for name, stored in sorted(there.items()):
            info = tuned.info(stored)
            advance(info.nbytes)
            if name in skeleton.names.tied or info.dtype not in FLOATING:
                continue
            theirs = stored_in(stored, skeleton.names.prefix, in_base)
            module, kind = name.rpartition(".")[0], kinds.get(name)
            value = tuned.read(stored)
            start = None if theirs is None else base.read(theirs)
            problems += _not_finite(stored, (tuned.label, value), (base.label, start))
            if problems:
                continue
            if start is None or start.shape != value.shape or is_saved(module, skeleton.heads):
                found.replaced[name] = value
                continue
            difference = value.double() - start.double()
            norm = float(difference.norm())
            if norm == 0:
                continue
            if kind is not None and not (kind == "embedding" and name in skeleton.shared):
                result = best_low_rank(_oriented(difference, kind), rank=rank, energy=energy)
                found.updates[module] = _shaped(result.factors, value, kind)
                found.modules[module] = ModuleRecord(
                    rank=result.rank, energy=result.energy, norm=math.sqrt(result.squared_norm)
                )
            elif full and value.ndim < 2:
                found.replaced[name] = value
            else:
                found.left_out[name] = norm
        for stored in rest:
            info = tuned.info(stored)
            advance(info.nbytes)
            if info.dtype not in FLOATING:
                continue
            theirs = stored_in(stored, skeleton.names.prefix, in_base)
            value, start = tuned.read(stored), None if theirs is None else base.read(theirs)
            problems += _not_finite(stored, (tuned.label, value), (base.label, start))
            alike = start is not None and start.shape == value.shape
            norm = float((value.double() - start.double() if alike and start is not None else value.double()).norm())
            if norm:
                found.left_out[stored] = norm
    if problems:
        raise InputError(problems)
    _complete_modules(found, tuned, skeleton, there)
    return found


def _not_finite(stored: str, *tensors: tuple[str, Tensor | None]) -> list[str]:
    return [
        f"{label}: tensor '{stored}' holds NaN or infinity; leave this model out or repair it."
        for label, tensor in tensors
        if tensor is not None and not tensor.isfinite().all()
    ]


def _oriented(difference: Tensor, kind: Kind) -> Tensor:
    """As B·A has it: embeddings and GPT-2's Conv1D are stored the other way round."""
    return difference.T if kind in ("embedding", "conv1d") else difference.flatten(1)


def _shaped(factors: Factors, weight: Tensor, kind: Kind) -> Factors:
    if kind != "conv":
        return factors
    ones = (1,) * (weight.ndim - 2)
    return Factors(factors.a.reshape(-1, *weight.shape[1:]), factors.b.reshape(*factors.b.shape, *ones))


def _complete_modules(
    found: Differences, tuned: StoredCheckpoint, skeleton: AdaptableModel, there: dict[str, str]
) -> None:
    """PEFT wants every tensor of a module that it saves, and of every module whose name ends like it."""
    saved = modules_to_save(found, skeleton)
    for name, stored in there.items():
        module = name.rpartition(".")[0]
        if module not in found.updates and name not in found.replaced and is_saved(module, saved):
            found.replaced[name] = tuned.read(stored)
            found.left_out.pop(name, None)


def modules_to_save(found: Differences, skeleton: AdaptableModel) -> list[str]:
    """modules_to_save: those with a tensor in full that are not adapted, unless an adapted one's name ends like theirs."""
    modules = {name.rpartition(".")[0] for name in found.replaced} - set(found.updates)
    return sorted(module for module in modules if not any(is_saved(other, (module,)) for other in found.updates))

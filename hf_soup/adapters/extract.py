"""A full fine-tune becomes a LoRA over its base: the low-rank part of every difference, with the rest stated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup import __version__
from hf_soup.adapters.adaptable import AdaptableModel, Kind, adaptable_model
from hf_soup.adapters.adapter_files import WrittenAdapter, is_saved
from hf_soup.adapters.best_rank import best_low_rank
from hf_soup.adapters.common_base import LOCAL_BASE, is_local, named_base
from hf_soup.adapters.finite import read_finite
from hf_soup.adapters.low_rank import Factors
from hf_soup.adapters.record import AdapterRecord, BaseName, ModuleRecord
from hf_soup.adapters.write import MadeAdapter, write_adapter
from hf_soup.checkpoints import open_checkpoint
from hf_soup.checkpoints.dtypes import FLOATING
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.output import output_problems
from hf_soup.merging.record import IngredientRecord
from hf_soup.progress import byte_bar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class _Found:
    """What the pass over the tensors collects. Names are those in memory."""

    updates: dict[str, Factors] = field(default_factory=dict)
    modules: dict[str, ModuleRecord] = field(default_factory=dict)
    replaced: dict[str, Tensor] = field(default_factory=dict)
    left_out: dict[str, float] = field(default_factory=dict)


def extract_adapter(
    model: str | Path,
    base: str | Path,
    *,
    out: str | Path,
    rank: int | None = None,
    energy: float | None = None,
    full: bool = False,
    overwrite: bool = False,
    license: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> MadeAdapter:
    """Writes the LoRA of `rank`, or of the ranks that keep `energy` of each difference, that is nearest to model − base.

    Linear layers, convolutions and embeddings are adapted. Heads that the base lacks, or has in another shape, are kept in full.
    Norms and biases are no matrices: with `full=True` those that differ are kept in full, else they stay the base's and
    are listed in the record with the size of their difference; so are embeddings that are tied to the output matrix, of
    which PEFT would adapt the input only. Memory: a few times the largest tensor in float64, and the result.

    Raises InputError for models that are not of one architecture or equal, a rank that no module has, a place that is
    taken; NonFiniteWeights for NaN.
    """
    tuned = open_checkpoint(model, token=token, cache_dir=cache_dir)
    start = open_checkpoint(base, token=token, cache_dir=cache_dir)
    _refuse(tuned, start, rank, energy, Path(out), overwrite)
    skeleton = adaptable_model(tuned.config, tuned.label)
    tuned.fetch()
    start.fetch()
    found = _differences(tuned, start, skeleton, rank, energy, full)
    if not found.updates:
        raise InputError(f"{tuned.label}: no matrix differs from {start.label}; there is nothing to extract.")
    if rank is not None and rank > max(factors.rank for factors in found.updates.values()):
        largest = max(factors.rank for factors in found.updates.values())
        raise InputError(f"rank={rank}: the smaller side of the largest matrix is {largest}; ask for 1 to {largest}.")
    named = _base_name(start, base)
    saved = _saved(found, skeleton)
    written = WrittenAdapter(
        base=named.name,
        revision=named.revision,
        updates=found.updates,
        replaced=found.replaced,
        embeddings=frozenset(name for name in found.updates if skeleton.kinds[name] == "embedding"),
        modules_to_save=saved,
        inherited={
            "task_type": skeleton.task,
            "fan_in_fan_out": all(skeleton.kinds[name] == "conv1d" for name in found.updates),
        },
    )
    record = AdapterRecord(
        hf_soup=__version__,
        form="extract",
        base=named,
        ingredients=[IngredientRecord.of(tuned), IngredientRecord.of(start)],
        weights=[1.0, -1.0],
        asked_rank=rank,
        asked_energy=energy,
        modules=found.modules,
        replaced=sorted(found.replaced),
        left_out=found.left_out,
    )
    made = write_adapter(
        Path(out), written, record, [tuned.folder, start.folder], overwrite=overwrite, license=license
    )
    return MadeAdapter(made.path, record, (*_warnings(named, found), *made.warnings))


def _refuse(
    tuned: StoredCheckpoint,
    base: StoredCheckpoint,
    rank: int | None,
    energy: float | None,
    out: Path,
    overwrite: bool,
) -> None:
    local = [one.ref.path for one in (tuned, base) if one.ref is not None and one.ref.path is not None]
    problems = output_problems(out, overwrite, local)
    if (rank is None) == (energy is None):
        problems.append("Say how much to keep: a rank, or an energy such as 0.9, one of the two.")
    if rank is not None and rank < 1:
        problems.append(f"rank={rank}: is at least 1.")
    if energy is not None and not 0 < energy <= 1:
        problems.append(f"energy={energy}: is the share of the squared norm to keep, above 0 and at most 1.")
    kinds = [one.config.get("model_type") for one in (tuned, base)]
    if kinds[0] != kinds[1]:
        problems.append(
            f"{tuned.label} is a {kinds[0]}, {base.label} a {kinds[1]}; name the model that was fine-tuned."
        )
    if problems:
        raise InputError(problems)


def _differences(
    tuned: StoredCheckpoint,
    base: StoredCheckpoint,
    skeleton: AdaptableModel,
    rank: int | None,
    energy: float | None,
    full: bool,
) -> _Found:
    found = _Found()
    there = {name: stored for name, stored in skeleton.names.stored.items() if stored in set(tuned.names())}
    in_base = set(base.names())
    prefix = f"{skeleton.names.prefix}."
    kinds = {f"{module}.weight": kind for module, kind in skeleton.kinds.items()}
    total = sum(tuned.info(stored).nbytes for stored in there.values())
    with byte_bar("extracting", total) as advance:
        for name, stored in sorted(there.items()):
            info = tuned.info(stored)
            advance(info.nbytes)
            if name in skeleton.names.tied or info.dtype not in FLOATING:
                continue
            candidates = (stored, stored.removeprefix(prefix), prefix + stored)
            theirs = next((each for each in candidates if each in in_base), None)
            module, kind = name.rpartition(".")[0], kinds.get(name)
            value = read_finite(tuned, stored)
            if theirs is None or base.info(theirs).shape != info.shape or is_saved(module, skeleton.heads):
                found.replaced[name] = value
                continue
            difference = value.double() - read_finite(base, theirs).double()
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
    _complete_modules(found, tuned, skeleton, there)
    return found


def _oriented(difference: Tensor, kind: Kind) -> Tensor:
    """As B·A has it: embeddings and GPT-2's Conv1D are stored the other way round."""
    return difference.T if kind in ("embedding", "conv1d") else difference.flatten(1)


def _shaped(factors: Factors, weight: Tensor, kind: Kind) -> Factors:
    if kind != "conv":
        return factors
    ones = (1,) * (weight.ndim - 2)
    return Factors(factors.a.reshape(-1, *weight.shape[1:]), factors.b.reshape(*factors.b.shape, *ones))


def _complete_modules(found: _Found, tuned: StoredCheckpoint, skeleton: AdaptableModel, there: dict[str, str]) -> None:
    """PEFT wants every tensor of a module that it saves, and of every module whose name ends like it."""
    saved = _saved(found, skeleton)
    for name, stored in there.items():
        module = name.rpartition(".")[0]
        if module not in found.updates and name not in found.replaced and is_saved(module, saved):
            found.replaced[name] = read_finite(tuned, stored)
            found.left_out.pop(name, None)


def _saved(found: _Found, skeleton: AdaptableModel) -> list[str]:
    """modules_to_save: those with a tensor in full that are not adapted, unless an adapted one's name ends like theirs."""
    modules = {name.rpartition(".")[0] for name in found.replaced} - set(found.updates)
    return sorted(module for module in modules if not any(is_saved(other, (module,)) for other in found.updates))


def _base_name(base: StoredCheckpoint, given: str | Path) -> BaseName:
    if base.ref is not None and base.ref.repo_id is not None:
        return BaseName(name=base.ref.repo_id, revision=base.ref.revision)
    return named_base(given)


def _warnings(base: BaseName, found: _Found) -> list[str]:
    told = [LOCAL_BASE.format(base.name)] if is_local(base) else []
    if found.left_out:
        told.append(
            f"{len(found.left_out)} tensors differ from the base and are not in the adapter (norms, biases, tied embeddings); keep the "
            "one-dimensional ones with --full."
        )
    return told

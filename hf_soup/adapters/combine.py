"""Several LoRA adapters of one base become one: exactly, by concatenation, or of a chosen rank, with the error stated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hf_soup import __version__
from hf_soup.adapters.adapter_files import WrittenAdapter, agreed_targeting, agreed_traits
from hf_soup.adapters.combination import Model, checked_combination
from hf_soup.adapters.finite import read_finite
from hf_soup.adapters.low_rank import Factors, concatenated, truncated
from hf_soup.adapters.record import AdapterRecord, BaseName, ModuleRecord
from hf_soup.adapters.replaced import mixed_replacements, needs_base, replaced_names, saved_modules
from hf_soup.adapters.shares import Rank, Size
from hf_soup.adapters.write import MadeAdapter, write_adapter
from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate, UpdateKind
from hf_soup.errors import InputError, NonFiniteWeights
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing import Target

if TYPE_CHECKING:
    from torch import Tensor


def combine_adapters(
    adapters: Sequence[Model],
    weights: Sequence[float] | None = None,
    *,
    out: str | Path,
    as_: Literal["concat", "svd"] = "concat",
    rank: Rank = None,
    energy: float | None = None,
    normalize: bool = True,
    base: Model | None = None,
    overwrite: bool = False,
    force: bool = False,
    license: str | None = None,
    publish: bool | str | Target = False,
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
) -> MadeAdapter:
    """Writes the adapter whose update is Σ wᵢ·ΔWᵢ to `out`, as PEFT stores adapters, and returns it.

    `adapters`: folders or Hub references, also patterns such as `me/run:checkpoint-*`. `weights`: one per adapter, divided by
    their sum unless `normalize=False`; uniform without. Negative ones are allowed. `as_="concat"`: exact, of rank Σ rᵢ.
    `as_="svd"`: for each module the best update of a rank: `rank`, by default the largest of the adapters; `rank="auto"` the
    smallest one that keeps `energy` (0.99) of the squared norm. `base`: the base to name, where the adapters name none, or
    several whose weights differ. Its weights are not read, except tensors that only some of the adapters replace, or that are
    replaced with weights whose sum is not 1. `force` goes on with adapters that were not trained, scale absurdly or stand there twice.
    `publish=True` checks first that the result can be published (licences); a Hub ID or a `Target` in its place, that it can be
    pushed there. `token`, `revision`, `cache_dir`: as in `Soup`.

    Memory: the result, and the factors of one module. Raises InputError, with all problems, before anything is written:
    adapters of several bases or that do not fit their base, NaN, adapters that were not trained or stand there twice, absurd scales, DoRA and
    lora_bias, whose updates are no product of two matrices, shapes that differ, a place that is taken. NonFiniteWeights
    where NaN is met in spite of `force`, and where a sum is too large for its dtype.
    """
    place = Path(out).expanduser()
    checked = checked_combination(
        adapters,
        weights,
        place,
        form=as_,
        rank=rank,
        energy=energy,
        normalize=normalize,
        base=base,
        overwrite=overwrite,
        force=force,
        license=license,
        publish=publish,
        token=token,
        revision=revision,
        cache_dir=cache_dir,
    )
    opened, shares, tensors = checked.adapters, checked.shares, checked.tensors
    updates, modules = combined_updates(opened, shares, checked.size)
    replaced = mixed_replacements(opened, shares, tensors)
    record = AdapterRecord(
        hf_soup=__version__,
        form=as_,
        base=checked.base.name,
        base_record=IngredientRecord.of(tensors.checkpoint) if needs_base(opened, shares) else None,
        base_is_theirs=checked.base.is_theirs,
        ingredients=checked.records,
        weights=shares,
        asked_rank=checked.size.rank,
        asked_energy=checked.size.energy,
        modules=modules,
        replaced=replaced_names(opened),
    )
    written = written_adapter(opened, checked.base.name, updates, replaced)
    folders = [adapter.folder for adapter in opened]
    write_adapter(place, written, record, folders, checked.cards, checked.licence, overwrite=overwrite)
    return MadeAdapter(place, record, checked.warnings, token)


def written_adapter(
    adapters: Sequence[LoraAdapter], base: BaseName, updates: Mapping[str, Factors], replaced: Mapping[str, Tensor]
) -> WrittenAdapter:
    """Returns the files' content: what the adapters have in common in their configs is kept."""
    configs = [adapter.config.raw for adapter in adapters]
    same_modules = len({frozenset(_modules(adapter)) for adapter in adapters}) == 1
    return WrittenAdapter(
        base=base.name,
        revision=base.revision,
        updates=updates,
        replaced=replaced,
        embeddings=frozenset(
            update.module
            for adapter in adapters
            for update in adapter.updates.values()
            if update.kind is UpdateKind.EMBEDDING
        ),
        modules_to_save=saved_modules(adapters, updates),
        inherited={**agreed_traits(configs), **(agreed_targeting(configs) if same_modules else {})},
    )


def combined_updates(
    adapters: Sequence[LoraAdapter], weights: Sequence[float], size: Size
) -> tuple[dict[str, Factors], dict[str, ModuleRecord]]:
    """Returns the updates by module, and what is recorded of each. Memory: one module's factors besides the result.

    Raises InputError for factors that do not fit each other, NonFiniteWeights for NaN and for sums that are too large.
    """
    updates: dict[str, Factors] = {}
    modules: dict[str, ModuleRecord] = {}
    problems = []
    for module in sorted({module for adapter in adapters for module in _modules(adapter)}):
        try:
            updates[module], modules[module] = _combined(module, adapters, weights, size)
        except NonFiniteWeights as error:
            raise NonFiniteWeights(f"Module '{module}': {error}.") from error
        except ValueError as error:
            problems.append(f"module '{module}': {error}; were the adapters made for one base?")
    if problems:
        raise InputError(problems)
    return updates, modules


def _combined(
    module: str, adapters: Sequence[LoraAdapter], weights: Sequence[float], size: Size
) -> tuple[Factors, ModuleRecord]:
    having = [
        (adapter, update, weight)
        for adapter, weight in zip(adapters, weights, strict=True)
        if (update := _modules(adapter).get(module)) is not None
    ]
    factors, shares = [_factors(adapter, update) for adapter, update, _ in having], [weight for _, _, weight in having]
    if size == Size():
        whole = concatenated(factors, shares)
        return whole, ModuleRecord(rank=whole.rank, energy=1.0)
    result = truncated(factors, shares, rank=size.rank, energy=size.energy)
    return result.factors, ModuleRecord(rank=result.rank, energy=result.energy, norm=math.sqrt(result.squared_norm))


def _modules(adapter: LoraAdapter) -> dict[str, LoraUpdate]:
    return {update.module: update for update in adapter.updates.values()}


def _factors(adapter: LoraAdapter, update: LoraUpdate) -> Factors:
    """As they are stored, kernels included."""
    assert update.a is not None
    return Factors(read_finite(adapter.tensors, update.a), read_finite(adapter.tensors, update.b), update.scale)

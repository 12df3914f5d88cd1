"""Several LoRA adapters of one base become one: exactly, by concatenation, or of a chosen rank, with the error stated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hf_soup import __version__
from hf_soup.adapters.adapter_files import WrittenAdapter, agreed_targeting, agreed_traits
from hf_soup.adapters.base_tensors import BaseTensors
from hf_soup.adapters.common_base import LOCAL_BASE, base_reference, common_base, is_local
from hf_soup.adapters.finite import read_finite
from hf_soup.adapters.low_rank import Factors, concatenated, truncated
from hf_soup.adapters.record import AdapterRecord, ModuleRecord
from hf_soup.adapters.replaced import mixed_replacements, needs_base, replaced_names, saved_modules
from hf_soup.adapters.write import MadeAdapter, write_adapter
from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate, UpdateKind, open_adapter
from hf_soup.errors import InputError
from hf_soup.merging.output import output_problems
from hf_soup.merging.record import IngredientRecord

_ENERGY = 0.99
"""What `rank="auto"` keeps unless it is told."""


@dataclass(frozen=True)
class _Size:
    """How much of the exact sum is kept: all (both None), a rank, or a share of the squared norm."""

    rank: int | None = None
    energy: float | None = None


def combine_adapters(
    adapters: Sequence[str | Path],
    weights: Sequence[float] | None = None,
    *,
    out: str | Path,
    as_: Literal["concat", "svd"] = "concat",
    rank: int | Literal["auto"] | None = None,
    energy: float | None = None,
    normalize: bool = True,
    base: str | Path | None = None,
    overwrite: bool = False,
    license: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> MadeAdapter:
    """Writes the adapter whose update is Σ wᵢ·ΔWᵢ to `out`, as PEFT stores adapters, and returns it.

    `weights`: one per adapter, divided by their sum unless `normalize=False`; uniform without. Negative ones are allowed.
    `as_="concat"`: exact, of rank Σ rᵢ. `as_="svd"`: for each module the best update of a rank: `rank`, by default the
    largest of the adapters; `rank="auto"` the smallest one that keeps `energy` (0.99) of the squared norm.
    `base`: the base to name, where the adapters name none or differ. Its weights are not read, except tensors that only some of the adapters replace,
    or that are replaced with weights whose sum is not 1.

    Raises InputError, with all problems, before anything is written: adapters of several bases, DoRA and lora_bias, whose
    updates are no product of two matrices, shapes that differ, a place that is taken; NonFiniteWeights for NaN.
    """
    opened = _open(adapters, token, cache_dir)
    shares, size = _settings(opened, weights, normalize, as_, rank, energy, out, overwrite)
    named = common_base(opened, base)
    tensors = BaseTensors(named, opened[0].config, token=token, cache_dir=cache_dir)
    if needs_base(opened, shares):
        base_reference(named)  # says it now where no base is known
    updates, modules = _combined_updates(opened, shares, size)
    replaced = mixed_replacements(opened, shares, tensors.read)
    configs = [adapter.config.raw for adapter in opened]
    same_modules = len({frozenset(_modules(adapter)) for adapter in opened}) == 1
    written = WrittenAdapter(
        base=named.name,
        revision=named.revision,
        updates=updates,
        replaced=replaced,
        embeddings=frozenset(
            update.module
            for adapter in opened
            for update in adapter.updates.values()
            if update.kind is UpdateKind.EMBEDDING
        ),
        modules_to_save=saved_modules(opened, updates),
        inherited={**agreed_traits(configs), **(agreed_targeting(configs) if same_modules else {})},
    )
    record = AdapterRecord(
        hf_soup=__version__,
        form=as_,
        base=named,
        ingredients=[IngredientRecord.of(adapter.tensors) for adapter in opened],
        weights=list(shares),
        asked_rank=size.rank,
        asked_energy=size.energy,
        modules=modules,
        replaced=replaced_names(opened),
    )
    told = []
    if is_local(named):
        told.append(LOCAL_BASE.format(named.name))
    folders = [adapter.folder for adapter in opened]
    made = write_adapter(Path(out), written, record, folders, overwrite=overwrite, license=license)
    return MadeAdapter(made.path, made.record, (*told, *made.warnings))


def _open(adapters: Sequence[str | Path], token: str | bool | None, cache_dir: str | Path | None) -> list[LoraAdapter]:
    """Opens all of them; raises InputError with the problems of all, among them updates that are not of low rank."""
    if isinstance(adapters, str | Path):
        raise InputError(f"combine_adapters needs a list of adapters; write ['{adapters}', …].")
    opened: list[LoraAdapter] = []
    problems: list[str] = []
    for reference in adapters:
        try:
            adapter = open_adapter(reference, token=token, cache_dir=cache_dir)
        except InputError as error:
            problems += error.problems
            continue
        problems += _not_low_rank(adapter)
        opened.append(adapter)
    if not adapters:
        problems.append("There is no adapter to combine; name at least one.")
    if problems:
        raise InputError(problems)
    return opened


def _not_low_rank(adapter: LoraAdapter) -> Iterable[str]:
    offer = "make the full model instead: --as model"
    if not adapter.is_low_rank:
        yield f"{adapter.label}: is a DoRA adapter, which also rescales the base's rows, so no LoRA equals it; {offer}."
    if any(update.kind is UpdateKind.BIAS for update in adapter.updates.values()):
        yield f"{adapter.label}: has biases on lora_B (lora_bias=True), which are no part of a product; {offer}."


def _settings(
    adapters: Sequence[LoraAdapter],
    weights: Sequence[float] | None,
    normalize: bool,
    form: str,
    rank: int | Literal["auto"] | None,
    energy: float | None,
    out: str | Path,
    overwrite: bool,
) -> tuple[list[float], _Size]:
    """Returns the weights as they enter the sum and the size of the result; raises InputError with all that is wrong."""
    local = [adapter.folder.ref.path for adapter in adapters if adapter.folder.ref.path is not None]
    problems = output_problems(Path(out), overwrite, local)
    given = [1.0] * len(adapters) if weights is None else list(weights)
    if len(given) != len(adapters):
        problems.append(f"There are {len(adapters)} adapters and {len(given)} weights; give one weight per adapter.")
    elif not all(map(math.isfinite, given)):
        problems.append("A weight is not a finite number.")
    elif normalize and abs(math.fsum(given)) < 1e-12:
        problems.append("The weights sum to 0 and cannot be divided by it; use them as they are with --no-normalize.")
    size = _Size()
    if form == "svd":
        size = _size(adapters, rank, energy, problems)
    elif form != "concat":
        problems.append(f"as_='{form}': an adapter is made by 'concat' or 'svd'.")
    elif rank is not None or energy is not None:
        problems.append("rank and energy belong to the form svd; concat keeps everything.")
    if problems:
        raise InputError(problems)
    total = math.fsum(given) if normalize else 1.0
    return [weight / total for weight in given], size


def _size(
    adapters: Sequence[LoraAdapter], rank: int | Literal["auto"] | None, energy: float | None, problems: list[str]
) -> _Size:
    ranks = [[update.rank for update in adapter.updates.values()] for adapter in adapters]
    if rank == "auto" or (rank is None and energy is not None):
        energy = _ENERGY if energy is None else energy
        if not 0 < energy <= 1:
            problems.append(f"energy={energy}: is the share of the squared norm to keep, above 0 and at most 1.")
        return _Size(energy=energy)
    if energy is not None:
        problems.append("Give a rank or an energy, not both; rank='auto' takes the smallest rank with that energy.")
    if rank is None:
        return _Size(max((each for some in ranks for each in some), default=1))
    whole = sum(max(some, default=0) for some in ranks)
    if not 0 < rank <= whole:
        problems.append(
            f"rank={rank}: the exact sum of these adapters has rank {whole}; ask for 1 to {whole}, or for concat."
        )
    return _Size(rank)


def _combined_updates(
    adapters: Sequence[LoraAdapter], weights: Sequence[float], size: _Size
) -> tuple[dict[str, Factors], dict[str, ModuleRecord]]:
    """Returns the updates by module, and what is recorded of each. Memory: one module's factors besides the result."""
    updates: dict[str, Factors] = {}
    modules: dict[str, ModuleRecord] = {}
    problems = []
    tables = [_modules(adapter) for adapter in adapters]
    for module in sorted({module for table in tables for module in table}):
        terms = [
            (_factors(adapter, table[module]), weight)
            for adapter, table, weight in zip(adapters, tables, weights, strict=True)
            if module in table
        ]
        given, shares = [term for term, _ in terms], [share for _, share in terms]
        try:
            if size == _Size():
                updates[module] = concatenated(given, shares)
                modules[module] = ModuleRecord(rank=updates[module].rank, energy=1.0)
            else:
                result = truncated(given, shares, rank=size.rank, energy=size.energy)
                updates[module] = result.factors
                modules[module] = ModuleRecord(
                    rank=result.rank, energy=result.energy, norm=math.sqrt(result.squared_norm)
                )
        except ValueError as error:
            labels = ", ".join(
                adapter.label for adapter, table in zip(adapters, tables, strict=True) if module in table
            )
            problems.append(f"{labels}: module '{module}': {error}; were they made for one base?")
    if problems:
        raise InputError(problems)
    return updates, modules


def _modules(adapter: LoraAdapter) -> dict[str, LoraUpdate]:
    return {update.module: update for update in adapter.updates.values()}


def _factors(adapter: LoraAdapter, update: LoraUpdate) -> Factors:
    """As they are stored, kernels included."""
    assert update.a is not None
    return Factors(read_finite(adapter.tensors, update.a), read_finite(adapter.tensors, update.b), update.scale)

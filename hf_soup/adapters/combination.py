"""What is to be combined: opened, and checked for everything that can be told before the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_soup.adapters.base_tensors import BaseTensors
from hf_soup.adapters.common_base import LOCAL_BASE, CommonBase, common_base, is_local
from hf_soup.adapters.fit import base_misfits, misfits, unmixable
from hf_soup.adapters.licence import card_of_base, inherited_licence, publication_problems
from hf_soup.adapters.likeness import different_heads, doubled
from hf_soup.adapters.nameable_base import base_problems
from hf_soup.adapters.one_class import in_one_class
from hf_soup.adapters.shares import Rank, Size, shares_of, size_of
from hf_soup.adapters.write import unfinished_merge
from hf_soup.checkpoints import ModelRef, resolve
from hf_soup.checkpoints.lora_adapter import LoraAdapter, UpdateKind, open_adapter
from hf_soup.errors import InputError
from hf_soup.merging.output import output_problems
from hf_soup.merging.produce import make_names_unique
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing import IngredientCard, Licence, Target, load_card

Model = str | Path | ModelRef


@dataclass(frozen=True)
class Combination:
    """`shares`: the weights as they enter the sum. `records`, `cards`: of the adapters. `tensors`: of the base, not opened yet
    where nothing had to be asked of it."""

    adapters: list[LoraAdapter]
    shares: list[float]
    size: Size
    base: CommonBase
    tensors: BaseTensors
    records: list[IngredientRecord]
    cards: list[IngredientCard]
    licence: Licence | None
    warnings: tuple[str, ...]


def checked_combination(
    adapters: Sequence[Model],
    weights: Sequence[float] | None,
    out: Path,
    *,
    form: str,
    rank: Rank,
    energy: float | None,
    normalize: bool,
    base: Model | None,
    overwrite: bool,
    force: bool,
    license: str | None,
    publish: bool | str | Target,
    token: str | bool | None,
    revision: str | None,
    cache_dir: str | Path | None,
) -> Combination:
    """Opens adapters and base. Raises InputError with every problem; for the arguments see `combine_adapters`."""
    problems: list[str] = []
    told: list[str] = []
    opened, count = _open(adapters, problems, token, revision, cache_dir)
    shares = shares_of(count, weights, normalize, problems)
    found = tensors = licence = None
    try:
        found = common_base(opened, base, token=token, revision=revision, cache_dir=cache_dir)
    except InputError as error:
        problems += error.problems
    else:
        tensors = BaseTensors(found)
        told += found.warnings
        try:
            opened = in_one_class(opened, tensors)
        except InputError as error:
            problems += error.problems
        if len(shares) == len(opened):
            told += _check_base(opened, shares, found, tensors, problems)
    size = size_of(opened, form, rank, energy, problems, complete=len(opened) == count)
    problems += misfits(opened)
    folders = [one.folder for one in opened] + ([found.folder] if found and found.folder else [])
    problems += output_problems(out, overwrite, [folder.ref.path for folder in folders if folder.ref.path])
    problems += unfinished_merge(out)
    doubts = [*(problem for adapter in opened for problem in adapter.problems()), *doubled(opened)]
    told += different_heads(opened)
    (told if force else problems).extend(doubts)
    problems += publication_problems(publish, token)
    problems += base_problems(found, publish, token) if found is not None else []
    records = [IngredientRecord.of(adapter.tensors) for adapter in opened]
    make_names_unique(records)
    cards = [load_card(adapter.folder, one.name) for adapter, one in zip(opened, records, strict=True)]
    try:
        under = card_of_base(found) if found else []
        licence, said = inherited_licence([*cards, *under], license, required=bool(publish))
        told += said
    except InputError as error:
        problems += error.problems
    if problems or found is None or tensors is None:
        raise InputError(list(dict.fromkeys(problems)))
    if is_local(found.name):
        told.append(LOCAL_BASE.format(found.name.name))
    return Combination(opened, shares, size, found, tensors, records, cards, licence, tuple(dict.fromkeys(told)))


def _open(
    adapters: Sequence[Model],
    problems: list[str],
    token: str | bool | None,
    revision: str | None,
    cache_dir: str | Path | None,
) -> tuple[list[LoraAdapter], int]:
    """Returns those that can be opened, and how many there are; what is wrong with the others, or not of low rank, goes to `problems`."""
    if isinstance(adapters, str | Path):
        raise InputError(f"combine_adapters needs a list of adapters; write ['{adapters}', …].")
    opened: list[LoraAdapter] = []
    count = 0
    for reference in adapters:
        try:
            pinned = resolve(reference, token=token, revision=revision, cache_dir=cache_dir)
        except InputError as error:
            problems += error.problems
            count += 1
            continue
        count += len(pinned)
        for one in pinned:
            try:
                opened.append(open_adapter(one, token=token, cache_dir=cache_dir))
            except InputError as error:
                problems += error.problems
            else:
                problems += _not_low_rank(opened[-1])
    if not adapters:
        problems.append("There is no adapter to combine; name at least one.")
    elif opened and not any(adapter.updates or adapter.stacked for adapter in opened):
        problems.append(
            "None of these adapters has an update of low rank, they replace tensors only, and PEFT loads no LoRA without one; "
            "make the full model instead: --as model."
        )
    return opened, count


def _not_low_rank(adapter: LoraAdapter) -> Iterable[str]:
    offer = "make the full model instead: --as model"
    if not adapter.is_low_rank:
        yield (
            f"{adapter.label}: is a DoRA adapter, which also rescales the base's rows, so no LoRA equals it; {offer}; or take "
            "the nearest LoRA: hf-soup adapters extract ADAPTER --base MODEL --rank R."
        )
    if any(update.kind is UpdateKind.BIAS for update in adapter.updates.values()):
        yield f"{adapter.label}: has biases on lora_B (lora_bias=True), which are no part of a product; {offer}."
    if adapter.stacked:
        yield f"{adapter.label}: adapts stacked experts (target_parameters), whose updates are one product per expert; {offer}."


def _check_base(
    adapters: Sequence[LoraAdapter],
    shares: Sequence[float],
    base: CommonBase,
    tensors: BaseTensors,
    problems: list[str],
) -> list[str]:
    """Returns warnings; that a needed base is not there, or does not fit, goes to `problems`."""
    missing = unmixable(adapters, shares, tensors)
    problems += missing
    if base.name.name is None or missing:
        return []
    if base.folder is None:
        return [f"It was not checked whether the adapters fit their base. {base.unknown}"]
    wrong, told = base_misfits(adapters, shares, tensors)
    problems += wrong
    return told

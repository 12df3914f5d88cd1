"""A full fine-tune becomes a LoRA over its base: the low-rank part of every difference, with the rest stated."""

from __future__ import annotations

import math
from pathlib import Path

from hf_soup import __version__
from hf_soup.adapters.adaptable import AdaptableModel, adaptable_model
from hf_soup.adapters.adapter_files import WrittenAdapter
from hf_soup.adapters.common_base import LOCAL_BASE, CommonBase, base_name, is_local
from hf_soup.adapters.differences import Differences, differences, modules_to_save
from hf_soup.adapters.licence import inherited_licence, publication_problems
from hf_soup.adapters.nameable_base import base_problems
from hf_soup.adapters.record import AdapterRecord, BaseName
from hf_soup.adapters.write import MadeAdapter, unfinished_merge, write_adapter
from hf_soup.checkpoints import AdapterBases, AdapterCheckpoint, ModelRef, open_checkpoint, resolve
from hf_soup.checkpoints.quantised import quantised_how
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.output import output_problems
from hf_soup.merging.produce import make_names_unique
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing import Target, load_card


def extract_adapter(
    model: str | Path | ModelRef,
    base: str | Path | ModelRef,
    *,
    out: str | Path,
    rank: int | None = None,
    energy: float | None = None,
    full: bool = False,
    overwrite: bool = False,
    license: str | None = None,
    publish: bool | str | Target = False,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> MadeAdapter:
    """Writes the LoRA of `rank`, or of the ranks that keep `energy` of each difference, that is nearest to model − base.

    Linear layers, convolutions and embeddings are adapted. Heads that the base lacks, or has in another shape, are kept in full.
    Norms and biases are no matrices: with `full=True` those that differ are kept in full, else they stay the base's and
    are listed in the record with the size of their difference; so are embeddings that are tied to the output matrix, of
    which PEFT would adapt the input only, and experts of a mixture that lie cut or stacked in files. The model may be an adapter too (a DoRA, say), which is read over `base`. `publish`:
    as in `combine_adapters`. Memory: a few times the largest tensor in float64, and the result.

    Raises InputError, with all problems, before anything is written: models that are not of one architecture or equal, a rank
    that no module has, NaN in a tensor, a place that is taken.
    """
    place = Path(out).expanduser()
    tuned, start = _open(model, base, token, cache_dir)
    problems = _wrong_requests(tuned, start, rank, energy, place, overwrite)
    problems += [*unfinished_merge(place), *publication_problems(publish, token)]
    records = [IngredientRecord.of(tuned), IngredientRecord.of(start)]
    make_names_unique(records)
    cards = [load_card(one.folder, record.name) for one, record in zip((tuned, start), records, strict=True)]
    named, licence, told = BaseName(name=None), None, list[str]()
    try:
        licence, told = inherited_licence(cards, license, required=bool(publish))
        named = base_name(start.folder)
        problems += base_problems(CommonBase(named, start.folder), publish, token)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    skeleton = adaptable_model(tuned.config, tuned.label)
    largest = _largest_rank(tuned, skeleton)
    if rank is not None and rank > largest:
        raise InputError(f"rank={rank}: the smaller side of the largest matrix is {largest}; ask for 1 to {largest}.")
    tuned.fetch()
    start.fetch()
    found = differences(tuned, start, skeleton, rank, energy, full)
    if not found.updates:
        raise InputError(f"{tuned.label}: no matrix differs from {start.label}; there is nothing to extract.")
    record = AdapterRecord(
        hf_soup=__version__,
        form="extract",
        base=named,
        base_record=records[1],
        ingredients=records,
        weights=[1.0, -1.0],
        asked_rank=rank,
        asked_energy=energy,
        full=full,
        modules=found.modules,
        replaced=sorted(found.replaced),
        left_out=found.left_out,
    )
    written = _written(found, skeleton, named)
    write_adapter(place, written, record, [tuned.folder, start.folder], cards, licence, overwrite=overwrite)
    return MadeAdapter(place, record, (*_warnings(named, found), *told), token)


def _open(
    model: str | Path | ModelRef, base: str | Path | ModelRef, token: str | bool | None, cache_dir: str | Path | None
) -> tuple[StoredCheckpoint, StoredCheckpoint]:
    """Opens the fine-tune and its base; raises InputError with the problems of both."""

    def opened(ref: str | Path | ModelRef, bases: AdapterBases | None) -> StoredCheckpoint:
        pinned = resolve(ref, token=token, cache_dir=cache_dir)
        if len(pinned) != 1:
            raise InputError(f"'{ref}' names {len(pinned)} models, one is needed here.")
        return open_checkpoint(pinned[0], token=token, cache_dir=cache_dir, bases=bases)

    problems: list[str] = []
    tuned = start = None
    try:
        start = opened(base, None)
        if isinstance(start, AdapterCheckpoint):
            problems.append(
                f"{start.label}: is an adapter and cannot be the base; name {start.base.label}, or a full model."
            )
            start = start.base
    except InputError as error:
        problems += error.problems
    try:
        tuned = opened(model, AdapterBases(start, token=token, cache_dir=cache_dir))
    except InputError as error:
        problems += error.problems
    if tuned is None or start is None or problems:
        raise InputError(list(dict.fromkeys(problems)))
    return tuned, start


def _wrong_requests(
    tuned: StoredCheckpoint,
    base: StoredCheckpoint,
    rank: int | None,
    energy: float | None,
    out: Path,
    overwrite: bool,
) -> list[str]:
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
    problems += [
        f"{one.label}: is quantised: {how}; name the same model in 16 or 32 bits."
        for one in (tuned, base)
        if (how := quantised_how(one))
    ]
    if isinstance(tuned, AdapterCheckpoint):
        problems += tuned.adapter.problems()
    return problems


def _largest_rank(tuned: StoredCheckpoint, skeleton: AdaptableModel) -> int:
    """The largest of the smaller sides of all matrices that can be adapted."""
    stored = {skeleton.names.stored.get(f"{module}.weight") for module in skeleton.kinds} & set(tuned.names())
    shapes = [tuned.info(str(name)).shape for name in stored]
    return max((min(shape[0], math.prod(shape[1:])) for shape in shapes), default=0)


def _written(found: Differences, skeleton: AdaptableModel, base: BaseName) -> WrittenAdapter:
    return WrittenAdapter(
        base=base.name,
        revision=base.revision,
        updates=found.updates,
        replaced=found.replaced,
        embeddings=frozenset(name for name in found.updates if skeleton.kinds[name] == "embedding"),
        modules_to_save=modules_to_save(found, skeleton),
        inherited={
            "task_type": skeleton.task,
            "fan_in_fan_out": all(skeleton.kinds[name] == "conv1d" for name in found.updates),
        },
    )


def _warnings(base: BaseName, found: Differences) -> list[str]:
    told = [LOCAL_BASE.format(base.name)] if is_local(base) else []
    if found.left_out:
        told.append(
            f"{len(found.left_out)} tensors differ from the base and are not in the adapter (norms, biases, tied embeddings, experts); "
            "soup.json and the card list them with the size of their difference; --full keeps norms and biases."
        )
    return told

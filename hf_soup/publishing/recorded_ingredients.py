"""The models that soup.json names, opened where they are, and held against what it says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_soup.checkpoints import AdapterBases, AdapterCheckpoint, PinnedRef, open_checkpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME, IngredientRecord, SoupRecord
from hf_soup.publishing.places import Places
from hf_soup.publishing.side_comparison import sha256_of


@dataclass(frozen=True)
class RecordedModels:
    """`models` in the recorded order, `base` where one is recorded."""

    models: tuple[StoredCheckpoint, ...]
    base: StoredCheckpoint | None

    def all(self) -> Iterator[StoredCheckpoint]:
        yield from self.models
        if self.base is not None:
            yield self.base

    def records(self, record: SoupRecord) -> Iterator[tuple[IngredientRecord, StoredCheckpoint]]:
        """Every model with what is recorded of it, and once what several adapters have as their base."""
        seen = set()
        for one, model in zip(_recorded(record), self.all(), strict=True):
            yield one, model
            if one.adapter_of is not None and isinstance(model, AdapterCheckpoint) and id(model.base) not in seen:
                seen.add(id(model.base))
                yield one.adapter_of, model.base


def open_recorded(record: SoupRecord, places: Places) -> RecordedModels:
    """Opens every recorded model at its commit, or where `places` says.

    Raises InputError that lists all models which are neither pinned nor given, or that cannot be opened.
    """
    recorded = _recorded(record)
    problems = _problems(record, recorded, places)
    if problems:
        raise InputError(problems)
    opened: list[StoredCheckpoint] = []
    bases: dict[str | Path | PinnedRef, AdapterBases] = {}

    def bases_of(one: IngredientRecord) -> AdapterBases | None:
        """The recorded base of an adapter, whatever the adapter's config says now; opened once."""
        if one.adapter_of is None:
            return None
        place = places.of(one.adapter_of)
        if place not in bases:
            bases[place] = AdapterBases(open_checkpoint(place, token=places.token, cache_dir=places.cache_dir))
        return bases[place]

    for one in recorded:
        try:
            model = open_checkpoint(
                places.of(one), token=places.token, cache_dir=places.cache_dir, bases=bases_of(one)
            )
        except InputError as error:
            problems += error.problems
            continue
        if isinstance(model, AdapterCheckpoint) != (one.adapter_of is not None):
            says = "an adapter" if one.adapter_of is not None else "a full model"
            problems.append(f"soup.json says that {one.name} is {says}; {model.label} is not.")
        opened.append(model)
    if problems:
        raise InputError(problems)
    if record.base is None:
        return RecordedModels(tuple(opened), None)
    return RecordedModels(tuple(opened[:-1]), opened[-1])


def digest_contradictions(
    models: Iterable[tuple[IngredientRecord, StoredCheckpoint]], record: str = RECORD_NAME
) -> Iterator[str]:
    """Yields a sentence for each file of a model whose size or digest is not the one that is recorded of it."""
    for one, model in models:
        found = {file.path: file for file in model.weight_files()}
        if set(found) != set(one.files):
            yield (
                f"{record} lists {', '.join(sorted(one.files)) or 'no files'} for {one.name}, but the weights of "
                f"{model.label} are in {', '.join(sorted(found))}."
            )
            continue
        for path, expected in one.files.items():
            file = found[path]
            sha256 = expected.sha256 and (file.sha256 or sha256_of(model.folder.local_path(path)))
            git_sha1 = expected.git_sha1 and (file.git_sha1 or expected.git_sha1)
            if file.size != expected.size or sha256 != expected.sha256 or git_sha1 != expected.git_sha1:
                yield f"{path} of {model.label} is not the file that {record} recorded for {one.name} (another digest)."
        digested = any(file.sha256 or file.git_sha1 for file in one.files.values())
        if not digested and _sampled_digest(one, model) != one.fingerprint:  # it was a folder on the merging machine
            yield f"{model.label} is not the model that {record} recorded for {one.name} (another fingerprint)."


def _sampled_digest(one: IngredientRecord, model: StoredCheckpoint) -> str:
    """Of an adapter over the base as it was recorded, which is held against its own record, wherever it is read from now."""
    if isinstance(model, AdapterCheckpoint) and one.adapter_of is not None:
        return model.sampled_digest_over(one.adapter_of.fingerprint)
    return model.sampled_digest()


def _recorded(record: SoupRecord) -> list[IngredientRecord]:
    return [*record.ingredients, *([record.base] if record.base is not None else [])]


def _problems(record: SoupRecord, recorded: list[IngredientRecord], places: Places) -> list[str]:
    bases = [one.adapter_of for one in recorded if one.adapter_of is not None]
    problems = list(places.problems([*recorded, *bases]))
    if (record.donor is None and record.base is None) or not 0 <= (record.donor or 0) < len(record.ingredients):
        problems.append("soup.json does not say from which model config and tokenizer were taken; it is not complete.")
    return problems

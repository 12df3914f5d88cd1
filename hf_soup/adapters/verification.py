"""Making a published adapter again: from its pinned ingredients, by its record, into a temporary folder, and comparing
the two folders: tensors, adapter_config.json, the files beside them, what was said to be kept."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_soup.adapters.adapter_files import CONFIG_NAME, WEIGHTS_NAME
from hf_soup.adapters.adapter_folder import read_record, recorded_models
from hf_soup.adapters.card import base_line, front_matter, ingredient_rows, kind_of_adapter, module_rows
from hf_soup.adapters.made_again import made_again
from hf_soup.adapters.record import AdapterRecord
from hf_soup.adapters.update_comparison import TOLERANCE, compare_updates
from hf_soup.checkpoints import AdapterBases, PinnedRef, open_checkpoint
from hf_soup.checkpoints.folder import LocalFolder, ModelFolder
from hf_soup.checkpoints.lora_adapter import open_adapter
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.checkpoints.weight_files import WeightFiles
from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME, IngredientRecord
from hf_soup.publishing.card_check import card_contradictions
from hf_soup.publishing.ingredient_cards import CARD_NAME
from hf_soup.publishing.places import Places
from hf_soup.publishing.recorded_ingredients import digest_contradictions
from hf_soup.publishing.side_comparison import compare_digests
from hf_soup.publishing.strays import loads_as_weights, loads_beside_weights, strays
from hf_soup.publishing.tensor_comparison import compare_tensors
from hf_soup.publishing.verdict import Bar, FileVerdict, TensorVerdict, Verdict, Verification

_OWN_FILES = (CARD_NAME, RECORD_NAME, CONFIG_NAME, WEIGHTS_NAME)

_SHOWN = 100  # characters of a field of adapter_config.json, which may list every module


def verify_adapter(folder: ModelFolder, places: Places, progress: Bar) -> Verification:
    """Makes the adapter in `folder` again and compares; raises what `hf_soup.publishing.verify` raises.

    Of the form concat every byte must be equal. Singular vectors end in other bits on other processors: of svd and extract
    a module counts as equal whose update B·A differs by at most `TOLERANCE` of its norm.
    """
    record = read_record(folder.local_path(RECORD_NAME))
    problems = [*_incomplete(record), *places.problems(recorded_models(record))]
    if problems:
        raise InputError(problems)
    with tempfile.TemporaryDirectory(prefix="hf-soup-") as scratch:
        again = made_again(record, places, Path(scratch) / "adapter")
        derived = LocalFolder(PinnedRef("derived", path=again.path))
        models = _models(record, places)
        tensors = _tensor_verdicts(folder, derived, record, progress)
        files = [
            *_config_findings(folder, derived, record),
            *_base_findings(record, again.record),
            *_side_file_findings(folder, derived),
            *compare_digests(folder, record.outputs),
        ]
        return Verification(
            target=folder.ref.label,
            ingredients=tuple(model.label for _, model in models),
            device="cpu",
            tensors=tuple(tensors),
            files=tuple(files),
            contradictions=(
                *digest_contradictions(models),
                *_figure_contradictions(record, again.record),
                *_prose_contradictions(folder, record),
                *card_contradictions(
                    folder,
                    {"ingredients, commits and weights": ingredient_rows(record), "modules": module_rows(record)},
                    front_matter(record, [], None).get("base_model", []),
                ),
            ),
            tolerance=""
            if record.form == "concat"
            else f"the update B·A of every module differs by at most {TOLERANCE:g} of its norm",
        )


def _incomplete(record: AdapterRecord) -> Iterator[str]:
    models, weights = len(record.ingredients), len(record.weights)
    if models != weights or models < 1 or (record.form == "extract" and models != 2):
        yield f"soup.json lists {models} ingredients and {weights} weights of {record.form}; it is not complete."


def _models(record: AdapterRecord, places: Places) -> list[tuple[IngredientRecord, StoredCheckpoint]]:
    """Every recorded model with what it was recorded of: adapters that were combined by their own files alone."""

    def opened(one: IngredientRecord, bases: AdapterBases | None = None) -> StoredCheckpoint:
        return open_checkpoint(places.of(one), token=places.token, cache_dir=places.cache_dir, bases=bases)

    def factors(one: IngredientRecord) -> StoredCheckpoint:
        return open_adapter(places.of(one), token=places.token, cache_dir=places.cache_dir).tensors

    if record.form == "extract":
        tuned, base = record.ingredients
        start = opened(base)
        return [(tuned, opened(tuned, AdapterBases(start))), (base, start)]
    adapters = [(one, factors(one)) for one in record.ingredients]
    return [*adapters, *((one, opened(one)) for one in recorded_models(record)[len(adapters) :])]


def _tensor_verdicts(
    published: ModelFolder, derived: ModelFolder, record: AdapterRecord, progress: Bar
) -> list[TensorVerdict]:
    ours = _tensors(derived)
    if WEIGHTS_NAME not in published.files:
        missing = "is missing from what is published"
        return [TensorVerdict(name, Verdict.DIFFERENT, ours.info(name).numel, note=missing) for name in ours.names()]
    theirs = _tensors(published)
    theirs.fetch()
    with progress("Comparing", sum(ours.info(name).nbytes for name in ours.names())) as advance:
        found = compare_tensors(theirs, ours, whole_tensors=False, progress=advance)
    return found if record.form == "concat" else compare_updates(found, theirs, ours)


def _tensors(folder: ModelFolder) -> SafetensorsCheckpoint:
    return SafetensorsCheckpoint(folder, WeightFiles("safetensors", (WEIGHTS_NAME,)))


def _config_findings(published: ModelFolder, derived: ModelFolder, record: AdapterRecord) -> Iterator[FileVerdict]:
    """Field by field. The base may be supplied from elsewhere now, so that of it the record counts."""
    if CONFIG_NAME not in published.files:
        yield FileVerdict(CONFIG_NAME, "is missing", True)
        return
    try:
        found = json.loads(published.local_path(CONFIG_NAME).read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        yield FileVerdict(CONFIG_NAME, "is not a JSON object", True)
        return
    wanted = json.loads(derived.local_path(CONFIG_NAME).read_bytes())
    wanted |= {"base_model_name_or_path": record.base.name, "revision": record.base.revision}
    for field in sorted({*found, *wanted}):
        if field not in found or field not in wanted or found[field] != wanted[field]:
            yield FileVerdict(
                CONFIG_NAME, f"{field} is {_shown(found, field)}, made again it is {_shown(wanted, field)}", True
            )


def _base_findings(said: AdapterRecord, found: AdapterRecord) -> Iterator[FileVerdict]:
    """Adapters may be combined over a base that none of them names; that must be said, and speaks against a record that denies it."""
    if found.base_is_theirs is False:
        finding = f"none of the ingredients names {said.base.name} as its base, or a model of the same weights"
        denied = "; soup.json says that one does" if said.base_is_theirs else ""
        yield FileVerdict(CONFIG_NAME, finding + denied, bool(said.base_is_theirs))


def _prose_contradictions(folder: ModelFolder, record: AdapterRecord) -> Iterator[str]:
    """The card's sentences on the base and on the kind of adapter, where it has them."""
    if CARD_NAME not in folder.files:
        return
    lines = folder.local_path(CARD_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    for begin, wanted in (("Base model:", base_line(record)), ("A LoRA of ", kind_of_adapter(record))):
        yield from (
            f"The card says '{line}'; by soup.json it is '{wanted}'."
            for line in lines
            if line.startswith(begin) and not line.startswith(wanted)
        )


def _shown(config: dict[str, Any], field: str) -> str:
    if field not in config:
        return "not there"
    text = json.dumps(config[field])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _side_file_findings(published: ModelFolder, derived: ModelFolder) -> Iterator[FileVerdict]:
    """Tokenizer and the like against those of the first ingredient, and files that a loader might take."""
    wanted = [path for path in derived.files if path not in _OWN_FILES]
    for path in wanted:
        if path not in published.files:
            yield FileVerdict(path, "is missing; the first ingredient has it", True)
        elif published.local_path(path).read_bytes() != derived.local_path(path).read_bytes():
            yield FileVerdict(path, "differs from that of the first ingredient, where it was taken from", True)
    for path in strays(published.files, {*wanted, *_OWN_FILES}):
        if loads_as_weights(path) or loads_beside_weights(path):
            yield FileVerdict(path, "does not come from the recorded ingredients, and may be loaded", True)


def _figure_contradictions(said: AdapterRecord, found: AdapterRecord) -> Iterator[str]:
    """What the record and the card say was kept, against what is kept now."""
    for name in sorted({*said.modules, *found.modules}):
        one, other = said.modules.get(name), found.modules.get(name)
        if one is None or other is None:
            yield f"Module '{name}' is {'not ' if one is None else ''}in soup.json, made again it is {'not ' if other is None else ''}there."
        elif one.rank != other.rank or not _close(one.energy, other.energy) or not _close(one.norm, other.norm):
            yield (
                f"soup.json says of module '{name}': rank {one.rank}, energy {one.energy:.6g}, norm {one.norm}; made again it "
                f"has rank {other.rank}, energy {other.energy:.6g}, norm {other.norm}."
            )
    if said.replaced != found.replaced:
        yield "soup.json lists other tensors that are kept in full than there are when the adapter is made again."
    if set(said.left_out) != set(found.left_out) or not all(
        _close(norm, found.left_out[name]) for name, norm in said.left_out.items()
    ):
        yield "soup.json lists other tensors as left out, or other differences of them, than are found again."


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12)

"""Which tensor of the base's files an adapter updates or replaces, and whether everything fits.

The result has the tensors that `merge_and_unload().save_pretrained()` of PEFT would write: those of the base, or, where the
adapter brings a head that the base lacks, those of the class that was adapted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from hf_soup.checkpoints.checkpoint import TensorInfo
from hf_soup.checkpoints.dtypes import FLOATING
from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate, UpdateKind
from hf_soup.checkpoints.lora_config import MERGE_FIRST
from hf_soup.checkpoints.model_names import ModelNames, meta_model, names_of, stored_in
from hf_soup.checkpoints.orientation import is_turned
from hf_soup.checkpoints.quantised import quantised_how
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.stacked_fit import stacked_updates
from hf_soup.checkpoints.untied import Untied, is_own_copy, may_be_tied, stays_tied, untied_by
from hf_soup.errors import InputError

_CONVERTED = "stores cut, fused with others, or in another order"
_SHOWN = 5


@dataclass(frozen=True)
class FittedAdapter:
    """`infos`: every tensor of the adapted model. `base_names`: the base's name for each that it has.

    `updates`, `replaced`: as those of the adapter, by the names in `infos`. A tensor in both is replaced, then updated.
    `transposed`: those of `updates` whose tensor is stored as [in, out]. `config`: the adapted model's config.json.
    """

    infos: dict[str, TensorInfo]
    base_names: dict[str, str]
    updates: dict[str, LoraUpdate]
    replaced: dict[str, str]
    transposed: frozenset[str]
    config: dict[str, Any]


def fit_adapter(adapter: LoraAdapter, base: StoredCheckpoint, config: dict[str, Any] | None = None) -> FittedAdapter:
    """Fits an adapter to its base by names and shapes; reads headers only.

    `config`: the config.json of the adapter's own repository, where it has one. Raises InputError that lists every module
    which the base lacks, every shape that does not fit, and a quantised base.
    """
    if how := quantised_how(base):
        raise InputError(
            f"{adapter.label}: its base {base.label} is quantised: {how}; name the same model in 16 or 32 bits with base= (--base), "
            "the one that it was quantised from, which its card names."
        )
    own = {name: name for name in base.names()}
    settings = config or base.config

    @cache
    def model() -> Any:
        return meta_model(settings, adapter.config.base_class, adapter.config.task_type)

    renamed = any(name not in own for name in (*adapter.updates, *adapter.replaced))
    asked = renamed or may_be_tied(adapter, settings)
    names = names_of(model()) if asked and model() is not None else None
    untied = untied_by(adapter, base, names, settings) if asked else Untied({}, tied=True)
    dropped = _saved_tied(adapter, base, names, untied)
    wanted = [name for name in (*adapter.updates, *adapter.replaced) if name not in dropped]
    changed = names is not None and _brings_head(adapter, base, names, dropped, untied)
    base_names = _names_of_class(names, base) if changed and names is not None else own
    base_names |= _kept(untied, names, base)
    table = {name: _place(name, names, base_names, base) for name in wanted}
    problems = [*untied.problems, *_unknown(adapter, base, table, names)]
    updates = {str(table[name]): update for name, update in adapter.updates.items() if table.get(name)}
    has_stacked = bool(adapter.stacked or adapter.config.target_parameters)
    stacked, misplaced = stacked_updates(adapter, model() if has_stacked else None, base, base_names)
    updates |= stacked
    problems += misplaced
    replaced = {
        table[name] or _stored(name, names): stored for name, stored in adapter.replaced.items() if name not in dropped
    }
    infos = _infos(adapter, base, base_names, replaced)
    transposed = set()
    for name, update in updates.items():
        problem, turned = _orientation(adapter, base, update, infos[name], model)
        problems += [problem] if problem else []
        if turned:
            transposed.add(name)
    if changed and names is not None:
        problems += _unfilled(adapter, base, names, infos)
    problems += _misfits(adapter, base, base_names, replaced)
    problems += _short(adapter, untied, names, infos)
    if problems:
        raise InputError(problems)
    fitted_config = _config(adapter, dict(settings), names.class_name if changed and names else None, infos, replaced)
    if not untied.tied:
        fitted_config["tie_word_embeddings"] = False
    return FittedAdapter(infos, base_names, updates, replaced, frozenset(transposed), fitted_config)


def _stored(name: str, names: ModelNames | None) -> str:
    return names.stored.get(name, name) if names is not None else name


def _names_of_class(names: ModelNames, base: StoredCheckpoint) -> dict[str, str]:
    there = set(base.names())
    found = {stored: stored_in(stored, names.prefix, there) for stored in names.in_files()}
    return {stored: name for stored, name in found.items() if name is not None}


def _place(name: str, names: ModelNames | None, base_names: dict[str, str], base: StoredCheckpoint) -> str | None:
    """The name in the result of what the adapter calls `name`, None where the base has no such tensor."""
    if name in base_names:
        return name
    if names is None:
        return None
    stored = _stored(name, names)
    if stored in base_names:
        return stored
    return stored_in(stored, names.prefix, set(base_names))


def _kept(untied: Untied, names: ModelNames | None, base: StoredCheckpoint) -> dict[str, str]:
    """The base's name for every matrix that is a tensor of its own now, where the base's files have only the other."""
    if names is None:
        return {}
    there, found = set(base.names()), {}
    for name, other in untied.kept.items():
        place = _stored(name, names)
        if place not in there and (source := stored_in(_stored(other, names), names.prefix, there)) is not None:
            found[place] = source
    return found


def _saved_tied(adapter: LoraAdapter, base: StoredCheckpoint, names: ModelNames | None, untied: Untied) -> set[str]:
    """Output matrices, or trained rows of them, that PEFT saves beside adapted embeddings although the base ties them: copies."""
    if names is None:
        return set()
    there = set(base.names())
    absent = {name for name in (*adapter.replaced, *adapter.updates) if name in names.tied and name not in there}
    saved = {
        name
        for name in absent & set(adapter.replaced)
        if untied.tied and (stays_tied(adapter) or not is_own_copy(name, adapter))
    }
    rows = [update.rows for name, update in adapter.updates.items() if name not in absent]
    return saved | {
        n for n in absent & set(adapter.updates) if adapter.updates[n].rows in rows and adapter.updates[n].rows
    }


def _brings_head(
    adapter: LoraAdapter, base: StoredCheckpoint, names: ModelNames, dropped: set[str], untied: Untied
) -> bool:
    """Whether the adapter was trained with a class that the base was not saved as."""
    there = set(base.names())
    new = [
        n for n in adapter.replaced if n not in dropped and stored_in(_stored(n, names), names.prefix, there) is None
    ]
    return bool(new or untied.kept) and names.class_name not in (base.config.get("architectures") or [])


def _unknown(
    adapter: LoraAdapter, base: StoredCheckpoint, table: dict[str, str | None], names: ModelNames | None
) -> Iterator[str]:
    lost = [name for name in adapter.updates if name in table and table[name] is None]
    tied = [name for name in lost if names is not None and name in names.tied]
    for name in tied:
        yield (
            f"{adapter.label}: adapts '{adapter.updates[name].module}', whose weights {base.label} shares with its embeddings; merged, "
            "the update would change the embeddings too."
        )
    converted = [name for name in lost if names is not None and name in names.converted and name not in tied]
    if converted:
        yield f"{adapter.label}: adapts {_some([adapter.updates[n].module for n in converted])}, which {base.label} {_CONVERTED}; {MERGE_FIRST}."
    lost = [name for name in lost if name not in converted]
    biases = [name for name in lost if adapter.updates[name].kind is UpdateKind.BIAS]
    modules = [adapter.updates[name].module for name in lost if name not in tied and name not in biases]
    if modules:
        yield (
            f"{adapter.label}: adapts {_some(modules)}, which {base.label} does not have; is it the base that the adapter was trained on?"
        )
    elif biases:
        yield f"{adapter.label}: has biases of lora_B for {_some([adapter.updates[n].module for n in biases])}, which have no bias in {base.label}."
    if names is not None:
        whole = [name for name in adapter.replaced if table.get(name, name) is None and name in names.converted]
        if whole:
            yield f"{adapter.label}: brings {_some(whole)}, which {base.label} {_CONVERTED}; {MERGE_FIRST}."
    else:
        saved = set(adapter.config.modules_to_save)
        odd = [name for name in adapter.replaced if table.get(name) is None and not saved & set(name.split("."))]
        if odd:
            yield f"{adapter.label}: brings {_some(odd)}, which {base.label} does not have; is it the base that the adapter was trained on?"


def _infos(
    adapter: LoraAdapter, base: StoredCheckpoint, base_names: dict[str, str], replaced: dict[str, str]
) -> dict[str, TensorInfo]:
    """A replaced tensor has its own shape and the base's dtype, as it has in the model that PEFT merges."""
    infos = {}
    for name, source in base_names.items():
        info = base.info(source)
        infos[name] = TensorInfo(name, info.dtype, info.shape)
    codes = [info.dtype for info in infos.values() if info.dtype in FLOATING]
    main = max(sorted(set(codes)), key=codes.count) if codes else None
    for name, stored in replaced.items():
        info = adapter.tensors.info(stored)
        dtype = infos[name].dtype if name in infos and infos[name].dtype in FLOATING else main or info.dtype
        infos[name] = TensorInfo(name, dtype, info.shape)
    return infos


def _misfits(
    adapter: LoraAdapter, base: StoredCheckpoint, base_names: dict[str, str], replaced: dict[str, str]
) -> Iterator[str]:
    """A replaced tensor may have more or fewer rows (tokens, classes) than the base's, and nothing else."""
    for name, stored in replaced.items():
        if name not in base_names:
            continue
        theirs, ours = base.info(base_names[name]).shape, adapter.tensors.info(stored).shape
        if len(ours) != len(theirs) or ours[1:] != theirs[1:]:
            yield f"{adapter.label}: tensor '{stored}' is {list(ours)}, in {base.label} it is {list(theirs)}."


def _short(
    adapter: LoraAdapter, untied: Untied, names: ModelNames | None, infos: dict[str, TensorInfo]
) -> Iterator[str]:
    """Matrices that were tied have as many rows as each other."""
    for name, other in untied.kept.items():
        kept, replaced = infos.get(_stored(name, names)), infos.get(_stored(other, names))
        if kept is not None and replaced is not None and kept.shape != replaced.shape:
            yield (
                f"{adapter.label}: brings '{other}' {list(replaced.shape)} as a copy of its own and not '{name}', which is "
                f"{list(kept.shape)} in the base; save both with it (save_embedding_layers=True)."
            )


def _orientation(
    adapter: LoraAdapter, base: StoredCheckpoint, update: LoraUpdate, info: TensorInfo, model: Callable[[], Any]
) -> tuple[str | None, bool]:
    """Returns (problem, whether the tensor is stored as [in, out]). `model`: see `is_turned`."""
    if info.dtype not in FLOATING:
        return (
            f"{adapter.label}: adapts '{info.name}', which is {info.dtype} in {base.label}: the base is quantised; name the same model "
            "in 16 or 32 bits with base=."
        ), False
    if update.kind is UpdateKind.LINEAR and len(info.shape) == 2 and info.shape == update.shape[::-1]:
        turned = is_turned(adapter, update, info.shape, base.config.get("model_type"), model)
        return (turned, False) if isinstance(turned, str) else (None, turned)
    if update.kind is UpdateKind.ROWS:
        if len(info.shape) == 2 and info.shape[1] == update.shape[1] and max(update.rows) < info.shape[0]:
            return None, False
        return (
            f"{adapter.label}: trains row {max(update.rows)} of '{info.name}' with {update.shape[1]} columns, the tensor is "
            f"{list(info.shape)} in {base.label}."
        ), False
    if info.shape != update.shape:
        return (
            f"{adapter.label}: its update of '{info.name}' is {list(update.shape)}, the tensor is {list(info.shape)} in {base.label}."
        ), False
    return None, False


def _unfilled(
    adapter: LoraAdapter, base: StoredCheckpoint, names: ModelNames, infos: dict[str, TensorInfo]
) -> Iterator[str]:
    lost = [stored for stored, name in names.in_files().items() if stored not in infos and name not in names.tied]
    if lost:
        yield (
            f"{adapter.label}: adapts a {names.class_name}, for which neither it nor {base.label} has {_some(lost)}: those were random "
            "when it was trained and were not saved (modules_to_save)."
        )


def _config(
    adapter: LoraAdapter,
    config: dict[str, Any],
    class_name: str | None,
    infos: dict[str, TensorInfo],
    replaced: dict[str, str],
) -> dict[str, Any]:
    """The class that was adapted, as many labels as the new head has rows, as many tokens as the new embeddings."""
    if class_name is not None:
        config["architectures"] = [class_name]
    rows = {name: infos[name].shape[0] for name in replaced if len(infos[name].shape) == 2}
    heads = [n for n in rows if n.split(".")[0] in ("classifier", "score") or n.endswith("classifier.weight")]
    label_map = config.get("id2label")
    labels = len(label_map) if isinstance(label_map, dict) else config.get("num_labels", 2)
    if len(heads) == 1 or any(name.endswith("out_proj.weight") for name in heads):
        head = next((name for name in heads if name.endswith("out_proj.weight")), heads[0])
        if rows[head] != labels:
            config.pop("num_labels", None)
            config["id2label"] = {str(number): f"LABEL_{number}" for number in range(rows[head])}
            config["label2id"] = {f"LABEL_{number}": number for number in range(rows[head])}
    embeddings = [n for n in rows if n.endswith(("embed_tokens.weight", "wte.weight", "word_embeddings.weight"))]
    if len(embeddings) == 1 and isinstance(config.get("vocab_size"), int):
        config["vocab_size"] = rows[embeddings[0]]
    return config


def _some(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in unique[:_SHOWN]) + more

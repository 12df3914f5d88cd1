"""One set of names for adapters of one base that were trained with several classes of it.

`AutoModel` calls `layers.0.self_attn.q_proj` what `AutoModelForCausalLM` calls `model.layers.0.self_attn.q_proj`, and older
versions of transformers named some modules otherwise. PEFT loads what it finds under the names of one class and drops the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hf_soup.adapters.adapter_files import TARGETING
from hf_soup.adapters.base_tensors import BaseTensors
from hf_soup.checkpoints.lora_adapter import LoraAdapter
from hf_soup.checkpoints.lora_config import LoraConfig
from hf_soup.checkpoints.model_names import ModelNames, stored_in
from hf_soup.errors import InputError, SoupError

_OFFER = "make the full model instead: --as model"


def in_one_class(adapters: Sequence[LoraAdapter], base: BaseTensors) -> list[LoraAdapter]:
    """Returns the adapters with the names that the class of one of them has in memory; those that fit it are returned as they are.

    Names that no class knows stay: that the base lacks them is told elsewhere. Reads the base's header where it has one. Raises
    InputError where no class of the adapters has a place for everything, or where two names look like one module's and the
    class is not known.
    """
    try:
        there = frozenset(base.checkpoint.names()) if base.has_header else None
    except SoupError:  # the base cannot be reached, of which the user hears elsewhere
        there = None
    names = [_names(adapter) for adapter in adapters]
    if there is not None and there.issuperset(frozenset().union(*names)):
        return list(adapters)
    classes = [base.names_of(adapter.config) if there is not None else None for adapter in adapters]
    known = [each for each in classes if each is not None]
    if not known or len(known) != len(adapters):
        _refuse_endings(adapters)
        return list(adapters)
    for target, chosen in zip(known, adapters, strict=True):
        tables = [_table(each, own, target) for each, own in zip(names, known, strict=True)]
        if None not in tables:
            return [
                _renamed(adapter, table, chosen.config) if table else adapter
                for adapter, table in zip(adapters, tables, strict=True)
            ]
    kinds = "; ".join(f"{adapter.label}: {own.class_name}" for adapter, own in zip(adapters, known, strict=True))
    raise InputError(
        f"The adapters were trained with different classes of their base, and none of these has all their modules, so that no adapter "
        f"can hold them together ({kinds}); {_OFFER}."
    )


def _names(adapter: LoraAdapter) -> frozenset[str]:
    return frozenset((*adapter.updates, *adapter.replaced))


def _in_memory(names: ModelNames) -> frozenset[str]:
    return frozenset((*names.stored, *names.converted, *names.tied))


def _table(names: frozenset[str], own: ModelNames, target: ModelNames) -> dict[str, str] | None:
    """The names that change, with what the target calls them.

    None where it lacks a tensor that the own class has, and where two names become one.
    """
    memory, inverse = _in_memory(target), {stored: name for name, stored in target.stored.items()}
    here = _in_memory(own)
    stored_here = frozenset(own.stored.values())
    table = {}
    for name in names:
        if name in memory:
            continue
        if name in here and name not in own.stored:
            found = stored_in(name, target.prefix, memory)
        else:
            stored = stored_in(own.stored.get(name, name), target.prefix, inverse)
            found = None if stored is None else inverse[stored]
        if found is not None:
            table[name] = found
        elif name in here or stored_in(name, own.prefix, stored_here) is not None:
            return None
    kept = [table.get(name, name) for name in names]
    return table if len(set(kept)) == len(kept) else None


def _renamed(adapter: LoraAdapter, table: Mapping[str, str], config: LoraConfig) -> LoraAdapter:
    """A copy that says it was trained with the class of `config`; its modules are listed, since a pattern meant other names."""
    result = copy.copy(adapter)
    result.updates = {
        table.get(name, name): replace(update, module=table.get(name, name).rpartition(".")[0])
        for name, update in adapter.updates.items()
    }
    result.replaced = {table.get(name, name): stored for name, stored in adapter.replaced.items()}
    traits = {name: config.raw.get(name) for name in ("task_type", "auto_mapping")}
    raw = {name: value for name, value in adapter.config.raw.items() if name not in TARGETING} | traits
    result.config = replace(adapter.config, task_type=config.task_type, base_class=config.base_class, raw=raw)
    return result


def _refuse_endings(adapters: Sequence[LoraAdapter]) -> None:
    """Without the class: one adapter's name that is the end of another's is most likely the same module."""
    for adapter in adapters:
        for other in adapters:
            ends = _names(other) - _names(adapter)
            for name in sorted(_names(adapter) - _names(other)):
                parts = name.split(".")
                tails = (".".join(parts[start:]) for start in range(1, len(parts) - 1))
                if tail := next((tail for tail in tails if tail in ends), None):
                    raise InputError(
                        f"{adapter.label} names '{name}', {other.label} names '{tail}', which look like one tensor of two classes of the "
                        f"base; name a base that can be reached with --base MODEL, so that it can be told, or {_OFFER}."
                    )

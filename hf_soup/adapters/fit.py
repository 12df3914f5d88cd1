"""Whether adapters fit each other and their base, told from headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_soup.adapters.base_tensors import BaseTensors
from hf_soup.adapters.replaced import needs_base, replacements, share_of_base
from hf_soup.checkpoints.dtypes import FLOATING
from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate, UpdateKind
from hf_soup.errors import InputError, SoupError

_SHOWN = 5


def misfits(adapters: Sequence[LoraAdapter]) -> Iterator[str]:
    """Yields a sentence for every module that two adapters see in different shapes, and for every such replaced tensor."""
    updates: dict[str, tuple[LoraAdapter, LoraUpdate]] = {}
    replaced: dict[str, tuple[LoraAdapter, tuple[int, ...]]] = {}
    for adapter in adapters:
        for name, update in adapter.updates.items():
            first, known = updates.setdefault(name, (adapter, update))
            if (known.kind, known.shape) != (update.kind, update.shape):
                yield (
                    f"{adapter.label}: module '{update.module}' is {update.kind} {list(update.shape)}, in {first.label} it is "
                    f"{known.kind} {list(known.shape)}; were they made for one base?"
                )
        for name, stored in replacements(adapter).items():
            shape = adapter.tensors.info(stored).shape
            first, theirs = replaced.setdefault(name, (adapter, shape))
            if theirs != shape:
                yield (
                    f"{adapter.label}: replaces '{name}' by {list(shape)}, in {first.label} it is {list(theirs)}; were they "
                    "trained for different tasks?"
                )


def base_misfits(
    adapters: Sequence[LoraAdapter], weights: Sequence[float], base: BaseTensors
) -> tuple[list[str], list[str]]:
    """Returns (problems, warnings): modules that the base does not have, shapes that do not fit it.

    A base whose headers cannot be had is a warning. Of a quantised base only the names are compared.
    """
    try:
        if not base.has_header:
            return [], [
                f"{base.checkpoint.label}: is a pickle that is not on this disk and has no header, so it was not checked whether "
                "the adapters fit it."
            ]
        return [problem for adapter in adapters for problem in _of_one(adapter, adapters, weights, base)], []
    except SoupError as error:
        return [], [f"It was not checked whether the adapters fit their base. {error}"]


def _of_one(
    adapter: LoraAdapter, adapters: Sequence[LoraAdapter], weights: Sequence[float], base: BaseTensors
) -> Iterator[str]:
    label, lost = base.checkpoint.label, []
    for name, update in adapter.updates.items():
        info = base.info(name, adapter.config)
        if info is None:
            if not base.in_class(name, adapter.config):
                lost.append(update.module)
            continue
        stored = adapter.replaced.get(name)  # embeddings with more tokens than the base's, saved beside their update
        shape = adapter.tensors.info(stored).shape if stored is not None else info.shape
        turned = update.kind is UpdateKind.LINEAR and shape == update.shape[::-1]  # a Conv1D
        if info.dtype in FLOATING and shape != update.shape and not turned:
            yield f"{adapter.label}: its update of '{name}' is {list(update.shape)}, the tensor is {list(shape)} in {label}."
    if lost:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        named = ", ".join(f"'{module}'" for module in lost[:_SHOWN]) + more
        yield f"{adapter.label}: adapts {named}, which {label} does not have; is it the base that the adapter was trained on?"
    for name, stored in replacements(adapter).items():
        info, shape = base.info(name, adapter.config), adapter.tensors.info(stored).shape
        mixed = bool(share_of_base(name, adapters, weights))
        if info is None or info.dtype not in FLOATING or info.shape == shape:
            continue
        if mixed or len(shape) != len(info.shape) or shape[1:] != info.shape[1:]:
            yield f"{adapter.label}: replaces '{name}' by {list(shape)}, in {label} it is {list(info.shape)}."


def unmixable(adapters: Sequence[LoraAdapter], weights: Sequence[float], base: BaseTensors) -> list[str]:
    """Returns why tensors that the base has a share in cannot be mixed with it: no base is known, or it lacks them."""
    problems = []
    for name in needs_base(adapters, weights):
        config = next(adapter.config for adapter in adapters if name in replacements(adapter))
        try:
            if base.has_header and base.info(name, config) is None:
                problems.append(base.lacks(name))
        except InputError as error:
            needed = f"The base is needed, for a part of its '{name}' goes into the result."
            return [f"{needed} {problem}" for problem in error.problems]
    return problems

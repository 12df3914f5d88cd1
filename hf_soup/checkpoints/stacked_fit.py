"""From the factors of `target_parameters` to an update of every tensor of the files that holds a part of the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hf_soup.checkpoints.lora_adapter import ExpertPart, LoraAdapter, LoraUpdate, StackedFactors, UpdateKind
from hf_soup.checkpoints.lora_config import MERGE_FIRST
from hf_soup.checkpoints.model_names import stored_in
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.stacked_parameters import StackedParameter, StoredPart, stacked_parameters


def stacked_updates(
    adapter: LoraAdapter, model: Any | None, base: StoredCheckpoint, base_names: Mapping[str, str]
) -> tuple[dict[str, LoraUpdate], list[str]]:
    """Returns the updates by the names in `base_names`, and a sentence for everything that cannot be placed.

    `model`: the adapted class without weights, None where transformers does not know it.
    """
    if model is None and not adapter.stacked:
        return {}, []
    if model is None:
        kind = base.config.get("model_type", "unnamed")
        return {}, [
            f"{adapter.label}: adapts stacked experts (target_parameters), and transformers does not know the model type '{kind}' "
            f"of {base.label}, so where they lie in its files is not known; {MERGE_FIRST}."
        ]
    targets = stacked_parameters(model, adapter.config.target_parameters)
    updates: dict[str, LoraUpdate] = {}
    groups = _by_module(adapter.stacked)
    problems = [
        f"{adapter.label}: has no factors for '{parameter.name}', which target_parameters names; the file is not complete."
        for module, parameters in targets.items()
        for parameter in parameters
        if module not in groups
    ][:1]
    for module, group in groups.items():
        parameters = targets.get(module, ())
        if sorted(factors.depth for factors in group) != list(range(len(parameters))):
            problems.append(
                f"{adapter.label}: holds factors for {len(group)} parameters of '{module}', of which {type(model).__name__} has "
                f"{len(parameters)} that target_parameters names; is {base.label} the base that the adapter was trained on?"
            )
            continue
        for factors in group:
            parameter = parameters[len(parameters) - 1 - factors.depth]
            problem = _misfit(adapter, factors, parameter)
            if problem is not None:
                problems.append(problem)
                continue
            for part in parameter.parts:
                place = stored_in(part.name, model.base_model_prefix, base_names)
                shape = base.info(base_names[place]).shape if place is not None else None
                update = _update_of(adapter, factors, parameter, part, shape)
                if place is None or shape != update.shape:
                    has = "is not there" if shape is None else f"is {list(shape)}"
                    problems.append(
                        f"{adapter.label}: adapts '{parameter.name}', a part of which transformers stores as '{part.name}' "
                        f"{list(update.shape)}; in {base.label} it {has}. Is it the base that the adapter was trained on?"
                    )
                    break
                updates[place] = update
    return updates, problems


def _by_module(stacked: list[StackedFactors]) -> dict[str, list[StackedFactors]]:
    groups: dict[str, list[StackedFactors]] = {}
    for factors in stacked:
        groups.setdefault(factors.module, []).append(factors)
    return groups


def _misfit(adapter: LoraAdapter, factors: StackedFactors, parameter: StackedParameter) -> str | None:
    experts, rank = parameter.experts or 1, adapter.config.rank_of(parameter.name)
    if not parameter.parts:
        return (
            f"{adapter.label}: adapts '{parameter.name}', which transformers stores in another layout than one that is only cut "
            f"and turned, so the update of the stored tensors is not known; {MERGE_FIRST}."
        )
    rows, columns = parameter.shape[-2:]
    outputs, inputs = (columns, rows) if _inputs_first(parameter) else (rows, columns)
    wanted = (experts * rank, inputs), (outputs, experts * rank)
    if (factors.a.shape, factors.b.shape) != wanted:
        return (
            f"{adapter.label}: has lora_A {list(factors.a.shape)} and lora_B {list(factors.b.shape)} for '{parameter.name}' "
            f"{list(parameter.shape)}, which at rank {rank} takes {list(wanted[0])} and {list(wanted[1])}."
        )
    return None


def _inputs_first(parameter: StackedParameter) -> bool:
    """PEFT looks at the module's word only where there are several experts."""
    return parameter.inputs_first and (parameter.experts or 1) > 1


def _update_of(
    adapter: LoraAdapter,
    factors: StackedFactors,
    parameter: StackedParameter,
    part: StoredPart,
    shape: tuple[int, ...] | None,
) -> LoraUpdate:
    """`shape`: of the tensor in the base. Some models are found with their stacked experts turned and not turned."""
    all_experts = parameter.experts is not None and part.expert is None
    if all_experts and shape is not None and shape != part.shape(parameter.experts):
        other = replace(part, turned=not part.turned)
        part = other if other.shape(parameter.experts) == shape else part
    return LoraUpdate(
        module=factors.module,
        kind=UpdateKind.EXPERTS if all_experts else UpdateKind.MATRIX,
        scale=adapter.config.scale_of(parameter.name),
        rank=adapter.config.rank_of(parameter.name),
        shape=part.shape(parameter.experts),
        a=factors.a.name,
        b=factors.b.name,
        part=ExpertPart(parameter.experts or 1, _inputs_first(parameter), part, all_experts),
    )

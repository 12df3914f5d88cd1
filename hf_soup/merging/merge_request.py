"""What a recipe file asks for, whichever notation it is in, as the arguments of Soup and of Soup.merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hf_soup.checkpoints import Checkpoint, ModelRef
from hf_soup.errors import InputError
from hf_soup.merging.layers import Layers, layer_count
from hf_soup.merging.tensor_values import Value, scalars_of, write_value
from hf_soup.methods import MergeMethod
from hf_soup.sizes import parse_size

_SIZES = ("shard_size", "memory")


@dataclass(frozen=True)
class MergeRequest:
    """`Soup(**request.soup_arguments)` and then `soup.merge(**request.merge_arguments, out=…)` carry it out.

    `parameters`: as `TensorParameters.bind` takes them, values may be Gradient and FilterRules. `options`: those of dtype,
    shard_size, memory, device and license that the recipe states. `layers`: how many layers every model must have for the
    recipe to mean what it says; None where it does not matter. `warnings`: what was accepted and has no effect.
    """

    source: str
    """The file, for messages."""
    models: tuple[str | ModelRef, ...]
    base: str | ModelRef | None
    method: str
    parameters: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    layers: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def soup_arguments(self) -> dict[str, Any]:
        return {"models": list(self.models), "base": self.base}

    @property
    def plan_arguments(self) -> dict[str, Any]:
        """For `Soup.plan`, which takes no licence."""
        return {name: value for name, value in self.merge_arguments.items() if name != "license"}

    @property
    def merge_arguments(self) -> dict[str, Any]:
        return {"method": self.method, **self.options, **self.parameters}

    def layer_problems(self, checkpoints: Iterable[Checkpoint]) -> list[str]:
        """What only the models' configurations can tell: does the recipe's range cover all the layers of each?"""
        if self.layers is None:
            return []
        problems = []
        for checkpoint in checkpoints:
            count = layer_count(checkpoint.config)
            if count is None:
                count = max(Layers.of(checkpoint.names()).counts.values(), default=0)
            if count != self.layers:
                problems.append(
                    f"{self.source}: slices[0]: layer_range [0, {self.layers}] does not cover exactly the {count} layers of "
                    f"{checkpoint.label}; hf-soup merges whole models only."
                )
        return problems

    def with_options(self, given: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> MergeRequest:
        """Returns the request with what stands on the command line and not in the recipe.

        `given`: by name, such as "dtype" or "base", only what was typed. `settings`: parameters of the method, weights
        among them. Raises InputError for everything that says something else than the recipe does.
        """
        stated = {"method": self.method, **({} if self.base is None else {"base": self.base}), **self.options}
        problems = [
            f"--{name.replace('_', '-')} {value}: {self.source} says {name}: {stated[name]}; leave the option out, or change the recipe."
            for name, value in given.items()
            if name in stated and not _same(name, stated[name], value)
        ]
        settings = settings or {}
        problems += [
            f"{'--weights or ' if name == 'weight' else ''}--set {name}: {self.source} sets {name} itself; leave the option "
            "out, or change the recipe."
            for name, value in settings.items()
            if name in self.parameters and self.parameters[name] != value
        ]
        if problems:
            raise InputError(problems)
        rest = {name: value for name, value in given.items() if name not in ("method", "base")}
        return replace(
            self,
            base=given.get("base", self.base),
            options={**rest, **self.options},
            parameters={**settings, **self.parameters},
        )


def per_model(values: list[Value | None]) -> Any:
    """Returns the values of a parameter, one per model or None, in the shortest form that `MergeMethod.bind` takes."""
    if None in values:
        return {place: value for place, value in enumerate(values) if value is not None}
    return values[0] if all(repr(value) == repr(values[0]) for value in values) else values


def value_problems(method: MergeMethod, parameter: str, value: Value, where: str) -> list[str]:
    """What is wrong with a value by itself: its kind or its range. The sentences begin with `where`."""
    from pydantic import ValidationError

    problems = []
    for scalar in scalars_of(value):
        try:
            method.schema.model_validate({parameter: [scalar] if parameter in method.per_model else scalar})
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            problems.append(f"{where} = {write_value(value)!r}: {message[0].lower()}{message[1:]}.")
    return list(dict.fromkeys(problems))


def _same(name: str, stated: Any, given: Any) -> bool:
    if name in _SIZES:
        return parse_size(stated) == parse_size(given)
    return str(stated) == str(given)

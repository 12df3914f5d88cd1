"""What a merge method is, and the table of all of them, made from their signatures.

A method is a plain function, always called by keyword. The registry reads from its signature, so that nobody writes it
twice, what it is given and what can be set:

- `models: Sequence[Tensor]`: the ingredients, blocks of one shape
- `base: Tensor`: the method needs a base model, and this is its block
- `survey: X`: what the decorator's `survey` function found out about the whole tensor, before any block is combined
- `place: Place`: where the block lies, for methods that draw at random or look at positions
- keyword-only `x: PerModel[float] = 1.0`: one value per ingredient; a single value stands for all
- keyword-only `y: float = 0.5`: one value
- `Annotated[float, Field(ge=0, le=1)]`: the allowed range, which the plan checks and `hf-soup methods` prints

The docstring's first line is the help text; its `Source:` line goes into the model card.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from torch import Tensor

from hf_soup.errors import InputError
from hf_soup.methods.blocks import Granules, Place

T = TypeVar("T")


class PerModel(list[T]):
    """One value for each ingredient; in a signature its default is the single value that stands for all."""


Finite = Annotated[float, Field(allow_inf_nan=False)]
Check = Callable[[dict[str, Any]], list[str]]
METHODS: dict[str, MergeMethod] = {}


@dataclass(frozen=True)
class MergeMethod:
    name: str
    combine: Callable[..., Any]
    needs_base: bool
    elementwise: bool
    """May be called on blocks of a tensor; otherwise it gets whole tensors."""
    survey: Callable[..., Any] | None
    """A first pass over a tensor, `survey(granules, **parameters)`; it may have the method's parameters that it names."""
    needs_place: bool
    exactly: int | None
    """The number of models that it takes; None: any, from `at_least`."""
    commutative: bool
    """The order of the ingredients means nothing, so the merge sorts them by fingerprint."""
    schema: type[BaseModel]
    per_model: frozenset[str]
    check: Check | None
    at_least: int = 1
    idempotent: bool | str = False
    """Where all inputs are equal, the base included, the result is that input up to rounding; a word: where the parameter of
    that name is true."""

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.combine) or "").split("\n", 1)[0]

    @property
    def source(self) -> str:
        for line in (inspect.getdoc(self.combine) or "").splitlines():
            if line.strip().startswith("Source:"):
                return line.strip().removeprefix("Source:").strip()
        return ""

    def returns_equals(self, parameters: Mapping[str, Any]) -> bool:
        """Whether with these parameters, as `bind` returns them, inputs that are all equal need no arithmetic."""
        return bool(parameters[self.idempotent]) if isinstance(self.idempotent, str) else self.idempotent

    @property
    def defaults(self) -> dict[str, Any]:
        signature = inspect.signature(self.combine).parameters
        return {name: signature[name].default for name in self.schema.model_fields}

    def bind(self, n_models: int, given: dict[str, Any]) -> dict[str, Any]:
        """Returns every parameter, checked; per-model ones as lists of `n_models` values in the order of the models.

        A per-model parameter is given as one value for all, as a list, or as `{index: value}` for some models, with
        None as the index of all others. Raises InputError with all problems: unknown names, values out of range, wrong
        number of values.
        """
        problems: list[str] = []
        if self.exactly is not None and n_models != self.exactly:
            problems.append(f"method {self.name}: takes exactly {self.exactly} models, there are {n_models}.")
        if n_models < self.at_least:
            problems.append(f"method {self.name}: takes {self.at_least} models or more, there is {n_models}.")
        values: dict[str, Any] = {}
        for name, value in given.items():
            if isinstance(value, Mapping):
                values[name] = self._by_index(name, value, n_models, problems)
            elif name in self.per_model:
                is_list = isinstance(value, Sequence) and not isinstance(value, str)
                values[name] = list(value) if is_list else [value] * n_models
            else:
                values[name] = value
        for name in self.per_model & set(values):
            if len(values[name]) != n_models:
                problems.append(
                    f"method {self.name}: {name} has {len(values[name])} values for {n_models} models; give one per model."
                )
        try:
            model = self.schema(**values)
        except ValidationError as error:
            problems += [_sentence(self, problem) for problem in error.errors()]
        if problems:
            raise InputError(problems)
        bound = {name: getattr(model, name) for name in self.schema.model_fields}
        for name in self.per_model - set(values):
            bound[name] = bound[name] * n_models
        if self.check is not None and (found := self.check(bound)):
            raise InputError([f"method {self.name}: {problem}" for problem in found])
        return bound

    def look(self, granules: Granules, parameters: Mapping[str, Any]) -> Any:
        """Makes the survey of one tensor; None for a method without one. `parameters` as `bind` returns them."""
        if self.survey is None:
            return None
        wanted = inspect.signature(self.survey).parameters
        return self.survey(granules, **{name: value for name, value in parameters.items() if name in wanted})

    def __call__(
        self, models: Sequence[Tensor], base: Tensor | None, survey: Any, place: Place, parameters: Mapping[str, Any]
    ) -> Tensor:
        """Combines one block, giving the function what its signature asks for."""
        given: dict[str, Any] = {"models": models, **parameters}
        if self.needs_base:
            given["base"] = base
        if self.survey is not None:
            given["survey"] = survey
        if self.needs_place:
            given["place"] = place
        merged: Tensor = self.combine(**given)
        return merged

    def _by_index(self, name: str, given: Mapping[int | None, Any], n_models: int, problems: list[str]) -> Any:
        if name not in self.per_model:
            problems.append(f"method {self.name}: {name} is one value for all models, not one per model.")
            return given.get(None, self.defaults.get(name))
        values = [given.get(None, self.defaults[name])] * n_models
        for index, value in given.items():
            if index is not None and not 0 <= index < n_models:
                problems.append(f"method {self.name}: {name}[{index}]: there are models 0 to {n_models - 1}.")
            elif index is not None:
                values[index] = value
        return values


def merge_method(
    *,
    commutative: bool,
    elementwise: bool = True,
    survey: Callable[..., Any] | None = None,
    exactly: int | None = None,
    at_least: int = 1,
    check: Check | None = None,
    idempotent: bool | str = False,
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Registers a function as a merge method under its own name.

    `check`: gets the bound parameters, returns problems that no single parameter's range can express. `exactly`: how many
    models it takes, None for any number from `at_least`. `survey`: a first pass over each tensor, see
    `hf_soup.methods.blocks`. `idempotent`: whether it returns what all inputs are where they are equal, the base too, or the
    name of a parameter that must be true for it; such tensors are copied.
    """

    def register(combine: Callable[..., T]) -> Callable[..., T]:
        hints = typing.get_type_hints(combine, include_extras=True)
        signature = inspect.signature(combine).parameters
        settings = [p for p in signature.values() if p.kind is p.KEYWORD_ONLY]
        per_model = frozenset(p.name for p in settings if typing.get_origin(hints[p.name]) is PerModel)
        fields: dict[str, Any] = {}
        for p in settings:
            if p.name in per_model:
                fields[p.name] = (list[typing.get_args(hints[p.name])[0]], [p.default])  # type: ignore[misc]
            else:
                fields[p.name] = (hints[p.name], p.default)
        METHODS[combine.__name__] = MergeMethod(
            name=combine.__name__,
            combine=combine,
            needs_base="base" in signature and signature["base"].default is inspect.Parameter.empty,
            elementwise=elementwise,
            survey=survey,
            needs_place="place" in signature,
            exactly=exactly,
            commutative=commutative,
            schema=create_model(combine.__name__, __config__=ConfigDict(extra="forbid"), **fields),
            per_model=per_model,
            check=check,
            at_least=at_least,
            idempotent=idempotent,
        )
        return combine

    return register


def method_named(name: str) -> MergeMethod:
    """Returns the method. Raises InputError, listing the known ones, when there is none of that name."""
    if name not in METHODS:
        raise InputError(f"There is no merge method '{name}'; known methods: {', '.join(sorted(METHODS))}.")
    return METHODS[name]


def _sentence(method: MergeMethod, problem: Any) -> str:
    name, *place = problem["loc"] or ("?",)
    if problem["type"] == "extra_forbidden":
        known = ", ".join(method.schema.model_fields)
        return f"method {method.name}: has no parameter '{name}'; it has: {known}."
    where = f"{name}[{place[0]}]" if place else str(name)
    return f"method {method.name}: {where} = {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}."

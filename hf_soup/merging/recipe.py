"""Our recipe: everything that Soup and Soup.merge take, in a YAML file.

    hf_soup: 1                     # the version of this notation
    method: ties
    base: me/base
    models:
      - me/run-1
      - model: me/run-2@v1.0       # with parameters of the method for this model alone
        weight: 2
        density: [0.3, 0.7]        # a gradient: 0.3 in the first layer, 0.7 in the last
    parameters:                    # for all models, and of the method as a whole
      density:
        - {filter: mlp, value: 0.5}
        - {value: 0.2}
      normalize: true
    dtype: bfloat16

Also `shard_size`, `memory`, `device` and `license`. Defaults are those of Soup.merge. Folders are taken as from the command
line: relative to where the program runs, not to the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from hf_soup.errors import InputError
from hf_soup.merging.merge_request import MergeRequest, per_model, value_problems
from hf_soup.merging.nearest import unknown_key
from hf_soup.merging.recipe_file import read_mapping, validated
from hf_soup.merging.tensor_values import Value, read_value
from hf_soup.methods import MergeMethod, method_named

VERSION_KEY = "hf_soup"
_OPTIONS = ("dtype", "shard_size", "memory", "device", "license")


class RecipeModel(BaseModel):
    """An ingredient: its reference, and whatever else stands with it, parameters of the method for it alone."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"model": given}
        if not isinstance(given, dict):
            raise ValueError(f"is {given!r}; write a model's name, or a mapping with 'model' and its parameters.")
        return given

    @model_serializer
    def _as_short_as_possible(self) -> Any:
        return {"model": self.model, **self.parameters} if self.parameters else self.model

    @property
    def parameters(self) -> dict[str, Any]:
        return self.__pydantic_extra__ or {}


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    hf_soup: Literal[1]
    method: str = "linear"
    base: str | None = None
    models: list[RecipeModel] = Field(min_length=1)
    parameters: dict[str, Any] = {}
    dtype: str | None = None
    shard_size: str | int | None = None
    memory: str | int | None = None
    device: str | None = None
    license: str | None = None

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Reads and checks a recipe. Raises InputError with every problem, each naming the file and the key."""
        path = Path(path)
        return cls.from_document(read_mapping(path), str(path))

    @classmethod
    def from_document(cls, document: dict[Any, Any], source: str) -> Recipe:
        """As `load`, from what stands in the file; `source` names it in messages."""
        try:
            recipe = validated(cls, document, {"": list(cls.model_fields)})
        except InputError as error:
            raise InputError([f"{source}: {problem}" for problem in error.problems]) from error
        recipe.request(source)
        return recipe

    def dump(self) -> str:
        """Returns the YAML text of which `load` makes an equal recipe."""
        return yaml.safe_dump(self.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)

    def request(self, source: str = "recipe") -> MergeRequest:
        """Returns what it asks for. Raises InputError with all problems of the method and its parameters."""
        try:
            method = method_named(self.method)
        except InputError as error:
            raise InputError([f"{source}: method: {problem}" for problem in error.problems]) from error
        problems: list[str] = []
        common = _read(method, self.parameters, "parameters", list(method.schema.model_fields), problems)
        own = []
        for place, model in enumerate(self.models):
            known = [name for name in method.schema.model_fields if name in method.per_model]
            own.append(_read(method, model.parameters, f"models[{place}]", known, problems))
        if problems:
            raise InputError([f"{source}: {problem}" for problem in problems])
        parameters: dict[str, Any] = dict(common)
        for name in method.schema.model_fields:
            values = [each.get(name, common.get(name)) for each in own]
            if any(name in each for each in own):
                parameters[name] = per_model(values)
        return MergeRequest(
            source=source,
            models=tuple(model.model for model in self.models),
            base=self.base,
            method=self.method,
            parameters=parameters,
            options={name: value for name in _OPTIONS if (value := getattr(self, name)) is not None},
        )


def _read(
    method: MergeMethod, given: dict[str, Any], where: str, known: list[str], problems: list[str]
) -> dict[str, Value]:
    values = {}
    for name, raw in given.items():
        key = f"{where}.{name}"
        if name not in method.schema.model_fields:
            problems.append(f"{key}: {unknown_key(str(name), ['model', *known] if where != 'parameters' else known)}")
        elif name not in known:
            problems.append(f"{key}: is one value for all models; write it under 'parameters'.")
        elif (value := read_value(raw, key, problems)) is not None:
            problems += value_problems(method, name, value, key)
            values[name] = value
    return values

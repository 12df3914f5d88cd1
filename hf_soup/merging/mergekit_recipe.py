"""A mergekit file, taken as it is: what it means in our terms, or which of its keys cannot be followed.

What is refused: every key that we do not follow, also where mergekit itself passes over it in silence; layers put together
from several models; vocabularies that would have to be made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hf_soup.checkpoints import ModelRef
from hf_soup.errors import InputError
from hf_soup.merging.merge_request import MergeRequest, per_model, value_problems
from hf_soup.merging.mergekit_methods import KNOWN_PARAMETERS, MERGEKIT_METHODS, Base, MergekitMethod
from hf_soup.merging.mergekit_model import mergekit_reference
from hf_soup.merging.nearest import unknown_key
from hf_soup.merging.recipe_file import validated
from hf_soup.merging.tensor_values import Value, first_of, read_value
from hf_soup.methods import method_named

METHOD_KEY = "merge_method"
_DTYPES = ("float32", "bfloat16", "float16", "float64")
_NOT_FOLLOWED = {
    "chat_template": "hf-soup copies the chat template as it is; leave this out, and set the template afterwards.",
    "input_model_parameters": "hf-soup does not follow it; put the parameters under 'models'.",
    "modules": "hf-soup merges whole models only; use 'models'.",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MergekitModel(_Strict):
    model: str
    parameters: dict[str, Any] | None = None


class MergekitSource(MergekitModel):
    layer_range: tuple[int, int]


class MergekitSlice(_Strict):
    sources: list[MergekitSource] = Field(min_length=1)
    parameters: dict[str, Any] | None = None


class MergekitTokenizer(_Strict):
    source: str = "union"
    tokens: dict[str, Any] | None = None
    pad_to_multiple_of: int | None = None


class MergekitFile(_Strict):
    """The keys that are followed."""

    merge_method: str
    models: list[MergekitModel] | None = None
    slices: list[MergekitSlice] | None = None
    base_model: str | None = None
    parameters: dict[str, Any] | None = None
    dtype: str | None = None
    out_dtype: str | None = None
    tokenizer_source: str | None = None
    tokenizer: MergekitTokenizer | None = None
    name: str | None = None

    @property
    def sources(self) -> list[tuple[str, MergekitModel]]:
        """(key, model) of what is merged; of several slices the first one's."""
        if self.slices:
            return [(f"slices[0].sources[{i}]", source) for i, source in enumerate(self.slices[0].sources)]
        return [(f"models[{i}]", model) for i, model in enumerate(self.models or [])]


_KEYS = {
    "": list(MergekitFile.model_fields),
    "models": list(MergekitModel.model_fields),
    "slices": list(MergekitSlice.model_fields),
    "slices.sources": list(MergekitSource.model_fields),
    "tokenizer": list(MergekitTokenizer.model_fields),
}


@dataclass(frozen=True)
class _Ingredient:
    """A model in its final place; `own`: its parameters under mergekit's names, read."""

    model: str
    where: str
    own: dict[str, Value]


def mergekit_request(document: dict[Any, Any], source: str) -> MergeRequest:
    """Returns what a mergekit file asks for. Raises InputError with every problem, each naming the file and the key."""
    try:
        return _request(document, source)
    except InputError as error:
        raise InputError([f"{source}: {problem}" for problem in error.problems]) from error


def _request(document: dict[Any, Any], source: str) -> MergeRequest:
    problems = [f"{key}: {reason}" for key, reason in _NOT_FOLLOWED.items() if document.get(key) is not None]
    method = MERGEKIT_METHODS.get(str(document.get(METHOD_KEY)))
    if method is None:
        known = ", ".join(MERGEKIT_METHODS)
        problems.append(f"{METHOD_KEY}: is {document.get(METHOD_KEY)!r}; of mergekit's methods hf-soup has: {known}.")
    try:
        file = validated(MergekitFile, {k: v for k, v in document.items() if k not in _NOT_FOLLOWED}, _KEYS)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from error
    if method is None:
        raise InputError(problems)
    warnings: list[str] = []
    problems += _shape_problems(file)
    references = _references(file, problems)
    reader = _Reader(file.merge_method, method, problems, warnings)
    common = reader.read(file.parameters, "parameters", of_a_model=False)
    if file.slices:
        common = reader.read(file.slices[0].parameters, "slices[0].parameters", of_a_model=False, over=common)
    ingredients = _ingredients(file, method, reader)
    problems += _tokenizer_problems(file, ingredients)
    if file.name is not None:
        warnings.append("name: is read by mergekit-multi only and has no effect here.")
    if method.warning:
        warnings.append(f"{METHOD_KEY} {file.merge_method}: {method.warning}")
    parameters = _parameters(method, ingredients, common, problems)
    dtype = _dtype(file, problems)
    if problems:
        raise InputError(problems)
    return MergeRequest(
        source=source,
        models=tuple(references[ingredient.model] for ingredient in ingredients),
        base=references[file.base_model] if method.base is Base.THE_ORIGIN and file.base_model is not None else None,
        method=file.merge_method,
        parameters=parameters,
        options={} if dtype is None else {"dtype": dtype},
        layers=file.slices[0].sources[0].layer_range[1] if file.slices else None,
        warnings=tuple(f"{source}: {warning}" for warning in warnings),
    )


def _shape_problems(file: MergekitFile) -> list[str]:
    if bool(file.models) == bool(file.slices):
        return ["models: give either 'models' or 'slices'."]
    problems = []
    if file.slices and len(file.slices) > 1:
        problems.append(f"slices: there are {len(file.slices)}; hf-soup follows one slice that covers all layers.")
    if file.slices:
        ranges = {source.layer_range for source in file.slices[0].sources}
        if len(ranges) > 1 or any(start != 0 or stop < 1 for start, stop in ranges):
            shown = ", ".join(str(list(each)) for each in sorted(ranges))
            problems.append(
                f"slices[0]: the layer_range is {shown}; it must be [0, all layers], the same for each source."
            )
    names = [model.model for _, model in file.sources]
    for key, model in file.sources:
        if names.count(model.model) > 1:
            problems.append(f"{key}.model: '{model.model}' stands there twice; name it once and give it a weight.")
    return problems


def _references(file: MergekitFile, problems: list[str]) -> dict[str, str | ModelRef]:
    """Every model that the file names, as Soup takes it; with a problem for each that cannot be read."""
    found: dict[str, str | ModelRef] = {}
    named = [(f"{key}.model", model.model) for key, model in file.sources]
    for key, text in [*named, *([("base_model", file.base_model)] if file.base_model is not None else [])]:
        try:
            found[text] = mergekit_reference(text)
        except InputError as error:
            problems += [f"{key}: {problem}" for problem in error.problems]
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads parameters under mergekit's names; what is wrong or without effect goes to `problems` and `warnings`."""

    name: str
    method: MergekitMethod
    problems: list[str]
    warnings: list[str]

    def read(
        self, given: dict[str, Any] | None, where: str, *, of_a_model: bool, over: dict[str, Value] | None = None
    ) -> dict[str, Value]:
        """`over`: what these values come before, where their own filters do not fit."""
        values = dict(over or {})
        for name, raw in (given or {}).items():
            key = f"{where}.{name}"
            parameter = self.method.parameters.get(name)
            if name not in KNOWN_PARAMETERS:
                known = [*self.method.parameters, *self.method.only]
                self.problems.append(f"{key}: {unknown_key(str(name), known)}")
            elif name in self.method.only and not of_a_model:
                only = self.method.only[name]
                if raw != only:
                    self.problems.append(f"{key}: is {raw!r}; hf-soup's {self.name} knows {str(only).lower()} only.")
            elif parameter is None:
                self.warnings.append(f"{key}: has no effect with {METHOD_KEY} {self.name}.")
            elif of_a_model and not parameter.per_model:
                self.warnings.append(f"{key}: has no effect for one model; 'parameters' is where it counts.")
            elif (value := read_value(raw, key, self.problems)) is not None:
                self.problems.extend(value_problems(method_named(self.name), parameter.name, value, key))
                values[name] = _chain([value, values.get(name)])
        return values


def _ingredients(file: MergekitFile, method: MergekitMethod, reader: _Reader) -> list[_Ingredient]:
    """The models in our order. Problems of their number and of the base go to the reader's."""
    found = []
    for key, model in file.sources:
        if method.base is Base.THE_ORIGIN and model.model == file.base_model:
            if model.parameters:
                reader.warnings.append(f"{key}.parameters: has no effect, since this is the base_model.")
            continue
        found.append(
            _Ingredient(model.model, key, reader.read(model.parameters, f"{key}.parameters", of_a_model=True))
        )
    base = file.base_model
    problems = reader.problems
    if base is None:
        if method.base is not Base.A_MODEL:
            problems.append(f"base_model: is missing; {METHOD_KEY} {file.merge_method} needs one.")
    elif method.base is not Base.THE_ORIGIN:
        if file.slices and base not in [one.model for one in found]:
            problems.append(
                f"base_model: '{base}' is not among the sources of the slice; add it there, or use 'models'."
            )
        # Config and tokenizer come from our first model as they do from mergekit's base.
        first = [one for one in found if one.model == base] or [_Ingredient(base, "base_model", {})]
        found = [*first, *(one for one in found if one.model != base)]
    if method.base is Base.THE_START and base is not None and len(found) != 2:
        problems.append(
            f"models: {METHOD_KEY} {file.merge_method} takes exactly 2 with the base_model, there are {len(found)}."
        )
    if not found:
        problems.append("models: holds nothing but the base_model.")
    return found


def _parameters(
    method: MergekitMethod, ingredients: list[_Ingredient], common: dict[str, Value], problems: list[str]
) -> dict[str, Any]:
    """Returns our parameters, all of them stated, since mergekit's defaults are not ours."""
    parameters: dict[str, Any] = dict(method.fixed)
    for name, parameter in method.parameters.items():
        if not parameter.per_model:
            if name not in common and parameter.default is None:
                problems.append(f"parameters.{name}: is missing; mergekit has no default for it.")
            else:
                parameters[parameter.name] = _chain([common.get(name), parameter.default])
            continue
        values: list[Value | None] = []
        for one in ingredients:
            levels = [one.own.get(name), common.get(name), parameter.default]
            if all(level is None for level in levels):
                problems.append(f"{one.where}: '{one.model}' has no {name}, and mergekit has no default for it.")
            else:
                values.append(_chain(levels))
        if values:
            parameters[parameter.name] = per_model(values)
    return parameters


def _chain(levels: list[Value | None]) -> Value:
    value = first_of([level for level in levels if level is not None])
    assert value is not None
    return value


def _tokenizer_problems(file: MergekitFile, ingredients: list[_Ingredient]) -> list[str]:
    """The donor's tokenizer is copied as it is: fine for whoever asks for that one."""
    donor = file.base_model or (ingredients[0].model if ingredients else None)
    problems = []
    asked = {"tokenizer_source": file.tokenizer_source}
    if file.tokenizer is not None:
        asked["tokenizer.source"] = file.tokenizer.source
        for name in ("tokens", "pad_to_multiple_of"):
            if getattr(file.tokenizer, name):
                problems.append(f"tokenizer.{name}: hf-soup copies the tokenizer as it is; leave this out.")
    for key, wanted in asked.items():
        if wanted is None or (wanted == "base" and file.base_model) or wanted in (donor, f"model:{donor}"):
            continue
        problems.append(
            f"{key}: is '{wanted}'; hf-soup copies the tokenizer of '{donor}' as it is and makes no other."
        )
    return problems


def _dtype(file: MergekitFile, problems: list[str]) -> str | None:
    """mergekit casts what it reads to dtype and what it writes to out_dtype; we round once, to what is written."""
    names = {}
    for key in ("dtype", "out_dtype"):
        given = getattr(file, key)
        if given is not None:
            names[key] = given.removeprefix("torch.")
            if names[key] not in _DTYPES:
                problems.append(f"{key}: is '{given}'; write one of {', '.join(_DTYPES)}.")
    return names.get("out_dtype", names.get("dtype"))

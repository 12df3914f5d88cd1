"""The parameters of a merge method for every tensor, bound and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_soup.errors import InputError
from hf_soup.merging.layers import Layers
from hf_soup.merging.tensor_values import Scalar, read_value, value_at, varies, write_value
from hf_soup.methods import MergeMethod

_SHOWN = 3
_RULES = "by_tensor"


@dataclass(frozen=True)
class TensorParameters:
    """Make it with `bind` or `from_json`. Tensors with equal values share one dict, which nobody may change."""

    method: MergeMethod
    template: Mapping[str, Any]
    """Every parameter with the values that were given, per-model ones as lists: what can be written down."""
    layers: Layers
    _bound: Mapping[str, dict[str, Any]]
    _one: dict[str, Any] | None
    """What all tensors have, where nothing depends on the tensor."""

    @classmethod
    def bind(
        cls,
        method: MergeMethod,
        n_models: int,
        given: Mapping[str, Any],
        tensor_names: Iterable[str],
        layers: int | None = None,
    ) -> TensorParameters:
        """Returns the parameters of the tensors that the method combines.

        `given`: what `MergeMethod.bind` takes, where a Gradient or FilterRules may stand for any single value.
        `tensor_names`: of the combined tensors, as the result names them. `layers`: the number that config.json names, see
        `Layers.of`. Raises InputError with all problems: what `MergeMethod.bind` finds for any tensor, and tensors for
        which no filter fits.
        """
        names = list(tensor_names)
        return cls._bind(method, n_models, given, names, Layers.of(names, layers))

    @classmethod
    def from_json(
        cls, method: MergeMethod, n_models: int, document: Mapping[str, Any], tensor_names: Iterable[str]
    ) -> TensorParameters:
        """The inverse of `to_json`: the same values for the same tensors. Raises InputError as `bind` does."""
        names = list(tensor_names)
        if _RULES not in document:
            return cls._bind(method, n_models, document, names, Layers({}))
        rules = document[_RULES]
        if not isinstance(rules, Mapping) or not all(
            isinstance(rules.get(k), Mapping) for k in ("parameters", "layers")
        ):
            raise InputError(f"parameters.{_RULES}: must hold the mappings 'parameters' and 'layers'.")
        problems: list[str] = []
        given: dict[str, Any] = {}
        for name, raw in rules["parameters"].items():
            where = f"parameters.{_RULES}.parameters.{name}"
            if name in method.per_model and isinstance(raw, list):
                given[name] = [read_value(each, f"{where}[{i}]", problems) for i, each in enumerate(raw)]
            else:
                given[name] = read_value(raw, where, problems)
        problems += [
            f"parameters.{_RULES}.layers.{stack}: is {count!r}, not a number of layers."
            for stack, count in rules["layers"].items()
            if not isinstance(count, int)
        ]
        if problems:
            raise InputError(problems)
        return cls._bind(method, n_models, given, names, Layers(dict(rules["layers"])))

    @classmethod
    def _bind(
        cls, method: MergeMethod, n_models: int, given: Mapping[str, Any], names: Sequence[str], layers: Layers
    ) -> TensorParameters:
        if not varies(given):
            one = method.bind(n_models, dict(given))
            return cls(method, one, layers, {}, one)
        unmatched: dict[str, list[str]] = {}
        groups: dict[tuple[Any, ...], list[str]] = {}
        resolved: dict[tuple[Any, ...], dict[str, Any]] = {}
        for name in names:
            leaves: list[Scalar] = []
            missing: list[str] = []
            values = {key: _resolved(value, key, name, layers, leaves, missing) for key, value in given.items()}
            for where in missing:
                unmatched.setdefault(where, []).append(name)
            key = tuple((type(leaf), leaf) for leaf in leaves)
            groups.setdefault(key, []).append(name)
            if not missing:
                resolved[key] = values
        bound, problems = _bound_groups(method, n_models, resolved, groups)
        problems = [*(_no_rule(where, lacking) for where, lacking in unmatched.items()), *problems]
        if problems:
            raise InputError(problems)
        distinct = list({id(one): one for one in bound.values()}.values())
        template = {
            name: _per_model(method, name, given[name], n_models) if varies(given.get(name)) else distinct[0][name]
            for name in method.schema.model_fields
            if distinct
        }
        alike = bool(distinct) and all(each == distinct[0] for each in distinct)
        return cls(method, template, layers, bound, distinct[0] if alike else None)

    @property
    def uniform(self) -> bool:
        """Whether all tensors have the same values."""
        return self._one is not None

    def of(self, tensor: str) -> dict[str, Any]:
        """Returns a tensor's parameters as `MergeMethod.bind` does; one and the same dict where they are uniform.

        Raises KeyError for a tensor that was not among the names, unless they are uniform.
        """
        return self._bound[tensor] if self._one is None else self._one

    def permuted(self, order: Sequence[int]) -> TensorParameters:
        """Returns the parameters of the models in another order: the first one is then that of model `order[0]`."""
        distinct = {id(one): one for one in [*self._bound.values(), *([self._one] if self._one is not None else [])]}
        moved = {key: self._moved(one, order) for key, one in distinct.items()}
        bound = {name: moved[id(one)] for name, one in self._bound.items()}
        of_all = moved[id(self._one)] if self._one is not None else None
        return TensorParameters(self.method, self._moved(self.template, order), self.layers, bound, of_all)

    def to_json(self) -> dict[str, Any]:
        """Returns what soup.json holds: the values where they are uniform, else the rules and the number of layers.

        The rules need nothing else to give the same values again: `{"by_tensor": {"parameters": {"weight": [0.5, [0, 1]],
        "normalize": true}, "layers": {"model.layers": 12}}}`, values written as in a recipe.
        """
        if self._one is not None:
            return dict(self._one)
        parameters = {
            name: [write_value(each) for each in value] if name in self.method.per_model else write_value(value)
            for name, value in self.template.items()
        }
        return {_RULES: {"parameters": parameters, "layers": dict(self.layers.counts)}}

    def _moved(self, parameters: Mapping[str, Any], order: Sequence[int]) -> dict[str, Any]:
        return {
            name: [value[i] for i in order] if name in self.method.per_model else value
            for name, value in parameters.items()
        }


def _resolved(value: Any, where: str, tensor: str, layers: Layers, leaves: list[Scalar], missing: list[str]) -> Any:
    """The value with a scalar in every place, each also put into `leaves`; places that have none go to `missing`."""
    if isinstance(value, Mapping):
        return {
            key: _resolved(each, where if key is None else f"{where}[{key}]", tensor, layers, leaves, missing)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_resolved(each, f"{where}[{i}]", tensor, layers, leaves, missing) for i, each in enumerate(value)]
    found = value_at(value, tensor, layers.depth(tensor))
    if found is None:
        missing.append(where)
    else:
        leaves.append(found)
    return found


def _bound_groups(
    method: MergeMethod,
    n_models: int,
    resolved: Mapping[tuple[Any, ...], dict[str, Any]],
    groups: Mapping[tuple[Any, ...], list[str]],
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Binds once for all tensors with equal values. Returns the bound values by tensor, and the problems."""
    bound: dict[str, dict[str, Any]] = {}
    found: dict[str, list[str]] = {}
    for key, values in resolved.items():
        try:
            one = method.bind(n_models, values)
        except InputError as error:
            for problem in error.problems:
                found.setdefault(problem, []).extend(groups[key])
        else:
            bound |= dict.fromkeys(groups[key], one)
    everywhere = sum(len(groups[key]) for key in resolved)
    problems = [
        problem if len(names) == everywhere else f"{problem[:-1]} (for {_listed(names)})."
        for problem, names in found.items()
    ]
    return bound, problems


def _per_model(method: MergeMethod, name: str, value: Any, n_models: int) -> Any:
    if name not in method.per_model:
        return value
    if isinstance(value, Mapping):
        rest = value.get(None, method.defaults[name])
        return [value.get(index, rest) for index in range(n_models)]
    return list(value) if isinstance(value, list | tuple) else [value] * n_models


def _no_rule(where: str, tensors: Sequence[str]) -> str:
    return f"{where}: no filter fits {_listed(tensors)}; add a last entry with 'value' and no 'filter'."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more

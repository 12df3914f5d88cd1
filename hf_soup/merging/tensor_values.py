"""Parameter values that differ from tensor to tensor: gradients over the layers, and rules that look at names.

In recipes and in soup.json they are written alike: a number, `[0, 0.5, 1]` for a gradient, and
`[{filter: mlp, value: 0.5}, {value: 0}]` for rules, whose values may be gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hf_soup.merging.nearest import unknown_key

Scalar = float | int | bool | str
_EVERYTHING = (None, "", "*")


@dataclass(frozen=True)
class Gradient:
    """Values at even steps through the layers: the first layer has the first, the last layer the last.

    Numbers are interpolated linearly, booleans and words hold until the next one's place. A tensor outside the layers
    (embeddings, final norm, head) has the first value. These are mergekit's rules.
    """

    values: tuple[Scalar, ...]

    def at(self, depth: Fraction) -> Scalar:
        """Returns the value at a depth from 0 (first layer) to 1 (last)."""
        position = depth * (len(self.values) - 1)
        index = math.floor(position)
        share = float(position - index)
        here = self.values[index]
        if share == 0 or isinstance(here, bool | str):
            return here
        there = self.values[index + 1]
        return (1 - share) * float(here) + share * float(there)


@dataclass(frozen=True)
class FilterRule:
    """`value` for the tensors in whose name `filter` occurs, in this spelling; None, "" and "*" stand for all tensors."""

    filter: str | None
    value: Scalar | Gradient

    @property
    def fits_all(self) -> bool:
        return self.filter in _EVERYTHING

    def fits(self, tensor: str) -> bool:
        return self.fits_all or str(self.filter) in tensor


@dataclass(frozen=True)
class FilterRules:
    """The first rule that fits decides."""

    rules: tuple[FilterRule, ...]


Value = Scalar | Gradient | FilterRules


def varies(value: Any) -> bool:
    """Whether a value, or one in a list or mapping of values, may differ from tensor to tensor."""
    if isinstance(value, Mapping):
        return any(varies(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(varies(each) for each in value)
    return isinstance(value, Gradient | FilterRules)


def value_at(value: Value, tensor: str, depth: Fraction) -> Scalar | None:
    """Returns the value for one tensor, None where no rule fits. `depth`: from 0, the first layer, to 1, the last."""
    if isinstance(value, FilterRules):
        fitting = next((rule for rule in value.rules if rule.fits(tensor)), None)
        return None if fitting is None else value_at(fitting.value, tensor, depth)
    return value.at(depth) if isinstance(value, Gradient) else value


def first_of(values: Sequence[Value]) -> Value | None:
    """Returns one value that asks each of them in turn: where the rules of one do not fit, the next decides."""
    rules: list[FilterRule] = []
    for value in values:
        rules += value.rules if isinstance(value, FilterRules) else [FilterRule(None, value)]
    end = next((place for place, rule in enumerate(rules) if rule.fits_all), len(rules) - 1)
    if not rules:
        return None
    return rules[0].value if rules[0].fits_all else FilterRules(tuple(rules[: end + 1]))


def scalars_of(value: Value) -> Iterator[Scalar]:
    """Every number, boolean or word that stands in a value."""
    if isinstance(value, FilterRules):
        for rule in value.rules:
            yield from scalars_of(rule.value)
    elif isinstance(value, Gradient):
        yield from value.values
    else:
        yield value


def read_value(raw: Any, where: str, problems: list[str]) -> Value | None:
    """Returns what a recipe says; None, and a sentence more in `problems` that begins with `where`, if it says nothing."""
    entries = [raw] if isinstance(raw, Mapping) else raw
    if not isinstance(entries, list | tuple):
        return _scalar(raw, where, problems)
    if not entries:
        problems.append(f"{where}: the list is empty; give at least one value.")
        return None
    if not any(isinstance(entry, Mapping) for entry in entries):
        return _gradient(entries, where, problems)
    found = [_rule(entry, f"{where}[{place}]", problems) for place, entry in enumerate(entries)]
    rules = tuple(rule for rule in found if rule is not None)
    return FilterRules(rules) if len(rules) == len(found) else None


def write_value(value: Value) -> Any:
    """The inverse of `read_value`."""
    if isinstance(value, Gradient):
        return list(value.values)
    if isinstance(value, FilterRules):
        return [
            {"value": write_value(rule.value)}
            if rule.fits_all
            else {"filter": rule.filter, "value": write_value(rule.value)}
            for rule in value.rules
        ]
    return value


def _rule(entry: Any, where: str, problems: list[str]) -> FilterRule | None:
    if not isinstance(entry, Mapping):
        problems.append(
            f"{where}: is {entry!r}; a list holds numbers only, or entries with 'filter' and 'value' only."
        )
        return None
    wrong = [
        f"{where}.{key}: {unknown_key(str(key), ('filter', 'value'))}"
        for key in entry
        if key not in ("filter", "value")
    ]
    text = entry.get("filter")
    if text is not None and not isinstance(text, str):
        wrong.append(f"{where}.filter: is {text!r}; write a part of the tensors' names.")
    if "value" not in entry:
        wrong.append(f"{where}: has no 'value'.")
        value = None
    else:
        value = read_value(entry["value"], f"{where}.value", wrong)
        if isinstance(value, FilterRules):
            wrong.append(f"{where}.value: holds rules itself; write a number or a list of numbers.")
    problems += wrong
    if wrong or value is None or isinstance(value, FilterRules):
        return None
    return FilterRule(text, value)


def _gradient(entries: Sequence[Any], where: str, problems: list[str]) -> Gradient | None:
    found = [_scalar(entry, f"{where}[{place}]", problems) for place, entry in enumerate(entries)]
    values = tuple(value for value in found if value is not None)
    if len(values) < len(found):
        return None
    kinds = {"boolean" if isinstance(v, bool) else "word" if isinstance(v, str) else "number" for v in values}
    if len(kinds) > 1:
        problems.append(
            f"{where}: mixes {' and '.join(sorted(f'{kind}s' for kind in kinds))}; write values of one kind."
        )
        return None
    return Gradient(values)


def _scalar(raw: Any, where: str, problems: list[str]) -> Scalar | None:
    if isinstance(raw, str):
        try:
            return float(raw)  # YAML 1.1 takes 1e-3 for a word
        except ValueError:
            return raw
    if isinstance(raw, bool | int | float):
        return raw
    said = "has no value" if raw is None else f"is {raw!r}"
    problems.append(
        f"{where}: {said}; write a number, a list of numbers, or a list of entries with 'filter' and 'value'."
    )
    return None

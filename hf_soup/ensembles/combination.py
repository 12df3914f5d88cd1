"""A fitted combination: what each family or member counts, and how members' probabilities become one prediction with it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from hf_soup.ensembles.tiers import FLOOR, Shape, Tier1, Tiers, log_of, row_blocks, softmax
from hf_soup.errors import InputError

_ROUNDING = 1e-6  # sums of weights that went through a file


@dataclass(frozen=True)
class Stacking:
    """A logistic regression on the log-probabilities x of K inputs: softmax(intercepts + Σₖ xₖ · coefficients[k]).

    `intercepts`: [C]. `coefficients`: [K, C, C], from the class of the input to the class of the output. `c`: the inverse of
    the penalty that it was fitted with.
    """

    intercepts: tuple[float, ...]
    coefficients: tuple[tuple[tuple[float, ...], ...], ...]
    c: float


@dataclass(frozen=True)
class Combination:
    """How the probabilities of members become those of the ensemble.

    `method`: what fitted it, a name in `hf_soup.ensembles.methods.METHODS`. `tiers`: "tiered", tier 1 makes one input of each
    family; "flat", each member is one. `tier1`: "mean", "logit_mean", or "soup" (each family's only member is its soup).
    `weights`: of the inputs, by family or by member; they sum to 1; None for stacking. `class_weights`: for each input its
    weight for each class; for every class they sum to 1; the results are then divided by their sum over the classes.
    `temperatures`: of all members or of all families, empty for none. A member's divides its log-probabilities; a family's
    those of the family as a whole, and where there is no such whole ("flat") those of each of its members. `ridge`: what the
    weights were fitted with.

    Raises InputError with all problems when these contradict each other.
    """

    method: str
    tiers: Shape
    tier1: Tier1
    families: dict[str, tuple[str, ...]]
    classes: tuple[str, ...]
    weights: dict[str, float] | None = None
    class_weights: dict[str, tuple[float, ...]] | None = None
    temperatures: dict[str, float] = field(default_factory=dict)
    stacking: Stacking | None = None
    ridge: float = 0.0

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise InputError([f"Combination {self.method}: {problem}" for problem in problems])

    @property
    def members(self) -> tuple[str, ...]:
        """The names of all members, family by family: the order that `combine` expects."""
        return tuple(member for names in self.families.values() for member in names)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the second tier weighs: the families, or for "flat" the members."""
        return tuple(self.families) if self.tiers == "tiered" else self.members

    @property
    def linear(self) -> bool:
        """Whether the result is a weighted mean of the members' probabilities, each at its own temperature.

        A family's temperature, or a mean of logits, prevents it where a family has more than one member.
        """
        if self.weights is None or self.class_weights is not None:
            return False
        return all(
            len(members) == 1 or (self.tier1 != "logit_mean" and self._tiers.input_temperatures[place] == 1.0)
            for place, members in enumerate(self._tiers.inputs_members)
        )

    def member_weights(self) -> dict[str, float]:
        """What each member's probability counts in the end; they sum to 1.

        Exact where `linear` says so; otherwise the member's equal part of its input's weight. Raises InputError for stacking.
        """
        if self.weights is None:
            raise InputError("Stacking has no weights: what a member counts depends on what the others say.")
        members = self.members
        return {
            members[place]: self.weights[name] / len(places)
            for name, places in zip(self._tiers.names, self._tiers.inputs_members, strict=True)
            for place in places
        }

    def combine(self, values: np.ndarray) -> np.ndarray:
        """Returns the ensemble's probabilities, float64 [N, C]; rows sum to 1.

        `values`: probabilities [M, N, C] in the order of `members`. Where a member's row is NaN the others of its family count
        alone, and where a whole input says nothing the other weights are divided by their sum, in that row. A row about which
        nobody with a weight says anything is NaN; in stacking already one about which an input says nothing. Raises
        InputError for values of another shape.
        """
        if values.ndim != 3 or values.shape[::2] != (len(self.members), len(self.classes)):
            raise InputError(
                f"Combination {self.method}: is of {len(self.members)} members and {len(self.classes)} classes; these probabilities "
                f"have shape {values.shape} (members, rows, classes)."
            )
        combined = np.empty(values.shape[1:])
        for block in row_blocks(values.shape[1], len(self.members) * len(self.classes)):
            combined[block] = self._combine_inputs(self._tiers.inputs(values[:, block]))
        return combined

    def reweighed(self, present: Collection[str]) -> Combination:
        """The combination without the members that are not in `present`; the other weights are divided by their sum.

        Raises InputError where none is left, where those left have no weight, and for stacking, which must be fitted again.
        """
        families = {
            family: kept
            for family, members in self.families.items()
            if (kept := tuple(member for member in members if member in present))
        }
        if self.members == tuple(member for kept in families.values() for member in kept):
            return self
        gone = ", ".join(member for member in self.members if member not in present)
        if self.weights is None:
            raise InputError(f"Stacking cannot do without a member ({gone}): fit it again without it, or use weights.")
        left = set(families) if self.tiers == "tiered" else {member for kept in families.values() for member in kept}
        total = math.fsum(self.weights[name] for name in left)
        if total <= 0:
            raise InputError(f"Without {gone} no member with a weight above 0 is left.")
        weights = {name: weight / total for name, weight in self.weights.items() if name in left}
        family_names = set(families) if self.temperatures.keys() == self.families.keys() else set()
        kept_temperatures = family_names or {member for kept in families.values() for member in kept}
        return replace(
            self,
            families=families,
            weights=weights,
            class_weights=_class_weights_of(self.class_weights, weights),
            temperatures={name: value for name, value in self.temperatures.items() if name in kept_temperatures},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return {
            **asdict(self),
            "families": {name: list(members) for name, members in self.families.items()},
            "classes": list(self.classes),
            "class_weights": self.class_weights and {name: list(each) for name, each in self.class_weights.items()},
            "stacking": self.stacking
            and {
                "intercepts": list(self.stacking.intercepts),
                "coefficients": [[list(row) for row in each] for each in self.stacking.coefficients],
                "c": self.stacking.c,
            },
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Combination:
        """What `to_json` made. Raises InputError for anything else."""
        unknown = sorted(set(document) - {each.name for each in fields(cls)})
        if unknown:
            raise InputError(f"Combination: has no field {', '.join(unknown)}; it may be of a newer version.")
        try:
            given = dict(document)
            given["families"] = {str(name): tuple(members) for name, members in given["families"].items()}
            given["classes"] = tuple(given["classes"])
            if given.get("weights") is not None:
                given["weights"] = {str(name): float(weight) for name, weight in given["weights"].items()}
            if given.get("class_weights") is not None:
                given["class_weights"] = {
                    str(name): tuple(map(float, each)) for name, each in given["class_weights"].items()
                }
            given["temperatures"] = {name: float(value) for name, value in given.get("temperatures", {}).items()}
            if given.get("stacking") is not None:
                stacking = given["stacking"]
                coefficients = tuple(
                    tuple(tuple(map(float, row)) for row in each) for each in stacking["coefficients"]
                )
                given["stacking"] = Stacking(
                    tuple(map(float, stacking["intercepts"])), coefficients, float(stacking["c"])
                )
            return cls(**given)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"Combination: is not one that was saved here ({error}).") from error

    @cached_property
    def _tiers(self) -> Tiers:
        return Tiers.of(self.families, self.tiers, self.tier1, self.temperatures)

    @cached_property
    def _input_weights(self) -> np.ndarray:
        """float64 [K, 1, 1], or by class [K, 1, C]."""
        if self.class_weights is not None:
            return np.array([self.class_weights[name] for name in self.inputs])[:, None, :]
        assert self.weights is not None
        return np.array([self.weights[name] for name in self.inputs])[:, None, None]

    def _combine_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """[K, n, C] → [n, C]; NaN where nothing can be said."""
        if self.stacking is not None:
            return stacked(inputs, np.array(self.stacking.intercepts), np.array(self.stacking.coefficients))
        silent = np.isnan(inputs[:, :, :1])
        if not silent.any():
            return _divided(np.einsum("knc,knc->nc", inputs, np.broadcast_to(self._input_weights, inputs.shape)))
        weights = np.where(silent, 0.0, self._input_weights)
        total = weights.sum(axis=0)
        with np.errstate(invalid="ignore"):
            mean = (np.where(silent, 0.0, inputs) * weights).sum(axis=0) / np.where(total == 0, np.nan, total)
        return _divided(mean)


def stacked(inputs: np.ndarray, intercepts: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """softmax(intercepts [C] + Σₖ ln inputs[k] · coefficients [K, C, C]), float64 [n, C], for inputs [K, n, C]."""
    logits = intercepts + sum(log_of(each) @ matrix for each, matrix in zip(inputs, coefficients, strict=True))
    return softmax(logits)


def _divided(mixture: np.ndarray) -> np.ndarray:
    """Rows divided by their sums: rounding, and all that class weights leave of 1. A row of zeros becomes uniform."""
    mixture += FLOOR * FLOOR
    mixture /= mixture.sum(axis=1, keepdims=True)
    return mixture


def _class_weights_of(
    before: dict[str, tuple[float, ...]] | None, weights: dict[str, float]
) -> dict[str, tuple[float, ...]] | None:
    """Those of the inputs that are left; a class that has none among them takes their overall weights."""
    if before is None:
        return None
    left = np.array([before[name] for name in weights])
    totals = left.sum(axis=0)
    overall = np.array(list(weights.values()))[:, None]
    left = np.where(totals > 0, left / np.where(totals > 0, totals, 1.0), overall)
    return {name: tuple(each) for name, each in zip(weights, left.tolist(), strict=True)}


def _problems(combination: Combination) -> list[str]:
    problems = []
    members = combination.members
    if combination.tiers not in ("tiered", "flat") or combination.tier1 not in ("mean", "logit_mean", "soup"):
        problems.append(f"tiers={combination.tiers!r}, tier1={combination.tier1!r} are not known.")
        return problems
    if not members or not all(combination.families.values()):
        problems.append("a family without members.")
    if len(set(members)) < len(members):
        problems.append("a member stands there twice.")
    if combination.tier1 == "soup" and any(len(names) > 1 for names in combination.families.values()):
        problems.append("with tier1='soup' each family has one member, its soup.")
    if (combination.weights is None) == (combination.stacking is None):
        problems.append("needs either weights or the coefficients of stacking.")
    sets = {"weights": combination.weights, "class_weights": combination.class_weights}
    for name, given in sets.items():
        if given is None:
            continue
        if set(given) != set(combination.inputs):
            problems.append(f"{name} are of {', '.join(given)}; its inputs are {', '.join(combination.inputs)}.")
            continue
        table = np.array([np.atleast_1d(each) for each in given.values()], np.float64)
        width = 1 if name == "weights" else len(combination.classes)
        if table.shape[1:] != (width,) or not np.isfinite(table).all() or (table < 0).any():
            problems.append(f"{name} must be {width} finite number(s) from 0 for each input.")
        elif np.abs(table.sum(axis=0) - 1).max() > _ROUNDING:
            problems.append(f"{name} sum to {table.sum(axis=0).tolist()}, not to 1.")
    for name, value in combination.temperatures.items():
        if not (math.isfinite(value) and value > 0):
            problems.append(f"the temperature of {name} is {value}; it must be above 0.")
    if combination.temperatures and set(combination.temperatures) not in (set(members), set(combination.families)):
        problems.append("temperatures must be those of all members or of all families.")
    if (stacking := combination.stacking) is not None:
        shape = (len(combination.inputs), len(combination.classes), len(combination.classes))
        if np.shape(stacking.coefficients) != shape or np.shape(stacking.intercepts) != shape[1:2]:
            problems.append(
                f"stacking has coefficients of shape {np.shape(stacking.coefficients)} for {shape} (inputs, classes, classes)."
            )
    return problems

"""mergekit's methods in our terms: its names of the parameters, its defaults, what it takes the base model for.

Found out from its documentation and by running version 0.1.5 on models of constants and of random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Base(Enum):
    """What becomes of `base_model`."""

    A_MODEL = "one of the models, the first one; optional"
    THE_START = "the first of exactly two models"
    THE_ORIGIN = "what the task vectors of all other models begin at"


@dataclass(frozen=True)
class Parameter:
    """`name`: ours. `default`: mergekit's; None: it has none and wants the value stated."""

    name: str
    per_model: bool = False
    default: Any = None


@dataclass(frozen=True)
class MergekitMethod:
    """`parameters`: by mergekit's names. `only`: parameters of which we do what one value means, and no other."""

    base: Base
    parameters: dict[str, Parameter] = field(default_factory=dict)
    only: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    """Our parameters that a mergekit file has no word for, as mergekit means them."""
    warning: str | None = None


_WEIGHT = Parameter("weight", per_model=True)
_DENSITY = Parameter("density", per_model=True, default=1.0)
_LAMBDA = Parameter("scale", default=1.0)
_SUM = Parameter("normalize", default=False)
_MEAN = Parameter("normalize", default=True)
_DARE = {
    "weight": _WEIGHT,
    "density": _DENSITY,
    "lambda": _LAMBDA,
    "normalize": _SUM,
    "rescale": Parameter("rescale", default=True),
}
_DARE_WARNING = (
    "draws at random, other values than mergekit does; and rescales what is kept by 1/density as in the paper, where "
    "mergekit brings each tensor back to its L1 norm: the two agree up to chance."
)

MERGEKIT_METHODS: dict[str, MergekitMethod] = {
    "linear": MergekitMethod(Base.A_MODEL, {"weight": _WEIGHT, "normalize": _MEAN}),
    "slerp": MergekitMethod(Base.THE_START, {"t": Parameter("t")}),
    "task_arithmetic": MergekitMethod(Base.THE_ORIGIN, {"weight": _WEIGHT, "lambda": _LAMBDA, "normalize": _SUM}),
    "ties": MergekitMethod(
        Base.THE_ORIGIN,
        {"weight": _WEIGHT, "density": _DENSITY, "lambda": _LAMBDA, "normalize": _MEAN},
        only={"rescale": False},
    ),
    "dare_linear": MergekitMethod(Base.THE_ORIGIN, _DARE, warning=_DARE_WARNING),
    "dare_ties": MergekitMethod(Base.THE_ORIGIN, _DARE, warning=_DARE_WARNING),
    "model_stock": MergekitMethod(Base.THE_ORIGIN, only={"filter_wise": False}, fixed={"beyond_base": True}),
}

KNOWN_PARAMETERS = frozenset(
    {"density", "epsilon", "filter_wise", "gamma", "int8_mask", "lambda", "normalize", "rescale", "t", "weight"}
)
"""Of one method or another. mergekit 0.1.5 passes over those that a method does not have; so do we, with a warning."""

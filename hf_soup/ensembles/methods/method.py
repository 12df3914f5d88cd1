"""What a method of fitting is, and the table of all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_soup.ensembles.combination import Stacking
from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.tiers import Shape
from hf_soup.errors import InputError


@dataclass(frozen=True, eq=False)
class Fit:
    """`weights`: float64 [K], sum 1. `class_weights`: float64 [K, C], the columns sum to 1. Or `stacking`."""

    weights: np.ndarray | None = None
    class_weights: np.ndarray | None = None
    stacking: Stacking | None = None


FitFunction = Callable[[Inputs], Fit]
Reweigh = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""(true [n, K], counts [n], weights [K] of all rows, ridge) → weights [K] of a resample."""


@dataclass(frozen=True)
class EnsembleMethod:
    name: str
    fit: FitFunction
    reweigh: Reweigh | None
    """The weights of a resample, for intervals; None where there are none."""
    resamples: int
    """How many of them make an interval without being told; fewer where each takes long."""
    shape: Shape | None
    """The only one it has; None: any."""
    tempered: bool
    """Whether temperatures come first."""

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.fit) or "").split("\n", 1)[0]


METHODS: dict[str, EnsembleMethod] = {}


def ensemble_method(
    *, reweigh: Reweigh | None = None, resamples: int = 1000, shape: Shape | None = None, tempered: bool = True
) -> Callable[[FitFunction], FitFunction]:
    """Registers a function under its own name."""

    def register(fit: FitFunction) -> FitFunction:
        name = fit.__name__
        METHODS[name] = EnsembleMethod(name, fit, reweigh, resamples, shape, tempered)
        return fit

    return register


def method_named(name: str) -> EnsembleMethod:
    """Returns the method. Raises InputError, listing the known ones, when there is none of that name."""
    if name not in METHODS:
        raise InputError(f"There is no method '{name}' to fit an ensemble with; known: {', '.join(METHODS)}.")
    return METHODS[name]

"""Which mixing weights mean something."""

from __future__ import annotations

import math
from typing import Any


def check_weights(parameters: dict[str, Any]) -> list[str]:
    """Returns what is wrong with `weight`, for a method whose `normalize` divides by the sum of all weights."""
    weight = parameters["weight"]
    if problems := check_some_weight(parameters):
        return problems
    if parameters["normalize"] and math.fsum(weight) == 0:
        return [f"the weights {weight} sum to zero and cannot be normalised; set normalize=false or change them."]
    return []


def check_some_weight(parameters: dict[str, Any]) -> list[str]:
    """Returns what is wrong with `weight` where nothing is divided by the sum of all of them."""
    if all(w == 0 for w in parameters["weight"]):
        return ["all weights are zero; at least one must count."]
    return []


def quotients(weight: list[float], normalize: bool) -> list[float]:
    """Returns wᵢ / Σ wⱼ, in double precision, so that a single model of any weight gets 1; or `weight` as it is."""
    total = math.fsum(weight) if normalize else 1.0
    return [w / total for w in weight]

"""Temperatures: how much more or less sure a member should be, fitted before the weights.

p becomes softmax(ln p / T). The mean loss −ln p_y is convex in β = 1 / T, so its minimum is where the slope changes sign:
slope = mean(E[ln p] − ln p_y), curvature = mean Var[ln p], both under the new probabilities.
Source: Guo, Pleiss, Sun, Weinberger 2017 (arXiv 1706.04599), section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.tiers import Shape, Tier1, Tiers, log_of, row_blocks, softmax

COLDEST, HOTTEST = 0.1, 100.0
"""T stays between these. A member that is right in every row would go to 0, one that knows nothing to infinity."""
_FLAT = 1e-9  # of the slope, in nats
_MOST_STEPS = 100

Blocks = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Each call begins again: (probabilities [n, C], labels [n]), a block of rows at a time."""


def fit_temperature(blocks: Blocks) -> float:
    """Returns T; 1.0 where the loss has no slope there, as for a member that always says the same of all classes."""
    lowest, highest = 1 / HOTTEST, 1 / COLDEST
    low, high, beta = lowest, highest, 1.0
    tried = set()
    for _ in range(_MOST_STEPS):
        slope, curvature = _slope(blocks, beta)
        if abs(slope) <= _FLAT or (slope < 0 and beta == highest) or (slope > 0 and beta == lowest):
            break
        low, high = (beta, high) if slope < 0 else (low, beta)
        tried.add(beta)
        newton = beta - slope / curvature if curvature > 0 else (high if slope < 0 else low)
        beta = min(max(newton, low), high)
        if beta in tried:
            beta = float(np.sqrt(low * high))
        if high - low <= 1e-10 * high:
            break
    return float(1 / beta)


def member_temperatures(data: MemberProbabilities, shape: Shape, tier1: Tier1) -> dict[str, float]:
    """One for each member, by name."""
    return {name: fit_temperature(_pooled(data, (place,))) for place, name in enumerate(data.members)}


def family_temperatures(data: MemberProbabilities, shape: Shape, tier1: Tier1) -> dict[str, float]:
    """One for each family, by name: of what tier 1 makes of it, or, "flat", one that all its members share."""
    if shape == "flat":
        return {family.name: fit_temperature(_pooled(data, family.members)) for family in data.families}
    return {family.name: fit_temperature(_joined(data, family.members, tier1)) for family in data.families}


def no_temperatures(data: MemberProbabilities, shape: Shape, tier1: Tier1) -> dict[str, float]:
    """None at all."""
    return {}


TEMPERATURES: dict[str, Callable[[MemberProbabilities, Shape, Tier1], dict[str, float]]] = {
    "family": family_temperatures,
    "member": member_temperatures,
    "none": no_temperatures,
}


def _pooled(data: MemberProbabilities, members: tuple[int, ...]) -> Blocks:
    assert data.labels is not None
    labels = data.labels

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for member in members:
            for block in row_blocks(data.rows, len(data.classes)):
                yield data.values[member, block], labels[block]

    return blocks


def _joined(data: MemberProbabilities, members: tuple[int, ...], tier1: Tier1) -> Blocks:
    assert data.labels is not None
    labels, places = data.labels, list(members)
    tiers = Tiers.of({"family": [data.members[place] for place in places]}, "tiered", tier1, {})

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in row_blocks(data.rows, len(places) * len(data.classes)):
            yield tiers.inputs(np.stack([data.values[place, block] for place in places]))[0], labels[block]

    return blocks


def _slope(blocks: Blocks, beta: float) -> tuple[float, float]:
    slope = curvature = 0.0
    rows = 0
    for probabilities, labels in blocks():
        logs = log_of(probabilities)
        now = softmax(beta * logs)
        mean = np.einsum("nc,nc->n", now, logs)
        slope += float((mean - logs[np.arange(len(logs)), labels]).sum())
        curvature += float((np.einsum("nc,nc,nc->n", now, logs, logs) - mean**2).sum())
        rows += len(labels)
    return slope / rows, curvature / rows

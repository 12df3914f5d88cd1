"""Members in order of weight, until nothing that the remaining ones could say would change a row's decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.ensembles.ballots import Ballots
from hf_soup.ensembles.combination import Combination

_SLACK = 1e-9  # sums in another order differ by less; a lead within it is no lead


@dataclass(frozen=True)
class Unit:
    """What counts as a whole: a member, or a family where its members are not simply averaged. `weight`: float64 [classes]."""

    members: tuple[str, ...]
    weight: np.ndarray


def units_of(combination: Combination) -> list[Unit] | None:
    """Returns the units, heaviest first; None where what is said last can turn the scale whatever was said before.

    Stacking is such a case: it adds logarithms, which know no bound.
    """
    if combination.weights is None and combination.class_weights is None:
        return None
    given = combination.class_weights or {
        name: (weight,) * len(combination.classes) for name, weight in (combination.weights or {}).items()
    }
    units = []
    for name, weight in given.items():
        if not any(weight):
            continue
        members = combination.families.get(name, (name,)) if combination.tiers == "tiered" else (name,)
        parts = [(member,) for member in members] if _is_plain_mean(combination, name) else [members]
        units += [Unit(part, np.array(weight, np.float64) / len(parts)) for part in parts]
    return sorted(units, key=lambda unit: -float(unit.weight.max()))


def why_nothing_is_saved(units: list[Unit]) -> str:
    """Returns a sentence where all must be asked whatever they say; empty where some answers would spare a member."""
    *before, last = units
    most = np.sum([unit.weight for unit in before], axis=0) if before else np.zeros_like(last.weight)
    against = [np.delete(last.weight, place).max() for place in range(len(last.weight))]
    if (most > np.array(against) + _SLACK).any():
        return ""
    if before:
        return "Early exit saves nothing: of two that count the same neither decides without the other."
    if len(last.members) == 1:
        return f"Early exit saves nothing: {last.members[0]} alone counts."
    return (
        f"Early exit saves nothing: {', '.join(last.members)} are one family, whose temperature, or mean of logits, is that of all its "
        "members together. With temperature='member' and tier1='mean' they would be asked one by one."
    )


def _is_plain_mean(combination: Combination, family: str) -> bool:
    if combination.tiers == "flat" or len(combination.families[family]) == 1:
        return True
    return combination.tier1 == "mean" and combination.temperatures.get(family, 1.0) == 1.0


def decide_early(combination: Combination, ballots: Ballots, units: list[Unit]) -> tuple[np.ndarray, np.ndarray]:
    """Asks members about the rows that are still open; returns (sums, open): float64 [N, C] and bool [N].

    In a row that is no longer open the class with the largest sum is the one that all members together would choose. The sums
    are weighted probabilities of the members that were asked about it. Raises what `Ballots.ask` raises.
    """
    sums = np.zeros(ballots.values.shape[1:], np.float64)
    undecided = np.ones(len(sums), bool)
    silent = np.zeros(len(sums), bool)
    for place, unit in enumerate(units):
        for member in unit.members:
            ballots.ask(member, undecided)
        alone = combination.reweighed(set(unit.members))
        said = alone.combine(ballots.of(alone.members)[:, undecided])
        silent[undecided] |= np.isnan(ballots.of(alone.members)[:, undecided, 0]).any(axis=0)
        sums[undecided] += unit.weight * np.where(np.isnan(said), 0.0, said)
        left = np.sum([later.weight for later in units[place + 1 :]], axis=0) if units[place + 1 :] else 0.0
        undecided &= silent | ~_is_safe(sums, left)
        if not undecided.any():
            break
    return sums, undecided


def _is_safe(sums: np.ndarray, left: np.ndarray | float) -> np.ndarray:
    """bool [N]: whether the leading class leads by more than the others could still gain, `left` being all that is left of each."""
    rows = np.arange(len(sums))
    leader = sums.argmax(axis=1)
    others = sums + left
    others[rows, leader] = -np.inf
    return sums[rows, leader] > others.max(axis=1) + _SLACK

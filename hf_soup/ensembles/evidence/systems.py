"""What a report scores on every data set: members, means of families, and every way to combine them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from hf_soup.ensembles.evidence.how_fitted import HowFitted
from hf_soup.ensembles.methods import METHODS
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.tiers import Shape

BEST_SINGLE, EQUAL = "best_single", "equal"
_TITLES = {
    BEST_SINGLE: "best single",
    EQUAL: "equal weights",
    "learned": "learned weights",
    "per_class": "learned per class",
    "caruana": "Caruana's greedy",
}


class Kind(StrEnum):
    MEMBER = "member"
    FAMILY = "family mean"
    COMBINATION = "combination"


@dataclass(frozen=True)
class System:
    """`how`: how a combination is fitted, None for the others. `chosen`: the combination that the report is about."""

    name: str
    kind: Kind
    how: HowFitted | None = None
    chosen: bool = False


def single_systems(data: MemberProbabilities, tier1: str) -> Iterator[tuple[System, np.ndarray]]:
    """Yields every member, and the mean of every family of several, with its probabilities [rows, classes]."""
    for name, values in zip(data.members, data.values, strict=True):
        yield System(name, Kind.MEMBER), values
    if all(len(each.members) == 1 for each in data.families):
        return
    means = data.family_values("logit_mean" if tier1 == "logit_mean" else "mean", {})
    for family, values in zip(data.families, means, strict=True):
        if len(family.members) > 1:
            yield System(f"mean of {family.name}", Kind.FAMILY), values


def combined_systems(data: MemberProbabilities, chosen: HowFitted) -> list[System]:
    """Returns every method, flat and tiered where these differ; the best single model is flat by nature."""
    tiers: list[Shape] = [chosen.tiers] if _one_tier(data) else ["tiered", "flat"]
    flat: list[Shape] = ["flat"]
    found = []
    for method in dict.fromkeys([BEST_SINGLE, EQUAL, *METHODS]):
        for each in tiers if method != BEST_SINGLE else flat:
            how = chosen.with_method(method, each)
            is_chosen = how == chosen or method == chosen.method == BEST_SINGLE
            found.append(System(system_name(how, len(tiers) > 1), Kind.COMBINATION, how, is_chosen))
    return found


def system_name(how: HowFitted, both_tiers: bool) -> str:
    title = _TITLES.get(how.method, how.method)
    return f"{title}, {how.tiers}" if both_tiers and how.method != BEST_SINGLE else title


def _one_tier(data: MemberProbabilities) -> bool:
    """Whether families of one member, or a single family, make flat and tiered the same or leave nothing to weigh."""
    return len(data.families) == 1 or all(len(each.members) == 1 for each in data.families)

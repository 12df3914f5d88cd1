"""What members and the ways to combine them cost: parameters, forward passes, measured time, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hf_soup.ensembles.combination import Combination

if TYPE_CHECKING:
    from hf_soup.ensembles.cost import MemberCost


@dataclass(frozen=True)
class Cost:
    """Of one row of data. `forward_passes` is a mean where it depends on the row. None: not known for every model in it. `note`: a
    sentence that a reader should know."""

    name: str
    models: int
    forward_passes: float
    parameters: int | None
    seconds_per_row: float | None
    bytes: int | None
    note: str = ""


def cost_table(
    combinations: Mapping[str, Combination], members: Sequence[str], costs: Mapping[str, MemberCost]
) -> Iterator[Cost]:
    """Yields a row for each member with a known cost, then one for each combination: the sum over the members that count in it."""
    for name in members:
        if name in costs:
            yield _sum(name, {name: 1.0}, costs)
    for name, each in combinations.items():
        yield _sum(name, dict.fromkeys(used_members(each), 1.0), costs)


def early_exit_cost(name: str, shares: Mapping[str, float], costs: Mapping[str, MemberCost], why_none: str) -> Cost:
    """Returns the mean cost of a row with early exit; `shares`: of the rows, about which each member was asked. `why_none`: the
    sentence of `why_nothing_is_saved`."""
    asked = {member: share for member, share in shares.items() if share > 0}
    note = why_none or ("Early exit saved nothing on these rows." if min(asked.values()) == 1 else "")
    return replace(_sum(f"{name}, with early exit", asked, costs), note=note)


def used_members(combination: Combination) -> list[str]:
    """Returns the members that must be asked: those with a weight above 0, all where weights differ between classes."""
    everyone = [member for members in combination.families.values() for member in members]
    if combination.weights is None or combination.class_weights is not None:
        return everyone
    by_family = {member: family for family, members in combination.families.items() for member in members}
    return [
        each for each in everyone if combination.weights.get(each, combination.weights.get(by_family[each], 0.0)) > 0
    ]


def _sum(name: str, shares: Mapping[str, float], costs: Mapping[str, MemberCost]) -> Cost:
    known = {member: costs[member] for member in shares if member in costs}

    def total(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
        numbers = [values.get(member) for member in shares]
        if None in numbers:
            return None
        return float(sum(number * weights[member] for member, number in zip(shares, numbers, strict=True) if number))

    whole = dict.fromkeys(shares, 1.0)
    parameters = total({member: each.parameters for member, each in known.items()}, whole)
    nbytes = total({member: each.bytes for member, each in known.items()}, whole)
    return Cost(
        name=name,
        models=len(shares),
        forward_passes=sum(
            share * (known[member].forward_passes if member in known else 1) for member, share in shares.items()
        ),
        parameters=None if parameters is None else int(parameters),
        seconds_per_row=total({member: each.seconds_per_row for member, each in known.items()}, shares),
        bytes=None if nbytes is None else int(nbytes),
    )

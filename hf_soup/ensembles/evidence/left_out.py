"""The ensemble without one member, or without one family: refitted, and compared on the same folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hf_soup.ensembles.evidence.differences import Difference, difference
from hf_soup.ensembles.evidence.how_fitted import HowFitted
from hf_soup.ensembles.evidence.scored import LabelledRows, Scored
from hf_soup.ensembles.probabilities import Family, MemberProbabilities
from hf_soup.ensembles.splits import cross_validated

METRICS = ("accuracy", "nll")


@dataclass(frozen=True)
class LeftOut:
    """`differences`: without − with, out of fold, by accuracy and NLL. `among`: how many were left out in turn."""

    name: str
    what: Literal["member", "family"]
    among: int
    differences: tuple[Difference, ...]

    @property
    def gains(self) -> tuple[Difference, ...]:
        """By what the others are better without it, allowing for the number that was tried; empty if also worse by something."""
        found = [(each, each.better_of(self.among)) for each in self.differences]
        worse = any(better == each.against for each, better in found)
        return () if worse else tuple(each for each, better in found if better == each.of)


def leave_out(
    data: MemberProbabilities,
    rows: LabelledRows,
    how: HowFitted,
    chosen: tuple[str, Scored],
    set_name: str,
    folds: int,
) -> Iterator[LeftOut]:
    """Yields each member and each family of several members left out; nothing where there is one member only.

    `rows`: of `data`, out of fold. `chosen`: name and out-of-fold scores of the whole ensemble, on the same folds.
    """
    candidates = _candidates(data)
    for name, what, members in candidates:
        rest = without(data, members)
        scored = rows.score(cross_validated(rest, how, folds, how.seed), METRICS)
        differences = tuple(
            difference(rows, set_name, metric, (f"without {name}", scored), chosen) for metric in METRICS
        )
        yield LeftOut(name, what, len(candidates), differences)


def without(data: MemberProbabilities, members: Sequence[int]) -> MemberProbabilities:
    """Returns the data of the other members, a copy; a family without members is none."""
    kept = [index for index in range(len(data.members)) if index not in members]
    place = {index: new for new, index in enumerate(kept)}
    families = [
        Family(each.name, tuple(place[index] for index in each.members if index in place)) for each in data.families
    ]
    return replace(
        data,
        values=data.values[kept],
        members=tuple(data.members[index] for index in kept),
        families=tuple(each for each in families if each.members),
    )


def _candidates(data: MemberProbabilities) -> list[tuple[str, Literal["member", "family"], tuple[int, ...]]]:
    if len(data.members) < 2:
        return []
    members = [(name, "member", (index,)) for index, name in enumerate(data.members)]
    families = [
        (each.name, "family", each.members) for each in data.families if 1 < len(each.members) < len(data.members)
    ]
    return [*members, *families]  # type: ignore[list-item]

"""Every other system against the chosen one, on the rows that decide: what is better must not go unsaid.

So many comparisons at once find something by chance, so their p-values are adjusted over all of them, which keeps the share of
false ones among those that are named below 5 % (Benjamini & Hochberg 1995).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.ensembles.evidence import shown
from hf_soup.ensembles.evidence.differences import Difference, difference
from hf_soup.ensembles.evidence.scored import LabelledRows, Scored
from hf_soup.ensembles.evidence.scoring import Scores
from hf_soup.ensembles.evidence.systems import BEST_SINGLE, Kind

ALPHA = 0.05
LEAST = 0.0005
"""Smaller differences in NLL, or in a share, are passed over: rows without end would make a rounding error significant."""


@dataclass(frozen=True)
class Rival:
    """`differences`: chosen one − this one, paired. `adjusted_p`: in their order, over all rivals and metrics; None where the two
    never differ."""

    name: str
    differences: tuple[Difference, ...]
    adjusted_p: tuple[float | None, ...]

    @property
    def ahead(self) -> tuple[Difference, ...]:
        """Those by which this one is better: adjusted p below .05, an interval that leaves out 0 also as it is printed, and `LEAST`."""
        return self._found(self.name)

    @property
    def least_p(self) -> float:
        """The lowest adjusted p of those in `ahead`; 1 where there are none."""
        found = self.ahead
        pairs = zip(self.differences, self.adjusted_p, strict=True)
        return min((p for each, p in pairs if p is not None and each in found), default=1.0)

    @property
    def behind(self) -> tuple[Difference, ...]:
        """Those by which the chosen one is better, in the same sense."""
        return tuple(found for each in {one.of for one in self.differences} for found in self._found(each))

    def _found(self, better: str) -> tuple[Difference, ...]:
        pairs = zip(self.differences, self.adjusted_p, strict=True)
        return tuple(
            each for each, p in pairs if p is not None and p < ALPHA and each.better == better and _is_seen(each)
        )


def _is_seen(each: Difference) -> bool:
    """Whether it is not next to nothing, and the bound that is nearer to 0 is not printed as 0."""
    nearer = min((bound for bound in (each.low, each.high) if bound is not None), key=abs, default=0.0)
    return abs(each.value) >= LEAST and bool(shown.value(abs(nearer), each.metric).strip("0."))


def rivals_of_chosen(
    scores: Scores, rows: LabelledRows, set_name: str, metrics: Sequence[str]
) -> tuple[Difference, ...]:
    """Returns chosen − other, paired, for all other systems; a member that is the best single model, and says the same, goes by
    that name alone."""
    chosen = scores.chosen.name
    ours = (chosen, scores.scored[chosen][set_name])
    others = list(_others(scores, set_name, metrics))
    return tuple(difference(rows, set_name, metric, ours, other) for other in others for metric in metrics)


def adjusted(differences: Sequence[Difference]) -> list[Rival]:
    """Returns the rivals of `rivals_of_chosen`, with p-values adjusted over all these differences."""
    from scipy.stats import false_discovery_control

    p = np.array([np.nan if each.p is None else each.p for each in differences])
    tested = ~np.isnan(p)
    if tested.any():
        p[tested] = false_discovery_control(p[tested], method="bh")
    found: dict[str, list[tuple[Difference, float | None]]] = {}
    for each, value in zip(differences, p.tolist(), strict=True):
        found.setdefault(each.against, []).append((each, None if np.isnan(value) else value))
    return [Rival(name, *zip(*pairs, strict=True)) for name, pairs in found.items()]


def _others(scores: Scores, set_name: str, metrics: Sequence[str]) -> Iterator[tuple[str, Scored]]:
    best = scores.combination(BEST_SINGLE, "flat")
    its = None if best is None or best.chosen else scores.scored[best.name][set_name]
    for system in scores.systems:
        scored = scores.scored[system.name][set_name]
        if system.chosen or (system.kind is Kind.MEMBER and its is not None and _same(scored, its, metrics)):
            continue
        yield system.name, scored


def _same(one: Scored, other: Scored, metrics: Sequence[str]) -> bool:
    """But for the rounding of a weighted mean of one."""
    pairs = [(one.resampled[each], other.resampled[each]) for each in metrics]
    return all(np.allclose(a, b, rtol=0, atol=1e-6, equal_nan=True) for a, b in pairs)

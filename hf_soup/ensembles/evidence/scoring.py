"""Every system of a report on every data set: out of fold where weights were fitted, as fitted everywhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence.how_fitted import HowFitted
from hf_soup.ensembles.evidence.scored import LabelledRows, Scored
from hf_soup.ensembles.evidence.systems import BEST_SINGLE, System, combined_systems, single_systems
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.splits import cross_validated
from hf_soup.errors import SoupError


@dataclass
class Scores:
    """`systems`: in the order of the tables. `scored`: by system, by data set. `fitted`: the combinations, on all rows of the
    fitting set. `notes`: by system. `of_chosen`: the chosen one's probabilities, by data set. `warnings`: what could not be
    fitted, and why."""

    systems: list[System] = field(default_factory=list)
    scored: dict[str, dict[str, Scored]] = field(default_factory=dict)
    fitted: dict[str, Combination] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    of_chosen: dict[str, np.ndarray] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, system: System, set_name: str, scored: Scored) -> None:
        if system.name not in self.scored:
            self.systems.append(system)
        self.scored.setdefault(system.name, {})[set_name] = scored

    @property
    def chosen(self) -> System:
        return next(system for system in self.systems if system.chosen)

    def combination(self, method: str, tiers: str) -> System | None:
        """The combination by this method, flat or tiered where there are both; None where it was not fitted."""
        of_method = [system for system in self.systems if system.how is not None and system.how.method == method]
        same = [system for system in of_method if system.how is not None and system.how.tiers == tiers]
        return next(iter(same or of_method), None)


def score_singles(
    scores: Scores, sets: Mapping[str, MemberProbabilities], rows: Mapping[str, LabelledRows], tier1: str
) -> None:
    """Adds members and family means, as they are: without temperatures. `rows`: of `sets`; folds in them hold for these too, so
    that all systems of a set are told by the same pairs of rows."""
    for set_name, data in sets.items():
        for system, probabilities in single_systems(data, tier1):
            scores.add(system, set_name, rows[set_name].score(probabilities))


def score_combinations(
    scores: Scores,
    sets: Mapping[str, MemberProbabilities],
    rows: Mapping[str, LabelledRows],
    fit_name: str,
    chosen: Combination,
    how: HowFitted,
    folds: int,
) -> None:
    """Adds every way to combine the members. One that cannot be fitted is a warning; the chosen one's failure is an error.

    `rows`: of `sets`, those of `fit_name` out of so many `folds` and with the seed of `how`.
    """
    fit_data = sets[fit_name]
    for system in combined_systems(fit_data, how):
        assert system.how is not None
        by_fold: list[Combination] = []
        try:
            out_of_fold = cross_validated(fit_data, _remembering(system.how, by_fold), folds, how.seed)
            fitted = chosen if system.chosen else system.how(fit_data)
        except SoupError as error:
            if system.chosen:
                raise
            scores.warnings.append(f"{system.name} could not be fitted: {error}")
            continue
        scores.fitted[system.name] = fitted
        if system.how.method == BEST_SINGLE:
            scores.notes[system.name] = _choice(fitted, by_fold)
        for name, data in sets.items():
            probabilities = out_of_fold if name == fit_name else combined(fitted, data)
            scores.add(system, name, rows[name].score(probabilities))
            if system.chosen:
                scores.of_chosen[name] = probabilities


def combined(combination: Combination, data: MemberProbabilities) -> np.ndarray:
    """Returns float64 [rows, classes] for data whose members may stand in another order than the combination's."""
    place = {name: index for index, name in enumerate(data.members)}
    order = [place[name] for name in combination.members]
    return combination.combine(data.values if order == sorted(order) else data.values[order])


def _remembering(how: HowFitted, by_fold: list[Combination]) -> Callable[[MemberProbabilities], Combination]:
    def fit(data: MemberProbabilities) -> Combination:
        by_fold.append(how(data))
        return by_fold[-1]

    return fit


def _choice(fitted: Combination, by_fold: Sequence[Combination]) -> str:
    """Which model was best, and whether the folds agree."""
    names = [max(each.member_weights().items(), key=lambda item: item[1])[0] for each in (fitted, *by_fold)]
    agree = Counter(names[1:])[names[0]]
    return names[0] if agree == len(by_fold) else f"{names[0]}; in {agree} of {len(by_fold)} folds"

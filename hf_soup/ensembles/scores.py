"""How good an ensemble is, as it is, on labelled rows: beside its members and the means of its families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence.facts import DataFacts, SystemScores
from hf_soup.ensembles.evidence.scored import LabelledRows
from hf_soup.ensembles.evidence.scoring import combined
from hf_soup.ensembles.evidence.systems import single_systems
from hf_soup.ensembles.evidence.tables import score_grids
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.evaluation import Estimate

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class EnsembleScores:
    """`systems`: the ensemble first; their `results` by data set and metric, with 95 % intervals. `noted`: what looked odd when the
    members were asked, and which rows could not be read. `missing`: members that the ensemble did without on some data set."""

    sets: tuple[DataFacts, ...]
    systems: tuple[SystemScores, ...]
    noted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def of(self, data: str, system: str = ENSEMBLE) -> dict[str, Estimate]:
        """The metrics of one system on one data set."""
        return next(each for each in self.systems if each.name == system).results[data]

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.noted, *(warning for facts in self.sets for warning in facts.warnings()))

    def to_json(self) -> dict[str, Any]:
        return {
            "data": [asdict(facts) for facts in self.sets],
            "systems": {
                each.name: {
                    data: {name: asdict(estimate) for name, estimate in metrics.items()}
                    for data, metrics in each.results.items()
                }
                for each in self.systems
            },
            "missing": list(self.missing),
            "warnings": list(self.warnings),
        }

    def table(self) -> str:
        """Returns the figures as text, without the warnings."""
        return "\n\n".join(grid.text() for facts in self.sets for grid in score_grids(facts, self.systems))

    def __str__(self) -> str:
        return "\n\n".join([self.table(), *(f"Warning: {warning}" for warning in self.warnings)])


def score_ensemble(sets: Mapping[str, MemberProbabilities], combination: Combination) -> EnsembleScores:
    """Returns the metrics of the combination, which is not fitted again, of its members and of its families on all data sets.

    A member that a data set has nothing of is done without there: the weights of the others are divided by their sum, with a warning.
    Raises InputError for data without labels, for rows about which no member says anything, and what `Combination.reweighed` raises.
    """
    results: dict[str, dict[str, dict[str, Estimate]]] = {}
    kinds = {ENSEMBLE: "combination"}
    facts = []
    without: dict[str, list[str]] = {}
    for name, data in sets.items():
        rows = LabelledRows.of(data)
        without[name] = [member for member in combination.members if member not in data.members]
        there = combination.reweighed(data.members)
        results.setdefault(ENSEMBLE, {})[name] = rows.score(combined(there, data)).estimates
        for system, probabilities in single_systems(data, combination.tier1):
            kinds[system.name] = str(system.kind)
            results.setdefault(system.name, {})[name] = rows.score(probabilities).estimates
        counts = np.bincount(rows.labels, minlength=len(data.classes)).tolist()
        groups = None if data.groups is None else rows.units
        facts.append(DataFacts(name, "test", data.rows, groups, dict(zip(data.classes, counts, strict=True))))
    systems = [
        SystemScores(
            system,
            kinds[system],
            method=combination.method if system == ENSEMBLE else "",
            tiers=combination.tiers if system == ENSEMBLE else "",
            chosen=system == ENSEMBLE,
            results=by_set,
        )
        for system, by_set in results.items()
    ]
    noted = dict.fromkeys(warning for data in sets.values() for warning in data.warnings)
    noted |= dict.fromkeys(
        f"{name}: the ensemble is scored without {', '.join(gone)}, the weights of the others made to sum to 1."
        for name, gone in without.items()
        if gone
    )
    missing = dict.fromkeys(member for gone in without.values() for member in gone)
    return EnsembleScores(tuple(facts), tuple(systems), tuple(noted), tuple(missing))

"""The verdict of a report, from the figures in it alone: who has a published report can derive it again."""

from __future__ import annotations

from collections.abc import Sequence

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence import shown
from hf_soup.ensembles.evidence.costs import used_members
from hf_soup.ensembles.evidence.document import EnsembleReport
from hf_soup.ensembles.evidence.facts import DataFacts, SystemScores
from hf_soup.ensembles.evidence.systems import BEST_SINGLE, EQUAL
from hf_soup.ensembles.evidence.verdict import JUDGED_BY, Other, verdict


def verdict_from_figures(report: EnsembleReport, chosen: Combination) -> str:
    """Returns the verdict on the first test set, or without one on the fitting rows. `chosen`: the combination that is judged.

    `report.sentence` is not read. Raises ValueError where no system is the chosen one, or it has no figures on that set.
    """
    judged = judged_set(report)
    ours = next((system for system in report.systems if system.chosen), None)
    if ours is None or not set(JUDGED_BY) <= set(ours.results.get(judged.name, {})):
        raise ValueError(f"has no {' and '.join(JUDGED_BY)} of a chosen combination on {judged.name}")
    return verdict(
        _scores_sentence(ours, judged),
        judged,
        [each for each in report.differences if each.set == judged.name and each.metric in JUDGED_BY],
        _others(report.systems, chosen),
        report.left_out,
        report.weights,
        report.rivals,
    )


def judged_set(report: EnsembleReport) -> DataFacts:
    """Returns the set that the verdict is about."""
    return report.sets[min(1, len(report.sets) - 1)]


def _scores_sentence(ours: SystemScores, facts: DataFacts) -> str:
    found = ours.results[facts.name]
    measured = ", ".join(f"{shown.TITLES[each]} {shown.estimated(found[each], each)}" for each in JUDGED_BY)
    return f"{ours.name[0].upper()}{ours.name[1:]} on {facts.described}: {measured}."


def _others(systems: Sequence[SystemScores], chosen: Combination) -> dict[str, Other]:
    single, equal = _combination(systems, BEST_SINGLE, "flat"), _combination(systems, EQUAL, chosen.tiers)
    others = {}
    if single is not None:
        passes = len(used_members(chosen))
        dearer = f", which needs 1 forward pass instead of {passes}," if passes > 1 else ""
        others[single.name] = Other(
            f"the best single model ({single.note})", f"a gain over one model{dearer} was not shown"
        )
    if equal is not None:
        others[equal.name] = Other("equal weights", "a gain over equal weights was not shown")
    return others


def _combination(systems: Sequence[SystemScores], method: str, tiers: str) -> SystemScores | None:
    """As `Scores.combination`: flat or tiered where there are both."""
    of_method = [system for system in systems if system.method == method]
    same = [system for system in of_method if system.tiers == tiers]
    return next(iter(same or of_method), None)

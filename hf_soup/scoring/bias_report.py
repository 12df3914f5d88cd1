"""All checks of bias of one table of forecasts, with their tests adjusted together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.bias_sections import sections
from hf_soup.scoring.biases.acquiescence import Acquiescence, acquiescence
from hf_soup.scoring.biases.confidence import Confidence, confidence
from hf_soup.scoring.biases.cost_per_brier_point import CostPerBrierPoint, cost_per_brier_point
from hf_soup.scoring.biases.error_correlation import ErrorCorrelation, error_correlation
from hf_soup.scoring.biases.estimate import Estimate, with_mean
from hf_soup.scoring.biases.heaping import HeapingOf, heaping_of
from hf_soup.scoring.biases.learning_curve import LearningCurve, learning_curve
from hf_soup.scoring.biases.mean_against_base_rate import MeanAgainstBaseRate, means_against_base_rate
from hf_soup.scoring.biases.pairs import Pairs, joined, originals, pairs_between, pairs_within
from hf_soup.scoring.biases.paraphrases import ParaphraseSensitivity, paraphrase_sensitivity
from hf_soup.scoring.bootstrap import FEW_GROUPS
from hf_soup.scoring.crowd_blend import interim_notes
from hf_soup.scoring.documents import document
from hf_soup.scoring.multiple import ALPHA, Adjusted, benjamini_hochberg
from hf_soup.scoring.scoring import shown_crowd_warnings
from hf_soup.scoring.table import ForecastTable

CROWD, EVERYTHING = "mean of members", "all forecasts"


@dataclass(frozen=True)
class Finding:
    """One test of the report. `check`: the name of the report's field; `name`: of a member, `CROWD` or `EVERYTHING`; `measure`: what
    was estimated. `adjusted_p`: Benjamini–Hochberg over all tests of the report, None where there was no test.
    """

    check: str
    name: str
    measure: str
    estimate: Estimate
    adjusted_p: float | None

    @property
    def found(self) -> bool:
        """Whether chance does not explain it, all tests of the report taken into account."""
        return self.adjusted_p is not None and self.adjusted_p < ALPHA


@dataclass(frozen=True, repr=False)
class BiasReport:
    """Rows of a check are in the order of the members, then `CROWD` (of heaping `EVERYTHING`) where there are several; see the
    files in `biases` for what each holds. Empty: no pairs. None: fewer than two members, nothing resolved, no costs given.

    `adjusted`: of all `findings`. `notes`: what was not checked, and why. `warnings`: for beside the report.
    """

    members: tuple[str, ...]
    mean_against_base_rate: tuple[MeanAgainstBaseRate, ...]
    acquiescence: tuple[Acquiescence, ...]
    paraphrases: tuple[ParaphraseSensitivity, ...]
    heaping: tuple[HeapingOf, ...]
    confidence: tuple[Confidence, ...]
    error_correlation: ErrorCorrelation | None
    learning_curve: LearningCurve | None
    cost_per_brier_point: CostPerBrierPoint | None
    findings: tuple[Finding, ...]
    adjusted: Adjusted
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def adjusted_p(self, estimate: Estimate) -> float | None:
        """Returns the p of one of the report's estimates, adjusted over all tests of the report; None where it has no test."""
        return next((each.adjusted_p for each in self.findings if each.estimate is estimate), None)

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for every number: the findings first, then correlations, the learning curve and costs, which have no test."""
        return [*map(_finding_row, self.findings), *self._untested()]

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = document(self)
        for row, finding in zip(content["findings"], self.findings, strict=True):
            row["found"] = finding.found
        return content

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        found = sum(each.found for each in self.findings)
        tests = f"{self.adjusted.tests} test{'s' if self.adjusted.tests != 1 else ''}"
        return f"<BiasReport of {', '.join(self.members[:5])}{' …' if len(self.members) > 5 else ''}: {found} of {tests} found a bias; print it for the tables>"

    def table(self) -> str:
        """Returns what was found, a table for each check, and what was not checked."""
        return "\n\n".join(sections(self))

    def _untested(self) -> Iterator[dict[str, Any]]:
        if (errors := self.error_correlation) is not None:
            for i, first in enumerate(self.members):
                for j in range(i + 1, len(self.members)):
                    name, n = f"{first} × {self.members[j]}", int(errors.common[i, j])
                    yield _row("error_correlation", name, "correlation of errors", errors.of_errors[i, j], n=n)
                    yield _row("error_correlation", name, "correlation of deviations", errors.of_deviations[i, j], n=n)
        if (curve := self.learning_curve) is not None:
            for point in curve.points:
                name = f"{point.aggregate}, {point.members} members, {point.samples} samples"
                yield _row("learning_curve", name, "expected Brier score", point.brier, n=curve.n)
        if (costs := self.cost_per_brier_point) is not None:
            for member in costs.by_member:
                yield _row("cost_per_brier_point", member.name, "dollars a question", member.per_question)
                yield _row("cost_per_brier_point", member.name, f"dollars for {costs.point:g} Brier", member.per_point)
            for crowd in costs.by_number:
                name = f"{crowd.members} members, {crowd.samples} samples"
                yield _row("cost_per_brier_point", name, "dollars a question", crowd.per_question)
                yield _row("cost_per_brier_point", name, f"dollars for {costs.point:g} Brier", crowd.per_point)


def bias_report(
    table: ForecastTable,
    *,
    negated: ForecastTable | None = None,
    paraphrases: Sequence[ForecastTable] = (),
    costs: Mapping[str, float | None] | None = None,
    looks: int = 1,
) -> BiasReport:
    """Returns every check of bias that the data allow.

    `negated`: forecasts of the opposite questions, each the probability that the opposite comes true, under the id of the question
    or with its own id and `negation_of`; `read_negated` makes one of a run or a file. `paraphrases`: forecasts of other wordings, in
    the same way with `paraphrase_of`. Rewordings in the table itself make pairs too, and are left out of all other checks.
    `costs`: dollars that each member's forecasts cost in all. `looks`: how often these data were tested, this time included.

    Raises InputError where a second table has no member or no question of the first, and where questions reword each other.
    """
    asked = originals(table)
    negations = [pairs_within(table, table.negation_of)]
    if negated is not None:
        negations.append(pairs_between(table, negated, negated.negation_of, "the negated questions"))
    wordings = [pairs_within(table, table.paraphrase_of)]
    wordings += [pairs_between(table, each, each.paraphrase_of, "the paraphrases") for each in paraphrases]
    opposite, reworded = joined(negations), joined(wordings)

    several = len(table.members) > 1
    names = (*table.members, CROWD)
    used = names if several else table.members
    means = with_mean(asked.member_means())[:, : len(used)]
    curve = learning_curve(asked.values, asked.outcomes, asked.groups)
    checks: dict[str, Any] = {
        "mean_against_base_rate": means_against_base_rate(used, means, asked.outcomes, asked.groups),
        "acquiescence": _of_pairs(acquiescence, names, opposite)[: len(used)],
        "paraphrases": _of_pairs(paraphrase_sensitivity, names, reworded)[: len(used)],
        "heaping": heaping_of((*table.members, EVERYTHING), asked.values, asked.groups)[: len(used)],
        "confidence": confidence(used, means, asked.outcomes, asked.groups),
    }
    findings, adjusted = _adjusted(list(_tested(**checks)), looks)
    return BiasReport(
        members=table.members,
        **checks,
        error_correlation=error_correlation(table.members, asked.member_means(), asked.outcomes, asked.groups)
        if several
        else None,
        learning_curve=curve,
        cost_per_brier_point=None
        if costs is None
        else cost_per_brier_point(table.members, asked.values, asked.outcomes, asked.groups, costs, curve),
        findings=findings,
        adjusted=adjusted,
        notes=tuple(_notes(table, asked, opposite, reworded, costs)),
        warnings=tuple(_warnings(asked, opposite, reworded)),
    )


def _of_pairs(check: Any, names: Sequence[str], pairs: Pairs | None) -> tuple[Any, ...]:
    return () if pairs is None else check(names, pairs.asked, pairs.reworded, pairs.groups)


def _tested(
    mean_against_base_rate: Sequence[MeanAgainstBaseRate],
    acquiescence: Sequence[Acquiescence],
    paraphrases: Sequence[ParaphraseSensitivity],
    heaping: Sequence[HeapingOf],
    confidence: Sequence[Confidence],
) -> Iterator[tuple[str, str, str, Estimate]]:
    """(check, name, measure, estimate) of everything that has a test."""
    for excess in mean_against_base_rate:
        yield "mean_against_base_rate", excess.name, "mean − base rate", excess.excess
    for lean in acquiescence:
        yield "acquiescence", lean.name, "p + p_not − 1", lean.lean
    for wording in paraphrases:
        yield "paraphrases", wording.name, "other wording − question", wording.shift
        yield "paraphrases", wording.name, "variance beyond sampling", wording.beyond_sampling
    for heap in heaping:
        for each in heap.round_numbers:
            yield "heaping", heap.name, f"{each.numbers}: share − expected", each.excess
    for sure in confidence:
        if sure.slope is not None:
            yield "confidence", sure.name, "slope", sure.slope
        yield "confidence", sure.name, "sureness − right", sure.surplus


def _adjusted(tested: Sequence[tuple[str, str, str, Estimate]], looks: int) -> tuple[tuple[Finding, ...], Adjusted]:
    adjusted = benjamini_hochberg(
        [f"{check}, {name}: {measure}" for check, name, measure, _ in tested],
        [estimate.test.p if estimate.test else None for *_, estimate in tested],
        looks=looks,
    )
    return tuple(Finding(*each, p) for each, p in zip(tested, adjusted.adjusted, strict=True)), adjusted


def _notes(
    table: ForecastTable,
    asked: ForecastTable,
    opposite: Pairs | None,
    reworded: Pairs | None,
    costs: Mapping[str, float | None] | None,
) -> Iterator[str]:
    if rewordings := len(table.questions) - len(asked.questions):
        yield (
            "1 question is a rewording of another: it makes pairs, and is left out of all other checks."
            if rewordings == 1
            else f"{rewordings} questions are rewordings of others: they make pairs, and are left out of all other checks."
        )
    if opposite is None:
        yield (
            "Acquiescence is not checked: it needs forecasts of negated questions (--negated with a run of the prompt 'negated' or a "
            "file, or a column negation_of)."
        )
    if reworded is None:
        yield (
            "Sensitivity to wording is not checked: it needs forecasts of other wordings (--paraphrase with a run or a file, or a "
            "column paraphrase_of)."
        )
    if costs is None:
        yield "Costs are not known: they stand in the folder of a run."
    yield "A test that finds nothing is no evidence of no bias: read the smallest bias that it would have found."


def _warnings(asked: ForecastTable, opposite: Pairs | None, reworded: Pairs | None) -> Iterator[str]:
    resolved = ~np.isnan(asked.outcomes)
    groups = len(np.unique(asked.groups[resolved]))
    if not groups:
        yield "no question is resolved: only acquiescence, paraphrases and heaping can be checked."
    elif groups < FEW_GROUPS:
        yield f"{groups} group{'s' if groups != 1 else ''} of resolved questions: below {FEW_GROUPS} intervals are rough."
    if groups:
        yield from interim_notes(asked)
    for what, pairs in (("negated", opposite), ("reworded", reworded)):
        if pairs is None:
            continue
        count = len(np.unique(pairs.groups))
        if count < FEW_GROUPS:
            yield f"{count} {what} question{'s' if count != 1 else ''} with pairs: below {FEW_GROUPS} intervals are rough."
        if pairs.unmatched:
            yield f"{', '.join(pairs.unmatched)}: forecasts of {what} questions alone, no member of this name gave the others."
    yield from shown_crowd_warnings(asked)


def _finding_row(finding: Finding) -> dict[str, Any]:
    estimate = finding.estimate
    low, high = estimate.interval or (None, None)
    return _row(
        finding.check,
        finding.name,
        finding.measure,
        estimate.value,
        null=estimate.null,
        low=low,
        high=high,
        n=estimate.n,
        groups=estimate.groups,
        p=estimate.test.p if estimate.test else None,
        adjusted_p=finding.adjusted_p,
        detectable=estimate.detectable,
        found=finding.found,
    )


def _row(check: str, name: str, measure: str, value: float | None, **more: Any) -> dict[str, Any]:
    columns = ("null", "low", "high", "n", "groups", "p", "adjusted_p", "detectable", "found")
    return {
        "check": check,
        "name": name,
        "measure": measure,
        "value": value,
        **{each: more.get(each) for each in columns},
    }

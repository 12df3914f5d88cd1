"""What an ensemble is worth: everything it could have been, side by side, with intervals, and the verdict in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.cost import MemberCost
from hf_soup.ensembles.early_exit import units_of, why_nothing_is_saved
from hf_soup.ensembles.evidence.costs import Cost, cost_table, early_exit_cost
from hf_soup.ensembles.evidence.cross_dataset import CrossDataset, cross_dataset
from hf_soup.ensembles.evidence.differences import Difference, difference
from hf_soup.ensembles.evidence.document import EnsembleReport
from hf_soup.ensembles.evidence.early_passes import early_shares
from hf_soup.ensembles.evidence.facts import DataFacts, SystemScores, Weight
from hf_soup.ensembles.evidence.how_fitted import HowFitted
from hf_soup.ensembles.evidence.left_out import leave_out
from hf_soup.ensembles.evidence.reliability import Reliability, reliability
from hf_soup.ensembles.evidence.rivals import rivals_of_chosen
from hf_soup.ensembles.evidence.scored import COMPARED, LabelledRows
from hf_soup.ensembles.evidence.scoring import Scores, combined, score_combinations, score_singles
from hf_soup.ensembles.evidence.systems import BEST_SINGLE, EQUAL, Kind
from hf_soup.ensembles.evidence.verdict import JUDGED_BY
from hf_soup.ensembles.evidence.verdict_from_figures import verdict_from_figures
from hf_soup.ensembles.fitting import weight_intervals
from hf_soup.ensembles.probabilities import UNNAMED, MemberProbabilities
from hf_soup.ensembles.splits import cross_validated, possible_folds
from hf_soup.ensembles.temperatures import TEMPERATURES
from hf_soup.errors import InputError
from hf_soup.evaluation.resampling import SEED
from hf_soup.progress import phase

if TYPE_CHECKING:
    from hf_soup.ensembles.fitting import Temperature

__all__ = ["CrossDataset", "EnsembleReport", "cross_dataset", "ensemble_report"]


def ensemble_report(
    fit_data: MemberProbabilities,
    tests: Mapping[str, MemberProbabilities] | None = None,
    *,
    chosen: Combination,
    costs: Mapping[str, MemberCost] | None = None,
    name: str = UNNAMED,
    folds: int = 5,
    seed: int = 0,
    temperature: str | None = None,
) -> EnsembleReport:
    """Returns the report on the combination `chosen`, which was fitted on `fit_data`.

    `tests`: other labelled rows of the same members, by name; the verdict is about the first of them, or without one about the
    fitting rows, out of fold. `costs`: by member. `name`: of the fitting rows in tables. `folds`: of the cross-validation, which
    keeps groups together. `seed`: that `chosen` was fitted with; also of folds and resamples. `temperature`: that it was fitted with,
    for the combinations it is compared with; None: read from `chosen`, which where its method has none says nothing of it.
    Rows about which a member says nothing are left out.

    Raises InputError, with all problems: labels missing, tests of other members or classes, a name used twice, a seed below 0.
    """
    given = {name: fit_data, **(tests or {})}
    _check(fit_data, tests or {}, chosen, name, seed, temperature)
    sets = {each: _complete(data) for each, data in given.items()}
    facts = tuple(_facts(each, "fit" if each == name else "test", given[each], data) for each, data in sets.items())
    how = HowFitted.of(chosen, seed, cast("Temperature | None", temperature))
    folds = possible_folds(sets[name], folds)
    rows = {each: LabelledRows.of(data, seed) for each, data in sets.items()}
    rows[name] = LabelledRows.out_of_fold(sets[name], folds, seed)

    phase("scoring members and combinations")
    scores = Scores()
    score_singles(scores, sets, rows, how.tier1)
    score_combinations(scores, sets, rows, name, chosen, how, folds)
    differences = tuple(_differences(scores, rows))
    phase("refitting without each member")
    ours = scores.chosen.name
    left_out = tuple(leave_out(sets[name], rows[name], how, (ours, scores.scored[ours][name]), name, folds))
    weights = tuple(_weights(sets[name], chosen, seed))
    crossed = cross_dataset(sets, how, folds=folds, seed=seed) if len(sets) > 1 else None
    judged = facts[min(1, len(facts) - 1)]
    rivals = rivals_of_chosen(scores, rows[judged.name], judged.name, JUDGED_BY)
    report = EnsembleReport(
        sentence="",
        sets=facts,
        systems=tuple(_system_scores(scores)),
        differences=differences,
        weights=weights,
        left_out=left_out,
        costs=tuple(_costs(scores, sets[judged.name], chosen, costs or {})),
        crossed=crossed,
        reliability=tuple(_reliability(sets, rows, judged.name, name, scores, how, folds)),
        warnings=(
            *dict.fromkeys(each for data in given.values() for each in data.warnings),
            *_warnings(facts, sets, name),
            *scores.warnings,
        ),
        rivals=rivals,
    )
    return replace(report, sentence=verdict_from_figures(report, chosen))


def _check(
    fit_data: MemberProbabilities,
    tests: Mapping[str, MemberProbabilities],
    chosen: Combination,
    name: str,
    seed: int,
    temperature: str | None,
) -> None:
    problems = []
    if seed < 0:
        problems.append(f"seed={seed}: must be 0 or above.")
    if temperature is not None and temperature not in TEMPERATURES:
        problems.append(f"temperature='{temperature}': it is one of {', '.join(TEMPERATURES)}.")
    if name in tests:
        problems.append(f"'{name}' is the name of the fitting rows; give the test set of that name another one.")
    for each, data in {name: fit_data, **tests}.items():
        if data.labels is None:
            problems.append(f"{each}: has no labels, so nothing can be scored on it.")
        if set(data.members) != set(chosen.members):
            problems.append(
                f"{each}: has predictions of {', '.join(data.members)}; the ensemble is of {', '.join(chosen.members)}."
            )
        if data.classes != tuple(chosen.classes):
            problems.append(
                f"{each}: its classes are {', '.join(data.classes)}; those of the ensemble are {', '.join(chosen.classes)}."
            )
    if problems:
        raise InputError(problems)


def _complete(data: MemberProbabilities) -> MemberProbabilities:
    """Everything is scored on the same rows, those that every member answered: other rows would favour who skips hard ones."""
    complete = data.complete_rows
    return data if complete.all() else data.subset(np.flatnonzero(complete))


def _facts(
    name: str, role: Literal["fit", "test"], given: MemberProbabilities, complete: MemberProbabilities
) -> DataFacts:
    counts = np.bincount(complete.labels, minlength=len(complete.classes)).tolist()  # type: ignore[arg-type]
    return DataFacts(
        name=name,
        role=role,
        rows=complete.rows,
        groups=None if complete.groups is None else len(np.unique(complete.groups)),
        of_class=dict(zip(complete.classes, counts, strict=True)),
        left_out=given.rows - complete.rows,
    )


def _differences(scores: Scores, rows: Mapping[str, LabelledRows]) -> Iterator[Difference]:
    """The chosen combination against the best single model, equal weights, family means, and itself with the other tiers."""
    ours = scores.chosen
    assert ours.how is not None
    other_tiers = "flat" if ours.how.tiers == "tiered" else "tiered"
    wanted = [
        scores.combination(BEST_SINGLE, "flat"),
        scores.combination(EQUAL, ours.how.tiers),
        *(system for system in scores.systems if system.kind is Kind.FAMILY),
        scores.combination(ours.how.method, other_tiers),
    ]
    others = [system for system in dict.fromkeys(wanted) if system is not None and system != ours]
    for set_name, labelled in rows.items():
        for other in others:
            pair = [(system.name, scores.scored[system.name][set_name]) for system in (ours, other)]
            for metric in COMPARED:
                yield difference(labelled, set_name, metric, pair[0], pair[1])


def _system_scores(scores: Scores) -> Iterator[SystemScores]:
    for system in scores.systems:
        yield SystemScores(
            name=system.name,
            kind=str(system.kind),
            method=system.how.method if system.how else "",
            tiers=system.how.tiers if system.how else "",
            chosen=system.chosen,
            note=scores.notes.get(system.name, ""),
            results={name: scored.estimates for name, scored in scores.scored[system.name].items()},
        )


def _costs(
    scores: Scores, judged: MemberProbabilities, chosen: Combination, costs: Mapping[str, MemberCost]
) -> Iterator[Cost]:
    if costs:
        yield from cost_table(scores.fitted, judged.members, costs)
        units, shares = units_of(chosen), early_shares(chosen, judged)
        if units is not None and shares is not None:
            yield early_exit_cost(scores.chosen.name, shares, costs, why_nothing_is_saved(units))


def _reliability(
    sets: Mapping[str, MemberProbabilities],
    rows: Mapping[str, LabelledRows],
    judged: str,
    fit_name: str,
    scores: Scores,
    how: HowFitted,
    folds: int,
) -> Iterator[Reliability]:
    """The chosen combination as it is, and, where it has temperatures, as it would be without."""
    if how.tempered:
        plain = replace(how, temperature="none")
        if judged == fit_name:
            before = cross_validated(sets[fit_name], plain, folds, how.seed)
        else:
            before = combined(plain(sets[fit_name]), sets[judged])
        ece = rows[judged].score(before, ["ece"]).estimates["ece"]
        yield reliability(rows[judged], judged, "without temperatures", before, ece)
    name = scores.chosen.name
    yield reliability(
        rows[judged], judged, name, scores.of_chosen[judged], scores.scored[name][judged].estimates["ece"]
    )


def _warnings(facts: Sequence[DataFacts], sets: Mapping[str, MemberProbabilities], fit_name: str) -> Iterator[str]:
    for each in facts:
        yield from each.warnings()
        if each.role == "test" and (same := _rows_in_both(sets[fit_name], sets[each.name])):
            are, them = ("is", "it") if same == 1 else ("are", "them")
            yield (
                f"{each.name}: {same} of its {each.rows} rows {are} also among the fitting rows ({fit_name}); what is scored on {them} "
                f"was fitted on {them}. Take {them} out."
            )


def _rows_in_both(fit_data: MemberProbabilities, test: MemberProbabilities) -> int:
    """Same id and same predictions: ids alone may be mere row numbers."""
    _, here, there = np.intersect1d(fit_data.ids, test.ids, return_indices=True)
    order = [test.members.index(name) for name in fit_data.members]
    same = np.ones(len(here), bool)
    for member, place in enumerate(order):
        same &= (fit_data.values[member, here] == test.values[place, there]).all(axis=1)
    return int(same.sum())


def _weights(data: MemberProbabilities, chosen: Combination, seed: int) -> Iterator[Weight]:
    """What families or members count; no interval where nothing was fitted, or the method has none."""
    if chosen.weights is None:
        return
    intervals = {} if chosen.method == EQUAL else weight_intervals(data, chosen, seed=SEED + seed)
    for name, value in chosen.weights.items():
        low, high = intervals.get(name, (None, None))
        yield Weight(name, value, low, high)

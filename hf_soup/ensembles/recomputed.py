"""The figures of a published ensemble, computed again from what its members say about the rows they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.data_fingerprint import data_fingerprint
from hf_soup.ensembles.evidence.scored import LabelledRows
from hf_soup.ensembles.evidence.scoring import combined
from hf_soup.ensembles.evidence.systems import single_systems
from hf_soup.ensembles.fitting import fit_combination
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.record import ENSEMBLE_RECORD, DataRecord, EnsembleRecord, FitRecord
from hf_soup.ensembles.report import EnsembleReport, ensemble_report
from hf_soup.evaluation.left_out import says_rows_are_left_out

TOLERANCE = 1e-3
"""How far a figure may be from the recorded one: forward passes end in other bits on other hardware."""
_FITTED = 1e-2
"""The same for weights, temperatures (as a share) and the probabilities that they give."""
_ROW_METRICS = ("accuracy", "f1_macro", "auc", "ece")
_STEPS = 2.0
"""Of these metrics one row near a tie makes a step of 1 / rows, and so many steps are let pass."""
_BOUNDS = {"value": "", "low": ", from below,", "high": ", from above,"}
_ALSO = ("differences", "weights", "left_out", "crossed", "rivals")
"""The parts of a report beside its systems; costs are of one machine, the reliability curve is a picture."""
_NAMES = ("name", "set", "of", "against", "metric")


@dataclass(frozen=True)
class Recomputed:
    """`sets`: the names of the recorded data sets whose figures were computed again, `others`: those whose were not. `figures`: how
    many were, of the `recorded` ones. `largest`: the largest difference among them. `fit_agrees`: whether fitting again gave the
    recorded weights and temperatures; None where it was not fitted again. `differences`: a sentence for each that is beyond the
    tolerance. `strangers`: a sentence for each given set that is none of the recorded ones. `notes`: what the given rows
    cannot show."""

    sets: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    figures: int = 0
    recorded: int = 0
    largest: float = 0.0
    fit_agrees: bool | None = None
    differences: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all_figures(self) -> bool:
        return self.figures == self.recorded > 0


def recomputed(record: EnsembleRecord, given: Mapping[str, MemberProbabilities]) -> Recomputed:
    """Computes again what the record reports on the data sets in `given`, which are recognised by their fingerprints.

    With the rows that it was fitted on, the combination is fitted again, and all that is reported of the given sets is computed;
    with test sets alone the figures of members, family means and the published combination on them.
    """
    known, strangers = _recognised(record, given)
    others = tuple(one.name for one in record.data if one.name not in known)
    if record.evidence is None:
        return Recomputed(strangers=tuple(strangers))
    combination = Combination.from_json(record.combination)
    reported = EnsembleReport.from_json(record.evidence)
    count = sum(len(_BOUNDS) for _ in reported.rows()) + len(dict(_leaves(reported.to_json(), _ALSO)))
    if not known:
        return Recomputed(others=others, recorded=count, strangers=tuple(strangers))
    fit_agrees = None
    fit = next((one for one in record.data if one.role == "fit" and one.name in known), None)
    differences = [
        f"{one.name} has {one.rows:,} rows by {ENSEMBLE_RECORD}; those that were given are {known[one.name].rows:,}."
        for one in record.data
        if one.name in known and known[one.name].rows != one.rows
    ]
    if fit is not None and record.fit is not None:
        unlike = list(_weight_differences(record.fit, combination, known[fit.name]))
        fit_agrees = not unlike
        differences += unlike
        again = _report_again(record.fit, combination, fit, known)
        figures = list(_reported_figures(reported, again, known))
    else:
        again = None
        seed = record.fit.seed if record.fit is not None else 0
        figures = list(_scored_figures(reported, combination, known, seed))
    differences += [figure.sentence for figure in figures if figure.differs]
    notes: list[str] = []
    largest = max((figure.distance for figure in figures), default=0.0)
    if again is not None and not others and not largest:
        if reported.sentence != again.sentence:
            differences.append(
                f"The verdict by {ENSEMBLE_RECORD} is '{reported.sentence}'; computed again it is '{again.sentence}'."
            )
        differences += _warning_differences(*(list(_but_left_out(each.warnings)) for each in (reported, again)))
        notes += _left_out_differences(reported.warnings, again.warnings)
    return Recomputed(
        sets=tuple(known),
        others=others,
        figures=len(figures),
        recorded=count,
        largest=largest,
        fit_agrees=fit_agrees,
        differences=tuple(differences),
        strangers=tuple(strangers),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Figure:
    """A number as it is recorded and as it is found; None where it is not defined."""

    what: str
    metric: str | None
    said: float | None
    found: float | None
    rows: int

    @property
    def distance(self) -> float:
        return 0.0 if self.said is None or self.found is None else abs(self.said - self.found)

    @property
    def differs(self) -> bool:
        step = _STEPS / self.rows if self.metric in _ROW_METRICS else 0.0
        return (self.said is None) != (self.found is None) or self.distance > max(TOLERANCE, step)

    @property
    def sentence(self) -> str:
        return f"{self.what} is {_shown(self.said)} by {ENSEMBLE_RECORD}, computed again it is {_shown(self.found)}."


def _recognised(
    record: EnsembleRecord, given: Mapping[str, MemberProbabilities]
) -> tuple[dict[str, MemberProbabilities], list[str]]:
    """Returns (the given sets by their recorded names, a sentence for each of the others)."""
    known: dict[str, MemberProbabilities] = {}
    strangers = []
    for name, data in given.items():
        fingerprint = data_fingerprint(data)
        found = {one.name: data for one in record.data if one.fingerprint == fingerprint}
        known |= found
        if not found:
            names = ", ".join(_described(each) for each in record.data) or "none"
            strangers.append(
                f"{name}: its {data.rows:,} rows, with their labels, are those of no data set in {ENSEMBLE_RECORD} ({names})."
            )
    # In the recorded order: the verdict is about the first test set.
    return {one.name: known[one.name] for one in record.data if one.name in known}, strangers


def _described(one: DataRecord) -> str:
    file = f"{one.data}, " if one.data not in (None, one.name) else ""
    return f"{one.name}: {file}{one.rows:,} rows"


def _warning_differences(said: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    for warning in said:
        if warning not in found:
            yield f"{ENSEMBLE_RECORD} has a warning that does not come of these rows: '{warning}'"
    for warning in found:
        if warning not in said:
            yield f"{ENSEMBLE_RECORD} lacks a warning that comes of these rows: '{warning}'"


def _but_left_out(warnings: Sequence[str]) -> Iterator[str]:
    return (warning for warning in warnings if not says_rows_are_left_out(warning))


def _left_out_differences(said: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Rows that could not be read are in no figure: a file may have them or not, and be of the same rows for all that is said."""
    for warning in said:
        if says_rows_are_left_out(warning) and warning not in found:
            yield f"{ENSEMBLE_RECORD} says '{warning}' Such rows are not among those that were given, so this was not compared."
    for warning in found:
        if says_rows_are_left_out(warning) and warning not in said:
            yield f"of the given rows, and not said by {ENSEMBLE_RECORD}: '{warning}' They are in no figure."


def _weight_differences(settings: FitRecord, published: Combination, data: MemberProbabilities) -> Iterator[str]:
    again = fit_combination(
        data,
        settings.method,
        tiers=settings.tiers,
        tier1=settings.tier1,
        temperature=settings.temperature,
        ridge=settings.ridge,
        seed=settings.seed,
    )
    for what, said, found in (
        ("weight", published.weights or {}, again.weights or {}),
        ("temperature", published.temperatures, again.temperatures),
    ):
        for name in sorted({*said, *found}):
            one, other = said.get(name), found.get(name)
            if one is None or other is None or abs(one - other) > _FITTED * max(1.0, abs(other)):
                yield f"The {what} of '{name}' is {_shown(one)} by {ENSEMBLE_RECORD}, fitted again it is {_shown(other)}."
    distance = np.abs(combined(published, data) - combined(again, data)).max()
    if distance > _FITTED:
        yield f"Fitted again, the combination gives other probabilities; they differ by up to {distance:.3g}."


def _report_again(
    settings: FitRecord, combination: Combination, fit: DataRecord, known: Mapping[str, MemberProbabilities]
) -> EnsembleReport:
    tests = {name: data for name, data in known.items() if name != fit.name}
    return ensemble_report(
        known[fit.name],
        tests,
        chosen=combination,
        name=fit.name,
        folds=settings.folds,
        seed=settings.seed,
        temperature=settings.temperature,
    )


def _reported_figures(
    reported: EnsembleReport, again: EnsembleReport, known: Mapping[str, MemberProbabilities]
) -> Iterator[_Figure]:
    """Values and intervals of every system; with all sets also differences, weights' intervals and what else is reported."""
    found = {(row["set"], row["system"], row["metric"]): row for row in again.rows()}
    for row in reported.rows():
        if row["set"] in known:
            other = found.get((row["set"], row["system"], row["metric"]), {})
            for bound in ("value", "low", "high"):
                what = f"On {row['set']} the {row['metric']} of {row['system']}" + _BOUNDS[bound]
                yield _Figure(what, row["metric"], row[bound], other.get(bound), row["n"])
    if len(reported.sets) > len(known):
        return
    said, now = dict(_leaves(reported.to_json(), _ALSO)), dict(_leaves(again.to_json(), _ALSO))
    rows = min(facts.rows for facts in reported.sets)
    for path in dict.fromkeys([*said, *now]):
        yield _Figure(f"In the report, {' '.join(path)}", _metric(path), said.get(path), now.get(path), rows)


def _leaves(document: Mapping[str, Any], parts: Sequence[str]) -> Iterator[tuple[tuple[str, ...], float | None]]:
    """Every number in these parts of a report, with the names that lead to it."""
    for part in parts:
        yield from _numbers(document[part], (part,))


def _numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float | None]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _numbers(each, (*path, str(name)))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            words = [each[name] for name in _NAMES if name in each] if isinstance(each, Mapping) else [str(place)]
            yield from _numbers(each, (*path, *words) if words else (*path, str(place)))
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield path, value


def _metric(path: Sequence[str]) -> str | None:
    return next((word for word in path if word in _ROW_METRICS), None)


def _scored_figures(
    reported: EnsembleReport, combination: Combination, known: Mapping[str, MemberProbabilities], seed: int
) -> Iterator[_Figure]:
    """What needs no fit: members, means of families, and on test sets the published combination."""
    facts = {one.name: one for one in reported.sets}
    by_name = {system.name: system for system in reported.systems}
    chosen = [system.name for system in reported.systems if system.chosen]
    for set_name, data in known.items():
        rows = LabelledRows.of(data, seed)
        scored = [(system.name, values) for system, values in single_systems(data, combination.tier1)]
        if facts[set_name].role == "test":
            scored += [(name, combined(combination, data)) for name in chosen]
        for name, probabilities in scored:
            said = by_name[name].results.get(set_name, {}) if name in by_name else {}
            found = rows.score(probabilities, list(said)).estimates
            for metric, each in said.items():
                for bound, text in _BOUNDS.items():
                    one, other = getattr(each, bound), getattr(found[metric], bound)
                    what = f"On {set_name} the {metric} of {name}{text}"
                    yield _Figure(what, metric, _defined(one), _defined(other), each.n)


def _defined(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _shown(value: float | None) -> str:
    return "not there" if value is None else f"{value:.6g}"

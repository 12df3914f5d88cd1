"""Whether what a record says in words follows from the figures in it, and its figures go with the rest of it.

No rows are needed for this: who forges a sentence has to forge the figures too, and those are found by who has the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence.document import EnsembleReport
from hf_soup.ensembles.evidence.verdict_from_figures import verdict_from_figures
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord

_TIES = 2.0
"""Rows."""


def evidence_contradictions(record: EnsembleRecord) -> list[str]:
    """Returns a sentence for each figure that does not go with the others, [] when all do. The record is a sound one otherwise."""
    return [] if record.evidence is None else list(_contradictions(record, EnsembleReport.from_json(record.evidence)))


def other_words(record: EnsembleRecord) -> list[str]:
    """Returns a sentence for each text in the record that this version of hf-soup would write otherwise of the same figures."""
    return [] if record.evidence is None else list(_other_words(record, EnsembleReport.from_json(record.evidence)))


def _contradictions(record: EnsembleRecord, report: EnsembleReport) -> Iterator[str]:
    combination = Combination.from_json(record.combination)
    recorded = [(one.name, one.role, one.rows) for one in record.data]
    reported = [(facts.name, facts.role, facts.rows + facts.left_out) for facts in report.sets]
    if recorded != reported:
        yield (
            f"{ENSEMBLE_RECORD} lists the data {', '.join(f'{name} ({rows:,} rows)' for name, _, rows in recorded) or 'none'}, its report is "
            f"about {', '.join(f'{name} ({rows:,} rows)' for name, _, rows in reported)}."
        )
    for facts in report.sets:
        if sum(facts.of_class.values()) != facts.rows:
            yield f"The report in {ENSEMBLE_RECORD} counts {facts.rows:,} rows of {facts.name}, and of its classes others."
    if {each.name: each.value for each in report.weights} != dict(combination.weights or {}):
        yield f"The report in {ENSEMBLE_RECORD} is about other weights than the ensemble has."
    chosen = [system.name for system in report.systems if system.chosen]
    if len(chosen) != 1:
        yield f"The report in {ENSEMBLE_RECORD} is about {', '.join(chosen) or 'no combination'}; it must be about one."
    yield from _curve_contradictions(report)


def _curve_contradictions(report: EnsembleReport) -> Iterator[str]:
    """The rows of a curve's bins are those of its set, and as many of them are right as the accuracy says."""
    rows = {facts.name: facts.rows for facts in report.sets}
    results = {system.name: system.results for system in report.systems}
    for curve in report.reliability:
        known = results.get(curve.name, {}).get(curve.set, {})
        lengths = {len(curve.rows), len(curve.accuracy), len(curve.confidence)}
        fits = len(lengths) == 1 and sum(curve.rows) == rows.get(curve.set)
        if fits and "accuracy" in known:
            right = sum(share * count for share, count in zip(curve.accuracy, curve.rows, strict=True))
            # A row whose two best classes are equally probable may count as right in one of the two.
            fits = abs(right - known["accuracy"].value * sum(curve.rows)) <= _TIES
        if fits and "ece" in known:
            one, other = curve.ece.value, known["ece"].value
            fits = one == other or (one != one and other != other)  # both not defined
        if not fits:
            yield f"The reliability curve of {curve.name} in {ENSEMBLE_RECORD} is not one of its accuracy and ECE on {curve.set}."


def _other_words(record: EnsembleRecord, report: EnsembleReport) -> Iterator[str]:
    for facts in report.sets:
        for warning in facts.warnings():
            if warning not in report.warnings:
                yield f"{ENSEMBLE_RECORD} lacks a warning that follows from its own figures: '{warning}'"
    if not report.sets:
        return
    try:
        sentence = verdict_from_figures(report, Combination.from_json(record.combination))
    except ValueError as error:
        yield f"The report in {ENSEMBLE_RECORD} {error}, so that no verdict follows from it."
        return
    if report.sentence != sentence:
        yield f"The verdict in {ENSEMBLE_RECORD} is '{report.sentence}'; from its own figures follows '{sentence}'"

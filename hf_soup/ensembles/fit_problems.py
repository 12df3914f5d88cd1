"""Everything that can be wrong with a fit and be known before a model is run: settings, rows, labels, members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hf_soup.ensembles.alignment import aligned_classes
from hf_soup.ensembles.fitting import setting_problems
from hf_soup.ensembles.probabilities import UNNAMED, MemberProbabilities
from hf_soup.evaluation.data_files import row_numbers
from hf_soup.evaluation.held_out import HeldOut
from hf_soup.problems import Problems

if TYPE_CHECKING:
    from hf_soup.ensembles.ensemble import Ensemble

Rows = HeldOut | MemberProbabilities


def note_fit_problems(
    problems: Problems,
    ensemble: Ensemble,
    rows: Rows | None,
    tests: Mapping[str, Rows | None],
    *,
    method: str,
    tiers: str,
    temperature: str,
    ridge: float,
    folds: int,
    seed: int,
) -> None:
    """Adds the problems of a fit to those that are known; none hides another. Headers of models are read and no weights.

    `rows`: to fit on; None where they are not known, as a test is that could not be read: nothing is said about it. Raises HubError
    when the Hub fails and there are no problems.
    """
    problems.extend(setting_problems(method, tiers, ensemble.tier1, temperature, ridge, folds, seed))
    rows = rows if rows is not None else ensemble.given
    classes: tuple[str, ...] | None = None
    if isinstance(rows, MemberProbabilities):
        classes = rows.classes
        problems.extend(_of_predictions(rows))
        problems.extend(_same_name(rows.name or UNNAMED, tests))
    elif isinstance(rows, HeldOut):
        problems.extend(_same_name(rows.name, tests))
        if rows.groups is not None and len(set(rows.groups)) < 2:
            problems.add(
                f"{rows.name}: all rows belong to one group ({rows.groups[0]}); without a second one nothing can be judged."
            )
    if ensemble.given is None:
        with problems.first():
            voters = problems.of(ensemble.opened)
        if voters is not None and isinstance(rows, HeldOut) and rows.task == ensemble.task:
            found, name = [example["label"] for example in rows.examples], rows.name
            classes = problems.of(lambda: aligned_classes(voters.members, found, name))
    for name, test in tests.items():
        problems.extend(_of_test(name, test, ensemble.task, rows, classes))


def unknown_labels(rows: HeldOut, classes: tuple[str, ...]) -> str:
    """The problem with labels that are no class of the ensemble; empty where there are none."""
    unknown = [number for number, example in enumerate(rows.examples, 1) if example["label"] not in classes]
    if not unknown:
        return ""
    names = sorted({rows.examples[number - 1]["label"] for number in unknown})
    return (
        f"{rows.name}: {row_numbers(unknown)}: {', '.join(names)} is not a class of the ensemble; its classes are "
        f"{', '.join(classes)}."
    )


def _same_name(name: str, tests: Mapping[str, Rows | None]) -> list[str]:
    if name not in tests:
        return []
    return [f"'{name}' is the name of the fitting rows; give the test set of that name another one."]


def _of_predictions(data: MemberProbabilities) -> list[str]:
    where = f"{data.name}: " if data.name else ""
    if data.labels is None:
        return [
            f"{where}These predictions have no labels; an ensemble is fitted on rows whose answers are known (labels=…)."
        ]
    found = np.unique(data.labels)
    if len(found) < 2:
        of = data.classes[found[0]] if len(found) else "none"
        return [
            f"{where}All {data.rows:,} labels are of one class ({of}); rows of two classes or more are needed to fit on."
        ]
    if data.groups is not None and len(np.unique(data.groups)) < 2:
        return [f"{where}All rows belong to one group; without a second one nothing can be judged."]
    return []


def _of_test(name: str, test: Rows | None, task: str, rows: Rows | None, classes: tuple[str, ...] | None) -> list[str]:
    if isinstance(test, MemberProbabilities):
        found = [] if test.labels is not None else [f"{name}: has no labels, so nothing can be scored on it."]
        if isinstance(rows, MemberProbabilities) and set(test.members) != set(rows.members):
            found.append(
                f"{name}: has predictions of {', '.join(test.members)}; the ensemble is of {', '.join(rows.members)}."
            )
        if classes is not None and test.classes != classes:
            found.append(
                f"{name}: its classes are {', '.join(test.classes)}; those of the ensemble are {', '.join(classes)}."
            )
        return found
    if test is None:
        return []
    if test.task != task:
        return [f"{name}: is for {test.task or 'no task'}; this ensemble is for {task}."]
    problem = unknown_labels(test, classes) if classes else ""
    return [problem] if problem else []

"""Predictions of members that somebody else made, combined without any model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.opening import OnMissing
from hf_soup.ensembles.prediction import EnsemblePredictions
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.errors import InputError, SoupError


def read_given(given: Any, combination: Combination, *, logits: bool) -> MemberProbabilities:
    """Returns the probabilities in `given`: a `MemberProbabilities`, a mapping of families as for `MemberProbabilities.of`, or one
    array [members, rows, classes] in the order of the members. Raises InputError where members or classes are others."""
    if not isinstance(given, MemberProbabilities):
        if not isinstance(given, Mapping):
            given = _by_family(given, combination)
        sizes = {name: len(arrays) for name, arrays in given.items()}
        expected = {name: len(members) for name, members in combination.families.items()}
        if sizes != expected:
            raise InputError(
                f"The predictions are of {_counted(sizes)}; the ensemble was fitted on {_counted(expected)}, in this order."
            )
        given = MemberProbabilities.of(
            given, classes=combination.classes, members=combination.members, logits=logits, missing=True
        )
    if set(given.members) != set(combination.members) or given.classes != combination.classes:
        raise InputError(
            f"The predictions are of {', '.join(given.members)} for {', '.join(given.classes)}; the ensemble is of "
            f"{', '.join(combination.members)} for {', '.join(combination.classes)}."
        )
    return given


def predict_given(data: MemberProbabilities, combination: Combination, on_missing: OnMissing) -> EnsemblePredictions:
    """Returns the ensemble's prediction for what its members said about every row.

    `on_missing="reweigh"`: where members say nothing (NaN) the others decide, with a warning; otherwise that is a SoupError.
    """
    place = {name: index for index, name in enumerate(data.members)}
    values = np.asarray(data.values[[place[name] for name in combination.members]])
    silent = np.isnan(values[:, :, 0])
    warnings = [
        f"{name} says nothing about {count} of {data.rows} rows; there the others decide."
        for name, count in zip(combination.members, silent.sum(axis=1).tolist(), strict=True)
        if count
    ]
    if warnings and on_missing == "error":
        raise SoupError(f"{' '.join(warnings)} That is done with on_missing='reweigh' only.")
    return EnsemblePredictions(
        ids=data.ids,
        classes=combination.classes,
        probabilities=combination.combine(values),
        member_names=combination.members,
        members=values,
        passes=np.zeros(data.rows, np.int64),
        warnings=(*data.warnings, *warnings),
    )


def _by_family(array: Any, combination: Combination) -> dict[str, list[Any]]:
    arrays = list(array)
    if len(arrays) != len(combination.members):
        raise InputError(
            f"There are predictions of {len(arrays)} members; the ensemble has {len(combination.members)}."
        )
    answers = iter(arrays)
    return {family: [next(answers) for _ in members] for family, members in combination.families.items()}


def _counted(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sizes.items())

"""Predictions of members that somebody else made, combined without any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.opening import OnMissing
from hf_soup.ensembles.predicting import without
from hf_soup.ensembles.prediction import EnsemblePredictions
from hf_soup.ensembles.probabilities import Family, MemberProbabilities
from hf_soup.errors import InputError, SoupError
from hf_soup.progress import say

Names = Mapping[str, Sequence[str]]
"""The names of members, by family."""


def read_given(
    given: Any, combination: Combination, *, logits: bool, on_missing: OnMissing = "error"
) -> MemberProbabilities:
    """Returns the probabilities in `given`: a `MemberProbabilities`, a mapping of families as for `MemberProbabilities.of`, or one
    array [members, rows, classes] in the order of the members. `on_missing`: see `as_members_of`. Raises InputError where members or
    classes are others."""
    if isinstance(given, str | Path):
        raise InputError(
            f"{given}: this ensemble is of ready-made predictions and holds no model that could read rows. Give what its members say "
            "about them: --predictions NAME=FILE,FILE … (arrays by family, or read_predictions)."
        )
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
    return as_members_of(combination.families, given, combination.classes, on_missing)


def as_members_of(
    families: Names, given: MemberProbabilities, classes: Sequence[str], on_missing: OnMissing = "error"
) -> MemberProbabilities:
    """Returns the predictions as those of an ensemble's members, under their names and in their families.

    `on_missing="reweigh"`: they may be of some of the members only. Where names are others, it says on standard error which member each stands for. Raises what `names_of_members` raises, and InputError for other classes.
    """
    if given.classes != tuple(classes):
        raise InputError(
            f"The predictions are for the classes {', '.join(given.classes)}; the ensemble is for {', '.join(classes)}."
        )
    names = names_of_members(families, given.family_members, on_missing)
    if others := [f"{name} as {member}" for name, member in names.items() if name != member]:
        say(f"By their places in their families, predictions are taken: {', '.join(others)}.")
    members = tuple(names[name] for name in given.members)
    place = {name: index for index, name in enumerate(members)}
    there = {family: tuple(place[name] for name in each if name in place) for family, each in families.items()}
    grouped = tuple(Family(family, places) for family, places in there.items() if places)
    return replace(given, members=members, families=grouped)


def names_of_members(families: Names, given: Names, on_missing: OnMissing = "error") -> dict[str, str]:
    """Returns which member of the ensemble each given name stands for.

    A member's own name stands for it, in whatever family it is given. Other names, as files of another test set have, stand for the
    rest of their family in its order. `on_missing="reweigh"`: predictions that all have a member's own name may be of some members
    only. Raises InputError where families differ in size otherwise, and for the name of a member in another family.
    """
    own = [name for names in families.values() for name in names]
    named = [name for names in given.values() for name in names]
    all_known = bool(named) and set(named) <= set(own) and len(set(named)) == len(named)
    if all_known and (len(named) == len(own) or on_missing == "reweigh"):
        return {name: name for name in own if name in named}
    sizes = {family: len(names) for family, names in given.items()}
    expected = {family: len(names) for family, names in families.items()}
    if sizes != expected:
        hint = ""
        if all_known:
            lacking = ", ".join(name for name in own if name not in named)
            hint = f" Of {lacking} there are none: on_missing='reweigh' (--on-missing reweigh) does without."
        elif on_missing == "reweigh":
            hint = " To do without a member, each file must be called like the member that it is of."
        raise InputError(
            f"The predictions are of {_counted(sizes)}; the ensemble is of {_counted(expected)}: {', '.join(own)}.{hint}"
        )
    strange = [
        f"'{name}' is given for the family {family}, and is a member of another one; name the file otherwise, or give it there."
        for family, names in given.items()
        for name in names
        if name in own and name not in families[family]
    ]
    if strange:
        raise InputError(strange)
    found: dict[str, str] = {}
    for family, names in given.items():
        rest = iter([name for name in families[family] if name not in names])
        found |= {name: name if name in families[family] else next(rest) for name in names}
    return found


def predict_given(data: MemberProbabilities, combination: Combination, on_missing: OnMissing) -> EnsemblePredictions:
    """Returns the ensemble's prediction for what its members said about every row.

    `on_missing="reweigh"`: where members say nothing (NaN), or there is nothing of them, the others decide, with a warning; otherwise
    that is a SoupError.
    """
    gone = [name for name in combination.members if name not in data.members]
    if gone and on_missing == "error":
        raise SoupError(f"There are no predictions of {', '.join(gone)}; on_missing='reweigh' does without.")
    combination = combination.reweighed(data.members)
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
    some_silent = [name for name, some in zip(combination.members, silent.any(axis=1), strict=True) if some]
    absent = [without(name, "there are no predictions of it.") for name in gone]
    return EnsemblePredictions(
        ids=data.ids,
        classes=combination.classes,
        probabilities=combination.combine(values),
        member_names=combination.members,
        members=values,
        passes=np.zeros(data.rows, np.int64),
        warnings=(*absent, *data.warnings, *warnings),
        missing=(*gone, *some_silent),
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

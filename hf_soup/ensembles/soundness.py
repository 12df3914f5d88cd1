"""Whether a record of an ensemble agrees with itself: its combination is a sound one, and of its own members and classes."""

from __future__ import annotations

from collections.abc import Iterator

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.errors import InputError


def record_problems(record: EnsembleRecord) -> list[str]:
    """Returns a sentence for each thing in the record that cannot be so, [] when it is sound."""
    return list(_problems(record))


def _problems(record: EnsembleRecord) -> Iterator[str]:
    names = [member.name for member in record.members]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{ENSEMBLE_RECORD}: two members are called '{name}'."
    for family in record.families:
        if not family.members:
            yield f"{ENSEMBLE_RECORD}: the family '{family.name}' has no members."
    for member in record.members:
        if (member.source == "model") != bool(member.models):
            yield f"{ENSEMBLE_RECORD}: the member '{member.name}' is a {member.source} and lists {len(member.models)} models."
    try:
        combination = Combination.from_json(record.combination)
    except InputError as error:
        yield from (f"{ENSEMBLE_RECORD}: the combination is not well-formed ({problem})" for problem in error.problems)
        return
    families = {family.name: tuple(member.name for member in family.members) for family in record.families}
    recorded = {name: tuple(members) for name, members in combination.families.items()}
    if recorded != families:
        yield (
            f"{ENSEMBLE_RECORD}: the combination is of {_shown(recorded)}, the members are {_shown(families)}: these are the weights "
            "of another ensemble."
        )
    if list(combination.classes) != record.classes:
        yield (
            f"{ENSEMBLE_RECORD}: the combination is for the classes {', '.join(combination.classes)}, the ensemble has "
            f"{', '.join(record.classes)}."
        )


def _shown(families: dict[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{name}: {', '.join(members)}" for name, members in families.items())

"""Which forecasts are of another wording of a question, or of its opposite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.table import ForecastTable


@dataclass(frozen=True)
class Pairs:
    """P pairs of a question and a rewording of it, both with forecasts. `asked`, `reworded`: float64 [P, M, S] and [P, M, S′], NaN for none.

    `groups`: int64 [P], of the questions. `unmatched`: members that have forecasts of rewordings alone, under another name.
    """

    asked: np.ndarray
    reworded: np.ndarray
    groups: np.ndarray
    unmatched: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)


def originals(table: ForecastTable) -> ForecastTable:
    """Returns the questions that are no rewording of another one in the table. Raises InputError where some reword each other."""
    of = dict(zip(table.questions, _of(table), strict=True))
    for id in table.questions:
        seen, at = {id}, of[id]
        while at in of:
            if at in seen:
                raise InputError(
                    f"Questions {', '.join(map(repr, sorted(seen)))} are rewordings of each other; leave negation_of and paraphrase_of of "
                    "the original blank."
                )
            seen.add(at)
            at = of[at]
    reworded = [original in of for original in of.values()]
    return table.subset(~np.array(reworded, dtype=bool)) if any(reworded) else table


def pairs_within(table: ForecastTable, of: Sequence[str | None]) -> Pairs:
    """Returns the pairs in one table. `of`: for each question the id of the one it is a rewording of, None for no rewording."""
    place = {id: number for number, id in enumerate(table.questions)}
    rewordings = [number for number, id in enumerate(of) if id in place]
    asked = [place[id] for id in of if id is not None and id in place]
    return _with_forecasts(Pairs(table.values[asked], table.values[rewordings], table.groups[asked]))


def pairs_between(table: ForecastTable, other: ForecastTable, of: Sequence[str | None], what: str) -> Pairs:
    """Returns the pairs of a question of `table` and one of `other`, whose id is the same unless `of` names another.

    Where `of` names one that has forecasts, questions of `other` without a name are left out. Raises InputError where the tables
    have no member or no question in common; `what` is said of `other` then.
    """
    answered = ~np.isnan(other.values).all(axis=(1, 2))
    named = any(id is not None for id, has in zip(of, answered, strict=True) if has)
    ids = of if named else other.questions
    place = {id: number for number, id in enumerate(table.questions)}
    rewordings = [number for number, id in enumerate(ids) if id in place]
    members = [number for number, name in enumerate(table.members) if name in other.members]
    problems = []
    if not members:
        problems.append(
            f"{what}: has forecasts of {', '.join(other.members)}, the others are of {', '.join(table.members)}; pairs need the same "
            "members under the same names."
        )
    if not rewordings:
        problems.append(
            f"{what}: none of its questions is one of the others, or says with negation_of or paraphrase_of which one it rewords."
        )
    if problems:
        raise InputError(problems)
    asked = [place[id] for id in ids if id is not None and id in place]
    reworded = np.full((len(rewordings), len(table.members), other.values.shape[2]), np.nan)
    theirs = [other.members.index(table.members[number]) for number in members]
    reworded[:, members] = other.values[np.ix_(rewordings, theirs)]
    unmatched = tuple(name for name in other.members if name not in table.members)
    return _with_forecasts(Pairs(table.values[asked], reworded, table.groups[asked], unmatched))


def joined(found: Sequence[Pairs]) -> Pairs | None:
    """Returns all pairs together, None where there are none."""
    found = [each for each in found if len(each)]
    if not found:
        return None
    return Pairs(
        asked=np.concatenate([_widened(each.asked, found, "asked") for each in found]),
        reworded=np.concatenate([_widened(each.reworded, found, "reworded") for each in found]),
        groups=np.concatenate([each.groups for each in found]),
        unmatched=tuple(dict.fromkeys(name for each in found for name in each.unmatched)),
    )


def _of(table: ForecastTable) -> list[str | None]:
    return [
        negation or paraphrase for negation, paraphrase in zip(table.negation_of, table.paraphrase_of, strict=True)
    ]


def _with_forecasts(pairs: Pairs) -> Pairs:
    """Those that a member answered whole."""
    whole = (~np.isnan(pairs.asked)).any(axis=2) & (~np.isnan(pairs.reworded)).any(axis=2)
    kept = whole.any(axis=1)
    return replace(pairs, asked=pairs.asked[kept], reworded=pairs.reworded[kept], groups=pairs.groups[kept])


def _widened(values: np.ndarray, found: Sequence[Pairs], side: str) -> np.ndarray:
    samples = max(getattr(each, side).shape[2] for each in found)
    return np.pad(values, ((0, 0), (0, 0), (0, samples - values.shape[2])), constant_values=np.nan)

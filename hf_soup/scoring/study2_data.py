"""What Study 2 is computed from: two interval forecasts of every member, before and after it saw the human median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.table import numbered_by_id

_INTERVALS = ("first_low", "first_high", "second_low", "second_high")


@dataclass(frozen=True)
class TwoTurns:
    """Q questions, M members, S samples. `first_low` … `second_high`: float64 [Q, M, S], the ends of both intervals, NaN for none.

    A sample is one conversation: its first and second answer stand at the same place. `outcomes`: float64 [Q], 1, 0, NaN.
    `groups`: int64 [Q], renumbered by `numbered_by_id`. `crowd`: float64 [Q], the human median that was shown. `annulled`:
    bool [Q], None for not known. Raises InputError where shapes do not fit, an end
    is no probability, or an interval ends below its beginning.
    """

    questions: tuple[str, ...]
    members: tuple[str, ...]
    first_low: np.ndarray
    first_high: np.ndarray
    second_low: np.ndarray
    second_high: np.ndarray
    outcomes: np.ndarray
    groups: np.ndarray
    crowd: np.ndarray
    annulled: np.ndarray | None = None

    def __post_init__(self) -> None:
        if problems := self._wrong_shapes() or [*self._wrong_values()]:
            raise InputError(problems)
        object.__setattr__(self, "groups", numbered_by_id(self.groups, self.questions))

    @classmethod
    def of(
        cls,
        first: tuple[np.ndarray, np.ndarray],
        second: tuple[np.ndarray, np.ndarray],
        outcomes: np.ndarray,
        crowd: np.ndarray,
        *,
        members: Sequence[str],
        questions: Sequence[str] | None = None,
        groups: np.ndarray | None = None,
        annulled: np.ndarray | None = None,
    ) -> TwoTurns:
        """Returns the data from (low, high) of both turns, [Q, M] or [Q, M, S]; without `groups` every question is its own."""
        arrays = [np.asarray(each, dtype=np.float64) for each in (*first, *second)]
        first_low, first_high, second_low, second_high = (
            each[:, :, None] if each.ndim == 2 else each for each in arrays
        )
        outcomes = np.asarray(outcomes, dtype=np.float64)
        return cls(
            tuple(questions or (f"question {n}" for n in range(1, len(outcomes) + 1))),
            tuple(members),
            first_low,
            first_high,
            second_low,
            second_high,
            outcomes,
            np.arange(len(outcomes)) if groups is None else np.asarray(groups),
            np.asarray(crowd, dtype=np.float64),
            None if annulled is None else np.asarray(annulled, dtype=bool),
        )

    @property
    def open(self) -> np.ndarray:
        """bool [Q]: no outcome, and may still get one."""
        return np.isnan(self.outcomes) & ~self.is_annulled

    @property
    def is_annulled(self) -> np.ndarray:
        """bool [Q]."""
        return np.zeros(len(self.questions), dtype=bool) if self.annulled is None else self.annulled

    def complete(self) -> np.ndarray:
        """Returns bool [Q, M, S]: the samples with both answers whole."""
        return ~np.isnan(np.stack([getattr(self, name) for name in _INTERVALS])).any(axis=0)

    def _wrong_shapes(self) -> list[str]:
        wanted = self.first_low.shape
        problems = []
        if len(wanted) != 3 or wanted[:2] != (len(self.questions), len(self.members)):
            problems.append(
                f"first_low: has shape {list(wanted)}; there are {len(self.questions)} questions and {len(self.members)} members, so it "
                f"must be [{len(self.questions)}, {len(self.members)}, samples]."
            )
        problems += [
            f"{name}: has shape {list(getattr(self, name).shape)}, first_low has {list(wanted)}."
            for name in _INTERVALS
            if getattr(self, name).shape != wanted
        ]
        problems += [
            f"{name}: has shape {list(getattr(self, name).shape)}, there are {len(self.questions)} questions."
            for name in ("outcomes", "groups", "crowd", "annulled")
            if getattr(self, name) is not None and getattr(self, name).shape != (len(self.questions),)
        ]
        return problems

    def _wrong_values(self) -> list[str]:
        problems = []
        for name in (*_INTERVALS, "crowd"):
            each = getattr(self, name)
            outside = np.argwhere((each < 0) | (each > 1))
            if len(outside):
                where = tuple(outside[0])
                problems.append(
                    f"{name}: {each[where]} of question '{self.questions[where[0]]}' does not lie between 0 and 1; percentages are "
                    "divided by 100 first."
                )
        for turn in ("first", "second"):
            turned = np.argwhere(getattr(self, f"{turn}_low") > getattr(self, f"{turn}_high"))
            if len(turned):
                question, member = self.questions[turned[0][0]], self.members[turned[0][1]]
                problems.append(
                    f"{turn} interval of {member} on question '{question}': its low end lies above its high end."
                )
        wrong = np.flatnonzero(~(np.isnan(self.outcomes) | (self.outcomes == 0) | (self.outcomes == 1)))
        if len(wrong):
            problems.append(
                f"outcomes: {self.outcomes[wrong[0]]} of question '{self.questions[wrong[0]]}' is neither 1 nor 0; NaN is one that is "
                "open or annulled."
            )
        return problems

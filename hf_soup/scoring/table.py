"""The table of forecasts that everything in this room takes: questions × members × samples, with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from hf_soup.errors import InputError


@dataclass(frozen=True)
class ForecastTable:
    """Q questions, M members, at most S samples of a member on a question. NaN is a missing forecast, and stays one.

    `values`: float64 [Q, M, S], probabilities in [0, 1]. `outcomes`: float64 [Q], 1, 0, NaN where there is none (open or
    annulled). `groups`: int64 [Q], what stays together in resampling and cross-validation, renumbered by `numbered_by_id`.
    `annulled`: bool [Q].
    `crowd`: float64 [Q], a human crowd's or a market's probability, NaN for none; `crowd_times`: float64 [Q].
    `times`: float64 [Q, M, S], when a forecast was made; `resolution_times`: float64 [Q]. `shown_crowd`: bool [Q, M, S], the
    forecast was made after the crowd's was shown. `negation_of`, `paraphrase_of`: the id of the question whose opposite, or whose
    other wording, this one is, None for most. All times are in seconds since 1970 (UTC), NaN or None where not known.

    Raises InputError where shapes do not fit, or values are no probabilities and outcomes other than 1, 0 and NaN.
    """

    questions: tuple[str, ...]
    members: tuple[str, ...]
    values: np.ndarray
    outcomes: np.ndarray
    groups: np.ndarray
    annulled: np.ndarray
    crowd: np.ndarray
    times: np.ndarray | None = None
    topics: tuple[str | None, ...] = ()
    sources: tuple[str | None, ...] = ()
    crowd_times: np.ndarray | None = None
    resolution_times: np.ndarray | None = None
    shown_crowd: np.ndarray | None = None
    negation_of: tuple[str | None, ...] = ()
    paraphrase_of: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        for name in ("topics", "sources", "negation_of", "paraphrase_of"):
            if not getattr(self, name):
                object.__setattr__(self, name, (None,) * len(self.questions))
        if problems := [*_wrong_shapes(self), *_wrong_values(self)]:
            raise InputError(problems)
        object.__setattr__(self, "groups", numbered_by_id(self.groups, self.questions))

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        outcomes: np.ndarray | None = None,
        *,
        questions: Sequence[str] | None = None,
        members: Sequence[str] | None = None,
        groups: np.ndarray | None = None,
        crowd: np.ndarray | None = None,
        times: np.ndarray | None = None,
    ) -> ForecastTable:
        """Returns a table of arrays: `values` [Q, M] or [Q, M, S], outcomes [Q]; names are counted from 1 where not given.

        >>> ForecastTable.of([[0.25, 0.75], [0.5, float("nan")]], [1, 0]).member_means()[:, 0]
        array([0.25, 0.5 ])
        """
        values = np.asarray(values, dtype=np.float64)
        values = values[:, :, None] if values.ndim == 2 else values
        if values.ndim != 3:
            raise InputError(f"values: has shape {list(values.shape)}; questions × members (× samples) are needed.")
        n_questions, n_members, _ = values.shape
        nothing = np.full(n_questions, np.nan)
        return cls(
            questions=tuple(questions or (f"question {n}" for n in range(1, n_questions + 1))),
            members=tuple(members or (f"member {n}" for n in range(1, n_members + 1))),
            values=values,
            outcomes=nothing if outcomes is None else np.asarray(outcomes, dtype=np.float64),
            groups=np.arange(n_questions) if groups is None else np.asarray(groups, dtype=np.int64),
            annulled=np.zeros(n_questions, dtype=bool),
            crowd=nothing if crowd is None else np.asarray(crowd, dtype=np.float64),
            times=times,
        )

    def member_means(self) -> np.ndarray:
        """Returns float64 [Q, M]: the mean of a member's samples, NaN where it has none."""
        return mean_of_samples(self.values)

    def pooled(self) -> np.ndarray:
        """Returns float64 [Q, M·S]: all forecasts of a question side by side."""
        return self.values.reshape(len(self.questions), -1)

    def resolved(self) -> ForecastTable:
        """Returns the questions that have an outcome; open and annulled ones are left out."""
        return self.subset(~np.isnan(self.outcomes))

    def subset(self, mask: np.ndarray) -> ForecastTable:
        """Returns the questions where `mask`, bool [Q], is true, in the same order."""
        chosen = np.flatnonzero(np.asarray(mask, dtype=bool))
        if len(mask) != len(self.questions):
            raise InputError(f"subset: the mask has {len(mask)} values for {len(self.questions)} questions.")
        taken = {}
        for field in fields(self):
            each = getattr(self, field.name)
            if field.name == "members" or each is None:
                taken[field.name] = each
            else:
                taken[field.name] = tuple(each[n] for n in chosen) if isinstance(each, tuple) else each[chosen]
        return ForecastTable(**taken)

    @property
    def missing(self) -> np.ndarray:
        """int64 [M]: of how many questions a member has no forecast at all."""
        return np.isnan(self.values).all(axis=2).sum(axis=0)

    @property
    def n_open(self) -> int:
        """Questions without an outcome that may still get one."""
        return int((np.isnan(self.outcomes) & ~self.annulled).sum())


def numbered_by_id(groups: np.ndarray, questions: Sequence[str]) -> np.ndarray:
    """Returns int64 [Q], the same groups with numbers from 0 in the order of the smallest id in each.

    What is drawn or dealt by these numbers, such as resamples and folds, is the same for the same questions in another order.

    >>> numbered_by_id(np.array([7, 3, 7]), ["b", "c", "a"]).tolist()
    [0, 1, 0]
    """
    if not len(groups):
        return np.asarray(groups, dtype=np.int64)
    by_id = np.argsort(np.array(questions), kind="stable")
    _, first, which = np.unique(np.asarray(groups)[by_id], return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    numbered = np.empty(len(groups), dtype=np.int64)
    numbered[by_id] = number[which]
    return numbered


def mean_of_samples(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the last axis of what is not NaN; NaN where all is."""
    present = ~np.isnan(values)
    counts = present.sum(axis=-1)
    sums = np.where(present, values, 0.0).sum(axis=-1)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _wrong_shapes(table: ForecastTable) -> list[str]:
    n_questions, n_members = len(table.questions), len(table.members)
    problems = []
    if table.values.ndim != 3 or table.values.shape[:2] != (n_questions, n_members):
        problems.append(
            f"values: has shape {list(table.values.shape)}; there are {n_questions} questions and {n_members} members, so it must "
            f"be [{n_questions}, {n_members}, samples]."
        )
    elif not n_members or not table.values.shape[2]:
        problems.append(
            f"values: has shape {list(table.values.shape)}; at least one member and one sample are needed."
        )
    for name in (
        "outcomes",
        "groups",
        "annulled",
        "crowd",
        "topics",
        "sources",
        "crowd_times",
        "resolution_times",
        "negation_of",
        "paraphrase_of",
    ):
        each = getattr(table, name)
        if each is not None and np.shape(each)[:1] != (n_questions,):
            problems.append(f"{name}: has {len(each)} values for {n_questions} questions.")
    for name in ("times", "shown_crowd"):
        each = getattr(table, name)
        if each is not None and each.shape != table.values.shape:
            problems.append(f"{name}: has shape {list(each.shape)}, values have {list(table.values.shape)}.")
    for name, ids in (("question", table.questions), ("member", table.members)):
        if len(set(ids)) < len(ids):
            twice = next(each for n, each in enumerate(ids) if each in ids[:n])
            problems.append(f"{name} '{twice}' is there twice.")
    return problems


def _wrong_values(table: ForecastTable) -> list[str]:
    problems = []
    for name in ("values", "crowd"):
        each = getattr(table, name)
        outside = np.argwhere((each < 0) | (each > 1))
        if len(outside) and len(each) == len(table.questions):
            first = tuple(outside[0])
            problems.append(
                f"{name}: {each[first]} of question '{table.questions[first[0]]}' does not lie between 0 and 1; percentages are "
                "divided by 100 first (read_forecasts(…, unit='percent'), --unit percent)."
            )
    wrong = np.flatnonzero(~(np.isnan(table.outcomes) | (table.outcomes == 0) | (table.outcomes == 1)))
    if len(wrong) and len(table.outcomes) == len(table.questions):
        problems.append(
            f"outcomes: {table.outcomes[wrong[0]]} of question '{table.questions[wrong[0]]}' is neither 1 nor 0; NaN is one that is "
            "open or annulled."
        )
    return problems

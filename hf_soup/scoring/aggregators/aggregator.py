"""What an aggregator is, and the table of all of them, made from the signatures of decorated functions.

A closed-form aggregator is a function on arrays that returns one forecast a question, float64 [Q]. Its positional arguments
say what it is given:

- `samples`: float64 [Q, M, S], everything, NaN where missing
- `members`: float64 [Q, M], the means of members' samples, so that a member with more samples does not weigh more
- `times`: float64 [Q, M], seconds since 1970 of a member's latest forecast

A fitted one takes `members` and `outcomes` of some questions and returns a function that predicts others; it is only ever
called on splits that keep these apart. Keyword-only arguments are parameters that a user can set, with their allowed range in
the annotation; they are part of the result. A docstring's first line says what is returned, its `Source:` line from where, and an
`In words:` line which one it is where others have the same name.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from typing import Annotated, Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.cross_validation import Predict, Splits, group_folds, out_of_fold, too_few
from hf_soup.scoring.table import ForecastTable

_MODULES = (
    "medians",
    "means",
    "log_odds_means",
    "hodges_lehmann",
    "recency",
    "beta_pool",
    "inverse_brier",
    "stacking",
)


class Kind(StrEnum):
    CLOSED_FORM = "closed-form"
    FITTED = "fitted"


@dataclass(frozen=True)
class Within:
    """The allowed range of a parameter, without its upper bound, and without its lower one where it is `above`."""

    low: float
    high: float = float("inf")
    above: bool = True

    def __contains__(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (self.low < value if self.above else self.low <= value) and value < self.high

    def __str__(self) -> str:
        upper = "" if self.high == float("inf") else f" and below {self.high:g}"
        return f"{'above' if self.above else 'at least'} {self.low:g}{upper}"


Clip = Annotated[float, Within(0, 0.5)]
"""Log odds are taken of probabilities clipped to [clip, 1 − clip]."""


@dataclass(frozen=True)
class Aggregate:
    """One forecast a question, beside what it was made from. Q questions, M members.

    `values`: float64 [Q], NaN where no member has a forecast. `members`: float64 [Q, M], the means of members' samples.
    `spread`: float64 [Q], the standard deviation of these over members (n − 1), NaN with fewer than two. `counts`: int64 [Q],
    members with a forecast. `parameters`: as used. `clipped`: member forecasts that the clip of log odds moved, None without a
    clip. `how_fitted`: in words, None for closed forms. `words`: which of several of this name it is; empty where there is one.
    """

    name: str
    values: np.ndarray
    members: np.ndarray
    spread: np.ndarray
    counts: np.ndarray
    parameters: Mapping[str, Any]
    clipped: int | None = None
    how_fitted: str | None = None
    words: str = ""

    def subset(self, mask: np.ndarray) -> Aggregate:
        """Returns the aggregate of the questions where `mask`, bool [Q], is true."""
        arrays = ("values", "members", "spread", "counts")
        return replace(self, **{name: getattr(self, name)[mask] for name in arrays})

    @property
    def description(self) -> str:
        """The name, which one it is, its parameters, what was clipped and how it was fitted, in one line for the report."""
        words = [self.words] if self.words else []
        words += [f"{name} {value:.6g}" for name, value in self.parameters.items() if name != "clip"]
        if self.clipped is not None:
            clip = self.parameters["clip"]
            words.append(
                f"clipped to {100 * clip:g}–{100 - 100 * clip:g} %, which moved {self.clipped} member forecasts"
            )
        if self.how_fitted:
            words.append(f"fitted by {self.how_fitted}")
        return f"{self.name} ({'; '.join(words)})" if words else self.name


@dataclass(frozen=True)
class Aggregator:
    """Call it with a table, or for closed forms with an array [Q, M] or [Q, M, S], and its parameters by keyword."""

    name: str
    kind: Kind
    _function: Callable[..., Any]

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self._function) or "").split("\n", 1)[0]

    @property
    def source(self) -> str:
        return self._line("Source:")

    @property
    def words(self) -> str:
        return self._line("In words:")

    def _line(self, start: str) -> str:
        """What the docstring says after this; empty where no line starts with it."""
        lines = (line.strip() for line in (inspect.getdoc(self._function) or "").splitlines())
        return next((line.removeprefix(start).strip() for line in lines if line.startswith(start)), "")

    @property
    def needs_times(self) -> bool:
        return "times" in inspect.signature(self._function).parameters

    @property
    def defaults(self) -> dict[str, Any]:
        signature = inspect.signature(self._function).parameters.values()
        return {each.name: each.default for each in signature if each.kind is each.KEYWORD_ONLY}

    def why_not(self, table: ForecastTable) -> str | None:
        """Returns why this table does not have what the aggregator needs; None where it has."""
        if self.needs_times:
            return _without_times(table)
        if self.kind is Kind.FITTED:
            resolved = ~np.isnan(table.outcomes)
            if len(np.unique(table.groups[resolved])) < 2:
                return "needs resolved questions of two groups or more"
            return too_few(table.outcomes)
        return None

    def __call__(
        self, table: ForecastTable | np.ndarray, *, splits: Splits | None = None, **parameters: Any
    ) -> Aggregate:
        """Returns the aggregate. A fitted one predicts every question by a fit that saw neither it nor its group.

        `splits`: of a fitted one, as `group_folds` (the default, ten folds) or `earlier_split` make them. Raises InputError for
        a parameter that is not known or out of range, and where the table lacks what is needed (`why_not`).
        """
        table = table if isinstance(table, ForecastTable) else ForecastTable.of(table)
        bound = self._bind(parameters)
        if reason := self.why_not(table):
            raise InputError(f"aggregator {self.name}: {reason}.")
        members = table.member_means()
        if self.kind is Kind.FITTED:
            splits = splits or group_folds(table.outcomes, table.groups)
            values = out_of_fold(self._fit(bound), members, table.outcomes, table.groups, splits)
        elif splits is not None:
            raise InputError(f"aggregator {self.name}: is not fitted, so it takes no splits.")
        else:
            values = self._function(**self._given(table, members), **bound)
        return Aggregate(
            self.name,
            values,
            members,
            spread_of(members),
            (~np.isnan(members)).sum(axis=1),
            bound,
            _outside(members, bound["clip"]) if "clip" in bound else None,
            splits.how if splits else None,
            self.words,
        )

    def _fit(self, bound: Mapping[str, Any]) -> Callable[[np.ndarray, np.ndarray], Predict]:
        return lambda members, outcomes: self._function(members, outcomes, **bound)

    def _given(self, table: ForecastTable, members: np.ndarray) -> dict[str, np.ndarray]:
        sources: dict[str, Callable[[], np.ndarray]] = {
            "samples": lambda: table.values,
            "members": lambda: members,
            "times": lambda: latest_times(table),
        }
        signature = inspect.signature(self._function).parameters
        return {name: source() for name, source in sources.items() if name in signature}

    def _bind(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        known = self.defaults
        problems = [
            f"aggregator {self.name}: has no parameter '{name}'; it has {', '.join(known) or 'none'}."
            for name in parameters
            if name not in known
        ]
        hints = typing.get_type_hints(self._function, include_extras=True)
        for name in known.keys() & parameters.keys():
            for allowed in getattr(hints[name], "__metadata__", ()):
                if parameters[name] not in allowed:
                    problems.append(f"aggregator {self.name}: {name}={parameters[name]!r} must be {allowed}.")
        if problems:
            raise InputError(problems)
        return {**known, **parameters}


@dataclass(frozen=True)
class AllAggregates:
    """`found`: by name, in the order of the registry. `left_out`: by name, why this table cannot have it."""

    found: dict[str, Aggregate]
    left_out: dict[str, str]


_AGGREGATORS: dict[str, Aggregator] = {}


def aggregator(function: Callable[..., np.ndarray]) -> Aggregator:
    """Registers a closed-form aggregator under the function's name."""
    return _register(function, Kind.CLOSED_FORM)


def fitted_aggregator(function: Callable[..., Predict]) -> Aggregator:
    """Registers a fitted aggregator. The function is only reached through splits: nothing returns in-sample values."""
    return _register(function, Kind.FITTED)


def all_aggregators() -> dict[str, Aggregator]:
    """The table, complete: the modules that fill it are imported first."""
    for module in _MODULES:
        import_module(f"hf_soup.scoring.aggregators.{module}")
    return dict(_AGGREGATORS)


def aggregator_named(name: str) -> Aggregator:
    """Returns the aggregator. Raises InputError, listing the known ones, for an unknown name."""
    table = all_aggregators()
    found = table.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise InputError(f"There is no aggregator '{name}'; known: {', '.join(table)}.")
    return found


def aggregate_all(
    table: ForecastTable, *, splits: Splits | None = None, kinds: tuple[Kind, ...] = tuple(Kind)
) -> AllAggregates:
    """Returns every aggregate of the table that it has the data for, with default parameters, and why the others are left out.

    They are shown side by side; the one that counts is named before scoring, since the best of fifteen is a selection.
    """
    found: dict[str, Aggregate] = {}
    left_out: dict[str, str] = {}
    for name, each in all_aggregators().items():
        if each.kind not in kinds:
            continue
        if reason := each.why_not(table):
            left_out[name] = reason
        else:
            found[name] = each(table, splits=splits if each.kind is Kind.FITTED else None)
    return AllAggregates(found, left_out)


def spread_of(members: np.ndarray) -> np.ndarray:
    """Returns the standard deviation of members, [Q, M], with divisor n − 1: float64 [Q], NaN with fewer than two."""
    present = ~np.isnan(members)
    counts = present.sum(axis=1)
    filled = np.where(present, members, 0.0)
    means = filled.sum(axis=1) / np.maximum(counts, 1)
    squares = (np.where(present, members - means[:, None], 0.0) ** 2).sum(axis=1)
    return np.where(counts > 1, np.sqrt(squares / np.maximum(counts - 1, 1)), np.nan)


def latest_times(table: ForecastTable) -> np.ndarray:
    """Returns float64 [Q, M]: when a member's latest forecast of a question was made, NaN where it has none."""
    if table.times is None:
        return np.full(table.values.shape[:2], np.nan)
    known = np.where(np.isnan(table.values) | np.isnan(table.times), -np.inf, table.times).max(axis=2)
    return np.where(np.isneginf(known), np.nan, known)


def _register(function: Callable[..., Any], kind: Kind) -> Aggregator:
    registered = Aggregator(function.__name__, kind, function)
    _AGGREGATORS[registered.name] = registered
    return registered


def _without_times(table: ForecastTable) -> str | None:
    if table.times is None:
        return "needs the time of every forecast, and the table has no times"
    without = np.argwhere(~np.isnan(table.member_means()) & np.isnan(latest_times(table)))
    if not len(without):
        return None
    question, member = without[0]
    return (
        f"needs the time of every forecast; {len(without)} have none, such as that of '{table.members[member]}' on "
        f"'{table.questions[question]}'"
    )


def _outside(members: np.ndarray, clip: float) -> int:
    return int(((members < clip) | (members > 1 - clip)).sum())

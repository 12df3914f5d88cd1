"""What a report holds: its data sets, what was scored on them, and the weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_soup.evaluation.estimates import Estimate

LEAST_ROWS = 200
LEAST_ROWS_OF_A_CLASS = 10
LEAST_GROUPS = 20
_SHOWN = 3


@dataclass(frozen=True)
class DataFacts:
    """`role`: "fit": the weights were fitted on these rows, and fitted things are scored out of fold on them; or "test".

    `groups`: how many groups the rows fall into; None: each row is its own. `of_class`: rows of each class. `left_out`: rows
    that are not among `rows` because a member said nothing about them.
    """

    name: str
    role: Literal["fit", "test"]
    rows: int
    groups: int | None
    of_class: dict[str, int]
    left_out: int = 0

    @property
    def described(self) -> str:
        groups = f" in {self.groups:,} groups" if self.groups is not None else ""
        fold = ", out of fold" if self.role == "fit" else ""
        return f"{self.name} ({self.rows:,} rows{groups}{fold})"

    @property
    def too_small(self) -> str:
        """What there is too little of, in one clause; empty where there is enough."""
        problems = []
        if self.rows < LEAST_ROWS:
            problems.append(f"only {self.rows} rows")
        if self.groups is not None and self.groups < LEAST_GROUPS:
            problems.append(f"only {self.groups} groups")
        rare = self._rare
        if len(rare) == 1:
            problems.append(_rows_of(*rare[0]))
        elif rare:
            of_all = len(rare) == len(self.of_class)
            which = "each class" if of_all else f"{len(rare)} of its {len(self.of_class)} classes"
            problems.append(f"fewer than {LEAST_ROWS_OF_A_CLASS} rows of {which}")
        return f"{self.name} has {', '.join(problems)}" if problems else ""

    @property
    def _rare(self) -> list[tuple[str, int]]:
        """The classes with too few rows, the rarest first; none where all rows are of one class, which is told otherwise."""
        if self.one_class is not None:
            return []
        rare = [(name, count) for name, count in self.of_class.items() if count < LEAST_ROWS_OF_A_CLASS]
        return sorted(rare, key=lambda each: each[1])

    @property
    def one_class(self) -> str | None:
        """The class that all rows have, where it is one."""
        present = [name for name, count in self.of_class.items() if count]
        return present[0] if len(present) == 1 else None

    def warnings(self) -> list[str]:
        found = []
        if self.too_small:
            rare = self._rare if len(self._rare) > 1 else []
            shown = [_rows_of(*each) for each in rare[:_SHOWN]] + (["…"] if len(rare) > _SHOWN else [])
            which = f" ({', '.join(shown)})" if shown else ""
            found.append(f"{self.too_small}{which}: intervals are wide, and weights and choices follow chance.")
        if self.one_class is not None:
            found.append(
                f"{self.name}: all rows are of class {self.one_class}; AUC is not defined on them, and the other figures only say who names "
                "it most boldly."
            )
        if self.left_out:
            found.append(
                f"{self.name}: {self.left_out} rows are left out, because a member said nothing about them; all numbers are about the "
                f"other {self.rows}."
            )
        return found


def _rows_of(name: str, count: int) -> str:
    if not count:
        return f"no row of class {name}"
    return f"only {count} {'row' if count == 1 else 'rows'} of class {name}"


@dataclass(frozen=True)
class Weight:
    """What a family, or a member, counts; `low` and `high`: 95 % interval from refits on resampled rows, None where there is none."""

    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SystemScores:
    """`results`: by data set, by metric. `kind`: "member", "family mean" or "combination". `note`: what a reader should know."""

    name: str
    kind: str
    method: str = ""
    tiers: str = ""
    chosen: bool = False
    note: str = ""
    results: dict[str, dict[str, Estimate]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.name} ({self.note})" if self.note else self.name

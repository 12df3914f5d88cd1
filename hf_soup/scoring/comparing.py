"""The primary aggregate against members, 50 % on every question and the crowd, and members against each other: one table of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.aggregation import PRIMARY, aggregation
from hf_soup.scoring.blending import Blending, blending
from hf_soup.scoring.comparison import Column, Comparison, compare_pairs, compare_with_constant
from hf_soup.scoring.comparison_document import comparison_document
from hf_soup.scoring.comparison_family import Family, family_of
from hf_soup.scoring.comparison_sentence import WILCOXON, comparison_sentence, number, p_cell, signed
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, CrowdWeight, interim_notes
from hf_soup.scoring.equivalence import refuse_bound
from hf_soup.scoring.fit_before import FitBefore, later_questions
from hf_soup.scoring.multiple import Adjusted
from hf_soup.scoring.scoring import shown_crowd_warnings
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table

CROWD, HALF, MEMBERS = "crowd", "half", "members"


@dataclass(frozen=True, repr=False)
class Comparing:
    """`family`: the comparisons, adjusted together; each difference is first − second, in Brier points.

    `blending`: the primary aggregate, the crowd and their blend on the same questions, beside the comparisons and not among them;
    a sentence where there is no blend, None where there is no crowd. `notes`: what was compared on which questions.
    """

    primary: str
    family: Family
    blending: Blending | str | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return self.family.comparisons

    @property
    def adjusted(self) -> Adjusted:
        """Benjamini–Hochberg over all comparisons."""
        return self.family.adjusted

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each comparison; NaN or None where there was no test."""
        return [_row(each, self.primary) for each in self.comparisons]

    def to_json(self) -> dict[str, Any]:
        return {
            "primary": self.primary,
            "comparisons": [comparison_document(each) for each in self.comparisons],
            "tests": self.adjusted.tests,
            "looks": self.adjusted.looks,
            "adjustment": self.family.sentences(),
            "blending": self.blending.to_json() if isinstance(self.blending, Blending) else self.blending,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        decided = sum(each.better is not None for each in self.comparisons)
        return (
            f"<Comparing (pairs: {len(self.comparisons)}, primary aggregate: {self.primary}): {decided} decided after adjustment; print it for "
            "the tables>"
        )

    def table(self) -> str:
        """Returns the table of all comparisons, how p was adjusted, and each one in words."""
        pairs = any(each.beside for each in self.comparisons)
        header = ["Brier", "n", "first", "second", *([self.primary] if pairs else []), "difference", "95 % interval"]
        header += ["p", "p (BH)", "detectable", "symmetry (Wilcoxon)"]
        body = [_cells(each, self.primary if pairs else None) for each in self.comparisons]
        parts = [
            text_table([header, *body]),
            "\n".join([*self.notes, self.family.sentences(), WILCOXON]),
            *map(comparison_sentence, self.comparisons),
        ]
        if self.blending is not None:
            parts.append(str(self.blending))
        return "\n\n".join(parts)


def comparing(
    table: ForecastTable,
    against: str | Sequence[str] | None = None,
    *,
    primary: str = PRIMARY,
    pairwise: bool = False,
    bound: float | None = None,
    looks: int = 1,
    crowd_weight: CrowdWeight = CROWD_WEIGHT,
    fit_before: FitBefore | None = None,
) -> Comparing:
    """Returns the comparisons of the aggregate `primary` with others, Brier scores of the questions that both answered.

    `against`: "members", "half" (50 % on every question, a Brier score of .25), "crowd", or names of members; None: all that the
    table has. `pairwise`: also every two members, with the aggregate's score on the same questions beside, in the same table of
    tests. `bound`: for TOST, in Brier points, stated before looking. `looks`: how often these data were tested, this time
    included. `crowd_weight`: of the blend with the crowd, see `blend_with_crowd`. `fit_before`: see `later_questions`.

    Raises InputError for a name that the table does not have, for a bound or a number of looks that is none, for pairs of one
    member, and for a blend or a split in time that cannot be made.
    """
    if bound is not None:
        refuse_bound(bound)
    chosen = _chosen(table, against)
    if pairwise and len(table.members) < 2:
        raise InputError(f"pairwise: there is one member only, {table.members[0]}; two or more can be compared.")
    later = later_questions(table, fit_before, crowd_weight)
    aggregates = aggregation(table, [primary], splits=later.splits).subset(later.scored)
    table = table.subset(later.scored)
    first = Column(aggregates.primary, aggregates.values)
    means = table.member_means()
    columns = {name: Column(name, means[:, number]) for number, name in enumerate(table.members)}
    others = [Column(CROWD, table.crowd) if name == CROWD else columns[name] for name in chosen if name != HALF]
    comparisons = list(compare_pairs([(first, each) for each in others], table.outcomes, table.groups, bound=bound))
    if HALF in chosen:
        half = compare_with_constant(first, table.outcomes, table.groups, bound=bound)
        comparisons.insert(chosen.index(HALF), half)
    if pairwise:
        pairs = list(combinations(columns.values(), 2))
        comparisons += compare_pairs(pairs, table.outcomes, table.groups, bound=bound, beside=[first])
    family = family_of(comparisons, looks=looks)
    blended = blending(table, first.values, first.name, crowd_weight=crowd_weight, looks=looks)
    of_blend = blended.warnings if isinstance(blended, Blending) else ()
    warnings = (*_warnings(comparisons), *interim_notes(table), *shown_crowd_warnings(table), *of_blend)
    return Comparing(first.name, family, blended, later.notes, warnings)


def _chosen(table: ForecastTable, against: str | Sequence[str] | None) -> list[str]:
    """Names of members, `HALF` and `CROWD`, each once."""
    has_crowd = not np.isnan(table.crowd).all()
    if against is None:
        return [HALF, *([CROWD] if has_crowd else []), *table.members]
    wanted = [against] if isinstance(against, str) else list(against)
    chosen: list[str] = []
    problems = []
    for name in wanted:
        if name == MEMBERS:
            chosen += table.members
        elif name == CROWD and not has_crowd:
            problems.append("against crowd: the questions have no crowd's forecast (column crowd).")
        elif name in (CROWD, HALF) or name in table.members:
            chosen.append(name)
        else:
            known = ", ".join([MEMBERS, HALF, CROWD, *table.members])
            problems.append(f"against {name}: there is no such column of forecasts; known: {known}.")
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(chosen))


def _warnings(comparisons: Sequence[Comparison]) -> list[str]:
    """Each warning once, with the comparisons that it is about unless it is about all of them."""
    about: dict[str, list[str]] = {}
    for each in comparisons:
        for warning in each.warnings:
            about.setdefault(warning, []).append(each.name)
    return [
        warning if len(names) == len(comparisons) else f"{', '.join(names)}: {warning}"
        for warning, names in about.items()
    ]


def _cells(each: Comparison, primary: str | None) -> list[str]:
    """`primary`: the aggregate that has a column of its own, beside pairs of members."""
    interval = "–" if each.interval is None else f"{signed(each.interval[0])} to {signed(each.interval[1])}"
    return [
        each.name,
        str(each.n),
        _score(each.first_mean),
        _score(each.second_mean),
        *([_score(_aggregate_brier(each, primary))] if primary else []),
        signed(each.difference) if each.n else "–",
        interval,
        p_cell(each.test.p if each.test else None),
        p_cell(each.adjusted_p),
        "–" if each.detectable is None else number(each.detectable),
        p_cell(each.symmetry.p if each.symmetry else None),
    ]


def _aggregate_brier(each: Comparison, primary: str) -> float:
    """Of the primary aggregate, on the questions of the comparison."""
    return each.first_mean if each.first == primary else next(column.mean for column in each.beside)


def _score(value: float) -> str:
    return "–" if np.isnan(value) else number(value)


def _row(each: Comparison, primary: str) -> dict[str, Any]:
    low, high = each.interval or (float("nan"), float("nan"))
    return {
        "first": each.first,
        "second": each.second,
        "n": each.n,
        "groups": each.groups,
        "first_brier": each.first_mean,
        "second_brier": each.second_mean,
        "aggregate_brier": _aggregate_brier(each, primary),
        "difference": each.difference,
        "low": low,
        "high": high,
        "p": each.test.p if each.test else None,
        "adjusted_p": each.adjusted_p,
        "detectable": each.detectable,
        "equivalence_p": each.equivalence.decisive_p if each.equivalence else None,
        "equivalence_adjusted_p": each.equivalence.adjusted_p if each.equivalence else None,
        "symmetry_wilcoxon_p": each.symmetry.p if each.symmetry else None,
        "symmetry_wilcoxon_n": each.symmetry.n if each.symmetry else None,
        "sentence": comparison_sentence(each),
    }

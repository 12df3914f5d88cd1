"""The primary aggregate against members, against 50 % on every question and against the crowd, in one table of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.aggregation import PRIMARY
from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.blending import Blending, blending
from hf_soup.scoring.comparison import Column, Comparison, compare_pairs, compare_with_constant
from hf_soup.scoring.comparison_sentence import comparison_sentence, number, p_value, signed
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, CrowdWeight, interim_notes
from hf_soup.scoring.documents import document
from hf_soup.scoring.equivalence import refuse_bound
from hf_soup.scoring.multiple import ALPHA, Adjusted, benjamini_hochberg
from hf_soup.scoring.scoring import shown_crowd_warnings
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table

CROWD, HALF, MEMBERS = "crowd", "half", "members"


@dataclass(frozen=True)
class Comparing:
    """`comparisons`: difference = primary − other, in Brier points. `adjusted`: Benjamini–Hochberg over all of them.

    `blending`: the primary aggregate, the crowd and their blend on the same questions, beside the comparisons and not among them;
    a sentence where there is no blend, None where there is no crowd.
    """

    primary: str
    comparisons: tuple[Comparison, ...]
    adjusted: Adjusted
    blending: Blending | str | None
    warnings: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each comparison; NaN or None where there was no test."""
        return [_row(each, p) for each, p in zip(self.comparisons, self.adjusted.adjusted, strict=True)]

    def to_json(self) -> dict[str, Any]:
        return {
            "primary": self.primary,
            "comparisons": [
                {
                    **document(each),
                    "better": each.better if holds(each, p) else None,
                    "adjusted_p": p,
                    "sentence": comparison_sentence(each, p),
                }
                for each, p in zip(self.comparisons, self.adjusted.adjusted, strict=True)
            ],
            "tests": self.adjusted.tests,
            "looks": self.adjusted.looks,
            "adjustment": self.adjusted.sentence(),
            "blending": self.blending.to_json() if isinstance(self.blending, Blending) else self.blending,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """Returns the table of all comparisons, how p was adjusted, and each one in words."""
        header = ["", "n", "difference", "95 % interval", "p", "p (BH)", "detectable"]
        pairs = zip(self.comparisons, self.adjusted.adjusted, strict=True)
        body = [_cells(each, adjusted) for each, adjusted in pairs]
        sentences = [comparison_sentence(*each) for each in zip(self.comparisons, self.adjusted.adjusted, strict=True)]
        parts = [text_table([header, *body]), self.adjusted.sentence(), *sentences]
        if self.blending is not None:
            parts.append(str(self.blending))
        return "\n\n".join(parts)


def comparing(
    table: ForecastTable,
    against: str | Sequence[str] | None = None,
    *,
    primary: str = PRIMARY,
    bound: float | None = None,
    looks: int = 1,
    crowd_weight: CrowdWeight = CROWD_WEIGHT,
) -> Comparing:
    """Returns the comparisons of the aggregate `primary` with others, Brier scores of the questions that both answered.

    `against`: "members", "half" (50 % on every question, a Brier score of .25), "crowd", or names of members; None: all that the
    table has. `bound`: for TOST, in Brier points, stated before looking. `looks`: how often these data were tested, this time
    included. `crowd_weight`: of the blend with the crowd, see `blend_with_crowd`. Raises InputError for a name that the table does
    not have, for a bound or a number of looks that is none, and for a blend that cannot be made.
    """
    if bound is not None:
        refuse_bound(bound)
    chosen = _chosen(table, against)
    method = aggregator_named(primary)
    first = Column(method.name, method(table).values)
    means = table.member_means()
    columns = {name: means[:, number] for number, name in enumerate(table.members)} | {CROWD: table.crowd}
    others = [Column(name, columns[name]) for name in chosen if name != HALF]
    comparisons = list(compare_pairs([(first, each) for each in others], table.outcomes, table.groups, bound=bound))
    if HALF in chosen:
        half = compare_with_constant(first, table.outcomes, table.groups, bound=bound)
        comparisons.insert(chosen.index(HALF), half)
    adjusted = benjamini_hochberg(
        [each.name for each in comparisons], [each.test.p if each.test else None for each in comparisons], looks=looks
    )
    warnings = (*_warnings(comparisons), *interim_notes(table), *shown_crowd_warnings(table))
    blended = blending(table, first.values, method.name, crowd_weight=crowd_weight)
    return Comparing(method.name, tuple(comparisons), adjusted, blended, warnings)


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


def holds(each: Comparison, adjusted: float | None) -> bool:
    """Returns whether one was found better, and still is with all comparisons taken into account."""
    return each.better is not None and adjusted is not None and adjusted < ALPHA


def _cells(each: Comparison, adjusted: float | None) -> list[str]:
    interval = "–" if each.interval is None else f"{signed(each.interval[0])} to {signed(each.interval[1])}"
    return [
        each.name,
        str(each.n),
        signed(each.difference) if each.n else "–",
        interval,
        p_value(each.test.p).removeprefix("= ") if each.test else "–",
        "–" if adjusted is None else p_value(adjusted).removeprefix("= "),
        "–" if each.detectable is None else number(each.detectable),
    ]


def _row(each: Comparison, adjusted: float | None) -> dict[str, Any]:
    low, high = each.interval or (float("nan"), float("nan"))
    return {
        "first": each.first,
        "second": each.second,
        "n": each.n,
        "groups": each.groups,
        "first_brier": each.first_mean,
        "second_brier": each.second_mean,
        "difference": each.difference,
        "low": low,
        "high": high,
        "p": each.test.p if each.test else None,
        "adjusted_p": adjusted,
        "detectable": each.detectable,
        "sentence": comparison_sentence(each, adjusted),
    }

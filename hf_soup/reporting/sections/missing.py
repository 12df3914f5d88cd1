"""Who did not answer how often, and why."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Grid, Prose, Section
from hf_soup.reporting.sections.cells import percent

_REASONS = 5


def missing(found: Findings) -> Section:
    """Returns a row for each member and reason. Nothing is put in the place of a missing answer."""
    rows = _of_run(found) if found.run is not None else _of_table(found)
    kept = "Nothing is put in the place of a missing answer: it is left out of every mean, and counted."
    if not rows:
        return Section("missing", "Missing answers", (Prose("Every model answered every question."),))
    grid = Grid("Missing answers", ("model", "reason", "missing", "of", "share"), tuple(rows), words=2)
    return Section("missing", "Missing answers", (grid, Prose(kept)))


def _of_table(found: Findings) -> list[tuple[str, ...]]:
    n = len(found.table.questions)
    return [
        (member_name(name), "no forecast of the question", f"{gaps:,}", f"{n:,}", percent(gaps / n, 1))
        for name, gaps in zip(found.table.members, found.table.missing.tolist(), strict=True)
        if gaps
    ]


def _of_run(found: Findings) -> list[tuple[str, ...]]:
    """The most frequent reasons of each member one by one, the rest together."""
    assert found.run is not None
    rows: list[tuple[str, ...]] = []
    for member in found.run.members:
        reasons = list(member.reasons.items())
        shown = reasons[:_REASONS]
        if rest := reasons[_REASONS:]:
            shown.append((f"{len(rest)} other reasons", sum(count for _, count in rest)))
        rows += [
            (member_name(member.name), reason, f"{count:,}", f"{member.rows:,}", percent(count / member.rows, 1))
            for reason, count in shown
        ]
    return rows

"""Which questions went best and worst; while none is resolved, all forecasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hf_soup.reporting.figures.dot_strip import Strip, dot_strip
from hf_soup.reporting.figures.models_and_humans import models_and_humans
from hf_soup.reporting.findings import Findings
from hf_soup.reporting.page import Block, Grid, Picture, Prose, Section
from hf_soup.reporting.sections.cells import outcome, percent, score
from hf_soup.scoring.shown_numbers import counted

_STRIPS, _ROWS = 20, 10
"""How many of the best and of the worst questions are drawn, and how many stand in the tables."""


def questions(found: Findings) -> Section:
    """Returns tables and dot strips of the best and worst questions, models against humans, and open questions."""
    scored = np.flatnonzero(~np.isnan(found.briers))
    blocks: list[Block] = []
    if len(scored):
        order = scored[np.argsort(found.briers[scored], kind="stable")]
        blocks += _scored(found, order)
    waiting = np.flatnonzero(np.isnan(found.table.outcomes) & ~found.table.annulled & ~np.isnan(found.aggregate))
    if len(waiting):
        blocks += _waiting(found, waiting[np.argsort(-found.aggregate[waiting], kind="stable")], alone=not len(scored))
    both = ~np.isnan(found.table.crowd) & ~np.isnan(found.aggregate)
    if both.any():
        blocks.append(models_and_humans(found.aggregate, found.table.crowd, found.table.outcomes))
    return Section("questions", "Questions" if not len(scored) else "Best and worst questions", tuple(blocks))


def _scored(found: Findings, order: np.ndarray) -> list[Block]:
    if len(order) <= 2 * _ROWS:
        tables: list[Block] = [_grid(found, "All resolved questions, best first", order)]
    else:
        tables = [
            _grid(found, f"The {_ROWS} best questions", order[:_ROWS]),
            _grid(found, f"The {_ROWS} worst questions, worst first", order[::-1][:_ROWS]),
        ]
    if len(order) <= _STRIPS:
        return [*tables, _strip(found, "strip", "Resolved questions, best first", order)]
    if len(order) <= 2 * _STRIPS:
        half = (len(order) + 1) // 2
        title = "Resolved questions, best first"
        return [
            *tables,
            _strip(found, "strip", title, order[:half]),
            _strip(found, "strip-2", f"{title}, continued", order[half:]),
        ]
    return [
        *tables,
        _strip(found, "strip", f"The {_STRIPS} best questions", order[:_STRIPS]),
        _strip(found, "strip-2", f"The {_STRIPS} worst questions, worst first", order[::-1][:_STRIPS]),
        Prose(
            f"Drawn are {2 * _STRIPS} of {counted(len(order), 'resolved question')}: hf-soup forecast aggregate writes all forecasts."
        ),
    ]


def _waiting(found: Findings, order: np.ndarray, *, alone: bool) -> list[Block]:
    """`alone`: nothing is resolved, so that these are all that there is to draw."""
    title = "Open questions, most probable first"
    if len(order) > 2 * _STRIPS:
        order = np.concatenate([order[:_STRIPS], order[-_STRIPS:]])
        title = f"The {_STRIPS} most probable and the {_STRIPS} least probable open questions"
    blocks: list[Block] = [_grid(found, title, order, ended=False)]
    if alone:
        blocks += [
            _strip(found, f"strip{'-2' if start else ''}", "Forecasts" if not start else "Forecasts, continued", part)
            for start in (0, _STRIPS)
            if len(part := order[start : start + _STRIPS])
        ]
    return blocks


def _grid(found: Findings, caption: str, order: np.ndarray, *, ended: bool = True) -> Grid:
    table = found.table
    columns: dict[str, Callable[[int], str]] = {"question": lambda n: found.texts[n]}
    if ended:
        columns["ended"] = lambda n: outcome(table.outcomes[n])
    columns["forecast"] = lambda n: percent(found.aggregate[n])
    if found.has_crowd:
        columns["crowd"] = lambda n: percent(table.crowd[n])
    if ended:
        columns["Brier"] = lambda n: score(found.briers[n])
    rows = tuple(tuple(cell(n) for cell in columns.values()) for n in order.tolist())
    return Grid(caption, tuple(columns), rows, long=True)


def _strip(found: Findings, name: str, title: str, order: Sequence[int] | np.ndarray) -> Picture:
    table, members = found.table, found.scoring.aggregates.found[found.primary.name].members
    strips = [
        Strip(found.texts[n], members[n], found.aggregate[n], table.crowd[n], table.outcomes[n])
        for n in map(int, order)
    ]
    return dot_strip(name, title, strips)

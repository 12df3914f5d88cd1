"""Dot strip: for each question who said what, and how it ended."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hf_soup.reporting.figures.drawing import BLUE, GREEN, GRID, MUTED, ORANGE, PAPER, WIDTH, keys_above
from hf_soup.reporting.page import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS_PER_LINE = 56
_ROW, _LINE = 0.30, 0.16  # inches of a strip, and of a line of text above it


@dataclass(frozen=True)
class Strip:
    """One question. `members`: float64 [M], NaN for none; `aggregate`, `crowd` and `outcome` NaN where there is none."""

    text: str
    members: np.ndarray
    aggregate: float
    crowd: float
    outcome: float


def dot_strip(name: str, title: str, strips: Sequence[Strip]) -> Picture:
    """Returns one row for each question, from top to bottom: members, aggregate and crowd as marks between 0 and 100 %."""
    lines = [textwrap.wrap(each.text, _LETTERS_PER_LINE, max_lines=2, placeholder=" …") or ["–"] for each in strips]
    heights = [_ROW + _LINE * len(each) for each in lines]
    total = sum(heights)
    has_crowd = any(not np.isnan(each.crowd) for each in strips)
    has_outcome = any(not np.isnan(each.outcome) for each in strips)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(total, 0)
        ends = np.cumsum(heights)
        for text, top in zip(lines, ends - heights, strict=True):
            axes.text(-0.02, top + 0.02, "\n".join(text), va="top", fontsize=9.5, linespacing=1.15)
        _draw_strips(axes, strips, ends - _ROW / 2)
        keys_above(figure, _keys(has_crowd, has_outcome), 4)

    return Picture(name, title, " ".join(map(_told, strips)), WIDTH, total + 0.5, draw)


def _draw_strips(axes: Axes, strips: Sequence[Strip], y: np.ndarray) -> None:
    """Each kind of mark is drawn once for all strips, `y` [strips]: matplotlib takes long for many small things."""
    axes.hlines(y, 0, 1, color=GRID, lw=1.5, zorder=1)
    marks = np.array([0.0, 0.5, 1.0])
    axes.plot(np.tile(marks, len(y)), np.repeat(y, len(marks)), ls="", marker="|", ms=5, color=GRID, zorder=1)
    members = np.array([each.members for each in strips])
    axes.plot(
        members.ravel(),
        np.repeat(y, members.shape[1]),
        ls="",
        marker="o",
        ms=6,
        mew=0,
        color=MUTED,
        alpha=0.45,
        zorder=2,
    )
    axes.plot([each.crowd for each in strips], y, ls="", marker="^", ms=7.5, mfc=PAPER, mec=ORANGE, mew=1.6, zorder=3)
    axes.plot([each.aggregate for each in strips], y, ls="", marker="D", ms=6.5, color=BLUE, zorder=4)
    axes.plot([each.outcome for each in strips], y, ls="", marker="|", ms=15, mew=3.2, color=GREEN, zorder=5)


def _keys(has_crowd: bool, has_outcome: bool) -> list[object]:
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], ls="", marker="o", ms=6, mew=0, color=MUTED, alpha=0.45, label="members"),
        Line2D([], [], ls="", marker="D", ms=6.5, color=BLUE, label="aggregate"),
    ]
    if has_crowd:
        keys.append(Line2D([], [], ls="", marker="^", ms=7.5, mfc=PAPER, mec=ORANGE, mew=1.6, label="crowd"))
    if has_outcome:
        keys.append(Line2D([], [], ls="", marker="|", ms=13, mew=3.2, color=GREEN, label="outcome"))
    return list(keys)


def _told(strip: Strip) -> str:
    words = [f"aggregate {100 * strip.aggregate:.0f} %"] if not np.isnan(strip.aggregate) else ["no forecast"]
    if not np.isnan(strip.crowd):
        words.append(f"crowd {100 * strip.crowd:.0f} %")
    if not np.isnan(strip.outcome):
        words.append("ended yes" if strip.outcome else "ended no")
    return f"{strip.text} {', '.join(words)}."

"""Brier scores of everybody with their intervals, best at the top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_soup.reporting.figures.drawing import BLUE, INK, MUTED, ORANGE, PAPER, WIDTH, light_grid, short
from hf_soup.reporting.names import column_name
from hf_soup.reporting.page import Picture
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.scores_table import ColumnScores, Kind
from hf_soup.scoring.shown_numbers import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 40
_LOOKS = {Kind.MEMBER: ("o", MUTED), Kind.AGGREGATE: ("D", BLUE), Kind.CROWD: ("^", ORANGE)}
HALF = 0.25


def brier_scores(columns: Sequence[ColumnScores], primary: str, fewer: frozenset[str] = frozenset()) -> Picture:
    """Returns a dot with its 95 % interval for each column that has a score; of more than 40 the best and the worst 20.

    `fewer`: names of members that left questions out, which have a hollow dot and their number of questions.
    """
    scored = sorted((each for each in columns if each.n), key=lambda each: each.brier)
    shown = scored if len(scored) <= _MOST else [*scored[: _MOST // 2], *scored[-_MOST // 2 :]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(HALF, color=INK, lw=1, ls=(0, (4, 3)))
        for place, each in enumerate(shown):
            marker, colour = _LOOKS[each.kind]
            if each.interval is not None:
                axes.plot(each.interval, [place, place], color=colour, lw=3 if each.name == primary else 1.8)
            fill = PAPER if each.name in fewer else colour
            axes.plot(
                [each.brier], [place], marker=marker, ms=8 if each.name == primary else 6.5, color=colour, mfc=fill
            )
        axes.set_yticks(range(len(shown)), [_label(each, fewer) for each in shown])
        for label, each in zip(axes.get_yticklabels(), shown, strict=True):
            label.set_fontweight("bold" if each.name == primary else "normal")
        axes.set_ylim(len(shown) - 0.4, -0.6)
        low, high = axes.get_xlim()
        axes.set_xlim(max(0.0, low), high)
        axes.locator_params(axis="x", nbins=5)
        hollow = "\nHollow: left questions out, so not comparable" if any(each.name in fewer for each in shown) else ""
        figure.supxlabel(f"Brier score (lower is better; dashed: always 50 %){hollow}", fontsize=10)
        light_grid(axes)

    told = "; ".join(
        f"{column_name(each)} {number(each.brier)}"
        + (f" on {counted(each.n, 'question')} alone" if each.name in fewer else "")
        for each in shown
    )
    return Picture(
        "brier", "Brier scores with 95 % intervals", f"Best first: {told}.", WIDTH, 0.95 + 0.27 * len(shown), draw
    )


def _label(each: ColumnScores, fewer: frozenset[str]) -> str:
    return f"{short(column_name(each), 20)} (n {each.n})" if each.name in fewer else short(column_name(each))

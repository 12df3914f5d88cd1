"""Mean forecast of everybody against the share of questions that ended yes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_soup.reporting.figures.drawing import BLUE, INK, MUTED, WIDTH, light_grid, short
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Picture, capital
from hf_soup.scoring.bias_report import CROWD
from hf_soup.scoring.biases.mean_against_base_rate import MeanAgainstBaseRate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 40


def mean_and_base_rate(rows: Sequence[MeanAgainstBaseRate]) -> Picture:
    """Returns mean − base rate with its 95 % interval for each row that has one; the last row, the crowd of models, stands out."""
    given = [each for each in rows if each.excess.n]
    shown = [*given[-1:], *given[:-1][:_MOST]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=INK, lw=1, ls=(0, (4, 3)))
        for place, each in enumerate(shown):
            colour, marker = (BLUE, "D") if place == 0 else (MUTED, "o")
            if each.excess.interval is not None:
                low, high = each.excess.interval
                axes.plot([100 * low, 100 * high], [place, place], color=colour, lw=3 if place == 0 else 1.8)
            axes.plot([100 * each.excess.value], [place], marker=marker, ms=8 if place == 0 else 6.5, color=colour)
        axes.set_yticks(range(len(shown)), [short(member_name(each.name)) for each in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=5)
        figure.supxlabel("mean forecast − share that ended yes, in points", fontsize=10)
        light_grid(axes)

    told = "; ".join(
        f"{member_name(each.name)}: mean {100 * each.mean:.1f} %, ended yes {100 * each.base_rate:.1f} %"
        for each in shown
    )
    return Picture(
        "base-rate",
        "Mean forecast against base rate",
        f"{capital(told, CROWD)}.",
        WIDTH,
        0.75 + 0.27 * len(shown),
        draw,
    )

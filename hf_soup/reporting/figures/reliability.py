"""Reliability diagram: how often forecasts of 30 % came true, with the interval that so few questions leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_soup.reporting.figures.drawing import BLUE, INK, MUTED, WIDTH, light_grid, percent_axis
from hf_soup.reporting.page import Picture
from hf_soup.scoring.calibration_index import ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_diagram(name: str, who: str, bins: Sequence[ReliabilityBin]) -> Picture:
    """Returns the diagram of one column of forecasts: shares that ended yes with Wilson's 95 % bars, and a histogram below."""

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        above.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (4, 3)))
        above.vlines(
            [each.mean_forecast for each in bins],
            [each.share_low for each in bins],
            [each.share_high for each in bins],
            color=BLUE,
            lw=2,
            alpha=0.55,
        )
        above.plot(
            [each.mean_forecast for each in bins],
            [each.share_yes for each in bins],
            ls="",
            marker="o",
            ms=6,
            color=BLUE,
        )
        above.set_ylim(-0.03, 1.03)
        percent_axis(above.yaxis, "ended yes")
        light_grid(above, "both")
        below.bar(
            [each.low for each in bins],
            [each.n for each in bins],
            width=[0.92 * (each.high - each.low) for each in bins],
            align="edge",
            color=BLUE,
            alpha=0.7,
        )
        for each in bins:
            middle = (each.low + each.high) / 2 - 0.04 * (each.high - each.low)
            below.annotate(
                f"{each.n}", (middle, each.n), (0, 2), textcoords="offset points", ha="center", color=INK, fontsize=9
            )
        below.set_ylim(0, 1.35 * max(each.n for each in bins))
        below.set_yticks([])
        below.set_ylabel("questions")
        below.set_xlim(-0.02, 1.02)
        percent_axis(below.xaxis, "forecast")
        below.tick_params(length=0)

    told = "; ".join(
        f"of {each.n} with forecasts about {100 * each.mean_forecast:.0f} %, {100 * each.share_yes:.0f} % ended yes"
        for each in bins
    )
    return Picture(name, f"Reliability of the {who}", f"{told}.", WIDTH, 5.0, draw)

"""How often each whole percentage was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hf_soup.reporting.figures.drawing import BLUE, MUTED, WIDTH, light_grid, percent_axis
from hf_soup.reporting.page import Picture
from hf_soup.scoring.shown_numbers import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def heaping_histogram(histogram: np.ndarray) -> Picture:
    """Returns a bar for each percentage from 0 to 100, int64 [101], multiples of 5 darker."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        percents = np.arange(101)
        is_round = percents % 5 == 0
        for mask, colour in ((~is_round, MUTED), (is_round, BLUE)):
            axes.vlines(percents[mask] / 100, 0, histogram[mask], lw=2, color=colour)
        axes.set_ylim(0, None)
        axes.set_xlim(-0.01, 1.01)
        percent_axis(axes.xaxis, "forecast (multiples of 5 in blue)")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.set_ylabel("forecasts")
        light_grid(axes, "y")

    total = max(1, int(histogram.sum()))
    often = np.argsort(-histogram, kind="stable")[:5]
    told = ", ".join(f"{percent} % in {100 * histogram[percent] / total:.0f} %" for percent in often.tolist())
    return Picture(
        "heaping", "Round numbers", f"Most frequent of {counted(total, 'forecast')}: {told}.", WIDTH, 2.7, draw
    )

"""What the models' aggregate said against what the human crowd said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hf_soup.reporting.figures.drawing import BLUE, GREEN, MUTED, ORANGE, WIDTH, keys_above, light_grid, percent_axis
from hf_soup.reporting.page import Picture
from hf_soup.scoring.shown_numbers import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DOTS = 300
_CELLS = 20


def models_and_humans(models: np.ndarray, crowd: np.ndarray, outcomes: np.ndarray) -> Picture:
    """Returns a dot for each question, by how it ended; of more than 300 squares whose areas are their numbers.

    models, crowd: float64 [Q], NaN where missing. outcomes: float64 [Q], NaN where there is none.
    """
    both = ~(np.isnan(models) | np.isnan(crowd))
    x, y, ended = crowd[both], models[both], outcomes[both]

    def draw(figure: Figure) -> None:
        from matplotlib.lines import Line2D

        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (4, 3)))
        if len(x) > _MOST_DOTS:
            counts, edges, _ = np.histogram2d(x, y, bins=_CELLS, range=[[0, 1], [0, 1]])
            middles = (edges[:-1] + edges[1:]) / 2
            i, j = np.nonzero(counts)
            axes.scatter(middles[i], middles[j], s=110 * counts[i, j] / counts.max(), marker="s", color=BLUE, lw=0)
        else:
            keys = []
            looks = (
                (ended == 1, "o", GREEN, "ended yes"),
                (ended == 0, "X", ORANGE, "ended no"),
                (np.isnan(ended), "s", MUTED, "no outcome"),
            )
            for mask, marker, colour, label in looks:
                if mask.any():
                    axes.plot(x[mask], y[mask], ls="", marker=marker, ms=6, mew=0, color=colour, alpha=0.75)
                    keys.append(Line2D([], [], ls="", marker=marker, ms=6, mew=0, color=colour, label=label))
            keys_above(figure, keys, 3)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_aspect("equal")
        percent_axis(axes.xaxis, "human crowd")
        percent_axis(axes.yaxis, "models")
        light_grid(axes, "both")

    gap = 100 * float(np.abs(x - y).mean())
    told = f"{counted(len(x), 'question')}; models and crowd are {gap:.0f} percentage points apart on average"
    if len(x) > 2 and x.std() > 0 and y.std() > 0:
        told += f", correlation {np.corrcoef(x, y)[0, 1]:.2f}"
    return Picture("humans", "Models against the human crowd", f"{told}.", WIDTH, 4.6, draw)

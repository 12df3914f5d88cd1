"""How alike the members' errors are, pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hf_soup.reporting.figures.drawing import WIDTH, short
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Picture
from hf_soup.scoring.biases.error_correlation import ErrorCorrelation
from hf_soup.scoring.shown_numbers import decimal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 30
_WRITTEN = 10
"""Up to so many members, the numbers stand in the cells."""
_DARK, _LIGHT = "#101112", "#fafafa"


def error_correlation_map(found: ErrorCorrelation) -> Picture:
    """Returns a square for each pair of members, the correlation of their deviations from the members' mean; of more than 30
    members the first 30."""
    shown = min(_MOST, len(found.members))
    names = [short(member_name(each), 20) for each in found.members[:shown]]
    matrix = found.of_deviations[:shown, :shown]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.pcolormesh(matrix, vmin=-1, vmax=1, cmap="PuOr_r", edgecolors="none")
        numbers = [str(place) for place in range(1, shown + 1)]
        size = 9.5 if shown <= 16 else 7.5
        axes.set_xticks(np.arange(shown) + 0.5, numbers, fontsize=size)
        labels = [f"{name}  {number}" for name, number in zip(names, numbers, strict=True)]
        axes.set_yticks(np.arange(shown) + 0.5, labels, fontsize=size)
        axes.invert_yaxis()
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        if shown <= _WRITTEN:
            for row, column in np.argwhere(~np.isnan(matrix)).tolist():
                value = matrix[row, column]
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    f"{value:.2f}".replace("0.", ".", 1).replace("-", "−"),
                    ha="center",
                    va="center",
                    fontsize=9 if shown <= 7 else 7.5,
                    color=_LIGHT if abs(value) > 0.5 else _DARK,
                )

    told = (
        f"Correlations of the deviations of {shown} members from their mean: {decimal(found.mean_of_deviations, 2)} on average, "
        f"{decimal(found.unrelated_deviations, 2)} for unrelated members. Violet is negative, orange positive."
    )
    return Picture("errors", "Do members deviate together?", told, WIDTH, 1.2 + 0.32 * max(6, min(shown, 12)), draw)

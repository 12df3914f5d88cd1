"""What more members and more samples bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_soup.reporting.figures.drawing import BLUE, GREEN, MUTED, ORANGE, PURPLE, WIDTH, light_grid
from hf_soup.reporting.page import Picture
from hf_soup.scoring.biases.learning_curve import MEAN, LearningCurve
from hf_soup.scoring.comparison_sentence import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (MUTED, "v"))


def learning_curve_plot(curve: LearningCurve) -> Picture:
    """Returns the expected Brier score of the mean of so many members, a line for each number of samples."""
    samples = sorted({each.samples for each in curve.points if each.aggregate == MEAN})
    chosen = samples if len(samples) <= len(_LOOKS) else [*samples[: len(_LOOKS) - 1], samples[-1]]

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        for each, (colour, marker) in zip(chosen, _LOOKS, strict=False):
            line = curve.line(MEAN, each)
            label = f"{each} sample{'s' if each > 1 else ''}"
            axes.plot(
                [point.members for point in line],
                [point.brier for point in line],
                color=colour,
                marker=marker,
                ms=5.5,
                lw=1.5,
                label=label,
            )
        axes.set_xlabel("members")
        axes.set_ylabel("expected Brier score")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        light_grid(axes, "both")
        if len(chosen) > 1:
            axes.legend(frameon=False)

    told = "; ".join(
        f"{line[0].samples} sample{'s' if line[0].samples > 1 else ''}: {number(line[0].brier)} with one member, "
        f"{number(line[-1].brier)} with {line[-1].members}"
        for each in chosen
        if (line := curve.line(MEAN, each))
    )
    return Picture("learning", "How many members, how many samples", f"{told}.", WIDTH, 3.2, draw)

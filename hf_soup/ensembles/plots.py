"""Two pictures for the card of an ensemble: its weights with their intervals, and how far its probabilities can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.drawing import BLACK, BLUE, GREY, ORANGE, few_ticks, figure, grid, save, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hf_soup.ensembles.evidence.document import EnsembleReport
    from hf_soup.ensembles.evidence.reliability import Reliability

WEIGHTS_PICTURE = "weights.png"
RELIABILITY_PICTURE = "reliability.png"


def weights_plot(report: EnsembleReport, path: Path) -> Path:
    """Draws the weights with their 95 % intervals, equal weights as a line to compare with; returns `path`.

    Raises ValueError for a report without weights, such as one on stacking.
    """
    weights = report.weights
    if not weights:
        raise ValueError("weights_plot: this report has no weights to draw.")
    with figure(7.2, 1.5 + 0.34 * len(weights)) as (drawn, axes):
        equal = 1 / len(weights)
        axes.axvline(equal, color=ORANGE, lw=1.2, ls=(0, (4, 3)), zorder=1, label=f"equal weights ({equal:.3f})")
        for place, each in enumerate(weights):
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [place, place], color=BLUE, lw=2.4, solid_capstyle="butt")
            axes.plot([each.value], [place], marker="D", ms=7, color=BLUE, ls="", zorder=3)
        axes.set_yticks(range(len(weights)), [short(each.name) for each in weights])
        axes.set_ylim(len(weights) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("weight, with its 95 % interval over resampled rows")
        axes.set_title("What each counts", loc="left", fontsize=11, fontweight="bold")
        grid(axes)
        drawn.legend(loc="outside lower center", frameon=False, fontsize=9)
        save(drawn, path)
    return path


def reliability_plot(report: EnsembleReport, path: Path) -> Path:
    """Draws how often the ensemble is right against how sure it is, with and without temperatures; returns `path`."""
    curves = report.reliability
    with figure(5.2, 5.2) as (drawn, axes):
        lowest = min(min(curve.confidence + curve.accuracy) for curve in curves)
        axes.plot([lowest, 1], [lowest, 1], color=GREY, lw=1.2, ls=(0, (4, 3)), label="as often as said")
        for number, curve in enumerate(curves):
            _curve(axes, curve, last=number == len(curves) - 1)
        axes.set_xlabel("how probable the most probable class was said to be")
        axes.set_ylabel("how often it was the label")
        axes.set_title(f"Reliability on {short(curves[0].set)}", loc="left", fontsize=11, fontweight="bold")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(few_ticks())
        axes.set_aspect("equal")
        grid(axes)
        drawn.legend(loc="outside lower center", frameon=False, fontsize=9)
        save(drawn, path)
    return path


def _curve(axes: Axes, curve: Reliability, *, last: bool) -> None:
    """The ensemble in blue; beside it, without temperatures, in black."""
    label = f"{curve.name}: ECE {100 * curve.ece.value:.1f} %"
    axes.plot(
        curve.confidence,
        curve.accuracy,
        marker="o" if last else "s",
        ms=6,
        lw=1.8 if last else 1.2,
        color=BLUE if last else BLACK,
        label=label,
        zorder=3 if last else 2,
    )

"""How every picture is drawn: without a display, in colours that all eyes can tell apart, the same bytes every time.

Colours: Okabe and Ito's palette, which people with any colour vision can tell apart; shape repeats what colour says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
_STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "xtick.color": BLACK,
    "ytick.color": BLACK,
    "figure.dpi": 100,
}
_LONGEST_NAME = 34


@contextmanager
def figure(width: float, height: float, panels: int = 1) -> Iterator[tuple[Any, ...]]:
    """Yields a figure in inches and its panels; pyplot's global state, and with it any display, stays out of it."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        drawn = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn, *drawn.subplots(1, panels, squeeze=False)[0]


def grid(axes: Axes) -> None:
    axes.grid(axis="x", color="#E4E4E4", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5)


def save(drawn: Figure, path: Path) -> None:
    # Without metadata the same record gives the same bytes, so a repeated push has nothing to upload.
    drawn.savefig(path, dpi=160, bbox_inches="tight", pad_inches=0.15, metadata={"Software": None}, facecolor="white")


def short(name: str) -> str:
    """The end of a name tells models of one user apart, so its beginning is cut."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME + 1 :]}"

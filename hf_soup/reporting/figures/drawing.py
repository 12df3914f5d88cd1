"""Figures drawn without a display: as SVG that lies inside a page, and as PNG beside a text.

Colours: Okabe and Ito's palette, which people with any colour vision can tell apart; shape repeats what colour says.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from hf_soup.reporting.page import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.5
"""Inches of every figure, 324 points: about what a phone shows without scaling."""
INK, MUTED, GRID, PAPER = "#1a1b1c", "#5b5d60", "#d9dadc", "#fefefd"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#00805e", "#a8518a"

_IN_PAGE = {INK: "ink", MUTED: "muted", GRID: "line", PAPER: "paper", BLUE: "blue", ORANGE: "orange", GREEN: "green"}
_STYLE: Any = {
    "font.size": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a question may hold two dollar signs
    "svg.fonttype": "none",  # letters stay letters: they can be searched and read aloud, in every script
}
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"#([\w.-]+)")
_COLOUR = re.compile("|".join(_IN_PAGE))
_FONT = re.compile(r"font-family:[^;]*;?|font-(?:style|variant|stretch): *normal;?")


def as_svg(picture: Picture) -> str:
    """Returns an svg element for the inside of a page, with title and description for those who do not see it.

    Its colours are the page's, which are others in the dark; names inside it begin with that of the figure, so that two
    figures on a page share none.
    """
    with _drawn(picture) as figure:
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing, transparent=True)
    # What matplotlib wrote a moment ago, not what somebody sent.
    root = ElementTree.fromstring(file.getvalue())
    _clean(root, picture)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    return ElementTree.tostring(root, encoding="unicode")


def as_png(picture: Picture) -> bytes:
    """Returns the figure for places that cannot show it inside a text; the same numbers give the same bytes."""
    with _drawn(picture) as figure:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=180, metadata={"Software": None}, facecolor="white")
    return file.getvalue()


def as_svg_file(picture: Picture) -> bytes:
    """Returns the figure as a file of its own, with its own colours; the same numbers give the same bytes."""
    with _drawn(picture) as figure:
        file = io.BytesIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing, facecolor="white")
    return file.getvalue()


def light_grid(axes: Axes, axis: Any = "x") -> None:
    axes.grid(axis=axis, color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def percent_axis(axis: Any, label: str) -> None:
    """An axis of probabilities, from 0 to 100 %."""
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axis.set_label_text(label)


def short(name: str, longest: int = 26) -> str:
    """The end of a model's name tells it from others of its maker, so its beginning is cut."""
    return name if len(name) <= longest else f"…{name[-longest + 1 :]}"


def keys_above(figure: Figure, handles: Any, columns: int) -> None:
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        handletextpad=0.3,
        columnspacing=1.2,
        borderpad=0.1,
    )


@contextmanager
def _drawn(picture: Picture) -> Iterator[Figure]:
    """pyplot's global state, and with it any display, stays out of it."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": picture.name}), warnings.catch_warnings():
        # Letters that the measuring font lacks are shown by the reader's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(picture.width, picture.height), layout="constrained")
        FigureCanvasAgg(figure)
        picture.draw(figure)
        yield figure


def _clean(root: ElementTree.Element, picture: Picture) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    used = {name for element in root.iter() for value in element.attrib.values() for name in _REFERENCE.findall(value)}
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                if value in used:
                    element.set(key, f"{picture.name}-{value}")
                else:
                    del element.attrib[key]
            elif key == f"{{{_LINK}}}href" or "url(#" in value:
                element.set(key, value.replace("#", f"#{picture.name}-", 1))
            elif key == "style":
                coloured = _COLOUR.sub(lambda found: f"var(--{_IN_PAGE[found[0]]})", value)
                element.set(key, _FONT.sub("", coloured).strip())
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    title, description = (ElementTree.Element(f"{{{_SVG}}}{tag}") for tag in ("title", "desc"))
    title.text, description.text = picture.title, picture.description
    title.set("id", f"{picture.name}-title")
    description.set("id", f"{picture.name}-desc")
    root.set("role", "img")
    root.set("aria-labelledby", f"{picture.name}-title {picture.name}-desc")
    root.insert(0, description)
    root.insert(0, title)

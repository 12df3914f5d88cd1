"""The calibration plot of Study 1: of the crowd of models, and beside it of the humans where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.errors import InputError, SoupError
from hf_soup.reporting.figures.reliability import reliability_diagram
from hf_soup.reporting.names import aggregator_words
from hf_soup.reporting.page import Picture
from hf_soup.scoring.study1_result import Study1Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")


def save_study1_plot(result: Study1Result, path: str | Path) -> Path:
    """Draws the reliability diagrams of a study into a PNG or SVG file, with Wilson's 95 % bars, and returns its path.

    Raises InputError for another ending, for a folder that is not there, and where no question is resolved; SoupError where the
    file cannot be written.
    """
    from hf_soup.reporting.figures.drawing import as_png, as_svg_file

    path = Path(path)
    refuse_other_plots(path)
    picture = study1_plot(result)
    content = as_svg_file(picture) if path.suffix.lower() == ".svg" else as_png(picture)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise SoupError(f"{path}: cannot be written ({error.strerror or error}).") from error
    return path


def study1_plot(result: Study1Result) -> Picture:
    """Returns one or two diagrams side by side. Raises InputError where no question is resolved."""
    study = result.study
    if not study.reliability:
        raise InputError("study1 --plot: no question with a forecast is resolved, so there is nothing to draw yet.")
    diagrams = [reliability_diagram("models", f"{aggregator_words(study.aggregate)} of the models", study.reliability)]
    if study.reliability_of_humans:
        diagrams.append(reliability_diagram("humans", "human crowd", study.reliability_of_humans))

    def draw(figure: Figure) -> None:
        for part, each in zip(figure.subfigures(1, len(diagrams), squeeze=False)[0], diagrams, strict=True):
            part.suptitle(each.title, fontsize=11)
            each.draw(part)

    return Picture(
        "study1",
        "Calibration",
        " ".join(f"{each.title}: {each.description}" for each in diagrams),
        sum(each.width for each in diagrams),
        max(each.height for each in diagrams) + 0.3,
        draw,
    )


def refuse_other_plots(path: Path) -> None:
    """Raises InputError where no plot can be written there; asked before anything is computed."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: plots are PNG or SVG; give the file a name that ends with .png or .svg.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first, or name another file.")

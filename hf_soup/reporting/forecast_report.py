"""The report: from a table of forecasts to a page, and the page as HTML or Markdown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.reporting.findings import Findings, find
from hf_soup.reporting.html_page import html_page
from hf_soup.reporting.markdown_page import markdown_page
from hf_soup.reporting.page import Page, Section
from hf_soup.reporting.sections.asked import asked
from hf_soup.reporting.sections.back_tests import back_tests
from hf_soup.reporting.sections.biases import biases
from hf_soup.reporting.sections.calibration import calibration
from hf_soup.reporting.sections.comparisons import comparisons
from hf_soup.reporting.sections.costs import costs
from hf_soup.reporting.sections.headline import cautions, headline
from hf_soup.reporting.sections.methods import methods
from hf_soup.reporting.sections.missing import missing
from hf_soup.reporting.sections.questions import questions
from hf_soup.reporting.sections.reliability import reliability
from hf_soup.reporting.sections.scores import scores
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, CrowdWeight
from hf_soup.scoring.documents import document
from hf_soup.scoring.shown_numbers import counted
from hf_soup.scoring.table import ForecastTable

TITLE = "Forecasts and how they fared"
SECTIONS: tuple[Callable[[Findings], Section | None], ...] = (
    asked,
    scores,
    comparisons,
    calibration,
    reliability,
    questions,
    biases,
    missing,
    costs,
    back_tests,
    methods,
)


@dataclass(frozen=True, repr=False)
class Report:
    """`findings`: every number that is shown. The page is written from them when it is asked for. `saved`: where it was, the last
    one last.
    """

    findings: Findings
    saved: list[Path] = field(default_factory=list, compare=False)

    def __str__(self) -> str:
        """The headline, and where the page is."""
        return f"{self.page.headline}\n{self._place()}"

    def __repr__(self) -> str:
        table = self.findings.table
        primary = self.findings.primary
        scored = (
            f"{primary.name} {number(primary.brier)} on {counted(primary.n, 'question')}"
            if primary.n
            else "nothing resolved"
        )
        return f"<Report of {counted(len(table.questions), 'question')} and {counted(len(table.members), 'model')}: {scored}; {self._place()}>"

    def _place(self) -> str:
        return str(self.saved[-1]) if self.saved else "not saved: report.save('report.html')"

    @cached_property
    def page(self) -> Page:
        parts = [section for make in SECTIONS if (section := make(self.findings)) is not None]
        return Page(TITLE, headline(self.findings), cautions(self.findings), tuple(parts))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What stands above everything else on the page."""
        return self.page.cautions

    def html(self) -> str:
        """Returns the page as one HTML document that needs nothing else: no script, no font, no request to anywhere."""
        return html_page(self.page)

    def markdown(self, plots: str | None = None) -> str:
        """Returns the same tables and sentences as Markdown. `plots`: where figures lie, seen from it; None leaves them out."""
        return markdown_page(self.page, plots)

    def save(self, path: str | Path = "report.html", *, plots: str | Path | None = None) -> Path:
        """Writes the page and returns its path: Markdown where the name ends with .md, else HTML. `plots`: the folder that gets
        the figures of Markdown as PNG files.

        Raises InputError for another ending or a folder that is not there, SoupError where it cannot be written.
        """
        path = Path(path)
        refuse_other_pages(path)
        if path.suffix.lower() in MARKDOWN:
            text = self.markdown(None if plots is None else self._save_plots(Path(plots), path))
        else:
            text = self.html()
        _write(path, text.encode())
        self.saved.append(path)
        return path

    def to_json(self) -> dict[str, Any]:
        """Returns the sentences and every result behind them as one document."""
        found = self.findings
        return {
            "headline": self.page.headline,
            "warnings": list(self.warnings),
            "scores": found.scoring.to_json(),
            "comparisons": found.comparing.to_json(),
            "calibration": {"primary": found.calibrating.primary, **document(found.calibrating.calibration)},
            "bias": found.bias.to_json(),
            "run": document(found.run),
        }

    def _save_plots(self, folder: Path, beside: Path) -> str:
        """Returns the folder as links in the page name it."""
        from hf_soup.reporting.figures.drawing import as_png

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SoupError(f"{folder}: cannot be made ({error.strerror or error}).") from error
        for picture in self.page.pictures():
            _write(folder / f"{picture.name}.png", as_png(picture))
        return Path(os.path.relpath(folder, beside.parent)).as_posix()


HTML, MARKDOWN = (".html", ".htm"), (".md", ".markdown")


def report(
    table: ForecastTable,
    *,
    questions_text: Mapping[str, str] | None = None,
    run: Forecasts | None = None,
    primary: str = "mean",
    everything: bool = False,
    pairwise: bool = False,
    bound: float | None = None,
    looks: int = 1,
    crowd_weight: CrowdWeight = CROWD_WEIGHT,
    negated: ForecastTable | None = None,
    paraphrases: Sequence[ForecastTable] = (),
) -> Report:
    """Returns the report of a table of forecasts.

    `questions_text`: id → text, for the questions that are shown; without it their ids are. `run`: where the forecasts come
    from, for costs, reasons of missing answers and back-tests. `primary`: the aggregator that counts, named before scoring;
    `everything`: all others beside it. `pairwise`: also every two members, in the same table of tests. `bound`: of the equivalence
    test, in Brier points, stated beforehand. `looks`: how often these data were tested, this time included. `crowd_weight`: of the
    blend with a human crowd, see `blend_with_crowd`. `negated`, `paraphrases`: forecasts of the opposite questions and of other
    wordings, for the section on biases; see `bias_report`.

    Raises InputError for an unknown aggregator, for a bound, a weight or a number of looks that is none, for pairs of one member,
    where the crowd's forecast is dated after one of the models', and for rewordings of other questions.
    """
    return Report(
        find(
            table,
            texts=questions_text or {},
            run=run,
            primary=primary,
            everything=everything,
            pairwise=pairwise,
            bound=bound,
            looks=looks,
            crowd_weight=crowd_weight,
            negated=negated,
            paraphrases=paraphrases,
        )
    )


def refuse_other_pages(path: Path, endings: tuple[str, ...] = (*HTML, *MARKDOWN)) -> None:
    """Raises InputError where no page can be written there; asked before anything is computed."""
    if path.suffix.lower() not in endings:
        raise InputError(f"{path}: give the file a name that ends with {' or '.join(endings[::2])}.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first, or name another file.")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise SoupError(f"{path}: cannot be written ({error.strerror or error}).") from error

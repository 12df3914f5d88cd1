"""The card of a published report."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hf_soup.publishing.front_matter import join_front_matter
from hf_soup.publishing.licences import Licence
from hf_soup.reporting.forecast_report import Report
from hf_soup.reporting.markdown_page import markdown_page
from hf_soup.reporting.page import Page
from hf_soup.reporting.published_files import AGGREGATE, FORECASTS, FORECASTS_OF_RUN, QUESTIONS

_TEMPLATE = Path(__file__).with_name("report_card.md.jinja")
_ON_THE_CARD = ("asked", "scores", "comparisons", "back-tests", "methods")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def report_card(report: Report, files: Collection[str], licence: Licence | None) -> str:
    """Returns README.md: front matter by which the Hub shows the forecasts as a table, what the files are, and the scores."""
    from jinja2 import Environment, StrictUndefined

    page = report.page
    shown = Page(
        page.title, page.headline, page.cautions, tuple(each for each in page.sections if each.name in _ON_THE_CARD)
    )
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    body = template.render(
        page=markdown_page(shown),
        forecasts=next(name for name in (FORECASTS_OF_RUN, FORECASTS) if name in files),
        ready_made=FORECASTS in files,
        transcripts="calls.jsonl" in files,
    )
    return join_front_matter(_metadata(report, files, licence), body)


def _metadata(report: Report, files: Collection[str], licence: Licence | None) -> dict[str, object]:
    forecasts = next(name for name in (FORECASTS_OF_RUN, FORECASTS) if name in files)
    n = report.findings.table.values.size
    return {
        **(licence.front_matter() if licence is not None else {}),
        "pretty_name": report.page.title,
        "tags": ["forecasting", "probabilities", "hf-soup"],
        "size_categories": [next((name for most, name in _SIZES if n < most), "1M<n<10M")],
        "configs": [
            {"config_name": "forecasts", "data_files": forecasts, "default": True},
            {"config_name": "questions", "data_files": QUESTIONS},
            {"config_name": "aggregate", "data_files": AGGREGATE},
        ],
    }

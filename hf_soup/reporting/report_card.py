"""The card of a published report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hf_soup.publishing.front_matter import join_front_matter
from hf_soup.publishing.licences import Licence
from hf_soup.reporting.data_set_columns import data_set_columns
from hf_soup.reporting.forecast_report import Report
from hf_soup.reporting.markdown_page import markdown_page
from hf_soup.reporting.page import Page
from hf_soup.reporting.published_files import AGGREGATE, FORECASTS, QUESTIONS

_TEMPLATE = Path(__file__).with_name("report_card.md.jinja")
_ON_THE_CARD = ("asked", "scores", "comparisons", "back-tests", "methods")
_TABLES = {"forecasts": FORECASTS, "questions": QUESTIONS, "aggregate": AGGREGATE}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def report_card(
    report: Report, files: Mapping[str, bytes], licence: Licence | None, *, repo_id: str, ready_made: bool
) -> str:
    """Returns README.md: front matter by which the Hub shows the tables and `datasets` loads them, what the files are, and scores."""
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
        ready_made=ready_made,
        repo_id=repo_id,
        reworded=report.findings.reworded_elsewhere,
        transcripts="calls.jsonl" in files,
    )
    return join_front_matter(_metadata(report, files, licence), body)


def _metadata(report: Report, files: Mapping[str, bytes], licence: Licence | None) -> dict[str, object]:
    n = report.findings.table.values.size
    return {
        **(licence.front_matter() if licence is not None else {}),
        "pretty_name": report.page.title,
        "tags": ["forecasting", "probabilities", "hf-soup"],
        "size_categories": [next((name for most, name in _SIZES if n < most), "1M<n<10M")],
        "configs": [
            {"config_name": name, "data_files": file, **({"default": True} if file == FORECASTS else {})}
            for name, file in _TABLES.items()
        ],
        "dataset_info": [
            {"config_name": name, "features": data_set_columns(files[file])} for name, file in _TABLES.items()
        ],
    }

"""A page as one HTML document."""

from __future__ import annotations

import re
from pathlib import Path

from hf_soup.reporting.page import Page

_TEMPLATE = Path(__file__).with_name("report.html.jinja")
_PERCENT = re.compile(r"(?<=\d) %")
_STYLE = Path(__file__).with_name("report_style.css.jinja")


def html_page(page: Page) -> str:
    """Returns the document. Everything that comes from the data is escaped; figures are drawn here."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from hf_soup.reporting.figures.drawing import as_svg

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["bound"] = bound
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        page=page,
        style=Markup(_STYLE.read_text(encoding="utf-8")),
        # Figures are made of numbers and escaped texts by an XML writer.
        svg=lambda picture: Markup(as_svg(picture)),
    )


def bound(text: str) -> str:
    """Returns the text with numbers kept on one line with their percent signs."""
    return _PERCENT.sub("\u00a0%", text)

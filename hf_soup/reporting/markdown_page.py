"""A page as Markdown, the dialect of the Hub and of GitHub."""

from __future__ import annotations

import re
from pathlib import Path

from hf_soup.reporting.page import Page

_TEMPLATE = Path(__file__).with_name("report.md.jinja")
_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~$@])")
_START_OF_BLOCK = re.compile(r"^(\d+)([.)])(?=\s|$)|^([-+=])(?=\s|[-+=]|$)")


def markdown_page(page: Page, plots: str | None = None) -> str:
    """Returns the text. `plots`: the folder of the figures, seen from the text; None leaves figures out."""
    from jinja2 import Environment, StrictUndefined

    # Not HTML: what comes from the data goes through `plain`.
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["plain"] = plain
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(page=page, plots=None if plots is None else plots.replace(" ", "%20"))


def plain(text: str) -> str:
    """Returns text that Markdown shows as it is, whatever it holds: no table cell, no heading, no tag, no mention, no link
    under another text.

    >>> plain("Will `x` | <b> win?")
    'Will \\\\`x\\\\` \\\\| &lt;b\\\\> win?'
    """
    escaped = _SIGNS.sub(r"\\\1", " ".join(text.replace("&", "&amp;").split())).replace("\\<", "&lt;")
    return _START_OF_BLOCK.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", escaped)

"""The page in a real browser, as wide as a phone and as a desk: nothing is cut off, nothing is asked for.

Needs Chromium or Chrome; HF_SOUP_TEST_BROWSER names one that is not on the PATH.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headless_browser import NAMES, Tab, browser_tab, find_browser
from report_samples import TEXTS, table, write_run

from hf_soup.forecasting import Forecasts
from hf_soup.reporting import report
from hf_soup.scoring.table import ForecastTable

pytestmark = [
    pytest.mark.skipif(
        os.name != "posix", reason="the browser is spoken to through descriptors that Windows does not have"
    ),
    pytest.mark.skipif(find_browser() is None, reason=f"no browser: none of {', '.join(NAMES)} is installed"),
]

WIDTHS = (360, 1280)
FIGURES = """
[...document.querySelectorAll("svg")].map(svg => {
  const box = svg.getBoundingClientRect();
  const letters = [...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect());
  return {
    name: svg.getAttribute("aria-labelledby"),
    width: box.width, height: box.height, left: box.left + scrollX, right: box.right + scrollX,
    smallest: Math.min(...[...svg.querySelectorAll("text")].map(text =>
      parseFloat(getComputedStyle(text).fontSize) * box.width / svg.viewBox.baseVal.width)),
    cut: letters.filter(each => each.width && (each.left < box.left - 2 || each.right > box.right + 2)).length,
  };
})
"""
OUTSIDE = """
[...document.querySelectorAll("body *")].filter(each => {
  const box = each.getBoundingClientRect();
  return !each.closest(".box") && !each.closest("svg") && box.width && (box.left < -1 || box.right > innerWidth + 1);
}).map(each => each.outerHTML.slice(0, 100))
"""
# What a colour becomes on its ground, by the formula of WCAG 2.
CONTRAST = """
(() => {
  const light = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255)
      .map(each => each <= .03928 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4);
    return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
  };
  const ground = getComputedStyle(document.body).backgroundColor;
  return ["p", "a", "h1", "td", "svg text"].map(each => {
    const found = document.querySelector(each), style = getComputedStyle(found);
    const pair = [light(each === "svg text" ? style.fill : style.color), light(ground)].sort((a, b) => b - a);
    return (pair[0] + .05) / (pair[1] + .05);
  });
})()
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with long names of models and questions, and a table without a resolved question."""
    folder = tmp_path_factory.mktemp("pages")
    run = Forecasts.from_run(write_run(folder / "run"))
    run.report(folder / "run.html")
    made = table(30, 12, 2, resolved=0)
    texts = {id: TEXTS[n % 4] * 3 + "x" * 200 for n, id in enumerate(made.questions)}
    report(made, questions_text=texts).save(folder / "open.html")
    many = with_topics_and_gaps(table(400, 12, 2))
    opposite = replace(many, values=1 - many.values)
    report(many, questions_text=texts, pairwise=True, negated=opposite, paraphrases=[many]).save(folder / "many.html")
    return {name: folder / f"{name}.html" for name in ("run", "open", "many")}


def with_topics_and_gaps(made: ForecastTable) -> ForecastTable:
    """Twelve topics with long names, and a member that refuses every tenth question."""
    values = made.values.copy()
    values[::10, 3] = np.nan
    topics = tuple(f"Economy, finance and central banks {n % 12}" for n in range(len(made.questions)))
    return replace(made, values=values, topics=topics)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser_tab(find_browser() or "", tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["run", "open", "many"])
def test_everything_is_inside_the_window_and_can_be_read(tab, pages, name, width):
    tab.requests.clear()
    tab.open(pages[name], width)

    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate(OUTSIDE) == []
    figures = tab.evaluate(FIGURES)
    assert len(figures) >= 3
    for each in figures:
        assert each["width"] > 250
        assert each["height"] > 80
        assert each["left"] >= 0
        assert each["right"] <= width
        assert each["smallest"] >= 7
        assert each["cut"] == 0, each["name"]
    assert tab.requests == [pages[name].as_uri()]


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_tables_scroll_inside_their_own_box(tab, pages, width):
    tab.open(pages["many"], width)
    boxes = tab.evaluate(
        '[...document.querySelectorAll(".box")].map(each => [each.clientWidth, each.scrollWidth, getComputedStyle(each).overflowX])'
    )
    assert all(overflow == "auto" for *_, overflow in boxes)
    assert any(inside > shown for shown, inside, _ in boxes) == (width == 360)


@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out_by_day_and_by_night(tab, pages, dark):
    tab.open(pages["run"], 1280, dark=dark)
    assert all(each >= 4.5 for each in tab.evaluate(CONTRAST))


def test_on_paper_no_table_is_cut_off(tab, pages):
    tab.open(pages["run"], 700, print_media=True)
    assert tab.evaluate('getComputedStyle(document.querySelector("nav")).display') == "none"
    assert tab.evaluate('[...document.querySelectorAll(".box")].every(each => each.scrollWidth <= innerWidth)')


def test_no_script_runs_in_the_page(tab, pages):
    tab.open(pages["run"], 1280)
    assert tab.evaluate("document.scripts.length") == 0
    assert tab.evaluate(
        "(() => { const made = document.createElement('script'); made.textContent = 'window.ran = 1';"
        " document.body.append(made); return window.ran === undefined; })()"
    )

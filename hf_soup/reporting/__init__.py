"""REPORT: forecasts and their scores become one page that can be shown, on paper, on a phone and on the Hub.

In: a table of forecasts; where known the texts of the questions, and the run that they come from. Out: report.html, one file
that asks nothing of any server; report.md, with the same tables and sentences; a data set on the Hub with both.
May import: `scoring`, the readers of `forecasting`, `publishing` for pushing, `errors`, `progress`. Nothing is computed here
that is not a count: every number comes from `scoring`, or from the run. Importing this room does not import matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.reporting.forecast_report import Report, report
    from hf_soup.reporting.publication import push_report
    from hf_soup.reporting.study1_plot import save_study1_plot

__all__ = ["Report", "push_report", "report", "save_study1_plot"]

_HOME = {
    "Report": "forecast_report",
    "push_report": "publication",
    "report": "forecast_report",
    "save_study1_plot": "study1_plot",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

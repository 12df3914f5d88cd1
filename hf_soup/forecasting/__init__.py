"""ASK: a crowd of language models, asked the same questions, and the probabilities that were read from their answers.

In: questions and the names of models. Out: a run folder from which nothing is lost, and a table of forecasts.
May import: `errors`, `progress`, `evaluation.data_files`. Importing this room does not import litellm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.forecasting.crowd import Crowd
    from hf_soup.forecasting.forecasts import Forecasts
    from hf_soup.forecasting.member import Member
    from hf_soup.forecasting.parsing_again import parse_again
    from hf_soup.forecasting.prices import Price
    from hf_soup.forecasting.question import Question, Resolution

__all__ = ["Crowd", "Forecasts", "Member", "Price", "Question", "Resolution", "parse_again"]

_HOME = {
    "Crowd": "crowd",
    "Forecasts": "forecasts",
    "Member": "member",
    "Price": "prices",
    "Question": "question",
    "Resolution": "question",
    "parse_again": "parsing_again",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

"""Combine what several Hugging Face models know: weights, predictions and forecasts.

>>> from hf_soup import Soup, HeldOut, verify

Names are loaded when they are first used, so `import hf_soup` is instant and imports neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.ensembles import Ensemble
    from hf_soup.evaluation import HeldOut
    from hf_soup.forecasting import Crowd
    from hf_soup.publishing import verify
    from hf_soup.results import MergedModel, PushedModel
    from hf_soup.soup import Soup

__version__ = "0.1.0"

_HOME = {
    "Crowd": "hf_soup.forecasting",
    "Ensemble": "hf_soup.ensembles",
    "HeldOut": "hf_soup.evaluation",
    "MergedModel": "hf_soup.results",
    "PushedModel": "hf_soup.results",
    "Soup": "hf_soup.soup",
    "verify": "hf_soup.publishing",
}

__all__ = ["Crowd", "Ensemble", "HeldOut", "MergedModel", "PushedModel", "Soup", "verify"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hf_soup' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""VOTE: what several models say about the same rows becomes one prediction.

In: members by Hub ID, folder or function, in families, and held-out rows; or their predictions alone. Out: an `Ensemble` with
its weights and a report, that predicts, is published and loaded again. Tier 1 makes one prediction of a family's members, tier
2 weighs the families (AWARE-NET, arXiv 2505.00312). May import: `checkpoints`, `merging`, `evaluation`, `errors`, `progress`, and of
`publishing` what publishes and verifies a folder.
Importing this room imports none of the heavy libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.ensembles.combination import Combination
    from hf_soup.ensembles.cost import MemberCost
    from hf_soup.ensembles.ensemble import Ensemble
    from hf_soup.ensembles.fitting import fit_combination
    from hf_soup.ensembles.member import FunctionMember
    from hf_soup.ensembles.prediction import EnsemblePredictions
    from hf_soup.ensembles.prediction_files import PredictionFiles, read_predictions
    from hf_soup.ensembles.probabilities import Family, MemberProbabilities

_HOME = {
    "Combination": "combination",
    "Ensemble": "ensemble",
    "EnsemblePredictions": "prediction",
    "Family": "probabilities",
    "FunctionMember": "member",
    "MemberCost": "cost",
    "MemberProbabilities": "probabilities",
    "PredictionFiles": "prediction_files",
    "fit_combination": "fitting",
    "read_predictions": "prediction_files",
}

__all__ = [
    "Combination",
    "Ensemble",
    "EnsemblePredictions",
    "Family",
    "FunctionMember",
    "MemberCost",
    "MemberProbabilities",
    "PredictionFiles",
    "fit_combination",
    "read_predictions",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"hf_soup.ensembles.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hf_soup.ensembles' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

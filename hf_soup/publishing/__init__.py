"""PUBLISH: a result's folder becomes a repository on the Hub that says what it is, and that anybody can check.

In: a folder with weights and soup.json. Out: a model card, a commit or pull request, and the verdict of `verify`, which
derives the weights again from the pinned ingredients instead of trusting digests. What other rooms make, adapters for
instance, is published and verified by the same two functions: see `kinds`.
May import: `checkpoints`, `methods`, `merging`, `selection` (how figures are shown), `errors`, `progress`. Importing this room imports neither torch,
huggingface_hub nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.publishing.card import render_card
    from hf_soup.publishing.card_files import write_card
    from hf_soup.publishing.hub_merge import HubMerge, room_problems
    from hf_soup.publishing.ingredient_cards import (
        IngredientCard,
        common_ancestor,
        load_card,
        load_cards,
        read_card,
    )
    from hf_soup.publishing.leak_scan import leaks
    from hf_soup.publishing.licences import LICENCE_IDS, Licence, derive_licence, licence_warning
    from hf_soup.publishing.plot import evidence_plot, selection_plot
    from hf_soup.publishing.pushing import push
    from hf_soup.publishing.target import Target, target_problems
    from hf_soup.publishing.verdict import Verdict, Verification
    from hf_soup.publishing.verification import verify

_HOME = {
    "HubMerge": "hub_merge",
    "IngredientCard": "ingredient_cards",
    "LICENCE_IDS": "licences",
    "Licence": "licences",
    "Target": "target",
    "Verdict": "verdict",
    "Verification": "verdict",
    "common_ancestor": "ingredient_cards",
    "derive_licence": "licences",
    "evidence_plot": "plot",
    "leaks": "leak_scan",
    "licence_warning": "licences",
    "load_card": "ingredient_cards",
    "load_cards": "ingredient_cards",
    "push": "pushing",
    "read_card": "ingredient_cards",
    "render_card": "card",
    "room_problems": "hub_merge",
    "selection_plot": "plot",
    "target_problems": "target",
    "verify": "verification",
    "write_card": "card_files",
}

__all__ = [
    "LICENCE_IDS",
    "HubMerge",
    "IngredientCard",
    "Licence",
    "Target",
    "Verdict",
    "Verification",
    "common_ancestor",
    "derive_licence",
    "evidence_plot",
    "leaks",
    "licence_warning",
    "load_card",
    "load_cards",
    "push",
    "read_card",
    "render_card",
    "room_problems",
    "selection_plot",
    "target_problems",
    "verify",
    "write_card",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

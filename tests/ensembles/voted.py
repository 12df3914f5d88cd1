"""Ensembles with weights that nobody had to fit."""

from __future__ import annotations

from typing import Any

from hf_soup import Ensemble
from hf_soup.ensembles import Combination

CLASSES = ("negative", "positive")


def with_weights(families: dict[str, Any], weights: dict[str, float], **options: Any) -> Ensemble:
    """`families`: members by names of their own; weights of the families, or of the members with tiers="flat"."""
    settings = {name: options.pop(name) for name in ("tiers", "temperatures") if name in options}
    ensemble = Ensemble(families, **options)
    names = {family: tuple(members) for family, members in families.items()}
    ensemble.combination = Combination(
        "learned",
        settings.get("tiers", "tiered"),
        options.get("tier1", "mean"),
        names,
        CLASSES,
        weights,
        temperatures=settings.get("temperatures", {}),
    )
    return ensemble

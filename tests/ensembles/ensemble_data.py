"""Members that never were: probabilities of known skill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_soup.ensembles import MemberProbabilities

FAMILIES = {"big": (1.5, 1.4), "small": (1.0,)}


def members(
    rows: int = 300,
    families: dict[str, Sequence[float]] | None = None,
    classes: int = 3,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> MemberProbabilities:
    """Each member's logits: its skill at the label's class, and noise of its own. `families`: skills by family."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    given = {}
    for name, skills in (families or FAMILIES).items():
        given[name] = []
        for skill in skills:
            logits = generator.normal(size=(rows, classes))
            logits[np.arange(rows), labels] += skill
            given[name].append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    ids = [f"seed {seed} row {row}" for row in range(rows)]
    return MemberProbabilities.of(given, labels, groups=groups, ids=ids)

"""Predictions of models that never were."""

from __future__ import annotations

import numpy as np

from hf_soup.evaluation import Predictions


def ids(rows: int) -> np.ndarray:
    return np.array([f"{row:032x}" for row in range(rows)])


def classified(rows: int = 200, classes: int = 2, seed: int = 0, skill: float = 1.0) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)).astype(np.float32)
    logits[np.arange(rows), labels] += skill
    return Predictions(ids(rows), tuple(f"c{c}" for c in range(classes)), labels, logits)

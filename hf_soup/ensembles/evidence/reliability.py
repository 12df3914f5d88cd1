"""How often the most probable class is right, by how probable it was said to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.ensembles.evidence.scored import LabelledRows
from hf_soup.evaluation.calibration import bin_starts
from hf_soup.evaluation.estimates import Estimate


@dataclass(frozen=True)
class Reliability:
    """`confidence`, `accuracy`, `rows`: mean, share that was right, and number of rows of each bin of equal mass."""

    name: str
    set: str
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    rows: tuple[int, ...]
    ece: Estimate


def reliability(rows: LabelledRows, set_name: str, name: str, probabilities: np.ndarray, ece: Estimate) -> Reliability:
    """Returns the curve of probabilities [rows, classes], in the order of the data's rows."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == rows.labels).astype(np.float64)
    order = np.argsort(confidence, kind="stable")
    starts = bin_starts(confidence[order])
    counts = np.diff(np.r_[starts, len(order)])

    def means(values: np.ndarray) -> tuple[float, ...]:
        return tuple((np.add.reduceat(values[order], starts) / counts).tolist())

    return Reliability(name, set_name, means(confidence), means(right), tuple(counts.tolist()), ece)

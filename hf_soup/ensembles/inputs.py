"""What a method of fitting sees: the inputs of the second tier, at their temperatures, on the rows with labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.tiers import FLOOR, Tiers, row_blocks


@dataclass(frozen=True, eq=False)
class Inputs:
    """`data`: with labels, and every member speaking about every row. `seed`: of whatever is drawn."""

    data: MemberProbabilities
    tiers: Tiers
    ridge: float = 0.0
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return self.tiers.names

    @property
    def rows(self) -> int:
        return self.data.rows

    @property
    def classes(self) -> int:
        return len(self.data.classes)

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 [n]."""
        assert self.data.labels is not None
        return self.data.labels

    @cached_property
    def true(self) -> np.ndarray:
        """What each input says about the class that came true, float64 [n, K], not below `FLOOR`."""
        true = np.empty((self.rows, len(self.names)))
        for block, values in self.blocks():
            labels = self.labels[block]
            true[block] = values[:, np.arange(len(labels)), labels].T
        return np.maximum(true, FLOOR, out=true)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yields rows and what all inputs say about them, float64 [K, n, C]."""
        order = [place for family in self.data.families for place in family.members]
        for block in row_blocks(self.rows, len(order) * self.classes):
            yield block, self.tiers.inputs(self.data.values[order, block])

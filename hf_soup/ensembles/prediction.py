"""What an ensemble says about rows that were given to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.evaluation.left_out import LeftOut


@dataclass(frozen=True, eq=False)
class EnsemblePredictions:
    """Predictions for N rows and C classes, in the order of the rows.

    `ids`: str [N], the column `id` of the rows, the names of image files, or the rows' numbers from 1. `probabilities`: float64
    [N, C], rows sum to 1. `predicted`: int64 [N], indices into `classes`; the first of equals. `members`: float32 [M, N, C],
    what each of `member_names` said; NaN where it was not asked or is missing. `left_out`: rows that could not be read, which
    are not among the N. `passes`: int64 [N], how many members each row was run through; `forward_passes`: all of them. `missing`:
    members that could not be asked, failed, or said nothing about some rows, where the others decided without them.
    """

    ids: np.ndarray
    classes: tuple[str, ...]
    probabilities: np.ndarray
    member_names: tuple[str, ...]
    members: np.ndarray
    passes: np.ndarray
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(axis=1)

    @property
    def labels(self) -> list[str]:
        """The name of the predicted class of each row."""
        return [self.classes[index] for index in self.predicted]

    @property
    def forward_passes(self) -> int:
        return int(self.passes.sum())

    def __len__(self) -> int:
        return len(self.ids)

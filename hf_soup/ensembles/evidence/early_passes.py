"""How many members early exit would have asked, from predictions that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.early_exit import decide_early, units_of
from hf_soup.ensembles.probabilities import MemberProbabilities

if TYPE_CHECKING:
    from hf_soup.ensembles.ballots import Ballots


def early_shares(combination: Combination, data: MemberProbabilities) -> dict[str, float] | None:
    """Returns the share of the rows about which each member would have been asked; None where early exit is not possible.

    `data`: without NaN.
    """
    units = units_of(combination)
    if units is None:
        return None
    recorded = _Recorded(data)
    decide_early(combination, cast("Ballots", recorded), units)
    return {name: float(recorded.asked[place].mean()) for place, name in enumerate(data.members)}


class _Recorded:
    """Answers that are known, handed out as `Ballots` does with members that have to be asked."""

    def __init__(self, data: MemberProbabilities) -> None:
        self.values = data.values
        self.asked = np.zeros(data.values.shape[:2], bool)
        self._place = {name: place for place, name in enumerate(data.members)}

    def of(self, names: Sequence[str]) -> np.ndarray:
        return self.values[[self._place[name] for name in names]]

    def ask(self, name: str, among: np.ndarray) -> None:
        self.asked[self._place[name]] |= among

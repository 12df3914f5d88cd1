"""What an ensemble was fitted on, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_soup.ensembles.probabilities import MemberProbabilities
    from hf_soup.evaluation import HeldOut


@dataclass(frozen=True, eq=False)
class Fit:
    """What weights were fitted on, and how. `held_out`: None where predictions were given; `tests`: for the report, by name."""

    data: MemberProbabilities
    method: str
    tiers: str
    temperature: str
    ridge: float
    folds: int
    seed: int
    held_out: HeldOut | None = None
    tests: Mapping[str, HeldOut | MemberProbabilities] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the fitting rows, as the report calls them: that of their file, where they have one."""
        from hf_soup.ensembles.probabilities import UNNAMED

        return self.data.name or UNNAMED

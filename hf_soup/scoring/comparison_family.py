"""Comparisons that were made together: the p of their differences, and of their equivalence, adjusted over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.equivalence import Equivalence
from hf_soup.scoring.multiple import Adjusted, benjamini_hochberg


@dataclass(frozen=True)
class Family:
    """`comparisons`: each with its adjusted p, so that its verdict and its sentence take the others into account.

    `adjusted`: the tests of a difference. `equivalence`: those of equivalence, None where no bound was stated; showing that one is
    better and showing that none is by much are two kinds of claims, and each kind is adjusted over its own.
    """

    comparisons: tuple[Comparison, ...]
    adjusted: Adjusted
    equivalence: Adjusted | None

    def sentences(self, what: str = "primary comparison") -> str:
        """How p was adjusted, for under the table. `what`: one of the comparisons."""
        words = self.adjusted.sentence(what)
        return words if self.equivalence is None else f"{words} {self.equivalence.sentence('equivalence test')}"


def family_of(comparisons: Sequence[Comparison], *, looks: int = 1) -> Family:
    """Returns the comparisons as one family: Benjamini–Hochberg over all tests that there are, each p times `looks` first.

    Raises InputError for fewer than one look.
    """
    names = [each.name for each in comparisons]
    adjusted = benjamini_hochberg(names, [each.test.p if each.test else None for each in comparisons], looks=looks)
    p_of_equivalence = [each.equivalence.decisive_p if each.equivalence else None for each in comparisons]
    equivalence = None
    if any(p is not None for p in p_of_equivalence):
        equivalence = benjamini_hochberg(names, p_of_equivalence, looks=looks)
    within = equivalence.adjusted if equivalence else (None,) * len(names)
    judged = tuple(
        replace(each, adjusted_p=p, equivalence=_adjusted(each.equivalence, p_within))
        for each, p, p_within in zip(comparisons, adjusted.adjusted, within, strict=True)
    )
    return Family(judged, adjusted, equivalence)


def _adjusted(tests: Equivalence | None, p: float | None) -> Equivalence | None:
    return None if tests is None else replace(tests, adjusted_p=p)

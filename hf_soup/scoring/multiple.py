"""Several comparisons at once: p-values adjusted over one table of primary comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError

ALPHA = 0.05


@dataclass(frozen=True)
class Adjusted:
    """`p`, `adjusted`: in the order given, None for a comparison without a test. `tests`: how many were adjusted together."""

    names: tuple[str, ...]
    p: tuple[float | None, ...]
    adjusted: tuple[float | None, ...]
    tests: int
    looks: int

    def sentence(self, what: str = "primary comparison") -> str:
        """How many tests were adjusted together and how often was looked, for under the table. `what`: one of them."""
        untested = len(self.names) - self.tests
        words = f"Benjamini–Hochberg over {self.tests} {what}{'s' if self.tests != 1 else ''}"
        words += f" ({untested} more without a test)" if untested else ""
        if self.looks == 1:
            return words + ", looked at once."
        return words + f", after multiplying each p by the {self.looks} looks at these data."


def benjamini_hochberg(names: Sequence[str], p_values: Sequence[float | None], *, looks: int = 1) -> Adjusted:
    """Returns the p-values with the false discovery rate controlled over all of them.

    `looks`: how often these comparisons were tested while questions were still resolving; every p is first multiplied by it
    (Bonferroni), since looking until something is found finds something. None or NaN: no test, left out and counted. Raises
    InputError for p outside [0, 1] or fewer than one look. Source: Benjamini & Hochberg 1995; computed by scipy.

    >>> [round(p, 3) for p in benjamini_hochberg(["H1", "H2", "H3"], [0.026, 0.850, 0.002]).adjusted]
    [0.039, 0.85, 0.006]
    """
    from scipy.stats import false_discovery_control

    refuse_looks(looks)
    p = np.array([np.nan if each is None else each for each in p_values], dtype=np.float64)
    tested = ~np.isnan(p)
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise InputError(f"p-values: {p[tested].tolist()} do not all lie between 0 and 1.")
    adjusted = np.full(p.shape, np.nan)
    if tested.any():
        adjusted[tested] = false_discovery_control(np.minimum(p[tested] * looks, 1.0), method="bh")
    return Adjusted(tuple(names), _or_none(p), _or_none(adjusted), int(tested.sum()), looks)


def refuse_looks(looks: int) -> None:
    """Raises InputError for a number of looks below 1; asked also where nothing is tested, so that a mistake is always told."""
    if looks < 1:
        raise InputError(f"looks: {looks} is below 1; the look that is being taken counts as one.")


def _or_none(values: np.ndarray) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)

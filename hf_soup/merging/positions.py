"""Some of many numbered things in a few characters: `0-5,8` for the positions 0 to 5 and 8."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RUNS = re.compile(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", re.ASCII)


def positions_as_text(positions: Iterable[int]) -> str:
    """Returns the runs of positions that ascend, "" for none.

    >>> positions_as_text([0, 1, 2, 3, 4, 5, 8])
    '0-5,8'
    """
    runs: list[list[int]] = []
    for position in positions:
        if runs and position == runs[-1][1] + 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def positions_of_text(text: str, count: int) -> set[int]:
    """Returns the positions again. Raises ValueError for another text, and for a position that is not below `count`.

    >>> sorted(positions_of_text("0-2,4", 5))
    [0, 1, 2, 4]
    """
    if not text:
        return set()
    if _RUNS.fullmatch(text) is None:
        raise ValueError(f"'{text[:40]}' is no list of positions such as 0-5,8")
    found: set[int] = set()
    for run in text.split(","):
        first, _, last = run.partition("-")
        start, stop = int(first), int(last or first)
        if start > stop or stop >= count:
            raise ValueError(f"it names the positions {run}, and there are {count}")
        found.update(range(start, stop + 1))
    return found

"""Probabilities, differences of probabilities, other decimals and counts, as tables and sentences print them."""

from __future__ import annotations

NOTHING = "–"
"""In the place of a number that there is not."""


def percent(value: float) -> str:
    """Returns a probability or a share.

    >>> percent(0.1234), percent(float("nan"))
    ('12.3 %', '–')
    """
    return NOTHING if value != value else f"{_rounded(100 * value, 1)} %"


def points(value: float) -> str:
    """Returns a difference of probabilities in percentage points, with its sign; what rounds to 0 has that of nothing.

    >>> points(-0.0561), points(-0.0001)
    ('−5.6', '+0.0')
    """
    return NOTHING if value != value else f"{'' if round(100 * value, 1) < 0 else '+'}{_rounded(100 * value, 1)}"


def decimal(value: float, digits: int = 3) -> str:
    """Returns a number that is no probability, such as a slope or a correlation.

    >>> decimal(-0.4044), decimal(-0.0001)
    ('−0.404', '0.000')
    """
    return NOTHING if value != value else _rounded(value, digits)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Returns the number with its noun.

    >>> counted(1, "question"), counted(1200, "question")
    ('1 question', '1,200 questions')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no −0.0

"""Numbers as they stand in the tables of a report."""

from __future__ import annotations

import numpy as np

from hf_soup.scoring.comparison_sentence import number, p_value, signed

NOTHING = "–"


def score(value: float | None) -> str:
    return NOTHING if value is None or np.isnan(value) else number(value)


def interval(found: tuple[float, float] | None) -> str:
    return NOTHING if found is None else f"{number(found[0])} to {number(found[1])}"


def difference(value: float) -> str:
    return NOTHING if np.isnan(value) else signed(value)


def signed_interval(found: tuple[float, float] | None) -> str:
    return NOTHING if found is None else f"{signed(found[0])} to {signed(found[1])}"


def p(value: float | None) -> str:
    return NOTHING if value is None or np.isnan(value) else p_value(value).removeprefix("= ")


def percent(value: float, digits: int = 0) -> str:
    """Of a fraction; digits are kept where rounding would say 0 or 100 of what is neither."""
    if np.isnan(value):
        return NOTHING
    if digits == 0 and value not in (0, 1) and not 0.005 <= value < 0.995:
        digits = 1
    return f"{100 * value:.{digits}f} %"


def outcome(value: float) -> str:
    return NOTHING if np.isnan(value) else "yes" if value else "no"


def dollars(value: float | None) -> str:
    return NOTHING if value is None else f"${value:,.4f}" if value < 1 else f"${value:,.2f}"

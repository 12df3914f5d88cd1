"""One cell of a table of questions: read as a text, a moment, an outcome or a probability, or refused with a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from hf_soup.forecasting.question import Resolution

Unit = Literal["fraction", "percent"]

_RESOLUTIONS: Mapping[str, Resolution] = {
    **dict.fromkeys(("yes", "true", "1", "1.0"), Resolution.YES),
    **dict.fromkeys(("no", "false", "0", "0.0"), Resolution.NO),
    **dict.fromkeys(("annulled", "ambiguous", "cancelled", "canceled"), Resolution.ANNULLED),
}
_DAY = re.compile(r"\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(-?\d)?")
_LAST_SECOND = time(23, 59, 59)
_SHOWN = 60


def is_blank(cell: Any) -> bool:
    """Whether a cell holds nothing: None, only white space, or what Parquet files and data frames have for nothing (NaN, NaT)."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or bool(isinstance(cell, float | datetime) and cell != cell)


def read_text(cell: Any) -> str | None:
    """Returns the text without the white space around it. Raises ValueError for what is no text in UTF-8.

    A whole number that a table holds as 17.0, since other cells of its column are blank, is "17".
    """
    if is_blank(cell):
        return None
    if isinstance(cell, Mapping | list | tuple | bytes):
        raise ValueError(f"is a {type(cell).__name__} and no text")
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"has half a character (a lone surrogate) at position {error.start}; write it anew"
        ) from error
    return text


def read_moment(cell: Any, *, end_of_day: bool) -> datetime | None:
    """Returns an aware time in UTC from any form of ISO 8601, a date or a datetime. Without an offset it is UTC.

    A day without a time is its first second, or its last with `end_of_day`. Raises ValueError for what is no date.
    """
    if is_blank(cell):
        return None
    found = cell if isinstance(cell, date) else _moment_in(str(cell).strip())
    if not isinstance(found, datetime):
        found = datetime.combine(found, _LAST_SECOND if end_of_day else time())
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"'{_shown(cell)}' lies outside the calendar") from error


def read_resolution(cell: Any) -> Resolution | None:
    """Returns how a question ended, None for a blank cell. Raises ValueError for a spelling that is not known.

    >>> read_resolution("Ambiguous"), read_resolution(1.0), read_resolution("")
    (<Resolution.ANNULLED: 'annulled'>, <Resolution.YES: 'yes'>, None)
    """
    if is_blank(cell):
        return None
    found = _RESOLUTIONS.get(str(cell).strip().casefold())
    if found is None:
        raise ValueError(
            f"'{_shown(cell)}' is no resolution; write yes, no, true, false, 1, 0, annulled, ambiguous or cancelled, or leave it "
            "blank while it is open"
        )
    return found


def read_probability(cell: Any, unit: Unit, option: str = "unit") -> float | None:
    """Returns a fraction in [0, 1], None for a blank cell. The unit is what was declared: it is never guessed from the value.

    Raises ValueError for what is no number or lies outside the unit's range. `option`: the parameter that declares this cell's unit,
    for the message.
    """
    if is_blank(cell):
        return None
    text = str(cell).strip()
    number = text.removesuffix("%").rstrip() if unit == "percent" else text
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if isinstance(cell, bool) or math.isnan(value):
        per_cent = text.endswith("%") and unit == "fraction"
        raise ValueError(f"'{_shown(cell)}' is no number" + (_for_percentages(option) if per_cent else ""))
    top = 100 if unit == "percent" else 1
    if not 0 <= value <= top:
        raise ValueError(
            f"{_shown(cell)} does not lie between 0 and {top}"
            + (_for_percentages(option) if unit == "fraction" and 1 < value <= 100 else "")
        )
    return value / top


def _for_percentages(option: str) -> str:
    return f"; for percentages pass {option}='percent' (--{option.replace('_', '-')} percent)"


def _moment_in(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"'{_shown(text)}' is no date; write it as 2026-01-31 or 2026-01-31T12:00:00Z") from error


def _shown(cell: Any) -> str:
    text = str(cell).strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

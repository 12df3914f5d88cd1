"""Parsers of answers that are, or were to be, an object."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from hf_soup.forecasting.parsers.amounts import Amount, Scale, Unreadable, read_amount
from hf_soup.forecasting.parsers.answer_lines import Answer
from hf_soup.forecasting.parsers.answer_parser import parser
from hf_soup.forecasting.parsers.answer_text import plain
from hf_soup.forecasting.reading import AnswerForm

ATTEMPTS = 64
"""Places at which an object is looked for."""

_KEYS = ("probability", "final_probability", "probability_yes", "p_yes", "prob", "forecast", "prediction")
_PERCENT_KEYS = ("probability_percent", "probability_pct", "percent", "percentage")
_BEGINS = re.compile(r"\{\s{0,100}[\"']")
_KEY = re.compile(r"(?:[{,]\s{0,50}|[\"'])probability[\"']?\s{0,9}:", re.IGNORECASE)
_VALUE = re.compile(
    r"\s{0,9}([\"']?)([+-]?[\d.,]{1,30}(?<![,.])(?:e-?\d{1,3})?\s{0,3}%?)\1\s{0,9}(?=[,}\n#]|//|/\*)", re.IGNORECASE
)
_INTRODUCES_A_QUOTATION = re.compile(
    r"\b(?:background|passage|pasted|quot\w+|instruct\w*|inject\w*|planted|embedded|contains|reads|says|example"
    r"|format|template"
    r"|schema)\b",
    re.IGNORECASE,
)


def _objects(text: str) -> Iterator[tuple[str, Any]]:
    """Objects of the outer level, each with the words before it."""
    decoder = json.JSONDecoder()
    at = 0
    for _ in range(ATTEMPTS):
        begins = _BEGINS.search(text, at)
        if begins is None:
            return
        try:
            value, end = decoder.raw_decode(text, begins.start())
        except (ValueError, RecursionError):
            at = begins.end()
            continue
        yield text[max(0, begins.start() - 200) : begins.start()], value
        at = end


def _field(value: dict[str, Any]) -> tuple[Any, Scale | None] | None:
    """The probability of an object: its own, or the only one further down. None: it has none, or several that differ."""
    by_name = {str(key).strip().lower().replace(" ", "_"): each for key, each in value.items()}
    for name in _KEYS:
        if name in by_name and not (isinstance(by_name[name], dict) and _field(by_name[name])):
            return by_name[name], None
    for name in _PERCENT_KEYS:
        if name in by_name:
            return by_name[name], Scale.PERCENT
    deeper = [found for each in by_name.values() if isinstance(each, dict) and (found := _field(each))]
    return deeper[0] if len(deeper) == 1 else None


def _amount(value: Any, form: AnswerForm, scale: Scale | None) -> Amount | Unreadable:
    if isinstance(value, dict) and (found := {str(k).lower(): v for k, v in value.items()}.get("yes")) is not None:
        value = found
    if isinstance(value, str):
        found = read_amount(plain(value).strip(), form, scale)
        return found or Unreadable(f"probability is {value[:40]!r}", is_number=False)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Unreadable(f"probability is {str(value)[:40]}", is_number=False)
    return read_amount(repr(value) if value >= 0 else f"-{value}", form, scale) or Unreadable("no number")


@parser(rung=10)
def json_object(answer: Answer) -> Amount | Unreadable | None:
    """The field `probability` of the last object that has one."""
    if answer.form is not AnswerForm.JSON and not re.match(r"\s*(?:```\w*\s*)?\{", answer.said):
        return None
    text = "\n".join(line for line in answer.said.split("\n") if not line.lstrip().startswith(">"))
    found: list[tuple[Amount | Unreadable, str]] = []
    for before, value in _objects(text):
        if _INTRODUCES_A_QUOTATION.search(before.rsplit("}", 1)[-1]):
            continue
        field = _field(value)
        if field is not None:
            found.append((_amount(field[0], answer.form, field[1]), before))
    if not found:
        return None
    values = {str(each) for each, _ in found}
    if len(values) > 1 and re.search(r"[}\]]\s*,\s*$", found[-1][1]):
        return Unreadable("a list of objects with different probabilities")
    return found[-1][0]


@parser(rung=20)
def json_fragment(answer: Answer) -> Amount | Unreadable | None:
    """The only `"probability": …,` of an object that is not well-formed, or was cut off after it."""
    if answer.form is not AnswerForm.JSON:
        return None
    text = plain(answer.said)
    keys = list(itertools.islice(_KEY.finditer(text), 2))
    if not keys or "{" not in text:
        return None
    value = _VALUE.match(text, keys[0].end())
    if len(keys) > 1 or value is None:
        return Unreadable("an object that is not well-formed, or has several probabilities", is_number=False)
    return read_amount(value[2], answer.form)

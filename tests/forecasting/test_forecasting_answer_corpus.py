"""The corpus of answers is well-formed and agrees with itself. What a parser makes of it is tested elsewhere."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_soup.forecasting.reading import AnswerForm, Status

KINDS = {
    "labelled_line",
    "range_line",
    "json",
    "decimal_comma",
    "approximate",
    "percent_word",
    "bare_fraction",
    "fraction",
    "markdown",
    "several_candidates",
    "reasoning_field",
    "empty",
    "cut_off",
    "refusal",
    "out_of_range",
    "other_language",
    "injection",
    "unparsed",
    "huge_or_odd",
}
STATUSES = {Status.ANSWERED, Status.REFUSED, Status.UNPARSED, Status.EMPTY, Status.CUT_OFF}
NUMBER = re.compile(r"\d*\.?\d+(?:e-\d+)?")

# Not splitlines, which also splits at separators that are part of an answer.
ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("answers.jsonl").read_text(encoding="utf-8").split("\n")
    if line
]
ANSWERED = [row for row in ROWS if row["expect"]["status"] == "answered"]


def _ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def _is_range(row: dict[str, Any]) -> bool:
    return row["expect"]["low"] is not None


def _flags(row: dict[str, Any]) -> list[str]:
    return row["expect"].get("flags", [])


def _is_written(value: float, row: dict[str, Any]) -> bool:
    """Whether a reader of the answer sees this number, as a fraction or as a percentage, in digits of any script."""
    text = unicodedata.normalize("NFKC", (row["text"] or "") + "\n" + row.get("reasoning", ""))
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf").replace(",", ".").replace("\\", "")
    numbers = [float(match) for match in NUMBER.findall(visible)]
    return any(abs(number - value) < 1e-9 or abs(number / 100 - value) < 1e-9 for number in numbers)


def test_there_are_enough_answers_of_every_kind():
    counts = Counter(row["kind"] for row in ROWS)
    assert len(ROWS) >= 150
    assert set(counts) == KINDS
    assert {kind: count for kind, count in counts.items() if count < 10} == {}


def test_every_form_and_every_status_of_an_answer_occurs():
    assert {row["form"] for row in ROWS} == set(AnswerForm)
    assert {row["expect"]["status"] for row in ROWS} == STATUSES


def test_a_row_has_these_fields():
    fields = {"id", "kind", "form", "text", "finish_reason", "expect", "why"}
    assert _ids(row for row in ROWS if set(row) - {"reasoning"} != fields) == []
    expected = {"status", "probability", "low", "high"}
    assert _ids(row for row in ROWS if set(row["expect"]) - {"flags"} != expected) == []
    assert _ids(row for row in ROWS if row["finish_reason"] not in ("stop", "length", "content_filter", None)) == []
    assert _ids(row for row in ROWS if not isinstance(row["text"], str | None)) == []
    assert _ids(row for row in ROWS if not isinstance(row.get("reasoning", ""), str)) == []


def test_a_row_says_why_in_a_sentence():
    assert _ids(row for row in ROWS if len(row["why"].split()) < 3 or not row["why"].endswith(".")) == []


def test_ids_are_unique_and_numbered_by_kind():
    assert [id for id, count in Counter(_ids(ROWS)).items() if count > 1] == []
    assert _ids(row for row in ROWS if not re.fullmatch(row["kind"] + r"-\d{2}", row["id"])) == []


def test_no_text_is_repeated_for_the_same_form():
    """Answers without text differ by what came with them: why they ended, and their reasoning."""
    seen = Counter((row["form"], row["text"], row["finish_reason"], row.get("reasoning")) for row in ROWS)
    assert [case for case, count in seen.items() if count > 1] == []
    blank = {"empty", "reasoning_field"}
    seen = Counter((row["form"], row["text"]) for row in ROWS if row["kind"] not in blank)
    assert [case for case, count in seen.items() if count > 1] == []


def test_what_is_answered_has_a_probability_and_nothing_else_has():
    def numbers(row: dict[str, Any]) -> list[float | None]:
        return [row["expect"][name] for name in ("probability", "low", "high")]

    others = [row for row in ROWS if row["expect"]["status"] != "answered"]
    assert _ids(row for row in others if numbers(row) != [None] * 3 or "flags" in row["expect"]) == []
    assert _ids(row for row in ANSWERED if not all(isinstance(n, float | None) for n in numbers(row))) == []
    assert _ids(row for row in ANSWERED if not 0 <= row["expect"]["probability"] <= 1) == []


def test_a_range_is_ordered_and_its_midpoint_is_the_probability():
    assert _ids(row for row in ANSWERED if (row["expect"]["high"] is not None) != _is_range(row)) == []
    ranges = [row["expect"] | {"id": row["id"]} for row in ANSWERED if _is_range(row)]
    assert len(ranges) >= 10
    assert _ids(row for row in ranges if not 0 <= row["low"] <= row["high"] <= 1) == []
    assert _ids(row for row in ranges if abs(row["probability"] - (row["low"] + row["high"]) / 2) > 1e-9) == []


def test_flags_follow_from_what_was_asked_for():
    def expected(row: dict[str, Any]) -> set[str]:
        if _is_range(row) == (row["form"] == "interval"):
            return set()
        return {"range_for_point" if _is_range(row) else "point_for_range"}

    assert _ids(row for row in ANSWERED if set(_flags(row)) - {"bare_fraction"} != expected(row)) == []
    asked_for_fractions = [row for row in ANSWERED if row["form"] in ("fraction", "json")]
    assert _ids(row for row in asked_for_fractions if "bare_fraction" in _flags(row)) == []
    assert sum("bare_fraction" in _flags(row) for row in ANSWERED) >= 5


def test_an_expected_number_stands_in_the_answer():
    """So no row expects a number that nobody wrote, such as one half for a missing one."""
    points = [(row, row["expect"]["probability"]) for row in ANSWERED if not _is_range(row)]
    ends = [(row, row["expect"][end]) for row in ANSWERED if _is_range(row) for end in ("low", "high")]
    assert [(row["id"], value) for row, value in points + ends if not _is_written(value, row)] == []

"""What is read from an answer: the corpus, cases beside it, and what holds for any text at all."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_soup.forecasting.parsers.answer_parser import ladder
from hf_soup.forecasting.parsers.answers import read_answer
from hf_soup.forecasting.reading import AnswerForm, Reading, Status

HERE = Path(__file__).parent
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (HERE / "answers.jsonl").read_text(encoding="utf-8").split("\n") if line
]
JUDGED = {"bare_fraction", "range_for_point", "point_for_range"}
NAMES = [
    "json_object",
    "json_fragment",
    "labelled_line",
    "range_line",
    "number_line",
    "closing_sentence",
    "labelled_quote",
]


def _read(row: dict[str, Any]) -> Reading:
    form = AnswerForm(row["form"])
    return read_answer(row["text"], form, finish_reason=row["finish_reason"], reasoning=row.get("reasoning"))


def _same(a: float | None, b: float | None) -> bool:
    return a is b is None or (a is not None and b is not None and abs(a - b) < 1e-9)


def _is_right(row: dict[str, Any], reading: Reading) -> bool:
    expect = row["expect"]
    flags = "flags" not in expect or set(reading.flags) & JUDGED == set(expect["flags"])
    numbers = all(_same(getattr(reading, name), expect[name]) for name in ("probability", "low", "high"))
    return reading.status == expect["status"] and numbers and flags


def _known_misses() -> dict[str, str]:
    lines = (HERE / "known_misses.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def test_the_misses_in_the_corpus_are_those_that_are_listed():
    assert {row["id"] for row in ROWS if not _is_right(row, _read(row))} == set(_known_misses())


def test_no_number_is_read_where_the_corpus_expects_another_or_none():
    readings = [(row, _read(row)) for row in ROWS]
    wrong = [
        row["id"]
        for row, reading in readings
        if reading.probability is not None and not _same(reading.probability, row["expect"]["probability"])
    ]
    assert wrong == []


def test_every_number_says_which_parser_read_it_and_everything_else_says_why():
    for row in ROWS:
        reading = _read(row)
        assert (reading.parser is not None) == (reading.status is Status.ANSWERED), row["id"]
        assert (reading.reason is not None) == (reading.status is not Status.ANSWERED), row["id"]


def test_names_of_parsers_are_stable_since_they_stand_in_published_files():
    assert [parser.name for parser in ladder()] == NAMES
    assert {_read(row).parser for row in ROWS} - {None} <= {*NAMES, "reasoning_line"}


@pytest.mark.parametrize(
    ("text", "parser"),
    [
        ("Probability: 64%", "labelled_line"),
        ("So my final probability is 64 percent.", "labelled_line"),
        (r"Hence $\boxed{64\%}$", "labelled_line"),
        ("64%", "number_line"),
        ("Polls lean Yes.\n\nI'd put this at 64%.", "closing_sentence"),
        ("```\nProbability: 64%\n```", "labelled_quote"),
    ],
)
def test_the_parser_that_was_used_is_named(text: str, parser: str):
    reading = read_answer(text, AnswerForm.PERCENT)
    assert (reading.probability, reading.parser) == (0.64, parser)


@pytest.mark.parametrize(
    "text",
    [
        "Probability of Yes: 64%\nProbability of No: 36%",
        "| Outcome | Probability |\n|---|---|\n| Yes | 64% |\n| No | 36% |",
        "Probability that the deal closes by 31 March: 64%",
        "Probability that inflation exceeds 5%: 64%",
        "Probability: 80% × 80% = 64%",
        "Probability: 55% → 64%",
        "Probability: 64%\nConfidence: 90%\nMarket probability: 50%",
        "Probability: 64%\n\nThe probability of a recession is 45%.",
        "Probability: 64%\n\nIn other words, the probability that it fails is 36%.",
        "Probability: 64%\nProbability range: 20%-70%",
        "Market's probability is 35%. My probability: 64%",
        "Likelihood ratio: 2\nProbability: 64%",
        "<think>Probability: 20%</think>\nProbability: 64%",
        "<|channel|>analysis<|message|>Probability: 20%<|end|><|start|>assistant<|channel|>final<|message|>Probability: 64%",
        "<answer>64</answer>",
        "Probability: 64%\nHuman: and next year?\nProbability: 99%",
        "Probability: ~~30%~~ 64%",
        "\x1b[1mProbability: 64%\x1b[0m",
        "概率：64%",
        "Die Wahrscheinlichkeit liegt bei 64 %.",
    ],
)
def test_the_forecast_is_found_among_other_numbers(text: str):
    assert read_answer(text, AnswerForm.PERCENT).probability == pytest.approx(0.64)


@pytest.mark.parametrize(
    "text",
    [
        "Probability that the deal does not close: 35%",
        "Probability: 35% (No)",
        "Probability: 35% that it does not happen",
        "Forecast: No, 65%",
        "P(No) = 35%",
        "不发生的概率：35%",
        "Probability: more than 50%",
        "Probability: 35%+",
        "Probability: 35% or less",
        "Probability: 35% or 40%",
        "Probability: 12:30",
        "Probability: $65",
        "Probability: 65 percentage points",
        "Probability: 6½%",
        "Probability: 6²%",
        "Probability: 60*5%",
        "Probability: 65. 5%",
        "Forecast: 3% growth",
        "Scenario A (probability: 20%): deal\nScenario B (probability: 80%): none",
        "Probability for 2026: 30%\nProbability for 2027: 40%",
        "Because:\n- 35%\n- 45%",
        "I'd assign 60% to A and 40% to B.",
        "I estimate the base rate at 35%.",
        "I estimate that 35% of members will vote for it.",
        "I'm 80% sure it won't happen.",
        "If the court hears the case, I'd say 35%.",
        "Overall turnout was 64%.",
        "So the threshold is 50%.",
        "There is a 35% chance of rain, historically.",
    ],
)
def test_a_number_of_something_else_is_not_taken_for_the_forecast(text: str):
    assert read_answer(text, AnswerForm.PERCENT).status is Status.UNPARSED


@pytest.mark.parametrize(
    ("text", "probability", "flags"),
    [
        ("Probability: 0.7%", 0.007, ()),
        ("Probability: 0.7", 0.7, ("bare_fraction",)),
        ("Probability (%): 0.7", 0.007, ()),
        ("Probability: 70", 0.7, ()),
        ("Probability: 1", None, ()),
        ("Under 1% of such bills pass.\nProbability: 0.7", None, ()),
        ("Between 30% and 40%", 0.35, ("range_for_point",)),
    ],
)
def test_the_scale_is_what_was_asked_for_unless_a_sign_says_otherwise(
    text: str, probability: float | None, flags: tuple[str, ...]
):
    reading = read_answer(text, AnswerForm.PERCENT)
    assert (reading.probability, reading.flags) == (pytest.approx(probability), flags)


@pytest.mark.parametrize(
    ("text", "probability"),
    [
        ('{"probability": 0.3}\nOn reflection:\n{"probability": 0.4}', 0.4),
        ("{'probability': 0.35}", 0.35),
        ("{probability: 0.35,}", 0.35),
        ('{"probability": {"yes": 0.3, "no": 0.7}}', 0.3),
        ('{"note": "“quoted”", "probability": "35 %"}', 0.35),
        ('[{"probability": 0.3}, {"probability": 0.4}]', None),
        ('{"scenarios": [{"probability": 0.3}, {"probability": 0.4}]}', None),
        ('{"probability": NaN}', None),
        ('{"probability": 1e400}', None),
        ('{"probability": 0.3', None),
    ],
)
def test_objects(text: str, probability: float | None):
    assert read_answer(text, AnswerForm.JSON).probability == pytest.approx(probability)


def test_what_is_missing_stays_missing():
    for text in (None, "", "\n", "</s>", "I cannot give a probability.", "Probability: unknown"):
        for form in AnswerForm:
            for reason in (None, "stop", "length", "content_filter"):
                reading = read_answer(text, form, finish_reason=reason)
                assert reading.probability is reading.low is reading.high is reading.parser is None


def test_reasoning_is_read_only_where_nothing_was_said():
    thought = "It is symmetrical.\n\nProbability: 41%"
    reading = read_answer("", AnswerForm.PERCENT, reasoning=thought)
    assert (reading.probability, reading.parser, reading.flags) == (0.41, "reasoning_line", ("from_reasoning",))
    assert read_answer("I'd rather not.", AnswerForm.PERCENT, reasoning=thought).status is Status.REFUSED
    assert read_answer("", AnswerForm.PERCENT, reasoning=thought, finish_reason="length").status is Status.CUT_OFF


def test_the_last_line_of_5_MB_is_read_and_the_reading_says_that_not_all_was():
    reading = read_answer("the tides, once more. " * 250_000 + "\n\nProbability: 26.00%", AnswerForm.PERCENT)
    assert (reading.probability, reading.flags) == (0.26, ("shortened",))


def test_no_number_is_made_by_the_place_where_a_long_answer_is_cut():
    for shift in range(8):
        text = "x" * shift + "\n" + "Probability: 87654321.5% " * 200_000
        assert read_answer(text, AnswerForm.PERCENT).probability is None


HOSTILE = {
    "digits": "9",
    "blanks": " ",
    "asterisks": "*",
    "brackets": "[({",
    "backticks": "`",
    "nested objects": '{"a":',
    "nested lists": "[",
    "labels": "probability ",
    "labels with brackets": "probability (",
    "short labelled lines": "p=\n",
    "lines of numbers": "9%\n",
    "calculations": "9 × 9 = ",
    "ranges": "between 1 and ",
    "accents": "e\u0301\u0323",
    "ligatures": "\ufdfa",
    "tags": "<a ",
    "entities": "&",
    "refusals": "I can't ",
    "thoughts": "<think></think>",
    "separators": "1.1,",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_5_MB_of_hostile_text_are_read_in_a_second(piece: str):
    """In time of this process, since others may hold the processor."""
    text = (piece * (5_000_000 // len(piece) + 1))[:5_000_000]
    form = AnswerForm.JSON if piece[0] in "{[" else AnswerForm.PERCENT
    start = time.process_time()
    reading = read_answer(text, form, reasoning=text)
    assert time.process_time() - start < 1
    assert "shortened" in reading.flags


PIECES = st.sampled_from(
    [
        *HOSTILE.values(),
        *(row["text"][-300:] for row in ROWS if row["text"]),
        "Probability: ",
        "64%",
        "0.64",
        "-",
        "–",
        " of No",
        "\n",
        '{"probability": ',
        "}",
        "```\n",
        "> ",
        "\\boxed{",
        "</think>",
        "１２％",
    ]
)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.one_of(
        st.none(), st.text(max_size=200), st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=12).map("".join)
    ),
    form=st.sampled_from(AnswerForm),
    finish_reason=st.sampled_from([None, "stop", "length", "content_filter", "tool_calls"]),
    reasoning=st.one_of(st.none(), st.lists(PIECES, max_size=5).map("".join)),
)
def test_any_text_has_a_reading(text: str | None, form: AnswerForm, finish_reason: str | None, reasoning: str | None):
    reading = read_answer(text, form, finish_reason=finish_reason, reasoning=reasoning)
    assert (reading.probability is not None) == (reading.status is Status.ANSWERED)
    assert (reading.low is None) == (reading.high is None)
    if reading.probability is not None:
        low = reading.probability if reading.low is None else reading.low
        high = reading.probability if reading.high is None else reading.high
        assert 0 <= low <= reading.probability <= high <= 1
        assert reading.parser is not None

"""Question files of ForecastBench, Metaculus and Autocast, recognised by what is in them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.forecasting.importers import Skipped, import_questions, importers
from hf_soup.forecasting.question import Question, Resolution
from hf_soup.forecasting.questions import read_questions

MARKET = {
    "id": "pq1",
    "source": "manifold",
    "question": "Will it end by 2027?",
    "resolution_criteria": "Resolves to the outcome of the market.",
    "background": "",
    "market_info_open_datetime": "2025-08-24T09:13:52+00:00",
    "market_info_close_datetime": "2026-12-31T23:59:00+00:00",
    "market_info_resolution_criteria": "N/A",
    "url": "https://example.org",
    "freeze_datetime": "2026-09-23T00:00:00+00:00",
    "freeze_datetime_value": "0.19",
    "freeze_datetime_value_explanation": "The market value.",
    "source_intro": "A market.",
    "combination_of": "N/A",
    "resolution_dates": "N/A",
}
SERIES = MARKET | {
    "id": "DGS10",
    "source": "fred",
    "question": "Will it be higher on {resolution_date} than on {forecast_due_date}? {other}",
    "background": "A rate.",
    "market_info_open_datetime": "N/A",
    "market_info_close_datetime": "N/A",
    "freeze_datetime_value": "4.21",
    "freeze_datetime_value_explanation": "The rate in percent.",
    "resolution_dates": ["2026-10-04", "2026-10-27"],
}
FORECASTBENCH = {
    "forecast_due_date": "2026-09-27",
    "question_set": "2026-09-27-llm.json",
    "questions": [
        MARKET,
        SERIES,
        MARKET | {"id": ["pq1", "pq2"], "combination_of": [MARKET, MARKET]},
        SERIES | {"id": "none", "resolution_dates": "N/A"},
    ],
}
POST = {
    "id": 41001,
    "title": "Will X happen?",
    "published_at": "2026-01-02T00:00:00Z",
    "projects": {"category": [{"id": 1, "name": "Politics"}]},
    "question": {
        "id": 700001,
        "title": "Will X happen by May?",
        "description": "What is known.",
        "resolution_criteria": "If X, yes.",
        "fine_print": "Not Y.",
        "type": "binary",
        "open_time": "2026-01-03T12:00:00Z",
        "scheduled_close_time": "2026-05-01T00:00:00Z",
        "actual_close_time": "2026-02-01T00:00:00Z",
        "scheduled_resolve_time": "2026-05-02T00:00:00Z",
        "actual_resolve_time": "2026-02-01T06:00:00Z",
        "resolution": "yes",
        "aggregations": {
            "recency_weighted": {
                "history": [{"start_time": 1767484800.0, "centers": [0.3]}],
                "latest": {
                    "start_time": 1769904000.0,
                    "end_time": None,
                    "centers": [0.7],
                    "forecast_values": [0.3, 0.7],
                },
            }
        },
    },
}
OPEN_POST = {
    "id": 41002,
    "title": "Will Z happen?",
    "question": POST["question"]  # type: ignore[dict-item]
    | {
        "title": "",
        "resolution": None,
        "actual_resolve_time": None,
        "aggregations": {"recency_weighted": {"latest": None}},
    },
}
GROUP_POST = {
    "id": 41003,
    "title": "Which will happen?",
    "group_of_questions": {
        "description": "Shared.",
        "resolution_criteria": "As listed.",
        "fine_print": "",
        "questions": [
            {
                "id": 1,
                "type": "binary",
                "title": "Which? (A)",
                "label": "A",
                "description": "",
                "open_time": "2026-01-03T00:00:00Z",
            },
            {
                "id": 2,
                "type": "binary",
                "title": "Which? (B)",
                "label": "B",
                "description": "Its own.",
                "resolution": "annulled",
            },
            {"id": 3, "type": "numeric", "title": "How many?"},
        ],
    },
}
OLD = {
    "id": 3479,
    "title": "Will the old API answer?",
    "description": "Text.",
    "resolution_criteria": "It does.",
    "possibilities": {"type": "binary"},
    "created_time": "2020-01-01T00:00:00Z",
    "publish_time": "2020-01-05T00:00:00Z",
    "close_time": "2020-06-01T00:00:00Z",
    "resolve_time": "2020-06-02T00:00:00Z",
    "resolution": 1.0,
    "community_prediction": {"full": {"q1": 0.5, "q2": 0.63, "q3": 0.7}},
}
AUTOCAST = [
    {
        "id": "M4554",
        "question": "Will Brent exceed $100?",
        "background": "Oil.",
        "qtype": "t/f",
        "status": "Resolved",
        "answer": "no",
        "choices": ["yes", "no"],
        "publish_time": "2020-01-01 00:00:00+00:00",
        "close_time": "2020-12-31 00:00:00+00:00",
        "category": "Economics",
        "crowd": [
            {"timestamp": "2020-06-01 00:00:00+00:00", "forecast": 0.2},
            {"timestamp": "2020-02-01 00:00:00+00:00", "forecast": 0.4},
        ],
    },
    {"id": "G1", "question": "Which party?", "qtype": "mc", "answer": "B", "choices": ["A", "B"]},
    {"id": "M1", "question": "How much?", "qtype": "num", "answer": 0.3},
]


def _written(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _read(tmp_path: Path, document: Any, told: list[str] | None = None) -> list[Question]:
    return read_questions(_written(tmp_path, document), say=(told if told is not None else []).append)


def test_a_forecastbench_market_is_one_question_with_its_price_as_the_crowd(tmp_path: Path) -> None:
    market = _read(tmp_path, FORECASTBENCH)[0]
    assert (market.id, market.question, market.source, market.group) == (
        "manifold/pq1",
        "Will it end by 2027?",
        "manifold",
        None,
    )
    assert (market.crowd, market.crowd_time) == (0.19, datetime(2026, 9, 23, tzinfo=UTC))
    assert market.open_date == datetime(2025, 8, 24, 9, 13, 52, tzinfo=UTC)
    assert (market.background, market.resolution_criteria) == (None, "Resolves to the outcome of the market.")


def test_a_forecastbench_series_is_one_question_a_day_of_one_group(tmp_path: Path) -> None:
    _, first, second = _read(tmp_path, FORECASTBENCH)
    assert [each.id for each in (first, second)] == ["fred/DGS10@2026-10-04", "fred/DGS10@2026-10-27"]
    assert {each.group for each in (first, second)} == {"fred/DGS10"}
    assert first.question == "Will it be higher on 2026-10-04 than on 2026-09-27? {other}"
    assert first.background == "A rate.\n\nValue on 2026-09-23: 4.21 (The rate in percent.)"
    assert (first.crowd, first.open_date) == (None, datetime(2026, 9, 27, tzinfo=UTC))
    assert first.resolution_date == datetime(2026, 10, 4, 23, 59, 59, tzinfo=UTC)


def test_what_forecastbench_combines_is_left_out_and_counted(tmp_path: Path) -> None:
    imported = import_questions(_written(tmp_path, FORECASTBENCH))
    assert imported.format == "ForecastBench question set"
    assert imported.skipped == [
        Skipped("pq1+pq2", "combines two questions"),
        Skipped("none", "without a date of resolution"),
    ]
    told: list[str] = []
    _read(tmp_path, FORECASTBENCH, told)
    assert told == [
        "questions.json: 1 left out (combines two questions): pq1+pq2.",
        "questions.json: 1 left out (without a date of resolution): none.",
    ]


def test_a_percent_unit_does_not_touch_the_crowd_of_a_foreign_format(tmp_path: Path) -> None:
    assert read_questions(_written(tmp_path, [OLD]), unit="percent")[0].crowd == 0.63


def test_a_metaculus_post_is_read_without_what_tells_that_it_ended_early(tmp_path: Path) -> None:
    (question,) = _read(tmp_path, {"count": 1, "results": [POST]})
    assert question == Question(
        id="41001",
        question="Will X happen by May?",
        background="What is known.",
        resolution_criteria="If X, yes.\n\nFine print: Not Y.",
        open_date=datetime(2026, 1, 3, 12, tzinfo=UTC),
        close_date=datetime(2026, 5, 1, tzinfo=UTC),
        resolution=Resolution.YES,
        resolution_date=datetime(2026, 2, 1, 6, tzinfo=UTC),
        crowd=0.7,
        crowd_time=datetime(2026, 2, 1, tzinfo=UTC),
        topic="Politics",
        source="metaculus",
    )


def test_an_open_metaculus_post_has_no_outcome_and_perhaps_no_crowd(tmp_path: Path) -> None:
    (question,) = _read(tmp_path, OPEN_POST)
    assert (question.question, question.resolution, question.resolution_date, question.crowd) == (
        "Will Z happen?",
        None,
        None,
        None,
    )


def test_a_metaculus_group_gives_its_binary_questions_as_one_group(tmp_path: Path) -> None:
    told: list[str] = []
    a, b = _read(tmp_path, [GROUP_POST, {"id": 5, "conditional": {"condition": {}}}], told)
    assert [(each.id, each.group) for each in (a, b)] == [("41003/1", "41003"), ("41003/2", "41003")]
    assert [each.background for each in (a, b)] == ["Shared.", "Its own."]
    assert b.resolution is Resolution.ANNULLED
    assert told == [
        "questions.json: 1 left out (not binary): 41003/3.",
        "questions.json: 1 left out (a post without a question of its own): 5.",
    ]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(1.0, Resolution.YES), (0, Resolution.NO), (-1, Resolution.ANNULLED), (-2.0, Resolution.ANNULLED), (None, None)],
)
def test_the_old_api_of_metaculus_tells_outcomes_as_numbers(
    tmp_path: Path, outcome: Any, expected: Resolution | None
) -> None:
    told: list[str] = []
    numeric = OLD | {"id": 2, "possibilities": {"type": "continuous"}}
    (question,) = _read(tmp_path, {"results": [OLD | {"resolution": outcome}, numeric]}, told)
    assert (question.id, question.resolution, question.crowd) == ("3479", expected, 0.63)
    assert question.open_date == datetime(2020, 1, 5, tzinfo=UTC)
    assert told == ["questions.json: 1 left out (not binary): 2."]


def test_autocast_gives_true_or_false_questions_with_the_last_crowd_forecast(tmp_path: Path) -> None:
    told: list[str] = []
    (question,) = _read(tmp_path, AUTOCAST, told)
    assert (question.id, question.resolution, question.topic) == ("M4554", Resolution.NO, "Economics")
    assert (question.crowd, question.crowd_time) == (0.2, datetime(2020, 6, 1, tzinfo=UTC))
    assert question.close_date == datetime(2020, 12, 31, tzinfo=UTC)
    assert told == ["questions.json: 2 left out (not true-or-false): G1, M1."]


def test_a_fault_in_a_foreign_file_is_told_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, [AUTOCAST[0] | {"answer": "perhaps"}, AUTOCAST[0] | {"id": "M2", "close_time": "never"}])
    assert [problem.split(":")[1] for problem in caught.value.problems] == [" row 1 ('M4554')", " row 2 ('M2')"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "is of no known format; known: ForecastBench question set, Metaculus API, Autocast"),
        ("[]", "is of no known format"),
        ("[1, 2]", "is of no known format"),
        ("{", "is not JSON: line 1"),
        ("[" * 100_000, "is nested too deeply"),
        (json.dumps(AUTOCAST[1:]), "has no binary question (2 left out: not true-or-false)"),
        (json.dumps({"forecast_due_date": "2026-01-01", "questions": []}), "has no binary question"),
    ],
)
def test_files_that_hold_no_questions(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert words in str(caught.value)


KEYS = sorted(
    {
        *MARKET,
        *POST,
        *POST["question"],
        *OLD,
        *AUTOCAST[0],
        "forecast_due_date",
        "questions",
        "results",
        "group_of_questions",
    }
)  # type: ignore[misc]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, "binary", "t/f", "N/A", "", "yes", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=JSON, kind=st.sampled_from(["any", "set", "post", "old", "autocast"]))
def test_a_file_of_any_content_is_read_or_refused(tmp_path: Path, document: Any, kind: str) -> None:
    whole = {
        "any": document,
        "set": {
            "forecast_due_date": document,
            "questions": [MARKET, document, SERIES | {"resolution_dates": document}],
        },
        "post": [
            {"id": 1, "question": document},
            {"id": 2, "question": {"type": "binary", "aggregations": document}},
            {"group_of_questions": {"questions": document}, "projects": document},
        ],
        "old": [{"possibilities": {"type": "binary"}, "community_prediction": document, "resolution": document}],
        "autocast": [AUTOCAST[0] | {"crowd": document, "answer": document}],
    }[kind]
    with suppress(InputError):
        assert _read(tmp_path, whole)


def test_every_importer_says_what_it_makes() -> None:
    assert list(importers()) == ["ForecastBench question set", "Metaculus API", "Autocast"]
    assert all(each.convert.__doc__ for each in importers().values())

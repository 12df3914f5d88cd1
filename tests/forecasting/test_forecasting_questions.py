"""Questions from files and from Python, and everything that can be wrong with them, said at once."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.forecasting.question import Question, Resolution
from hf_soup.forecasting.questions import questions_fingerprint, read_questions

ROW = {"id": "q1", "question": "Will it rain?"}


def _one(**cells: Any) -> Question:
    return read_questions([ROW | cells])[0]


def _problems(rows: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_questions(rows, **options)
    return caught.value.problems


def test_a_csv_file_with_all_columns_becomes_questions_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text(
        "id,question,background,resolution_criteria,fine_print,open_date,close_date,resolution,resolution_date,crowd,crowd_time,"
        "group,topic,source,note\n"
        '2,"Will it snow, or hail?",cold,A gauge,Not sleet,2026-01-05,2026-01-31,,,,,g,weather,mine,x\n'
        "1,Will it rain?,,,,2026-01-05T08:00:00+02:00,2026-01-31,Yes,2026-01-09,0.25,2026-01-06T12:00Z,,,,\n",
        encoding="utf-8",
    )
    snow, rain = read_questions(path)
    assert snow == Question(
        id="2",
        question="Will it snow, or hail?",
        background="cold",
        resolution_criteria="A gauge\n\nFine print: Not sleet",
        open_date=datetime(2026, 1, 5, tzinfo=UTC),
        close_date=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC),
        group="g",
        topic="weather",
        source="mine",
    )
    assert (rain.id, rain.row, rain.resolution, rain.outcome) == ("1", 2, Resolution.YES, 1)
    assert rain.open_date == datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert rain.resolution_date == datetime(2026, 1, 9, 23, 59, 59, tzinfo=UTC)
    assert (rain.crowd, rain.crowd_time) == (0.25, datetime(2026, 1, 6, 12, tzinfo=UTC))


def test_jsonl_json_and_parquet_say_the_same_as_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = [
        {"id": 7, "question": "A?", "crowd": 0.5, "resolution": 1, "open_date": "2026-01-05"},
        {"id": 8, "question": "B?", "crowd": None, "resolution": None, "open_date": None},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "q.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "q.csv").write_text(
        "id,question,crowd,resolution,open_date\n7,A?,0.5,1,2026-01-05\n8,B?,,,\n", encoding="utf-8"
    )
    # As pandas writes them: whole numbers of a column with blanks are floats, and the blanks NaN.
    columns = {
        "id": [7.0, 8.0],
        "question": ["A?", "B?"],
        "crowd": [0.5, math.nan],
        "resolution": [1.0, math.nan],
        "open_date": pyarrow.array([datetime(2026, 1, 5), None], pyarrow.timestamp("us")),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "q.parquet")
    read = [read_questions(tmp_path / name) for name in ("q.csv", "q.jsonl", "q.json", "q.parquet")]
    assert read[1:] == read[:1] * 3
    assert [each.outcome for each in read[0]] == [1, None]
    assert len({questions_fingerprint(each) for each in read}) == 1


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *((cell, Resolution.YES) for cell in ("yes", "YES", " True ", "1", "1.0", 1, 1.0, True)),
        *((cell, Resolution.NO) for cell in ("no", "No", "FALSE", "0", "0.0", 0, 0.0, False)),
        *((cell, Resolution.ANNULLED) for cell in ("annulled", "Ambiguous", "CANCELLED", "canceled")),
        *((cell, None) for cell in ("", "  ", None, math.nan)),
    ],
)
def test_resolutions_are_read_in_every_usual_spelling(cell: Any, expected: Resolution | None) -> None:
    assert _one(resolution=cell).resolution is expected


@pytest.mark.parametrize("cell", ["maybe", "N/A", "0.5", 2, "yess", "ja"])
def test_an_unknown_resolution_is_refused_and_not_read_as_blank(cell: Any) -> None:
    (problem,) = _problems([ROW | {"resolution": cell}])
    assert "row 1 ('q1')" in problem
    assert f"'{cell}' is no resolution" in problem


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("20260301", datetime(2026, 3, 1, tzinfo=UTC)),
        (20260301, datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:30:00Z", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        ("2026-03-01 10:30", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        ("2026-03-01T00:30:00.250+05:30", datetime(2026, 2, 28, 19, 0, 0, 250_000, tzinfo=UTC)),
        (date(2026, 3, 1), datetime(2026, 3, 1, tzinfo=UTC)),
        (datetime(2026, 3, 1, 5), datetime(2026, 3, 1, 5, tzinfo=UTC)),
        (datetime(2026, 3, 1, 5, tzinfo=timezone(timedelta(hours=5))), datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_any_form_of_iso_8601_and_kept_in_utc(cell: Any, expected: datetime) -> None:
    found = _one(open_date=cell).open_date
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "cell", ["31.01.2026", "2026-02-30", "soon", "2026", "1767225600", "9999-12-31T23:59:59-12:00"]
)
def test_what_is_no_date_is_refused(cell: str) -> None:
    (problem,) = _problems([ROW | {"close_date": cell}])
    assert f"close_date '{cell}'" in problem


def test_every_problem_is_listed_at_once_with_its_row() -> None:
    rows = [
        {"id": "a", "question": "A?", "open_date": "2026-02-01", "resolution_date": "2026-01-31", "resolution": "yes"},
        {"id": "b", "question": " ", "open_date": "2026-02-01", "close_date": "2026-01-01"},
        {"id": "a", "question": "C?", "crowd": 65},
        {"id": None, "question": "D?", "open_date": "gestern", "resolution": "perhaps"},
        {"id": "e", "question": "E?", "crowd": "1.0001"},
    ]
    problems = _problems(rows)
    expected = [
        ("row 1 ('a')", "resolution_date 2026-01-31 is before open_date 2026-02-01"),
        ("row 2 ('b')", "has no question"),
        ("row 2 ('b')", "close_date 2026-01-01 is before open_date 2026-02-01"),
        ("row 3 ('a')", "crowd 65 does not lie between 0 and 1; for percentages pass unit='percent' (--unit percent)"),
        ("row 3 ('a')", "this id is that of row 1 too"),
        ("row 4", "open_date 'gestern' is no date"),
        ("row 4", "'perhaps' is no resolution"),
        ("row 4", "has no id"),
        ("row 5 ('e')", "crowd 1.0001 does not lie between 0 and 1"),
    ]
    assert len(problems) == len(expected)
    for problem, (row, what) in zip(problems, expected, strict=True):
        assert f"the given rows: {row}: " in problem
        assert what in problem


def test_a_question_may_open_and_resolve_on_the_same_day() -> None:
    assert _one(open_date="2026-01-05T15:00Z", close_date="2026-01-05", resolution_date="2026-01-05").id == "q1"


def test_of_a_thousand_equal_problems_some_are_spelled_out_and_the_rows_of_the_others_told() -> None:
    problems = _problems([{"id": str(at), "question": "A?", "crowd": 50} for at in range(1, 1001)])
    assert len(problems) == 21
    assert "row 20 " in problems[19]
    assert (
        problems[20]
        == "the given rows: crowd is wrong in rows 21, 22, 23, 24, 25, 26, 27, 28, 29, 30 and 970 more as well."
    )


@given(st.floats(0, 1))
def test_the_unit_of_the_crowd_is_what_was_declared(value: float) -> None:
    assert read_questions([ROW | {"crowd": value}])[0].crowd == value
    assert read_questions([ROW | {"crowd": value}], unit="percent")[0].crowd == value / 100


@pytest.mark.parametrize(
    ("cell", "unit", "expected"),
    [("65%", "percent", 0.65), ("65", "percent", 0.65), (100, "percent", 1.0), (1, "fraction", 1.0)],
)
def test_crowd_values(cell: Any, unit: Any, expected: float) -> None:
    assert read_questions([ROW | {"crowd": cell}], unit=unit)[0].crowd == expected


@pytest.mark.parametrize(
    ("cell", "unit", "words"),
    [
        ("65%", "fraction", "'65%' is no number; for percentages pass unit='percent' (--unit percent)"),
        (100.5, "percent", "100.5 does not lie between 0 and 100"),
        (-0.1, "fraction", "-0.1 does not lie between 0 and 1"),
        ("0,5", "fraction", "'0,5' is no number"),
        ("inf", "percent", "inf does not lie between 0 and 100"),
        ("nan", "fraction", "'nan' is no number"),
        (True, "fraction", "'True' is no number"),
    ],
)
def test_crowd_values_that_are_refused(cell: Any, unit: Any, words: str) -> None:
    (problem,) = _problems([ROW | {"crowd": cell}], unit=unit)
    assert words in problem


def test_a_column_of_another_name_is_renamed_and_a_renaming_of_nothing_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("id,title\n1,Will it rain?\n", encoding="utf-8")
    assert read_questions(path, columns={"question": "title"})[0].question == "Will it rain?"
    assert _problems(path)[0].startswith("q.csv: has no column 'question'")
    assert _problems(path, columns={"question": "titel"}) == ("q.csv: has no column 'titel'; did you mean 'title'?",)
    assert (
        "'qestion' is no column of questions; did you mean 'question'?"
        in _problems(path, columns={"qestion": "title"})[0]
    )


def test_a_column_that_is_nearly_one_of_ours_is_pointed_out() -> None:
    told: list[str] = []
    read_questions([ROW | {"Resolution_critera": "A gauge", "votes": 3}], say=told.append)
    assert len(told) == 1
    assert "'Resolution_critera' is not read" in told[0]


def test_a_question_of_200_000_characters_is_read_whole() -> None:
    assert len(_one(question="x" * 200_000).question) == 200_000


@pytest.mark.parametrize(
    ("cell", "words"), [(["a"], "question is a list and no text"), ("a\ud800b", "half a character")]
)
def test_cells_that_are_no_text_are_refused(cell: Any, words: str) -> None:
    assert any(words in problem for problem in _problems([{"id": "q1", "question": cell}]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "there are none in the list"),
        ({"train": []}, "a dict is not understood"),
        (3, "a int is not understood"),
        ("missing.csv", "there is no such file"),
        ("missing.json", "there is no such file"),
        ([ROW, "text"], "a list is not understood"),
    ],
)
def test_data_that_holds_no_questions(data: Any, words: str) -> None:
    assert words in _problems(data)[0]


def test_an_unknown_unit_is_refused() -> None:
    assert "unit='per mille'" in _problems([ROW], unit="per mille")[0]


def test_questions_made_in_python_are_checked_as_well() -> None:
    good = Question("a", "A?", open_date=datetime(2026, 1, 1, tzinfo=UTC))
    assert read_questions([good]) == [good]
    bad = [
        good,
        Question("a", ""),
        Question("c", "C?", crowd=1.5),
        Question("d", "D?", close_date=datetime(2026, 1, 1)),
    ]
    problems = _problems(bad)
    assert [problem.split(": ", 2)[1] for problem in problems] == [
        "row 2 ('a')",
        "row 2 ('a')",
        "row 3 ('c')",
        "row 4 ('d')",
    ]
    assert "has no time zone" in problems[3]


def test_the_fingerprint_tells_contents_and_not_order() -> None:
    a, b = read_questions([{"id": "a", "question": "A?"}, {"id": "b", "question": "B?"}])
    assert questions_fingerprint([a, b]) == questions_fingerprint([b, a])
    assert questions_fingerprint([a, b]) != questions_fingerprint([a])
    assert questions_fingerprint(read_questions([{"id": "a", "question": "A!"}])) != questions_fingerprint([a])


def test_reading_questions_and_members_imports_neither_litellm_nor_torch() -> None:
    code = (
        "import sys, hf_soup.forecasting, hf_soup.forecasting.questions, hf_soup.forecasting.members, hf_soup.forecasting.backtests\n"
        "from hf_soup.forecasting.members import read_members\n"
        "read_members('openai/gpt-4o,ollama/llama3:8b')\n"
        "print([name for name in ('litellm', 'torch', 'pandas', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rewordings_name_their_original_and_other_questions_keep_their_digest() -> None:
    rain, dry, shower = read_questions(
        [
            ROW,
            {"id": "q2", "question": "Dry?", "negation_of": "q1"},
            {"id": "q3", "question": "Wet?", "paraphrase_of": "q1"},
        ]
    )
    assert (rain.negation_of, rain.paraphrase_of) == (None, None)
    assert (dry.negation_of, shower.paraphrase_of) == ("q1", "q1")
    # As it was before these columns were read, so that a table without them is still the same questions.
    assert questions_fingerprint([rain]) == "ae3b945d38039def54c5e58df8742593acb091c5f3c5800155ce4d2d12d957c4"
    assert questions_fingerprint([dry]) != questions_fingerprint([replace(dry, negation_of=None)])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"negation_of": "q1"}, "row 1 ('q1'): negation_of is its own id."),
        ({"paraphrase_of": "q1"}, "row 1 ('q1'): paraphrase_of is its own id."),
        ({"negation_of": "a", "paraphrase_of": "b"}, "row 1 ('q1'): has both negation_of and paraphrase_of"),
    ],
)
def test_a_question_rewords_one_other_question(cells: dict[str, str], words: str) -> None:
    (problem,) = _problems([ROW | cells])
    assert words in problem

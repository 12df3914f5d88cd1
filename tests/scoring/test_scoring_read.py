"""Forecasts from files: both forms and every format give one table, and what is wrong is said with its row."""

from __future__ import annotations

import csv
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data

from hf_soup.errors import InputError
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.question import Question, Resolution
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.run_folder import RunFolder
from hf_soup.scoring.read_forecasts import read_forecasts

NAN = float("nan")
QUESTIONS = [
    {"id": "b", "question": "?", "resolution": "yes", "group": "g", "topic": "law", "source": "s", "crowd": 70},
    {"id": "a", "question": "?", "resolution": "annulled", "group": "g"},
    {"id": "c", "question": "?"},
]
LONG = [
    {"question_id": "a", "model": "x", "sample": 0, "probability": 10},
    {"question_id": "a", "model": "x", "sample": 1, "probability": 30},
    {"question_id": "b", "model": "x", "sample": 0, "probability": 50.5},
    {"question_id": "b", "model": "y", "sample": 0, "probability": 0.7},
    {"question_id": "a", "model": "y", "sample": 0, "probability": None},
]


@pytest.fixture(params=["rows", "csv", "csv by rows", "jsonl", "parquet"])
def written(request, tmp_path, monkeypatch):
    """Writes rows in one of the formats and returns what `read_forecasts` takes."""

    def write(rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        path = tmp_path / f"forecasts.{request.param.split()[0]}"
        if request.param == "rows":
            return rows
        if request.param == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        elif request.param == "parquet":
            parquet = pytest.importorskip("pyarrow.parquet")
            table = pytest.importorskip("pyarrow").table({name: [row.get(name) for row in rows] for name in names})
            parquet.write_table(table, path)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows(rows)
            if request.param == "csv by rows":
                monkeypatch.setitem(sys.modules, "pyarrow", None)
        return path

    return write


def quiet(*_: str) -> None:
    """For `say`."""


def test_every_format_of_a_row_for_each_forecast_is_the_same_table(written):
    table = read_forecasts(written(LONG), QUESTIONS, unit="percent", say=quiet)

    assert table.questions == ("b", "a", "c")
    assert table.members == ("x", "y")
    np.testing.assert_allclose(table.values[0], [[0.505, NAN], [0.007, NAN]])
    np.testing.assert_allclose(table.values[1], [[0.1, 0.3], [NAN, NAN]])
    assert np.isnan(table.values[2]).all()
    np.testing.assert_array_equal(table.outcomes, [1, NAN, NAN])
    assert table.annulled.tolist() == [False, True, False]
    assert table.groups[0] == table.groups[1] != table.groups[2]
    np.testing.assert_array_equal(table.crowd, [0.7, NAN, NAN])
    assert (table.topics[0], table.sources) == ("law", ("s", None, None))
    assert (table.n_open, table.times, table.shown_crowd) == (1, None, None)


def test_every_format_of_a_column_for_each_model_is_the_same_table(written):
    rows = [
        {"id": 17, "note": "first", "x/1": 0.25, "y": 1, "resolution": 0, "time": "2026-01-02T00:00:00Z"},
        {"id": 4, "note": "", "x/1": None, "y": 0.5, "resolution": None, "time": "2026-01-03T01:00:00+01:00"},
    ]
    said = []

    table = read_forecasts(written(rows), unit="fraction", say=said.append)

    assert table.questions == ("17", "4")
    assert table.members == ("x/1", "y")
    np.testing.assert_array_equal(table.values[:, :, 0], [[0.25, 1.0], [NAN, 0.5]])
    np.testing.assert_array_equal(table.outcomes, [0, NAN])
    assert np.diff(table.times[:, 1, 0]).tolist() == [86400.0]
    assert any("note: a column without any number is not taken as a model" in each for each in said)
    assert any(each.startswith("x/1: has no forecast of 1 question that others answered") for each in said)


def test_the_unit_is_never_inferred_and_legitimate_percentages_below_one_are_kept():
    rows = [{"id": "a", "x": 0.5}, {"id": "b", "x": 1}, {"id": "c", "x": "0,3".replace(",", ".") + "%"}]

    assert read_forecasts(rows, unit="percent", say=quiet).values.ravel().tolist() == pytest.approx(
        [0.005, 0.01, 0.003]
    )
    with pytest.raises(
        InputError, match=r"row 3: x '0\.3%' is no number; for percentages pass unit='percent' \(--unit percent\)"
    ):
        read_forecasts(rows, unit="fraction", say=quiet)


def test_columns_rows_and_members_can_be_chosen():
    rows = [
        {"qid": "a", "model": model, "p": value, "prompt": prompt}
        for model, value in (("x", 0.1), ("y", 0.2), ("z", 0.3))
        for prompt in ("short", "long")
    ]

    table = read_forecasts(
        rows,
        [Question("a", "?")],
        unit="fraction",
        columns={"question_id": "qid", "probability": "p"},
        where={"prompt": "long"},
        members=["z", "x"],
        say=quiet,
    )

    assert table.members == ("z", "x")
    assert table.values.ravel().tolist() == [0.3, 0.1]


def test_a_column_that_takes_the_name_of_another_replaces_it():
    rows = [{"question_id": "a", "model": "x", "probability": 99, "raw": 0.2}]

    assert read_forecasts(rows, unit="fraction", columns={"probability": "raw"}, say=quiet).values.item() == 0.2


def test_questions_may_be_objects_a_file_or_columns_beside_the_forecasts(tmp_path):
    (tmp_path / "questions.csv").write_text("id,question,resolution,crowd\na,?,no,0.2\n", encoding="utf-8")
    forecasts = [{"question_id": "a", "model": "x", "sample": 0, "probability": 30}]
    beside = [{**forecasts[0], "resolution": "no", "crowd": 0.2, "group": ""}]

    for rows, questions in (
        (forecasts, [Question("a", "?", resolution=Resolution.NO, crowd=0.2)]),
        (forecasts, tmp_path / "questions.csv"),
        (beside, None),
        ([{"id": "a", "model": "x", "probability": 30, "resolution": 0.0, "crowd": 0.2}], None),
    ):
        table = read_forecasts(rows, questions, unit="percent", questions_unit="fraction", say=quiet)
        assert (table.outcomes.tolist(), table.crowd.tolist(), table.values.ravel().tolist()) == ([0], [0.2], [0.3])


def test_repeated_samples_with_any_names_are_numbered_anew():
    rows = [
        {"question_id": q, "model": "x", "sample": f"{q}-{n}", "probability": n / 10} for q in "ab" for n in range(3)
    ]

    table = read_forecasts(rows, unit="fraction", say=quiet)

    np.testing.assert_allclose(table.values, [[[0, 0.1, 0.2]], [[0, 0.1, 0.2]]])


def test_questions_without_a_forecast_are_kept_and_counted():
    said = []

    table = read_forecasts(LONG, [*QUESTIONS, {"id": "d", "question": "?"}], unit="percent", say=said.append)

    assert len(table.questions) == 4
    assert said[0] == "2 of 4 questions have no forecast: 'c', 'd'."
    assert said[1] == "y: has no forecast of 1 question that others answered; nothing is put in their place."


def run_folder(folder: Path, **changed: object) -> Path:
    """As a run leaves it: two turns, of which the second was shown the crowd."""
    question = {
        "id": "a",
        "question": "?",
        "resolution": "yes",
        "crowd": 0.4,
        "crowd_time": "2026-01-01T00:00:00+00:00",
    }
    with RunFolder(folder) as run:
        run.write_record({"questions": [{**question, **changed}]})
        run.write_rows(
            Forecast(
                question_id="a",
                model="x",
                sample=0,
                prompt="p",
                turn=turn,
                shown_crowd=turn == 1,
                probability=probability,
                status=Status.ANSWERED,
                slot="s",
                prompt_digest="d",
                time=datetime(2026, 1, 2, tzinfo=UTC),
            )
            for turn, probability in ((0, 0.2), (1, 0.35))
        )
    return folder


def test_a_run_brings_its_questions_and_its_first_turn_is_the_models_alone(tmp_path):
    first = read_forecasts(run_folder(tmp_path / "run"), unit="percent", say=quiet)
    second = read_forecasts(tmp_path / "run", unit="fraction", turn=1, say=quiet)

    assert (first.values.item(), first.shown_crowd.item(), first.crowd.item(), first.outcomes.item()) == (
        0.2,
        False,
        0.4,
        1,
    )
    assert (second.values.item(), second.shown_crowd.item()) == (0.35, True)
    assert first.times.item() - first.crowd_times.item() == 86400
    with pytest.raises(InputError, match=r"no forecasts of turn 2; there are turns \[0, 1\]"):
        read_forecasts(tmp_path / "run", unit="fraction", turn=2, say=quiet)


def test_a_crowd_dated_after_a_forecast_is_refused_or_left_out_on_request(tmp_path):
    folder = run_folder(tmp_path / "run", crowd_time="2026-01-05")
    said = []

    with pytest.raises(
        InputError, match="crowd's forecast of question 'a' is dated after a forecast of the same question"
    ):
        read_forecasts(folder, unit="fraction", say=quiet)
    table = read_forecasts(folder, unit="fraction", late="leave out", say=said.append)

    assert np.isnan(table.crowd).all()
    assert said == ["The crowd's forecast is left out of 1 questions, since it is dated after a forecast."]


def test_a_crowd_of_the_same_day_without_a_time_is_its_end_and_so_is_refused(tmp_path):
    with pytest.raises(InputError, match="without a time of day is the end of that day"):
        read_forecasts(run_folder(tmp_path / "run", crowd_time="2026-01-02"), unit="fraction", say=quiet)


def one(**changed: object) -> list[dict[str, object]]:
    return [{"question_id": "a", "model": "x", "sample": 0, "probability": 0.5} | changed]


@pytest.mark.parametrize(
    ("rows", "questions", "said"),
    [
        (
            one(probability=65),
            None,
            "the given rows: row 1: probability 65 does not lie between 0 and 1; for percentages pass unit='percent' (--unit percent)",
        ),
        (one(probability=-0.1), None, "row 1: probability -0.1 does not lie between 0 and 1"),
        (one(probability="inf"), None, "row 1: probability inf does not lie"),
        (one(probability="nan"), None, "row 1: probability 'nan' is no number"),
        (one(probability="perhaps"), None, "row 1: probability 'perhaps' is no number"),
        (one(probability=True), None, "row 1: probability 'True' is no number"),
        (one(probability=[0.5]), None, "row 1: probability '[0.5]' is no number"),
        (one(probability=""), None, "there is no probability in it, all 1 forecasts are missing"),
        (one(question_id=" "), None, "row 1: has no question_id"),
        (one(question_id=["a"]), None, "row 1: question_id is a list and no text"),
        (one(model=None), None, "row 1: has no model"),
        (one(time="yesterday"), None, "row 1: time 'yesterday' is no date"),
        (one(turn="first"), None, "row 1: turn 'first' is no whole number"),
        (one(turn=""), None, "row 1: turn is blank"),
        (one(shown_crowd="ja"), None, "row 1: shown_crowd 'ja' is neither true nor false"),
        (one(resolution=0.5), None, "row 1: resolution '0.5' is no resolution; write yes, no"),
        (one(resolution=2), None, "row 1: resolution '2' is no resolution"),
        (
            one(crowd=40),
            None,
            "row 1: crowd 40 does not lie between 0 and 1; for percentages pass questions_unit='percent' (--questions-unit percent)",
        ),
        (
            one(),
            [{"id": "a", "question": "?", "crowd": 40}],
            "crowd 40 does not lie between 0 and 1; for percentages pass questions_unit='percent' (--questions-unit percent)",
        ),
        (
            one(),
            [{"id": "b", "question": "?"}],
            "'a' (row 1): there is no question with this id among the 1 given, which are 'b'.",
        ),
        (
            one() + one(probability=0.6),
            None,
            "row 2 ('a'): model 'x', sample 0 is in row 1 too; give repeated answers different samples",
        ),
        (
            one(resolution=1) + one(sample=1, resolution=0),
            None,
            "row 2 ('a'): resolution is not the same as in row 1 of the same question",
        ),
        (
            [{"question_id": "a", "model": "x", "p": 0.5}],
            None,
            "has no column 'probability'; it has question_id, model, p",
        ),
        ([{"model": "x", "probability": 0.5}], None, "has no column 'question_id'; it has model, probability"),
        (
            [{"question_id": "a", "forecaster": "x", "probability": 0.5}],
            None,
            "has no column 'model'; it has question_id, forecaster, probability",
        ),
        ([{"qid": "a", "x": 0.5}], None, "has no column 'question_id'; it has qid, x"),
        ([{"id": "a", "resolution": 1}], None, "has no column of a model, only id, resolution"),
        (
            [{"id": "a", "x": 0.5, "year": 2026}],
            None,
            "taken as models: x, year. Where that is wrong, name them (members=…, --members)",
        ),
        ([{"id": "a", "x": 0.5}, {"id": "a", "x": 0.5}], None, "row 2 ('a'): model 'x', sample 0 is in row 1 too"),
        ([], None, "has no rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_row_and_what_to_do(rows, questions, said):
    with pytest.raises(InputError) as error:
        read_forecasts(rows, questions, unit="fraction", say=quiet)
    assert said in str(error.value)


def test_everything_wrong_is_said_at_once():
    rows = [*one(probability=65), *one(sample=1, probability="x"), *one(sample=1, probability=0.2, resolution="maybe")]

    with pytest.raises(InputError) as error:
        read_forecasts(rows, unit="fraction", say=quiet)

    assert len(error.value.problems) == 4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"unit": "percents"}, "unit='percents': is not known; known: fraction, percent"),
        ({"late": "keep"}, "late='keep': is not known"),
        (
            {"where": {"context": "none"}},
            "has no column 'context' to choose by; it has question_id, model, sample, probability",
        ),
        ({"where": {"model": "z"}}, "no row has model=z"),
        ({"members": ["z"]}, "has no forecasts of 'z'; it has those of x"),
        ({"columns": {"probability": "p"}}, "has no column 'p'; it has question_id"),
    ],
)
def test_wrong_settings_are_refused(changed, said):
    with pytest.raises(InputError) as error:
        read_forecasts(one(), **{"unit": "fraction", "say": quiet, **changed})
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "forecasts.txt"])
def test_a_file_that_is_not_there_or_of_no_known_format_is_refused(tmp_path, name):
    (tmp_path / "forecasts.txt").write_text("a", encoding="utf-8")
    with pytest.raises(InputError, match=r"there is no such file|is of no known format"):
        read_forecasts(tmp_path / name, unit="fraction", say=quiet)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,x\na,0.5\nb,0.5,0.6\n", "row 2 has another number of fields than the header"),
        ("id,x,x\na,0.5,0.6\n", "the column 'x' is there twice"),
        ("id,x\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_damaged_csv_files_are_refused_with_the_place(tmp_path, content, said):
    (tmp_path / "f.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_forecasts(tmp_path / "f.csv", unit="fraction", say=quiet)


def test_a_million_forecasts_are_read_in_seconds(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    question, member, sample = (each.ravel() for each in np.indices((10_000, 20, 5)))
    probability = rng.uniform(size=len(question)).round(4)
    columns = {
        "question_id": [f"q{n}" for n in range(10_000)],
        "model": [f"openai/m{n}" for n in range(20)],
    }
    table = pyarrow.table(
        {
            "question_id": pyarrow.array(columns["question_id"]).take(question),
            "model": pyarrow.array(columns["model"]).take(member),
            "sample": sample,
            "probability": probability,
        }
    )
    arrow_csv.write_csv(table, tmp_path / "f.csv")
    parquet.write_table(table, tmp_path / "f.parquet")

    for name in ("f.csv", "f.parquet"):
        started = time.process_time()
        read = read_forecasts(tmp_path / name, unit="fraction", say=quiet)
        took = time.process_time() - started
        assert read.values.shape == (10_000, 20, 5)
        np.testing.assert_allclose(read.values.ravel(), probability)
        assert took < 5, name


def test_the_price_of_1018_real_questions_at_1733_dates():
    with real_data("forecastbench_market_resolved.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {
                "id": f"{row['due']} {row['source']} {row['id']}",
                "market": row["crowd_p"],
                "resolution": row["resolved_to"],
                "group": f"{row['source']} {row['id']}",
                "source": row["source"],
            }
            for row in csv.DictReader(file)
        ]

    table = read_forecasts(rows, unit="fraction", say=quiet)

    assert table.values.shape == (1733, 1, 1)
    assert len(set(table.groups.tolist())) == 1018
    assert ((table.member_means()[:, 0] - table.outcomes) ** 2).mean() == pytest.approx(0.09234, abs=5e-6)


def test_48_percentages_of_real_forecasts_are_one_or_less_and_stay_percentages():
    table = read_forecasts(
        real_data("delib_202q_3models.csv"), unit="percent", where={"context": "none", "sample": "0"}, say=quiet
    )

    assert table.members == ("gpt5", "pro", "sonnet")
    assert np.nanmax(table.values) <= 1
    everything = [
        float(row["probability"] or "nan") for row in csv.DictReader(real_data("delib_202q_3models.csv").open())
    ]
    assert np.nansum(np.array(everything) <= 1) == 48


def test_a_file_of_one_model_alone_is_read_when_its_column_is_named():
    rows = [{"question_id": "a", "probability": 0.2}, {"question_id": "b", "probability": 0.7}]
    with pytest.raises(InputError, match=r"members=\['probability'\] \(--members probability\)"):
        read_forecasts(rows, unit="fraction", say=quiet)
    made = read_forecasts(rows, unit="fraction", members=["probability"], say=quiet)
    assert made.values.ravel().tolist() == [0.2, 0.7]


def test_turns_that_a_table_with_gaps_writes_as_decimals_are_turns():
    rows = [*one(turn="0.0"), *one(turn="1.0", probability=0.7)]
    assert read_forecasts(rows, unit="fraction", say=quiet).values.tolist() == [[[0.5]]]
    assert read_forecasts(rows, unit="fraction", turn=1, say=quiet).values.tolist() == [[[0.7]]]
    with pytest.raises(InputError, match="no forecasts of turn 7: the table has no column turn"):
        read_forecasts(one(), unit="fraction", turn=7, say=quiet)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_another_separator_than_the_comma_is_named(tmp_path, mark):
    path = tmp_path / "f.csv"
    path.write_text("\n".join(mark.join(row) for row in (("question_id", "model", "probability"), ("a", "x", "0,5"))))
    with pytest.raises(
        InputError, match=f"the fields seem to be separated by {mark!r}; separate them by commas".replace("\\", "\\\\")
    ):
        read_forecasts(path, unit="fraction", say=quiet)

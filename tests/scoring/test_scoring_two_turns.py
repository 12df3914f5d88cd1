"""Study 2 from files: what is read, what is refused, and what is printed."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.scoring.read_two_turns import read_two_turns
from hf_soup.scoring.study2_result import study2_result

NAN = float("nan")


@pytest.fixture
def forecast(capsys: pytest.CaptureFixture[str]):
    """Runs a command; returns its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", *map(str, words)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def answer(question: str, turn: int, low: Any, high: Any, model: str = "m", sample: str = "0", **more: Any) -> dict:
    return {
        "question_id": question,
        "model": model,
        "sample": sample,
        "turn": turn,
        "low": low,
        "high": high,
        "crowd": 0.5,
        "resolution": "yes",
        **more,
    }


def test_samples_are_paired_by_their_names_and_not_by_their_order():
    rows = [
        answer("a", 0, 0.1, 0.2, sample="x"),
        answer("a", 0, 0.3, 0.4, sample="y"),
        answer("a", 1, 0.35, 0.45, sample="y"),
        answer("a", 1, 0.15, 0.25, sample="x"),
        answer("b", 1, 0.6, 0.7, sample="y"),
    ]
    turns = read_two_turns(rows, unit="fraction")

    assert turns.questions == ("a", "b")
    np.testing.assert_array_equal(turns.first_low[0, 0], [0.1, 0.3])
    np.testing.assert_array_equal(turns.second_low[0, 0], [0.15, 0.35])
    np.testing.assert_array_equal(turns.second_high[1, 0], [0.7, NAN])
    assert turns.complete().sum() == 2


def test_a_file_in_percent_is_studied_with_its_questions_beside_it(forecast, tmp_path):
    path = tmp_path / "two.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["qid", "model", "sample", "turn", "low", "high"])
        writer.writerows([["q1", "gpt", 1, 0, 30, 50], ["q1", "gpt", 1, 1, 50, 60], ["q2", "gpt", 1, 0, 10, 20]])
    questions = tmp_path / "questions.csv"
    questions.write_text("id,question,resolution,crowd\nq1,?,yes,.7\nq2,?,no,.2\n")
    words = ("study2", path, "--questions", questions, "--unit", "percent", "--questions-unit", "fraction")
    renamed = ("--column", "question_id=qid")
    code, out, _ = forecast(*words, *renamed, "--json", "-o", tmp_path / "out.csv")
    found = json.loads(out)
    member = found["members"][0]

    assert code == 0
    assert (member["name"], member["accuracy"]["n"], member["incomplete"]) == ("gpt", 1, 1)
    assert (member["accuracy"]["second_mean"], member["accuracy"]["first_mean"]) == pytest.approx((0.36, 0.2025))
    assert member["against_plain"]["second_mean"] == pytest.approx(0.2025)
    with (tmp_path / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["relative_gain"]) == pytest.approx((0.36 - 0.2025) / 0.36)
    assert (row["member"], row["p"]) == ("gpt", "")
    assert float(row["share_of_the_way"]) == pytest.approx(0.5)

    code, out, _ = forecast(*words, *renamed, "--weight", "0.5")
    assert code == 0
    assert "Machine: gpt." in out
    assert "43.8 % lower than before (.3600 before, .2025 after, n = 1)" in out
    assert "crowd 0.5, machine 0.5" in out
    assert "moved 50.0 % of the way to the crowd's: 1 of 1 forecast towards it" in out
    assert "one resolved question only: scores, no test" in out
    assert "1 sample has one of the two answers only" in out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"high": 0.1}, r"row 2 \('a'\): the interval ends below its beginning \(low 0.3, high 0.1\)"),
        ({"turn": 2}, r"row 2 \('a'\): turn is 2; 0 is the first answer"),
        ({"turn": 0}, r"row 2 \('a'\): model 'm', sample 0 is in row 1 too"),
        ({"low": 30}, r"row 2: low 30 does not lie between 0 and 1; for percentages pass"),
        ({"high": 2}, r"row 2: high 2 does not lie between 0 and 1"),
        (
            {"low": ""},
            "no sample has both intervals, .* there are 1 first and 0 second intervals, and 1 questions with a",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_row(changed, said):
    rows = [answer("a", 0, 0.1, 0.2), {**answer("a", 1, 0.3, 0.4), **changed}]
    with pytest.raises(InputError, match=said):
        read_two_turns(rows, unit="fraction")


def test_one_turn_columns_and_the_crowd_are_needed():
    both = [answer("a", 0, 0.1, 0.2), answer("a", 1, 0.3, 0.4)]
    with pytest.raises(InputError, match=r"there are answers of turn 0 only\. .* \(--prompt update\)"):
        read_two_turns(both[:1], unit="fraction")
    with pytest.raises(InputError, match="has no column 'high'; it has"):
        read_two_turns([{name: row[name] for name in row if name != "high"} for row in both], unit="fraction")
    with pytest.raises(InputError, match="0 questions with a crowd"):
        read_two_turns([{**row, "crowd": ""} for row in both], unit="fraction")
    day = {"crowd_time": "2026-02-01", "time": "2026-01-31T12:00:00Z"}
    with pytest.raises(InputError, match="is dated after a forecast of the same question"):
        read_two_turns([{**row, **day} for row in both], unit="fraction")


def test_a_model_that_was_asked_once_is_left_out_and_told():
    rows = [answer("a", 0, 0.1, 0.2), answer("a", 1, 0.3, 0.4), answer("a", 0, 0.5, 0.6, model="once")]
    said: list[str] = []
    assert read_two_turns(rows, unit="fraction", say=said.append).members == ("m",)
    assert said == ["once: was not asked in two turns, and is left out."]
    assert read_two_turns([*rows, answer("a", 1, 0.5, 0.6, model="z")], unit="fraction", members=["m"]).members == (
        "m",
    )


def test_nothing_that_moved_is_called_nothing_and_no_test_is_given_without_variation():
    rows = [answer(f"q{n}", turn, 0.5, 0.5, resolution=n % 2) for n in range(4) for turn in (0, 1)]
    text = str(study2_result(read_two_turns(rows, unit="fraction")))
    assert "no first forecast differed from the crowd's" in text
    assert "too few groups or no variation for a test" in text
    assert "equal" not in text

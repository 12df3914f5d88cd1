"""A forecast set for ForecastBench: what its documented rules ask for, and what is said where they are not met."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.forecasting.questions import read_questions
from hf_soup.scoring.forecastbench_submission import forecastbench_submission, read_question_set
from hf_soup.scoring.read_forecasts import read_forecasts

DAYS = ["2026-05-17", "2026-06-10"]
BARE = {"question": "Will it?", "background": "N/A", "resolution_criteria": "As said.", "freeze_datetime_value": "0.3"}
MARKETS = [BARE | {"id": f"m{n}", "source": "polymarket", "resolution_dates": "N/A"} for n in range(3)]
SERIES = BARE | {"id": "UNRATE", "source": "fred", "resolution_dates": DAYS}
DUE = "2026-05-10"
SET = {"forecast_due_date": DUE, "question_set": f"{DUE}-llm.json", "questions": [*MARKETS, SERIES]}
IDS = ["polymarket/m0", "polymarket/m1", "polymarket/m2", *(f"fred/UNRATE@{day}" for day in DAYS)]


def written(folder: Path, document: Any = SET) -> Path:
    path = folder / "set.json"
    path.write_text(json.dumps(document))
    return path


def forecasts(ids: list[str] = IDS, **more: Any) -> list[dict[str, Any]]:
    return [
        {"question_id": id, "model": model, "probability": p, **more}
        for id in ids
        for model, p in (("a", 0.2), ("b", 0.6))
    ]


def rules_broken(document: dict[str, Any], question_set: dict[str, Any]) -> list[str]:
    """The checks of the pipeline's documentation (PIPELINE.md, "Checks performed"), written from it for these tests."""
    broken = [
        key
        for key in ("organization", "model", "model_organization", "question_set")
        if not isinstance(document.get(key), str)
    ]
    if document["question_set"] != question_set["question_set"]:
        broken.append("question_set")
    known = {(each["id"], each["source"]): each for each in question_set["questions"]}
    for each in document["forecasts"]:
        question = known.get((each["id"], each["source"]))
        if question is None or not 0 <= each["forecast"] <= 1:
            broken.append(f"forecast {each}")
        elif isinstance(question["resolution_dates"], list):
            if each["resolution_date"] not in question["resolution_dates"]:
                broken.append(f"day {each}")
        elif each["resolution_date"] is not None:
            broken.append(f"market {each}")
    return broken


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]):
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", "export", *map(str, words)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_a_complete_set_meets_the_rules_and_has_no_problem(export, tmp_path):
    rows = tmp_path / "forecasts.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in forecasts()))
    out = tmp_path / f"{DUE}.NASA.1.json"
    words = ("--questions", written(tmp_path), "--organization", "NASA", "-o", out)
    code, text, err = export(rows, *words)
    document = json.loads(out.read_text())

    assert code == 0
    assert "5 forecasts for 2026-05-10-llm.json by NASA: mean of a, b (NASA)." in text
    assert "Warning" not in err
    assert rules_broken(document, SET) == []
    assert list(document) == ["organization", "model", "model_organization", "question_set", "forecasts"]
    assert [each["id"] for each in document["forecasts"]] == ["m0", "m1", "m2", "UNRATE", "UNRATE"]
    assert [each["resolution_date"] for each in document["forecasts"]] == [None, None, None, *DAYS]
    assert [each["forecast"] for each in document["forecasts"]] == [0.4] * 5
    assert document["forecasts"][0]["reasoning"] == "mean, of 2 of 2 models."

    more = ("--model", "soup-1", "--model-organization", "Kitchen", "--primary", "median", "--json")
    code, text, _ = export(rows, *words, *more)
    printed = json.loads(text)
    assert (printed["model"], printed["model_organization"], printed["problems"]) == ("soup-1", "Kitchen", [])


def test_the_ids_are_those_that_the_questions_are_asked_under(tmp_path):
    path = written(tmp_path)
    assert [each.id for each in read_questions(path, say=lambda _: None)] == IDS
    assert [slot[0] for slot in read_question_set(path).slots] == IDS


def test_what_is_missing_is_listed_and_never_filled(export, tmp_path):
    combined = BARE | {
        "id": ["m0", "m1"],
        "source": "polymarket",
        "combination_of": MARKETS[:2],
        "resolution_dates": "N/A",
    }
    other = BARE | {"id": "k1", "source": "newmarket", "resolution_dates": "N/A"}
    path = written(tmp_path, SET | {"questions": [*SET["questions"], combined, other]})
    rows = tmp_path / "forecasts.jsonl"
    given = [*forecasts(IDS[:1]), *forecasts(IDS[3:4]), {"question_id": IDS[1], "model": "a", "probability": None}]
    given = [{**row, "time": "2026-05-11T00:00:00Z"} for row in given]
    rows.write_text("".join(json.dumps(row) + "\n" for row in given))
    out = tmp_path / "mine.json"
    code, _, err = export(rows, "--questions", path, "--organization", "Soup", "-o", out)

    assert code == 3
    assert [each["id"] for each in json.loads(out.read_text())["forecasts"]] == ["m0", "UNRATE"]
    for said in (
        "3 of 5 forecasts of 2026-05-10-llm.json are missing: polymarket/m1, polymarket/m2, fred/UNRATE@2026-06-10.",
        "1 question combines two others",
        "1 question is neither on a known market nor of a given day: k1.",
        "1 of 3 market questions have a forecast: below 95 % a set is not ranked.",
        "4 forecasts were made after 2026-05-10 had ended",
        "mine.json: must be called 2026-05-10.Soup.N.json",
    ):
        assert said in err
    assert "series questions have a forecast" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--questions DUE-llm.json"),
        (("--questions", "set.json", "--format", "other"), "--format other: is not known; known: forecastbench."),
        (("--questions", "set.json", "-o", "out.csv"), "name a file that ends with .json"),
        (("--questions", "plain.json"), "is no question set of ForecastBench"),
        (("--questions", "none.json"), "none.json: cannot be read"),
        (("--questions", "set.json", "--primary", "best"), "There is no aggregator 'best'"),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_written(export, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    Path("plain.json").write_text('[{"id": "a", "question": "?"}]')
    Path("forecasts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in forecasts()))
    code, _, err = export("forecasts.jsonl", "--organization", "Soup", "-o", "out.json", *words)
    assert code == 2
    assert said in err
    assert not Path("out.json").exists()


def test_forecasts_of_other_questions_are_no_submission(tmp_path):
    path = written(tmp_path)
    with pytest.raises(InputError, match="there is no question with this id"):
        read_forecasts(forecasts(["polymarket/m9"]), path, unit="fraction", say=lambda _: None)
    table = read_forecasts([{"question_id": "x", "model": "a", "probability": 0.5}], unit="fraction")
    with pytest.raises(InputError, match="none of its 5 questions has a forecast"):
        forecastbench_submission(table, read_question_set(path), organization="Soup")

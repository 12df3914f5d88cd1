"""`hf-soup forecast report`: one command from a file of probabilities to a page, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_samples import table, write_csv, write_run

from hf_soup.cli.main import main


@pytest.fixture
def forecast_report(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command in an empty folder; returns its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", "report", *map(str, words)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "wide.csv", table(40))


def test_a_file_of_probabilities_becomes_a_page_that_opens(forecast_report, wide, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    code, out, _ = forecast_report(wide, "--open")
    assert code == 0
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert out.startswith("On 40 resolved questions the mean of 3 models scored")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page  # texts come from the column beside the forecasts


def test_rows_and_a_file_of_questions_do_as_well(forecast_report, tmp_path):
    (tmp_path / "p.csv").write_text("question_id,model,sample,probability\na,x,0,60\na,x,1,70\nb,x,0,20\nb,y,0,\n")
    (tmp_path / "q.jsonl").write_text(
        '{"id": "a", "question": "Will it rain?", "resolution": "yes", "crowd": 0.7}\n'
        '{"id": "b", "question": "Will it snow?", "resolution": null}\n'
    )
    code, out, err = forecast_report(
        "p.csv", "--questions", "q.jsonl", "--unit", "percent", "--questions-unit", "fraction", "-o", "page.html"
    )
    assert code == 0
    assert out.splitlines()[-1] == "page.html"
    assert "one question tells nothing" in out
    assert "1 of 2 questions is still open" in err
    assert "Will it snow?" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_of_a_run_stands_in_its_folder(forecast_report, tmp_path):
    write_run(tmp_path / "run")
    code, _, err = forecast_report("run")
    assert code == 0
    assert "20 answers are back-tests and no forecast" in err
    assert (tmp_path / "run" / "report.html").is_file()


def test_markdown_and_plots_are_written_where_they_are_asked_for(forecast_report, wide, tmp_path):
    code, _, _ = forecast_report(wide, "--markdown", "report.md", "--plots", "plots")
    assert code == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "](plots/reliability.png)" in text
    assert (tmp_path / "plots" / "reliability.png").is_file()


def test_opposite_questions_come_from_a_file_of_their_own(forecast_report, tmp_path):
    head = "question_id,model,probability"
    (tmp_path / "asked.csv").write_text(f"{head},resolution\na,x,60,1\nb,x,20,0\n")
    (tmp_path / "opposite.csv").write_text(f"{head}\na,x,50\nb,x,88\n")
    (tmp_path / "words.csv").write_text(f"{head}\na,x,61\nb,x,22\n")
    words = ("--unit", "percent", "--negated", "opposite.csv", "--paraphrase", "words.csv")
    code, out, _ = forecast_report("asked.csv", *words, "--json")
    assert code == 0
    bias = json.loads(out)["bias"]
    assert bias["acquiescence"][0]["lean"]["value"] == pytest.approx((0.10 + 0.08) / 2)
    assert bias["paraphrases"][0]["shift"]["value"] == pytest.approx((0.01 + 0.02) / 2)
    assert "Acquiescence, from pairs" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "elsewhere.csv").write_text(f"{head}\nz,x,50\n")
    code, _, err = forecast_report("asked.csv", "--negated", "elsewhere.csv", "--unit", "percent")
    assert code == 2
    assert "none of its questions is one of the others" in err


def test_json_is_one_document_with_every_result(forecast_report, wide):
    code, out, _ = forecast_report(wide, "--json", "--all", "--primary", "median", "--bound", "0.05")
    found = json.loads(out)
    assert code == 0
    assert found["path"] == "report.html"
    assert found["headline"].startswith("On 40 resolved questions the median")
    assert found["scores"]["primary"] == "median"
    assert {"extremised", "stacking"} <= {each["name"] for each in found["scores"]["columns"]}
    assert found["comparisons"]["comparisons"][0]["equivalence"]["bound"] == 0.05
    assert found["run"] is None
    assert {"bias", "calibration", "warnings", "url", "markdown"} <= found.keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "report.pdf"], "ends with .html"),
        (["-o", "nowhere/report.html"], "there is no folder nowhere"),
        (["--markdown", "report.txt"], "ends with .md"),
        (["--plots", "plots"], "--markdown FILE"),
        (["--private"], "--private: is for publishing"),
        (["--license", "mit"], "--license: is for publishing"),
        (["--with-transcripts"], "--with-transcripts: is for publishing"),
        (["--push", "tester/x", "--with-transcripts"], "ready-made forecasts have no transcripts"),
        (["--push", "tester/x", "--license", "apache2"], "Did you mean"),
        (["--unit", "percents"], "unit="),
        (["--primary", "best"], "no aggregator 'best'"),
        (["--crowd-weight", "2"], "between 0 and 1"),
    ],
)
def test_wrong_wishes_cost_one_sentence_and_write_nothing(forecast_report, wide, tmp_path, words, said):
    code, out, err = forecast_report(wide, *words)
    assert code == 2
    assert said in err
    assert out == ""
    assert "Traceback" not in err
    assert not (tmp_path / "report.html").exists()


def test_a_crowd_that_knows_more_than_the_models_is_refused(forecast_report, tmp_path):
    (tmp_path / "late.csv").write_text(
        "question_id,model,probability,time,resolution,crowd,crowd_time\n"
        "a,x,0.5,2026-01-01T00:00:00Z,1,0.9,2026-02-01T00:00:00Z\n"
    )
    code, _, err = forecast_report("late.csv")
    assert code == 2
    assert "dated after a forecast" in err


def test_an_unrelated_page_of_that_name_is_kept(forecast_report, wide, tmp_path):
    (tmp_path / "report.html").write_text("<p>mine</p>")
    code, _, err = forecast_report(wide)
    assert code == 2
    assert "report.html: is there already and is no report of hf-soup" in err
    assert (tmp_path / "report.html").read_text() == "<p>mine</p>"
    (tmp_path / "report.html").write_text('<meta name="generator" content="hf-soup">')
    assert forecast_report(wide)[0] == 0

"""`hf-soup forecast aggregate`, `score`, `compare`, `calibrate`, `study1`, and the same from Python: what they print and refuse."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.forecasting import Forecasts
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.run_folder import RunFolder
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.scoring.study2_result import study2_result

COMMANDS = ("aggregate", "score", "compare", "calibrate", "study1")


@pytest.fixture
def forecast(capsys):
    """Runs a command; returns its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", *map(str, words)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Two models in percent, one answer missing; q3 is annulled, q4 open."""
    path = tmp_path / "wide.csv"
    path.write_text(
        "id,a,b,resolution,topic,crowd\n"
        "q1,80,60,yes,Law,90\n"
        "q2,30,,no,Law,20\n"
        "q3,50,50,annulled,War,50\n"
        "q4,10,20,,War,10\n"
        "q5,100,40,no,War,60\n"
    )
    return path


def many(tmp_path: Path, n: int = 120, bias: float = 0.0) -> Path:
    """Forecasts of a crowd that knows a little, `bias` added in log odds, with a market beside it."""
    generator = np.random.default_rng(5)
    truth = generator.normal(size=n)
    outcome = generator.random(n) < 1 / (1 + np.exp(-truth))
    path = tmp_path / "many.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "a", "b", "resolution", "crowd"])
        for number in range(n):
            seen = truth[number] + bias + generator.normal(scale=0.5, size=2)
            a, b = 1 / (1 + np.exp(-seen))
            market = 1 / (1 + np.exp(-truth[number]))
            writer.writerow([f"q{number}", f"{a:.3f}", f"{b:.3f}", int(outcome[number]), f"{market:.3f}"])
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(forecast, command):
    code, out, _ = forecast(command, "--help")
    assert code == 0
    for option in ("--questions", "--unit", "--members", "--where", "--column", "--primary", "--json", "-o"):
        assert option in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_one_json_document(forecast, wide, command):
    code, out, _ = forecast(command, wide, "--unit", "percent", "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


def test_aggregate_is_the_mean_with_spread_and_number_of_members(forecast, wide, tmp_path):
    code, out, _ = forecast("aggregate", wide, "--unit", "percent", "-o", tmp_path / "aggregate.csv")

    assert code == 0
    assert "Primary: mean." in out
    with (tmp_path / "aggregate.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == pytest.approx([0.7, 0.3, 0.5, 0.15, 0.7])
    assert [row["members"] for row in rows] == ["2", "1", "2", "2", "2"]
    assert float(rows[0]["spread"]) == pytest.approx(0.1 * 2**0.5)
    assert rows[1]["spread"] == ""


def test_the_first_method_is_the_primary_one_and_all_shows_the_others_beside_it(forecast, wide):
    code, out, _ = forecast("aggregate", wide, "--unit", "percent", "--method", "geometric-odds", "--all", "--json")
    found = json.loads(out)

    assert code == 0
    assert found["primary"] == "geometric_odds"
    assert next(iter(found["aggregators"])) == "geometric_odds"
    assert {"mean", "median", "extremised"} <= found["aggregators"].keys()
    assert found["aggregators"]["geometric_odds"]["clipped"] == 1
    assert "needs the time of every forecast" in found["left_out"]["recency_median"]
    assert "stacking" in found["left_out"]


def test_score_counts_what_it_leaves_out(forecast, wide):
    code, out, err = forecast("score", wide, "--unit", "percent", "--json")
    found = json.loads(out)
    columns = {each["name"]: each for each in found["columns"]}

    assert code == 0
    assert (found["resolved"], found["open"], found["annulled"]) == (3, 1, 1)
    assert columns["mean"]["kind"] == "aggregate"
    assert columns["mean"]["means"]["brier"] == pytest.approx((0.09 + 0.09 + 0.49) / 3)
    assert columns["crowd"]["means"]["brier"] == pytest.approx((0.01 + 0.04 + 0.36) / 3)
    assert (columns["b"]["n"], columns["b"]["missing"]) == (2, 1)
    assert columns["a"]["clipped"] == 1
    assert {topic: by[0]["n"] for topic, by in found["by_topic"].items()} == {"Law": 2, "War": 1}
    assert "1 of 5 questions is still open" in err
    assert "1 annulled question is left out" in err


def test_score_prints_counts_clip_and_topics(forecast, wide):
    _, out, _ = forecast("score", wide, "--unit", "percent")
    assert "3 questions resolved, 1 open, 1 annulled." in out
    assert "between 0.001 and 0.999, which moved 1." in out
    assert "Brier by topic" in out


@pytest.mark.parametrize("primary", ["mean", "median"])
def test_202_real_questions(forecast, primary):
    data = real_data("delib_202q_3models.csv")
    chosen = ("--unit", "percent", "--where", "context=none", "--where", "sample=0", "--all", "--json")
    code, out, _ = forecast("score", data, "--primary", primary, *chosen)
    columns = json.loads(out)["columns"]
    scored = {each["name"]: each for each in columns}
    brier = {"mean": 0.16647, "median": 0.17279, "geometric_odds": 0.17049, "extremised": 0.17622}

    assert code == 0
    assert (columns[0]["name"], columns[0]["n"]) == (primary, 202)
    assert {name: scored[name]["means"]["brier"] for name in brier} == pytest.approx(brier, abs=5e-6)
    assert [scored[name]["auc"] for name in ("mean", "median")] == pytest.approx([0.80184, 0.78377], abs=5e-6)


def test_a_difference_that_adjustment_takes_away_is_not_called_better():
    from hf_soup.scoring.comparing import comparing
    from hf_soup.scoring.read_forecasts import read_forecasts

    table = read_forecasts(real_data("delib_202q_3models.csv"), unit="percent", where={"context": "none", "sample": 0})
    found = comparing(table).to_json()["comparisons"]
    pro = next(each for each in found if each["second"] == "pro")

    assert pro["test"]["p"] < 0.05 < pro["adjusted_p"]
    assert pro["better"] is None
    assert "with all tests and looks counted it is not decided" in pro["sentence"]
    assert next(each for each in found if each["second"] == "always 50 %")["better"] == "mean"


def test_compare_has_members_half_and_crowd_in_one_adjusted_table(forecast, tmp_path):
    words = ("compare", many(tmp_path), "--bound", 0.05, "--looks", 2)
    code, out, _ = forecast(*words, "--json")
    found = json.loads(out)

    assert code == 0
    assert [each["second"] for each in found["comparisons"]] == ["always 50 %", "crowd", "a", "b"]
    assert (found["tests"], found["looks"]) == (4, 2)
    for each in found["comparisons"]:
        assert each["n"] == 120
        assert each["interval"][0] < each["difference"] < each["interval"][1]
        assert each["detectable"] > 0
        assert each["adjusted_p"] >= min(1, 2 * each["test"]["p"]) - 1e-12
        assert each["equivalence"]["bound"] == 0.05
        assert "n = 120" in each["sentence"] or "do not decide" in each["sentence"]
    assert found["comparisons"][0]["second_mean"] == 0.25


def test_score_and_compare_show_crowd_models_and_blend_on_the_same_questions(forecast, tmp_path):
    path = many(tmp_path)
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ","  # the crowd is silent on one question, the models on another
    lines[2] = ",".join([lines[2].split(",")[0], "", "", *lines[2].split(",")[3:]])
    path.write_text("\n".join(lines) + "\n")
    code, out, _ = forecast("score", path, "--json", "-o", tmp_path / "scores.csv")
    found = json.loads(out)["blending"]
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["a"] and row["crowd"]]
    models, crowd, y = (
        np.array([value(row) for row in rows])
        for value in (
            lambda row: (float(row["a"]) + float(row["b"])) / 2,
            lambda row: float(row["crowd"]),
            lambda row: float(row["resolution"]),
        )
    )
    odds = [np.log(np.clip(p, 0.01, 0.99) / (1 - np.clip(p, 0.01, 0.99))) for p in (crowd, models)]
    blend = 1 / (1 + np.exp(-0.75 * odds[0] - 0.25 * odds[1]))

    assert code == 0
    assert [each["name"] for each in found["columns"]] == [
        "blend with the crowd",
        "crowd alone",
        "models alone (mean)",
    ]
    assert [each["n"] for each in found["columns"]] == [118] * 3
    assert [each["means"]["brier"] for each in found["columns"]] == pytest.approx(
        [np.mean((p - y) ** 2) for p in (blend, crowd, models)]
    )
    assert "chosen on one data set" in found["how"]
    assert (found["left_out"], found["unchecked"]) == (2, 118)
    with (tmp_path / "scores.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)][-3:] == ["blend", "crowd", "aggregate"]

    often = [json.loads(forecast(each, path, "--json", "--looks", 9)[1])["blending"] for each in ("score", "compare")]
    assert often[0] == often[1]
    assert "multiplying each p by the 9 looks" in often[0]["adjustment"]

    _, out, _ = forecast("compare", path, "--json", "--crowd-weight", "fit")
    compared = json.loads(out)
    assert "fitted by 10-fold cross-validation" in compared["blending"]["how"]
    assert [each["second"] for each in compared["blending"]["comparisons"]] == ["crowd alone", "models alone (mean)"]
    assert compared["tests"] == 4
    _, out, _ = forecast("compare", path, "--crowd-weight", "0.5")
    assert "crowd's weight 0.5; forecasts are kept between 0.01 and 0.99" in out
    assert "adjusted by themselves: Benjamini–Hochberg over 2 comparisons, looked at once." in out


def test_forecasts_that_were_shown_the_crowd_are_not_blended_and_open_questions_make_scores_interim(
    forecast, tmp_path
):
    path = tmp_path / "shown.csv"
    path.write_text(
        "question_id,model,sample,turn,probability,shown_crowd,crowd,resolution\n"
        "q1,a,0,0,.3,false,.5,1\nq1,a,0,1,.4,true,.5,1\nq2,a,0,0,.6,false,.5,\nq2,a,0,1,.5,true,.5,\n"
    )
    _, out, _ = forecast("score", path, "--json")
    assert json.loads(out)["blending"]["columns"][0]["n"] == 1
    code, out, err = forecast("compare", path, "--turn", 1)
    assert code == 0
    assert "they are not the models alone, and a blend would count the crowd twice" in out
    assert "blend with the crowd" not in out
    assert "1 of 2 questions is still open. Those that resolve early are over-represented" in err


def test_compare_warns_below_50_questions_and_never_says_equal(forecast, wide):
    code, out, err = forecast("compare", wide, "--unit", "percent")
    assert code == 0
    assert "mean against b: n = 2: below 50 intervals are rough" in err
    assert err.count("n = 3: below 50 intervals are rough") == 2  # the comparisons, and the blend
    assert "equal" not in out


def test_one_resolved_question_gives_scores_and_no_test(forecast, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("id,a,b,resolution\nq1,.8,.6,1\nq2,.5,.4,\n")
    code, out, _ = forecast("compare", path, "--against", "half")
    assert code == 0
    assert "one resolved question only: scores, no test" in out
    assert forecast("score", path)[0] == 0
    assert forecast("study1", path)[0] == 0


def test_calibrate_corrects_a_crowd_that_is_too_high_and_says_why(forecast, tmp_path):
    code, out, _ = forecast("calibrate", many(tmp_path, bias=2.0), "-o", tmp_path / "calibrated.csv")
    assert code == 0
    assert "by shift: applied: the cross-validated Brier score of 120 resolved questions falls by" in out
    assert "nested cross-validation" in out
    with (tmp_path / "calibrated.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["calibrated"]) < float(row["mean"]) for row in rows) > 100


def test_calibrate_needs_30_questions(forecast, wide):
    code, out, _ = forecast("calibrate", wide, "--unit", "percent")
    assert code == 0
    assert "not applied: it needs" in out


def test_study1_uses_the_papers_median_and_says_what_is_not_known(forecast, tmp_path):
    code, out, _ = forecast("study1", many(tmp_path))
    assert code == 0
    assert "Crowd of models: median (pooled)." in out
    assert "H2: the crowd of models has another Brier score than the human crowd" in out
    assert "Acquiescence: mean forecast" in out
    assert "third preregistered hypothesis is not known" in out


def test_values_outside_the_unit_are_told_with_the_option_and_one_line_each(forecast, tmp_path):
    path = tmp_path / "percent.csv"
    path.write_text("question_id,model,sample,probability,resolution\nq1,a,0,80,1\nq2,a,0,30,2\n")
    code, out, err = forecast("score", path)
    lines = err.strip().splitlines()

    assert (code, out) == (2, "")
    assert len(lines) == 3
    assert all("80" in line or "30" in line or "resolution" in line for line in lines)
    assert "--unit percent" in lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "--primary", "best"), "There is no aggregator 'best'; known: median"),
        (("score", "--unit", "permille"), "is not known; known: fraction, percent"),
        (("score", "--members", "a,c"), "has no column 'c'"),
        (("score", "--where", "topic"), "--where topic: write it as name=value"),
        (("score", "--column", "id=nothing"), "has no column 'nothing'"),
        (("score", "-o", "scores.txt"), "tables are written as CSV"),
        (("compare", "--against", "humans"), "against humans: there is no such column of forecasts"),
        (("compare", "--looks", "0"), "looks: 0 is below 1"),
        (("compare", "--bound", "-1"), "bound"),
        (("score", "--crowd-weight", "1.5"), "crowd_weight=1.5: must lie between 0 and 1, or be 'fit'"),
        (("compare", "--crowd-weight", "half"), "--crowd-weight half: write a number between 0 and 1, or fit"),
        (("score", "--crowd-weight", "fit"), "a fitted weight needs 30 resolved questions"),
        (("study2",), "has no column 'model' and 'turn' and 'low' and 'high'"),
        (("calibrate", "--method", "magic"), "magic"),
        (("study1", "--primary", "stacking"), "aggregator stacking: needs"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(forecast, wide, words, said):
    command, *options = words
    unit = () if "--unit" in options else ("--unit", "percent")
    code, out, err = forecast(command, wide, *unit, *options)
    assert (code, out) == (2, "")
    assert said in err.strip().splitlines()[-1]


def test_a_file_that_is_not_there_is_bad_input(forecast, tmp_path):
    code, _, err = forecast("aggregate", tmp_path / "nothing.csv")
    assert code == 2
    assert "nothing.csv" in err


def run_folder(folder: Path, crowd_time: str = "2026-01-01T00:00:00+00:00") -> Path:
    ids = {"q1": ("yes", 0.9, {"x": (0.8, 0.6), "y": (0.5,)}), "q2": ("no", 0.3, {"x": (0.2, 0.2), "y": (0.5,)})}
    with RunFolder(folder) as run:
        run.write_record(
            {
                "questions": [
                    {"id": id, "question": "?", "resolution": resolution, "crowd": crowd, "crowd_time": crowd_time}
                    for id, (resolution, crowd, _) in ids.items()
                ],
                "members": [{"name": "x"}, {"name": "y"}],
            }
        )
        run.write_rows(
            Forecast(
                question_id=id,
                model=model,
                sample=sample,
                prompt="p",
                turn=0,
                shown_crowd=False,
                probability=probability,
                status=Status.ANSWERED,
                slot="s",
                prompt_digest="d",
                time=datetime(2026, 1, 2, tzinfo=UTC),
            )
            for id, (_, _, given) in ids.items()
            for model, samples in given.items()
            for sample, probability in enumerate(samples)
        )
    return folder


def test_a_run_is_aggregated_scored_and_compared_in_python(tmp_path):
    run = Forecasts.from_run(run_folder(tmp_path / "run"))

    assert run.aggregate("median").values == pytest.approx([0.6, 0.2])
    assert run.aggregate().values == pytest.approx([0.6, 0.35])
    assert run.score().primary.brier == pytest.approx((0.16 + 0.35**2) / 2)
    assert [each.second for each in run.compare("crowd").comparisons] == ["crowd"]
    assert run.score(crowd_weight=1.0).blending.rows[0].brier == pytest.approx((0.01 + 0.09) / 2)
    assert run.study1().study.against_half.first == "median"
    assert "not applied: it needs 30" in str(run.calibrate())
    assert str(run.score()) == run.score().table()
    later = [{"id": "q1", "question": "?", "resolution": "no"}, {"id": "q2", "question": "?", "resolution": "no"}]
    assert run.score(questions=later).primary.brier == pytest.approx((0.36 + 0.35**2) / 2)
    with pytest.raises(InputError, match="against crowd: the questions have no crowd's forecast"):
        run.compare("crowd", questions=later)


def test_a_run_with_a_late_crowd_can_be_aggregated_and_not_scored(forecast, tmp_path):
    folder = run_folder(tmp_path / "run", crowd_time="2026-01-05T00:00:00+00:00")

    assert forecast("aggregate", folder)[0] == 0
    assert (folder / "aggregate.csv").is_file()
    code, _, err = forecast("score", folder)
    assert code == 2
    assert "is dated after a forecast" in err


def test_asking_does_not_import_scoring():
    words = "import sys, hf_soup.forecasting.forecasts; sys.exit('hf_soup.scoring' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_a_run_keeps_its_aggregate_and_its_scores(forecast, tmp_path):
    folder = run_folder(tmp_path / "run")
    forecast("aggregate", folder)
    _, out, _ = forecast("score", folder, "--json")

    assert (folder / "aggregate.csv").read_text().splitlines()[0] == "question_id,mean,spread,members"
    assert json.loads((folder / "scores.json").read_text()) == json.loads(out)

    kept = [(folder / name).read_text() for name in ("aggregate.csv", "scores.json")]
    for choice in (("--members", "x"), ("--where", "sample=0")):
        assert forecast("score", folder, *choice)[0] == 0
        assert forecast("aggregate", folder, *choice)[0] == 0
    assert [(folder / name).read_text() for name in ("aggregate.csv", "scores.json")] == kept, "of a part of the run"


def test_one_of_something_is_no_plural(forecast, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("id,a,b,resolution,crowd\nq1,.8,.6,yes,.7\nq2,.3,.4,,\n")
    _, out, err = forecast("score", path)
    assert "1 question resolved, 1 open" in out
    assert "Of 1 question it is not known" in out
    assert re.search(r"\b1 (questions|forecasts|models)\b", out + err) is None
    _, out, _ = forecast("study1", path)
    assert "over 2 forecasts of 1 question or group" in out
    turns = TwoTurns.of(
        (np.array([[0.2]]), np.array([[0.4]])),
        (np.array([[0.3]]), np.array([[0.4]])),
        outcomes=[1],
        crowd=[0.5],
        members=["m"],
    )
    assert "1 question resolved, 0 open" in str(study2_result(turns))


def test_the_median_says_everywhere_that_it_is_the_pooled_one(forecast, wide):
    _, out, _ = forecast("aggregate", wide, "--unit", "percent", "--method", "median", "--method", "median_of_medians")
    assert "Primary: median (pooled)." in out
    assert "\nmedian_of_medians.\n" in out
    assert "Crowd of models: median (pooled)." in forecast("study1", wide, "--unit", "percent")[1]

"""Members that leave questions out, members in pairs, all scores, and a split in time, from the command line and in Python."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.forecasting import Forecasts
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.run_folder import RunFolder


@pytest.fixture
def forecast(capsys):
    """Runs a command; returns its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", *map(str, words)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def refusing(tmp_path: Path, n: int = 90) -> Path:
    """Three models in long form with times, in three months; gamma leaves out what it would call close. A topic of 30 questions."""
    generator = np.random.default_rng(4)
    truth = generator.normal(size=n)
    outcome = (generator.random(n) < 1 / (1 + np.exp(-truth))).astype(int)
    path = tmp_path / "refusing.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["question_id", "model", "sample", "probability", "time", "resolution", "resolution_date", "topic"]
        )
        for k in range(n):
            month = f"2026-0{1 + 3 * k // n}"
            for model, noise in (("alpha", 0.3), ("beta", 0.6), ("gamma", 0.5)):
                p = 1 / (1 + np.exp(-truth[k] - generator.normal(scale=noise)))
                said = "" if model == "gamma" and abs(p - 0.5) < 0.15 else f"{p:.3f}"
                topic = "Law" if k % 3 else "War"
                writer.writerow([f"q{k}", model, 0, said, f"{month}-10", outcome[k], f"{month}-20", topic])
    return path


def arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(forecasts [Q, 3], outcomes [Q], whether the topic is War) as numpy reads them from the file of `refusing`."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = np.array([float(row["probability"] or "nan") for row in rows]).reshape(-1, 3)
    return (
        said,
        np.array([float(row["resolution"]) for row in rows[::3]]),
        np.array([r["topic"] for r in rows[::3]]) == "War",
    )


def test_score_shows_the_aggregate_on_the_questions_that_a_refusing_member_answered(forecast, tmp_path):
    path = refusing(tmp_path)
    said, y, war = arrays(path)
    gave = ~np.isnan(said[:, 2])
    own = ((said[gave, 2] - y[gave]) ** 2).mean()
    there = ((np.nanmean(said, axis=1) - y)[gave] ** 2).mean()
    code, out, _ = forecast("score", path, "-o", tmp_path / "scores.csv")

    assert code == 0
    lines = out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("left questions out"))
    assert lines[at].split("  ")[-1].strip() == "mean on the same n"
    assert lines[at + 1].split() == [
        "gamma",
        str(gave.sum()),
        str((~gave).sum()),
        f".{1e4 * own:04.0f}",
        f".{1e4 * there:04.0f}",
    ]
    assert lines[at + 2].startswith("mean on all 90 that it answered:")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file) if not row["topic"]}
    assert float(rows["gamma"]["primary_brier_on_same_questions"]) == pytest.approx(there)
    assert rows["mean"]["primary_brier_on_same_questions"] == ""
    of_war = next(line for line in lines if line.startswith("War ")).split()
    assert of_war[1] == "30"
    assert of_war[-1] == f"({(gave & war).sum()})"
    assert "In brackets: the number of questions, where it is below n." in out
    _, out, _ = forecast("score", path, "--members", "alpha,beta")
    assert "left questions out" not in out
    assert "In brackets" not in out


def test_all_scores_are_printed_with_all_and_always_in_the_csv(forecast, tmp_path):
    path = refusing(tmp_path)
    said, y, _ = arrays(path)
    p = said.mean(axis=1, where=~np.isnan(said))
    right = np.where(y == 1, p, 1 - p)
    _, out, _ = forecast("score", path, "--all", "-o", tmp_path / "scores.csv")
    lines = out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("all scores"))
    assert lines[at].split()[2:] == [
        *("n", "log", "spherical", "Metaculus", "peer"),
        *("reliability", "resolution", "uncertainty", "within", "bins"),
    ]
    mean = lines[at + 1].split()
    assert mean[:2] == ["mean", "90"]
    assert float(mean[3]) == pytest.approx((right / np.sqrt(p**2 + (1 - p) ** 2)).mean(), abs=6e-5)
    assert float(mean[4]) == pytest.approx(100 * (1 + np.log2(right)).mean(), abs=0.06)
    with (tmp_path / "scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            parts = {
                name: float(row[f"murphy_{name}"])
                for name in ("reliability", "resolution", "uncertainty", "within_bins")
            }
            assert float(row["brier"]) == pytest.approx(
                parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_bins"]
            )
    assert "all scores" not in forecast("score", path)[1]


def test_wilcoxon_is_shown_as_a_test_of_symmetry_in_table_csv_and_json(forecast, tmp_path):
    from scipy.stats import wilcoxon

    path = refusing(tmp_path)
    said, y, _ = arrays(path)
    mean = said.mean(axis=1, where=~np.isnan(said))
    p = wilcoxon(np.round((mean - y) ** 2 - (said[:, 0] - y) ** 2, 12)).pvalue
    _, out, _ = forecast("compare", path, "-o", tmp_path / "compared.csv")
    assert out.splitlines()[0].endswith("symmetry (Wilcoxon)")
    line = next(line for line in out.splitlines() if line.startswith("mean against alpha"))
    assert float(line.split()[-1]) == pytest.approx(p, abs=6e-4)
    assert "it decides nothing here" in out
    with (tmp_path / "compared.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["second"] == "alpha")
    assert float(row["symmetry_wilcoxon_p"]) == pytest.approx(p)
    found = json.loads(forecast("compare", path, "--json")[1])["comparisons"]
    symmetry = next(each["symmetry"] for each in found if each["second"] == "alpha")
    assert (symmetry["p"], symmetry["test"]) == (pytest.approx(p), "Wilcoxon's signed-rank test, of symmetry about 0")
    assert "Symmetry (Wilcoxon): median against always 50 % p" in forecast("study1", path)[1]


def test_every_two_members_are_compared_on_common_questions_with_the_aggregate_beside(forecast, tmp_path):
    from scipy.stats import ttest_rel

    path = refusing(tmp_path)
    said, y, _ = arrays(path)
    code, out, _ = forecast("compare", path, "--pairwise", "--against", "half", "--json")
    found = json.loads(out)
    assert code == 0
    pairs = [(each["first"], each["second"]) for each in found["comparisons"]]
    assert pairs == [("mean", "always 50 %"), ("alpha", "beta"), ("alpha", "gamma"), ("beta", "gamma")]
    assert found["tests"] == 4  # one table of adjusted p
    each, gave = found["comparisons"][2], ~np.isnan(said[:, 2])
    errors = (said[gave] - y[gave, None]) ** 2
    assert each["n"] == gave.sum()
    assert each["test"]["p"] == pytest.approx(ttest_rel(errors[:, 0], errors[:, 2]).pvalue)
    assert each["beside"][0]["mean"] == pytest.approx(((np.nanmean(said, axis=1) - y)[gave] ** 2).mean())
    _, out, _ = forecast("compare", path, "--pairwise")
    assert out.splitlines()[0].split()[1:5] == ["n", "first", "second", "mean"]
    assert "On the questions compared: mean ." in out
    code, _, err = forecast("compare", path, "--pairwise", "--members", "alpha")
    assert code == 2
    assert "there is one member only, alpha" in err


def test_fit_before_fits_on_what_was_resolved_before_and_scores_what_was_forecast_later(forecast, tmp_path):
    path = refusing(tmp_path)
    said, y, _ = arrays(path)
    options = ("--primary", "inverse_brier", "--fit-before", "2026-03-01")
    code, out, _ = forecast("score", path, *options, "--members", "alpha,beta", "--json")
    found = {each["name"]: each for each in json.loads(out)["columns"]}
    early, late = slice(0, 60), slice(60, 90)
    weights = 1 / np.maximum(((said[early, :2] - y[early, None]) ** 2).mean(axis=0), 0.01)
    weighted = said[late, :2] @ weights / weights.sum()
    assert code == 0
    assert found["inverse_brier"]["means"]["brier"] == pytest.approx(((weighted - y[late]) ** 2).mean())
    assert found["alpha"]["means"]["brier"] == pytest.approx(((said[late, 0] - y[late]) ** 2).mean())
    assert [found[name]["n"] for name in ("inverse_brier", "alpha", "beta")] == [30, 30, 30]
    assert "fitted on 60 questions resolved before it" in json.loads(out)["notes"][0]
    compared = json.loads(forecast("compare", path, *options, "--members", "alpha,beta", "--json")[1])
    assert {each["n"] for each in compared["comparisons"]} == {30}
    assert compared["comparisons"][0]["first_mean"] == pytest.approx(((weighted - y[late]) ** 2).mean())
    _, out, _ = forecast("aggregate", path, *options, "--members", "alpha,beta", "--json", "-o", tmp_path / "a.csv")
    assert "a split in time, on 60 questions" in json.loads(out)["aggregators"]["inverse_brier"]["how_fitted"]
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [float(row["inverse_brier"]) for row in csv.DictReader(file)] == pytest.approx(weighted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--fit-before", "2026-02-01"),
            "2026-02-01: a fit needs 30 resolved questions with 10 of each outcome; there are",
        ),
        (("--fit-before", "spring"), "'spring'"),
        (
            ("--fit-before", "2027-01-01"),
            "--fit-before) 2027-01-01: no question is known to have been forecast from then on",
        ),
        (("--fit-before", "2026-03-01", "--crowd-weight", "fit"), "does not go with a fitted weight of the crowd"),
    ],
)
def test_a_split_in_time_that_cannot_be_made_says_why(forecast, tmp_path, options, said):
    path = refusing(tmp_path, n=60)
    code, out, err = forecast("score", path, *options)
    assert (code, out) == (2, "")
    assert said in err


def test_where_groups_leave_too_little_to_fit_on_the_groups_are_blamed(forecast, tmp_path):
    """Of 45 questions resolved before the day, 25 share a group with one that is scored."""
    path = tmp_path / "grouped.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question_id", "model", "probability", "time", "resolution", "resolution_date", "group"])
        for k in range(70):
            month = "2026-01" if k < 45 else "2026-03"
            group = k + 25 if 20 <= k < 45 else k
            writer.writerow([f"q{k}", "m", 0.4, f"{month}-10", k % 2, f"{month}-20", f"g{group}"])
    code, out, err = forecast("score", path, "--fit-before", "2026-02-01")
    assert (code, out) == (2, "")
    assert (
        "there are 20, 10 yes and 10 no, that can be fitted on; 45 were resolved before it, but 25 of them are in one group"
        in err
    )
    assert "choose a later day" not in err
    _, _, err = forecast("score", path, "--fit-before", "2026-01-05")
    assert "fit_before (--fit-before) 2026-01-05: a fit needs 30" in err
    assert "there are 0" in err


def test_a_split_in_time_needs_times_and_resolution_dates(forecast, tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("id,a,b,resolution\nq1,.8,.6,yes\nq2,.3,.4,no\n")
    code, _, err = forecast("score", path, "--fit-before", "2026-01-01")
    assert code == 2
    assert "the forecasts have no time (column time)" in err
    assert "no question has a resolution_date" in err


def run_of(path: Path, folder: Path) -> Forecasts:
    """The file of `refusing` as a run, with a crowd of 50 %."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = [{"id": row["question_id"], "question": "?", "crowd": 0.5} for row in rows[::3]]
    known = [{name: row[name] for name in ("resolution", "resolution_date")} for row in rows[::3]]
    with RunFolder(folder) as run:
        run.write_record(
            {
                "questions": [{**one, **two} for one, two in zip(asked, known, strict=True)],
                "members": [{"name": row["model"]} for row in rows[:3]],
            }
        )
        run.write_rows(
            Forecast(
                question_id=row["question_id"],
                model=row["model"],
                sample=0,
                prompt="p",
                turn=0,
                shown_crowd=False,
                probability=float(row["probability"]) if row["probability"] else None,
                status=Status.ANSWERED if row["probability"] else Status.REFUSED,
                slot="s",
                prompt_digest="d",
                time=datetime.fromisoformat(row["time"]).replace(tzinfo=UTC),
            )
            for row in rows
        )
    return Forecasts.from_run(folder)


def test_a_run_in_python_is_split_in_time_and_compared_in_pairs(forecast, tmp_path):
    path = refusing(tmp_path)
    run = run_of(path, tmp_path / "run")
    options = ("--primary", "inverse_brier", "--fit-before", "2026-03-01", "--json")
    later = {"primary": "inverse_brier", "fit_before": "2026-03-01"}
    scored = json.loads(forecast("score", path, *options)[1])["columns"][0]
    assert run.score(**later).primary.brier == pytest.approx(scored["means"]["brier"])
    assert run.compare("half", **later).comparisons[0].first_mean == pytest.approx(scored["means"]["brier"])
    assert run.aggregate("inverse_brier", fit_before=datetime(2026, 3, 1)).questions == tuple(
        f"q{k}" for k in range(60, 90)
    )
    compared = run.compare("crowd", pairwise=True)
    assert [each.name for each in compared.comparisons] == [
        "mean against crowd",
        "alpha against beta",
        "alpha against gamma",
        "beta against gamma",
    ]
    assert compared.adjusted.tests == 4
    with pytest.raises(InputError, match="'soon'"):
        run.compare(fit_before="soon")

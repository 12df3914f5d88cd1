"""Ready-made forecasts from Python: judged like a run's, from two tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf_soup.errors import InputError
from hf_soup.forecasting import Forecasts
from hf_soup.forecasting.ready_forecasts import ReadyForecasts

N = 60


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """Two models' percentages and questions with a crowd in fractions; with the probabilities [N, 2] and the outcomes [N]."""
    generator = np.random.default_rng(3)
    said = generator.integers(1, 100, size=(N, 2))
    outcomes = (generator.random(N) < said.mean(axis=1) / 100).astype(int)
    forecasts, questions = tmp_path / "forecasts.csv", tmp_path / "questions.csv"
    rows = [f"q{n},{model},{said[n, m]}" for n in range(N) for m, model in enumerate("ab")]
    forecasts.write_text("\n".join(["question_id,model,probability", *rows]))
    questions.write_text(
        "\n".join(["id,question,resolution,crowd", *(f"q{n},Will {n}?,{outcomes[n]},0.4" for n in range(N))])
    )
    return forecasts, questions, said / 100, outcomes


def test_they_are_judged_like_a_run(files, tmp_path):
    forecasts, questions, p, outcomes = files
    ready = Forecasts.from_file(forecasts, questions, unit="percent", questions_unit="fraction")

    assert ready.aggregate().values == pytest.approx(p.mean(axis=1))
    assert ready.score().primary.brier == pytest.approx(((p.mean(axis=1) - outcomes) ** 2).mean())
    assert ready.compare("crowd").comparisons[0].second_mean == pytest.approx(((0.4 - outcomes) ** 2).mean())
    assert "H1" in str(ready.study1())
    assert str(ready.calibrate())
    report = ready.report(tmp_path / "report.html")
    assert "Will" in (tmp_path / "report.html").read_text()
    assert str(report)


def test_opposite_questions_may_be_ready_made_too(files):
    forecasts, questions, p, _ = files
    ready = Forecasts.from_file(forecasts, questions, unit="percent", questions_unit="fraction")
    negated = [
        {"question_id": f"q{n}", "model": model, "probability": 1.1 - p[n, m]}
        for n in range(N)
        for m, model in enumerate("ab")
        if p[n, m] > 0.1
    ]
    found = ready.bias(negated=Forecasts.from_file(negated, questions, unit="fraction"))
    assert [each.lean.value for each in found.acquiescence] == pytest.approx([0.1] * 3)
    assert "Costs are not known" in " ".join(found.notes)


def test_one_model_and_some_rows_may_be_chosen(files):
    forecasts, questions, p, outcomes = files
    ready = Forecasts.from_file(forecasts, questions, unit="percent", questions_unit="fraction", members=["b"])
    assert ready.score().primary.brier == pytest.approx(((p[:, 1] - outcomes) ** 2).mean())


def test_questions_as_they_are_now_take_the_place_of_those_given(files):
    forecasts, questions, p, _ = files
    ready = Forecasts.from_file(forecasts, questions, unit="percent", questions_unit="fraction")
    ended = [{"id": f"q{n}", "question": "?", "resolution": "no"} for n in range(N)]
    assert ready.score(questions=ended).primary.brier == pytest.approx((p.mean(axis=1) ** 2).mean())


def test_a_crowd_whose_unit_cannot_be_what_was_said_is_asked_about(files):
    forecasts, questions, _, outcomes = files
    with pytest.raises(
        InputError, match=r"crowd: no value is above 0.4, while the forecasts are in percent.*--questions-unit"
    ):
        Forecasts.from_file(forecasts, questions, unit="percent").score()
    declared = Forecasts.from_file(forecasts, questions, unit="percent", questions_unit="percent")
    assert declared.compare("crowd").comparisons[0].second_mean == pytest.approx(((0.004 - outcomes) ** 2).mean())
    now = Forecasts.from_file(forecasts, unit="percent").compare(
        "crowd", questions=questions, questions_unit="fraction"
    )
    assert now.comparisons[0].second_mean == pytest.approx(((0.4 - outcomes) ** 2).mean())


def test_files_of_opposite_questions_are_in_the_unit_of_the_forecasts(files, tmp_path):
    forecasts, questions, p, _ = files
    negated = tmp_path / "negated.csv"
    rows = [f"q{n},{model},{100 - 100 * p[n, m]}" for n in range(N) for m, model in enumerate("ab")]
    negated.write_text("\n".join(["question_id,model,probability", *rows]))
    ready = Forecasts.from_file(forecasts, questions, unit="percent", questions_unit="fraction")
    assert [each.lean.value for each in ready.bias(negated=negated).acquiescence] == pytest.approx([0.0] * 3)


def test_a_file_is_not_the_folder_of_a_run(files):
    with pytest.raises(InputError, match=r"forecasts\.csv: is not the folder of a run"):
        Forecasts.from_run(files[0])


def test_what_is_wrong_is_told_when_it_is_read(files):
    forecasts, questions, *_ = files
    with pytest.raises(InputError, match="does not lie between 0 and 1"):
        Forecasts.from_file(forecasts, questions, unit="fraction").score()


def test_it_shows_itself_shortly(files):
    _, questions, *_ = files
    assert repr(ReadyForecasts([{}] * 1000, questions, "fraction")) == "ReadyForecasts(list, unit='fraction')"

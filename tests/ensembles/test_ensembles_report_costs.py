"""What rows cost: where early exit cannot save a member, and a first run that is not timed with its preparations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ensemble_data import members
from tiny_models import sentences, write_csv
from voted import with_weights
from voting_models import save_text_model

from hf_soup import HeldOut
from hf_soup.ensembles import Combination, Ensemble, MemberCost, MemberProbabilities, fit_combination
from hf_soup.ensembles.early_exit import units_of, why_nothing_is_saved
from hf_soup.ensembles.evidence.early_passes import early_shares
from hf_soup.ensembles.report import EnsembleReport, ensemble_report


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MOST_RESAMPLES", "_LEAST_RESAMPLES"):
        monkeypatch.setattr(f"hf_soup.ensembles.evidence.scored.{name}", 50)


def every_sure_answer(families: dict[str, tuple[str, ...]], classes: int) -> MemberProbabilities:
    """Rows in which each member is certain of a class: all ways there are."""
    count = sum(map(len, families.values()))
    rows = np.eye(classes)[np.array(list(itertools.product(range(classes), repeat=count)))]  # [rows, members, classes]
    said = iter(np.moveaxis(rows, 1, 0))
    return MemberProbabilities.of(
        {name: [next(said) for _ in names] for name, names in families.items()},
        classes=[f"c{each}" for each in range(classes)],
        members=[each for names in families.values() for each in names],
    )


@pytest.mark.parametrize(
    ("families", "options"),
    [
        ({"x": ("a", "b")}, {"weights": {"x": 1.0}}),
        ({"x": ("a", "b")}, {"weights": {"x": 1.0}, "temperatures": {"x": 0.9}}),
        ({"x": ("a", "b")}, {"weights": {"x": 1.0}, "tier1": "logit_mean"}),
        ({"x": ("a", "b"), "y": ("c",)}, {"weights": {"x": 0.5, "y": 0.5}, "temperatures": {"x": 0.9, "y": 1.1}}),
        ({"x": ("a", "b"), "y": ("c",)}, {"weights": {"x": 0.6, "y": 0.4}, "temperatures": {"x": 0.9, "y": 1.1}}),
        ({"x": ("a", "b"), "y": ("c",)}, {"weights": {"x": 1.0, "y": 0.0}, "temperatures": {"x": 0.9, "y": 1.1}}),
        ({"x": ("a",), "y": ("c",)}, {"weights": {"x": 0.0, "y": 1.0}}),
        ({"x": ("a",), "y": ("b",), "z": ("c",)}, {"weights": {"x": 1 / 3, "y": 1 / 3, "z": 1 / 3}}),
        (
            {"x": ("a",), "y": ("c",)},
            {"weights": {"x": 0.5, "y": 0.5}, "class_weights": {"x": (0.5, 0.9, 0.5), "y": (0.5, 0.1, 0.5)}},
        ),
        (
            {"x": ("a",), "y": ("c",)},
            {"weights": {"x": 0.5, "y": 0.5}, "class_weights": {"x": (0.5, 0.5, 0.5), "y": (0.5, 0.5, 0.5)}},
        ),
    ],
)
def test_early_exit_is_said_to_save_nothing_exactly_where_no_answers_spare_a_member(
    families: dict[str, tuple[str, ...]], options: dict
) -> None:
    data = every_sure_answer(families, 3)
    settings = {"tier1": "mean", **options}
    combination = Combination("learned", "tiered", families=families, classes=data.classes, **settings)
    shares = early_shares(combination, data)
    assert shares is not None
    spared = any(0 < share < 1 for share in shares.values())
    assert bool(why_nothing_is_saved(units_of(combination))) != spared


def reported(families: dict[str, tuple[float, ...]]) -> EnsembleReport:
    data = members(60, families, classes=2)
    costs = {name: MemberCost(1, 1, None, 1) for name in data.members}
    return ensemble_report(data, chosen=fit_combination(data), costs=costs, folds=2)


def test_a_report_says_that_early_exit_saves_nothing_for_one_family_with_a_temperature() -> None:
    found = reported({"bert": (3.0, 3.0)})
    early = found.costs[-1]
    assert (early.name.endswith("with early exit"), early.forward_passes) == (True, 2)
    assert early.note.startswith("Early exit saves nothing: bert/1, bert/2 are one family")
    assert early.note in str(found)
    assert early.note in found.markdown()


def test_a_report_says_nothing_of_it_where_some_rows_are_decided_early() -> None:
    found = reported({"a": (2.0,), "b": (1.8,), "c": (1.6,)})
    assert 1 < found.costs[-1].forward_passes < 3
    assert "Early exit" not in str(found)


def test_predicting_says_it_too() -> None:
    families = {"x": {"a": lambda rows: [[0.9, 0.1]] * len(rows), "b": lambda rows: [[0.8, 0.2]] * len(rows)}}
    found = with_weights(families, {"x": 1.0}, temperatures={"x": 0.9}).predict(["a film"] * 3, early_exit=True)
    assert [each for each in found.warnings if each.startswith("Early exit saves nothing: a, b")]
    whole = with_weights(families, {"x": 1.0}, temperatures={"x": 0.9}).predict(["a film"] * 3)
    assert whole.warnings == ()


@pytest.fixture
def slow_start(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock by which the first run of rows takes 5 s and every other 0.25 s; returns what the runs took."""
    from hf_soup.evaluation import evaluator

    now, took = [0.0], []
    run_rows = evaluator.run_rows

    def timed(*arguments):
        took.append(0.25 if took else 5.0)
        now[0] += took[-1]
        return run_rows(*arguments)

    class Clock:
        perf_counter = staticmethod(lambda: now[0])

    monkeypatch.setattr(evaluator, "run_rows", timed)
    monkeypatch.setattr(evaluator, "time", Clock)
    return took


def test_the_time_of_the_first_model_is_without_what_starting_takes(slow_start, tmp_path) -> None:
    rows = sentences(20, 1)
    held_out = HeldOut(write_csv(tmp_path / "rows.csv", rows), task="text-classification")
    ensemble = Ensemble({"bert": [str(save_text_model("bert", seed)) for seed in (1, 2)]})
    ensemble.member_probabilities(held_out)
    assert slow_start == [5.0, 0.25, 0.25]
    assert [each.seconds_per_row for each in ensemble.costs.values()] == [0.25 / 20] * 2


def test_what_takes_long_is_not_run_again_for_its_time(slow_start, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hf_soup.ensembles.held_out_values._SHORT_RUN_S", 4.0)
    held_out = HeldOut(write_csv(tmp_path / "rows.csv", sentences(20, 2)), task="text-classification")
    ensemble = Ensemble({"bert": [str(save_text_model("bert", 1))]})
    ensemble.member_probabilities(held_out)
    assert slow_start == [5.0]

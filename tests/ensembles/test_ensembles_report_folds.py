"""Out of fold: which rows an AUC compares, whose seed the folds have, and which temperatures the rivals."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ensemble_data import members
from scipy.special import softmax
from sklearn.metrics import log_loss, roc_auc_score

from hf_soup import verify
from hf_soup.ensembles import Combination, Ensemble, MemberProbabilities, fit_combination
from hf_soup.ensembles.evidence.scored import LabelledRows
from hf_soup.ensembles.report import EnsembleReport, cross_dataset, ensemble_report
from hf_soup.ensembles.splits import folds
from hf_soup.errors import InputError
from hf_soup.evaluation.resampling import SEED, resample_counts

K = 4


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MOST_RESAMPLES", "_LEAST_RESAMPLES"):
        monkeypatch.setattr(f"hf_soup.ensembles.evidence.scored.{name}", 60)


def by_temperatures(data: MemberProbabilities, member: int = 0) -> np.ndarray:
    """One member's probabilities, at another temperature in every fold."""
    scaled = np.empty(data.values.shape[1:])
    for (_, test), temperature in zip(folds(data, K), (0.2, 0.7, 2.0, 6.0), strict=True):
        scaled[test] = softmax(np.log(data.values[member, test].astype(np.float64)) / temperature, axis=1)
    return scaled


def weighted_by_pairs(
    labels: np.ndarray, p: np.ndarray, tests: list[np.ndarray], counts: np.ndarray | None = None
) -> float:
    """By scikit-learn, fold by fold; rows counted as often as `counts` says."""
    areas = []
    for each in range(p.shape[1]) if p.shape[1] > 2 else [1]:
        found, pairs = [], []
        for test in tests:
            rows = test if counts is None else np.repeat(test, counts[test].astype(int))
            positive = labels[rows] == each
            if positive.any() and not positive.all():
                found.append(roc_auc_score(positive, p[rows, each]))
                pairs.append(positive.sum() * (~positive).sum())
        areas.append(np.average(found, weights=pairs))
    return float(np.mean(areas))


def test_a_member_at_another_temperature_in_every_fold_has_the_auc_that_it_has_within_folds() -> None:
    data = members(160, {"a": (0.6, 1.2)}, classes=2)
    plain, scaled = data.values[0], by_temperatures(data)
    within = LabelledRows.out_of_fold(data, K)
    before, after = within.score(plain, ["auc"]), within.score(scaled, ["auc"])
    assert after.estimates["auc"] == before.estimates["auc"]
    np.testing.assert_array_equal(after.resampled["auc"], before.resampled["auc"])
    pooled = LabelledRows.of(data)
    assert pooled.score(scaled, ["auc"]).estimates["auc"].value < pooled.score(plain, ["auc"]).estimates["auc"].value


@pytest.mark.parametrize("classes", [2, 4])
def test_out_of_fold_auc_is_that_of_scikit_learn_in_each_fold_weighted_by_pairs(classes: int) -> None:
    data = members(150, {"a": (1.0,)}, classes=classes)
    p = by_temperatures(data)
    p[::2] = p[1::2]  # so that there are ties, also within folds
    tests = [test for _, test in folds(data, K)]
    found = LabelledRows.out_of_fold(data, K).score(p, ["auc"])
    scores = p if classes > 2 else np.stack([-p[:, 1], p[:, 1]], axis=1)
    assert found.estimates["auc"].value == pytest.approx(weighted_by_pairs(data.labels, scores, tests), abs=1e-9)
    order = np.argsort(data.ids, kind="stable")
    counts = np.concatenate(list(resample_counts(data.rows, 60, SEED)))
    for number in range(5):
        each = np.empty(data.rows)
        each[order] = counts[number]
        expected = weighted_by_pairs(data.labels, scores, tests, each)
        assert found.resampled["auc"][number] == pytest.approx(expected, abs=1e-9)


def test_a_fold_of_one_class_has_no_pairs_and_a_class_without_any_no_auc() -> None:
    labels, fold = np.array([0, 0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    p = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.6])
    rows = LabelledRows(np.array(list("abcdef")), labels, ("no", "yes"), fold=fold)
    values = np.stack([1 - p, p], axis=1)
    assert rows.score(values, ["auc"]).estimates["auc"].value == pytest.approx(2 / 3)
    apart = replace(rows, fold=labels)
    assert np.isnan(apart.score(values, ["auc"]).estimates["auc"].value)


@cache
def single_best() -> tuple[MemberProbabilities, EnsembleReport]:
    """Of two members one is far better, so that every fold chooses it; at its own temperature."""
    data = members(150, {"a": (-0.5,), "b": (2.0,)}, classes=2)
    return data, ensemble_report(data, chosen=fit_combination(data), folds=K)


def auc_of(found: EnsembleReport, name: str) -> float:
    return next(each for each in found.systems if each.name == name).results["held-out"]["auc"].value


def test_the_best_single_model_has_the_auc_of_that_model() -> None:
    data, found = single_best()
    tests = [test for _, test in folds(data, K)]
    assert next(each.note for each in found.systems if each.name == "best single") == "b/1"
    assert auc_of(found, "best single") == pytest.approx(auc_of(found, "b/1"), abs=1e-12)
    assert auc_of(found, "b/1") == pytest.approx(weighted_by_pairs(data.labels, data.values[1], tests), abs=1e-9)
    assert "compares rows of one fold only" in str(found)


def test_on_the_diagonal_of_the_cross_dataset_table_too() -> None:
    data, found = single_best()

    def fit(part: MemberProbabilities) -> Combination:
        return fit_combination(part, "best_single")

    other = members(120, {"a": (-0.5,), "b": (2.0,)}, classes=2, seed=1)
    crossed = cross_dataset({"held-out": data, "other": other}, fit, folds=K).results
    assert crossed["held-out"]["held-out"]["auc"].value == pytest.approx(auc_of(found, "b/1"), abs=1e-12)
    everywhere = roc_auc_score(other.labels, other.values[1, :, 1])
    assert crossed["held-out"]["other"]["auc"].value == pytest.approx(everywhere, abs=1e-9)


@cache
def with_seed(seed: int) -> EnsembleReport:
    data, test = members(100), members(90, seed=1)
    return ensemble_report(data, {"test": test}, chosen=fit_combination(data), folds=K, seed=seed)


def nll_out_of_fold(data: MemberProbabilities, seed: int) -> float:
    said = np.empty(data.values.shape[1:])
    for train, test in folds(data, K, seed):
        said[test] = fit_combination(data.subset(train)).combine(data.values[:, test])
    return log_loss(data.labels, said, labels=range(len(data.classes)))


def test_the_seed_is_that_of_all_folds() -> None:
    found, data = with_seed(3), members(100)
    expected = nll_out_of_fold(data, 3)
    assert expected != pytest.approx(nll_out_of_fold(data, 0), abs=1e-4)
    chosen = next(each for each in found.systems if each.chosen)
    assert chosen.results["held-out"]["nll"].value == pytest.approx(expected, abs=1e-6)
    assert found.crossed is not None
    assert found.crossed.results["held-out"]["held-out"]["nll"].value == pytest.approx(expected, abs=1e-6)
    rest = MemberProbabilities.of({"big": data.values[:2]}, data.labels, ids=list(data.ids))
    (change,) = [each for each in found.left_out[2].differences if each.metric == "nll"]
    assert change.value == pytest.approx(nll_out_of_fold(rest, 3) - expected, abs=1e-6)


def test_the_seed_is_that_of_all_resamples() -> None:
    one, other = with_seed(3), with_seed(0)

    def bounds(found: EnsembleReport) -> list[tuple]:
        (chosen,) = [each for each in found.systems if each.chosen]
        (pair,) = [d for d in found.differences if (d.set, d.against, d.metric) == ("test", "best single", "nll")]
        return [(each.value, each.low, each.high) for each in (chosen.results["test"]["nll"], pair, found.weights[0])]

    for (value, low, high), (same, other_low, other_high) in zip(bounds(one), bounds(other), strict=True):
        assert value == same
        assert (low, high) != (other_low, other_high)
        assert low == pytest.approx(other_low, abs=0.3)


def test_a_seed_below_zero_and_an_unknown_temperature_are_told_together() -> None:
    data = members(40)
    with pytest.raises(InputError) as caught:
        ensemble_report(data, chosen=fit_combination(data), seed=-1, temperature="warm")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["seed=-1", "temperature='warm'"]


def test_rivals_of_stacking_have_the_temperatures_that_were_asked_for(tmp_path: Path) -> None:
    data, test = members(100, {"big": (3.0, 3.0), "small": (2.0,)}), members(90, seed=1)
    ensemble = Ensemble.from_predictions(data).fit(method="stacking", tests={"test": test}, folds=2, seed=3)
    rival = fit_combination(data, "learned", temperature="family")
    plain = fit_combination(data, "learned", temperature="none")
    losses = [log_loss(test.labels, each.combine(test.values), labels=range(3)) for each in (rival, plain)]
    assert abs(losses[0] - losses[1]) > 0.01, "temperatures must matter for this to test anything"
    system = next(each for each in ensemble.report.systems if each.name == "learned weights, tiered")
    assert system.results["test"]["nll"].value == pytest.approx(losses[0], abs=1e-6)
    assert [each.name for each in ensemble.report.reliability] == ["stacking, tiered"]
    found = verify(ensemble.save(tmp_path / "stacked"), data=[data, test])
    assert found.exit_code == 0, str(found)
    assert found.recomputed.largest == 0
    found = verify(tmp_path / "stacked", data=test)
    assert (found.exit_code, found.recomputed.largest) == (0, 0)


def test_a_row_near_a_tie_that_falls_the_other_way_on_other_hardware_is_no_contradiction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_soup.ensembles.evidence.scored._MOST_RESAMPLES", 400)  # of few, one row moves a bound far
    data = members(200, {"a": (1.5,), "b": (1.0,)}, classes=2)
    here, there = np.array(data.values), np.array(data.values)
    here[:, 7], there[:, 7] = (0.5 + 1e-6, 0.5 - 1e-6), (0.5 - 1e-6, 0.5 + 1e-6)
    ensemble = Ensemble.from_predictions(replace(data, values=here)).fit(method="equal", temperature="none", folds=2)
    found = verify(ensemble.save(tmp_path / "equal"), data=replace(data, values=there))
    assert found.recomputed.largest > 0
    assert found.exit_code == 0, str(found)

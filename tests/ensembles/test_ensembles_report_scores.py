"""Scores and paired differences of a report against scikit-learn, slow loops, and simulations whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ensemble_data import members
from sklearn import metrics as sk

from hf_soup.ensembles import MemberProbabilities
from hf_soup.ensembles.evidence.differences import Difference, difference
from hf_soup.ensembles.evidence.scored import COMPARED, METRICS, LabelledRows, percentile_interval
from hf_soup.errors import InputError
from hf_soup.evaluation import Predictions, estimate


def rows_of(labels: np.ndarray, groups: np.ndarray | None = None, classes: int = 2) -> LabelledRows:
    ids = np.array([f"{row:06d}" for row in range(len(labels))])
    return LabelledRows(ids, labels, tuple(f"c{c}" for c in range(classes)), groups)


@pytest.mark.parametrize("classes", [2, 4])
def test_values_are_those_of_scikit_learn(classes: int) -> None:
    data = members(150, classes=classes)
    found = LabelledRows.of(data).score(data.values[0]).estimates
    p, y = data.values[0].astype(np.float64), data.labels
    p /= p.sum(axis=1, keepdims=True)
    one_hot = np.eye(classes)[y]
    assert found["accuracy"].value == sk.accuracy_score(y, p.argmax(axis=1))
    assert found["f1_macro"].value == pytest.approx(sk.f1_score(y, p.argmax(axis=1), average="macro"))
    auc = sk.roc_auc_score(y, p[:, 1]) if classes == 2 else sk.roc_auc_score(y, p, multi_class="ovr")
    assert found["auc"].value == pytest.approx(auc)
    assert found["nll"].value == pytest.approx(sk.log_loss(y, p, labels=range(classes)), rel=1e-6)
    assert found["brier"].value == pytest.approx(
        ((p - one_hot) ** 2).sum(axis=1).mean() / (2 if classes == 2 else 1), rel=1e-6
    )


def test_without_groups_accuracy_and_ece_are_those_of_the_evaluation() -> None:
    data = members(120)
    logits = np.log(data.values[0].astype(np.float64))
    predictions = Predictions(data.ids, data.classes, data.labels, logits)
    found = LabelledRows.of(data).score(data.values[0]).estimates
    for metric in ("accuracy", "ece"):
        expected = estimate(metric, predictions)
        assert (found[metric].low, found[metric].high) == pytest.approx((expected.low, expected.high))


def test_the_order_of_the_rows_changes_nothing() -> None:
    data = members(60)
    moved = data.subset(np.random.default_rng(0).permutation(60))
    assert (
        LabelledRows.of(moved).score(moved.values[1]).estimates
        == LabelledRows.of(data).score(data.values[1]).estimates
    )


def test_rows_that_are_there_ten_times_do_not_narrow_an_interval_when_they_are_groups() -> None:
    data = members(80)
    tenfold = np.repeat(np.arange(80), 10)
    labels, values = data.labels[tenfold], data.values[0][tenfold]
    once = LabelledRows.of(data).score(data.values[0]).estimates["nll"]
    grouped = rows_of(labels, tenfold, 3).score(values).estimates["nll"]
    alone = rows_of(labels, None, 3).score(values).estimates["nll"]
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)
    assert alone.high - alone.low < (once.high - once.low) / 2.5
    assert "groups" in grouped.note


def test_a_probability_of_zero_for_the_label_is_a_large_loss_and_not_an_infinite_one() -> None:
    found = rows_of(np.array([0, 1, 1, 0])).score(np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5]], np.float32))
    assert found.estimates["nll"].value == pytest.approx((-np.log(1e-12) + np.log(2)) / 4, rel=1e-6)


def test_an_auc_of_one_class_is_not_defined_and_has_no_interval() -> None:
    found = rows_of(np.zeros(30, np.int64)).score(np.full((30, 2), 0.5)).estimates["auc"]
    assert np.isnan(found.value)
    assert (found.low, found.high) == (None, None)


def test_rows_without_labels_cannot_be_scored() -> None:
    with pytest.raises(InputError, match="no labels"):
        LabelledRows.of(replace(members(5), labels=None))


def test_a_paired_difference_is_that_of_a_slow_loop_over_resamples() -> None:
    data = members(50)
    rows = LabelledRows.of(data)
    scored = [rows.score(values, COMPARED) for values in data.values[:2]]
    found = difference(rows, "test", "nll", ("a", scored[0]), ("b", scored[1]))
    losses = [-np.log(p[np.arange(50), data.labels].astype(np.float64)) for p in data.values[:2]]
    generator = np.random.default_rng(5)
    drawn = [generator.integers(0, 50, 50) for _ in range(4000)]
    differences = np.array([losses[0][each].mean() - losses[1][each].mean() for each in drawn])
    assert found.value == pytest.approx(losses[0].mean() - losses[1].mean(), rel=1e-5)
    assert found.standard_error == pytest.approx(differences.std() * np.sqrt(50 / 49), rel=0.06)
    assert (found.low, found.high) == pytest.approx(percentile_interval(differences, 50)[:2], abs=0.02)
    assert found.detectable == pytest.approx(2.857 * found.standard_error, rel=0.01)  # t(49): 2.010 + 0.849


def test_paired_intervals_cover_the_true_difference_about_95_times_in_100() -> None:
    truth = _accuracy_gap(members(300_000, {"a": (1.5,), "b": (1.1,)}, seed=999))
    covered = 0
    for seed in range(60):
        data = members(120, {"a": (1.5,), "b": (1.1,)}, seed=seed)
        rows = LabelledRows.of(data)
        a, b = (("x", rows.score(values, ["accuracy"])) for values in data.values)
        found = difference(rows, "test", "accuracy", a, b)
        covered += found.low <= truth <= found.high
    assert covered >= 51  # fewer have probability 0.001 at 95 %


def _accuracy_gap(data: MemberProbabilities) -> float:
    right = [(values.argmax(axis=1) == data.labels).mean() for values in data.values]
    return right[0] - right[1]


@pytest.mark.parametrize(
    ("metric", "low", "high", "better"),
    [
        ("accuracy", 0.01, 0.03, "a"),
        ("nll", 0.01, 0.03, "b"),
        ("nll", -0.03, -0.01, "a"),
        ("accuracy", -0.01, 0.03, None),
    ],
)
def test_who_is_better_follows_from_interval_and_metric(
    metric: str, low: float, high: float, better: str | None
) -> None:
    found = Difference("test", metric, "a", "b", (low + high) / 2, low, high, (high - low) / 4, 99, 100)
    assert found.better == better


def test_a_difference_picked_out_of_many_needs_more_than_one_that_was_asked_for() -> None:
    found = Difference("test", "nll", "a", "b", 0.021, 0.001, 0.041, 0.01, 999, 1000)
    assert found.better == found.better_of(1) == "b"
    assert found.better_of(12) is None


def test_systems_that_never_differ_have_no_smallest_detectable_difference() -> None:
    data = members(40)
    rows = LabelledRows.of(data)
    scored = ("x", rows.score(data.values[0], METRICS))
    found = difference(rows, "test", "accuracy", scored, scored)
    assert (found.value, found.low, found.high, found.detectable, found.better) == (0, 0, 0, None, None)

"""Intervals against independent formulas and by simulation."""

from __future__ import annotations

import time

import numpy as np
import pytest
from evaluation_predictions import classified, ids

from hf_soup.errors import InputError
from hf_soup.evaluation import (
    METRICS,
    Estimate,
    Predictions,
    estimate,
    logit_ensemble,
    metric_named,
    paired_difference,
)
from hf_soup.evaluation.predictions import Kind
from hf_soup.evaluation.resampling import resample_counts

CLASSIFICATION = [name for name, metric in METRICS.items() if Kind.CLASSIFICATION in metric.kinds]


def test_resamples_are_multinomial_counts() -> None:
    chunks = list(resample_counts(3000, resamples=2000))
    assert sum(map(len, chunks)) == 2000
    assert all((chunk.sum(axis=1) == 3000).all() for chunk in chunks)
    counts = np.concatenate([chunk[:, 0] for chunk in chunks])
    assert counts.mean() == pytest.approx(1, abs=0.1)
    assert counts.var() == pytest.approx(1, abs=0.15)


def test_resamples_of_groups_never_part_a_group() -> None:
    groups = np.array([7, 3, 7, 7, 5, 3])
    counts = np.concatenate(list(resample_counts(6, resamples=3000, groups=groups)))
    assert all((counts[:, groups == each].std(axis=1) == 0).all() for each in (3, 5, 7))
    assert (counts[:, [0, 1, 4]].sum(axis=1) == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(6), abs=0.1)


def test_accuracy_on_a_resample_of_groups_is_a_share_of_its_own_rows() -> None:
    predictions = classified(6)
    counts = np.array([[2, 0, 2, 2, 0, 0]], np.float32)
    hits = predictions.predicted == predictions.labels
    assert metric_named("accuracy").resampled(predictions)(counts)[0] == pytest.approx(hits[[0, 2, 3]].mean())


def test_accuracy_has_wilsons_interval() -> None:
    predictions = classified(90)
    found = estimate("accuracy", predictions)
    hits = int((predictions.predicted == predictions.labels).sum())
    # Its ends are the p with (hits/n - p)² = z² p (1 - p) / n.
    share, z2n = hits / 90, 1.959963984540054**2 / 90
    ends = sorted(np.roots([1 + z2n, -2 * share - z2n, share**2]))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert (found.value, found.n) == (hits / 90, 90)


@pytest.mark.parametrize("name", ["f1_macro", "nll", "auc"])
def test_bootstrap_intervals_cover_the_truth_about_95_times_in_100(name: str) -> None:
    truth = METRICS[name](classified(200_000, seed=99))
    found = [estimate(name, classified(150, seed=seed)) for seed in range(100)]
    covered = sum(each.low <= truth <= each.high for each in found)
    assert 88 <= covered <= 100  # binomial: fewer than 88 of 100 has probability 0.001 at 95 %


def test_paired_intervals_agree_with_the_t_interval_of_the_rows_differences() -> None:
    from scipy import stats

    a, b = classified(400, seed=1), classified(400, seed=1)
    b.logits[:] += np.random.default_rng(2).normal(size=b.logits.shape) * 0.3
    found = paired_difference("nll", a, b)
    rows = [-each.log_probabilities[np.arange(400), each.labels] for each in (a, b)]
    expected = stats.ttest_1samp(rows[0] - rows[1], 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.1, abs=2e-3)
    alone = estimate("nll", a)
    assert found.high - found.low < (alone.high - alone.low) / 2


def test_paired_differences_cover_zero_for_two_equally_good_models() -> None:
    covered = 0
    for seed in range(60):
        a = classified(150, seed=seed)
        b = Predictions(a.ids, a.classes, a.labels, a.logits.copy())
        noise = np.random.default_rng(seed).normal(size=(2, *a.logits.shape))
        a.logits[:] += noise[0] * 0.7
        b.logits[:] += noise[1] * 0.7
        found = paired_difference("accuracy", a, b)
        covered += found.low <= 0 <= found.high
    assert covered >= 51  # probability 0.001 at 95 %


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    assert paired_difference("accuracy", classified(), classified()) == Estimate(
        0, 0, 0, 200, "paired bootstrap over rows"
    )


def test_predictions_on_other_rows_are_not_compared() -> None:
    a, b = classified(), classified()
    b.ids[3] = "another"
    with pytest.raises(InputError, match="different rows"):
        paired_difference("accuracy", a, b)
    with pytest.raises(InputError, match="different classes"):
        logit_ensemble([classified(5), Predictions(ids(5), ("x", "y"), classified(5).labels, classified(5).logits)])


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_an_interval_of_3000_rows_takes_less_than_a_second(name: str) -> None:
    predictions = classified(3000, 3)
    start = time.process_time()
    estimate(name, predictions)
    assert time.process_time() - start < 1.5


def test_a_metric_that_most_resamples_do_not_define_has_no_interval() -> None:
    labels = np.zeros(10, np.int64)
    labels[0] = 1
    rare = Predictions(ids(10), ("a", "b"), labels, np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32))
    found = estimate("auc", rare)
    assert found.low is not None  # defined in 65 % of the resamples
    assert metric_named("auc")(rare) == found.value

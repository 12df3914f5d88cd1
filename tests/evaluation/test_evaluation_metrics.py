"""Metrics against scikit-learn, intervals against independent formulas and by simulation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from evaluation_predictions import classified, ids
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hf_soup.errors import InputError
from hf_soup.evaluation import METRICS, Predictions, estimate, logit_ensemble, metric_named
from hf_soup.evaluation.predictions import Kind
from hf_soup.evaluation.resampling import resample_counts

CLASSIFICATION = [name for name, metric in METRICS.items() if Kind.CLASSIFICATION in metric.kinds]


def texts(rows: int = 50, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, 30, rows)
    return Predictions(ids(rows), nll=generator.gamma(3, 1, rows) * tokens, tokens=tokens)


def oracle(name: str, y: np.ndarray, p: Predictions) -> float:
    """scikit-learn on rows that are really repeated; `y` are row numbers."""
    labels, predicted, probabilities = p.labels[y], p.predicted[y], p.probabilities[y]
    everything: dict[str, Callable[[], float]] = {
        "accuracy": lambda: sk.accuracy_score(labels, predicted),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(labels, predicted),
        "f1_macro": lambda: sk.f1_score(labels, predicted, average="macro"),
        "matthews": lambda: sk.matthews_corrcoef(labels, predicted),
        "auc": lambda: (
            sk.roc_auc_score(labels, probabilities[:, 1])
            if len(p.classes) == 2
            else sk.roc_auc_score(labels, probabilities, multi_class="ovr")
        ),
        "nll": lambda: sk.log_loss(labels, probabilities, labels=range(len(p.classes))),
        # scikit-learn has Brier scores of several classes from 1.7 on only.
        "brier": lambda: (
            sk.mean_squared_error(np.eye(len(p.classes))[labels], probabilities)
            * (1 if len(p.classes) == 2 else len(p.classes))
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return everything[name]()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", [name for name in CLASSIFICATION if name != "ece"])
def test_values_and_values_on_resamples_are_those_of_scikit_learn(name: str, classes: int) -> None:
    predictions = classified(80, classes)
    predictions.logits[:40] = np.round(predictions.logits[:40])  # equal scores
    assert METRICS[name](predictions) == pytest.approx(oracle(name, np.arange(80), predictions), abs=1e-7)
    counts = next(resample_counts(80, resamples=25, seed=3))
    expected = [oracle(name, np.repeat(np.arange(80), row.astype(int)), predictions) for row in counts]
    assert METRICS[name].resampled(predictions)(counts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro", "matthews"])
def test_a_class_that_a_resample_lacks_counts_as_in_scikit_learn(name: str) -> None:
    predictions = classified(12, 3)
    counts = np.zeros((1, 12), np.float32)
    without = np.flatnonzero(predictions.labels != predictions.labels[0])
    counts[0, without] = 12 / len(without)
    counts = np.round(counts)
    rows = np.repeat(np.arange(12), counts[0].astype(int))
    assert METRICS[name].resampled(predictions)(counts)[0] == pytest.approx(oracle(name, rows, predictions))


def test_language_metrics_are_ratios_of_sums() -> None:
    predictions = texts()
    per_token = predictions.nll.sum() / predictions.tokens.sum()
    assert estimate("nll", predictions).value == pytest.approx(per_token)
    found = estimate("perplexity", predictions)
    assert found.value == pytest.approx(np.exp(per_token))
    generator = np.random.default_rng(9)
    rows = generator.integers(0, 50, (20000, 50))
    resampled = np.exp(predictions.nll[rows].sum(axis=1) / predictions.tokens[rows].sum(axis=1))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, (0.025, 0.975))), rel=0.03)


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(30)), st.sampled_from(CLASSIFICATION))
def test_the_order_of_the_rows_changes_nothing(order: list[int], name: str) -> None:
    predictions = classified(30, 3)
    moved = Predictions(
        predictions.ids[order], predictions.classes, predictions.labels[order], predictions.logits[order]
    )
    assert estimate(name, moved) == estimate(name, predictions)


def test_predictions_with_nan_have_no_score_and_say_so() -> None:
    predictions = classified(20)
    predictions.logits[4] = np.nan
    found = estimate("accuracy", predictions)
    assert np.isnan(found.value)
    assert (found.low, found.high) == (None, None)
    assert "NaN or infinity for 1 of 20 rows" in found.note


def test_names_of_metrics_are_found_however_they_are_written() -> None:
    assert metric_named("macro F1").name == metric_named("F1-macro").name == "f1_macro"


@pytest.mark.parametrize(("name", "kind"), [("acuracy", None), ("accuracy", Kind.LANGUAGE), ("auc", Kind.LANGUAGE)])
def test_an_unknown_metric_is_an_error_that_lists_the_known_ones(name: str, kind: Any) -> None:
    with pytest.raises(InputError, match=rf"no metric.* '{name}'; known: .*nll"):
        metric_named(name, kind)


def test_the_logit_ensemble_is_the_mean_of_the_logits() -> None:
    several = [classified(10, 3, seed=1) for _ in range(3)]
    for number, each in enumerate(several):
        each.logits[:] += np.random.default_rng(number).normal(size=each.logits.shape)
    together = logit_ensemble(several)
    assert together.logits == pytest.approx(np.mean([each.logits for each in several], axis=0), rel=1e-6)
    assert together.logits.dtype == np.float32
    assert list(together.labels) == list(several[0].labels)


def test_there_is_no_logit_ensemble_of_language_models() -> None:
    with pytest.raises(InputError, match="one likelihood a row"):
        logit_ensemble([texts(), texts()])

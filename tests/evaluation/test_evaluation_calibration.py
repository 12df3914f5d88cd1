"""Expected calibration error: its bias, its bins, and the band of a calibrated model."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_predictions import ids

from hf_soup.evaluation import METRICS, Predictions, estimate
from hf_soup.evaluation.predictions import Kind

CLASSIFICATION = [name for name, metric in METRICS.items() if Kind.CLASSIFICATION in metric.kinds]


def calibrated(rows: int, seed: int, temperature: float = 1.0) -> Predictions:
    """Labels drawn from the model's own probabilities; with a temperature above 1 the model is too sure."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, 2)) * 1.5
    probability = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    labels = (generator.random(rows) < probability).astype(np.int64)
    return Predictions(ids(rows), ("no", "yes"), labels, (logits * temperature).astype(np.float32))


def naive_ece(predictions: Predictions, bins: int = 15) -> float:
    """The plug-in estimate in bins of equal mass."""
    confidence = predictions.probabilities.max(axis=1)
    correct = predictions.predicted == predictions.labels
    order = np.argsort(confidence)
    return sum(
        len(part) / len(order) * abs(correct[part].mean() - confidence[part].mean())
        for part in np.array_split(order, bins)
    )


def test_debiased_ece_is_nearer_to_the_truth_than_the_plug_in_estimate() -> None:
    debiased = np.mean([METRICS["ece"](calibrated(400, seed)) for seed in range(40)])
    plug_in = np.mean([naive_ece(calibrated(400, seed)) for seed in range(40)])
    assert plug_in > 0.035  # the truth is 0
    assert debiased < 0.7 * plug_in
    truth = naive_ece(calibrated(400_000, 1, temperature=2.0))
    assert np.mean([METRICS["ece"](calibrated(400, seed, 2.0)) for seed in range(40)]) == pytest.approx(
        truth, abs=0.01
    )


def test_ece_equals_the_debiased_estimate_of_kumar_by_simulation() -> None:
    predictions = calibrated(300, 4, temperature=1.5)
    confidence = predictions.probabilities.max(axis=1)
    correct = (predictions.predicted == predictions.labels).astype(float)
    parts = np.array_split(np.argsort(confidence, kind="stable"), 15)
    accuracy = np.array([correct[part].mean() for part in parts])
    meant = np.array([confidence[part].mean() for part in parts])
    plug_in = np.abs(accuracy - meant).mean()
    drawn = np.random.default_rng(0).normal(accuracy, np.sqrt(accuracy * (1 - accuracy) / 20), (200_000, 15))
    bias = np.abs(drawn - meant).mean() - plug_in
    assert METRICS["ece"](predictions) == pytest.approx(plug_in - bias, abs=2e-4)


def test_the_band_of_ece_holds_calibrated_models_and_not_others() -> None:
    inside = sum(
        each.low <= each.value <= each.high for each in (estimate("ece", calibrated(300, seed)) for seed in range(40))
    )
    assert inside >= 33  # probability 0.001 at 95 %
    found = estimate("ece", calibrated(1000, 1, temperature=3.0))
    assert found.value > found.high
    assert "15 bins of equal mass" in found.note
    assert "perfectly calibrated" in found.note


def test_ece_of_few_rows_has_few_bins() -> None:
    assert "3 bins" in estimate("ece", calibrated(35, 0)).note

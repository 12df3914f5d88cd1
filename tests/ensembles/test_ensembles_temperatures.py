"""Temperatures: against scipy on the same loss, at their limits, and what weights are with and without them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from hf_soup.ensembles.fitting import fit_combination
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.temperatures import COLDEST, HOTTEST


def logits(rows: int, classes: int, skill: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    values = generator.normal(size=(rows, classes))
    values[np.arange(rows), labels] += skill
    return values, labels


def best_by_scipy(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    def loss(beta: float) -> float:
        return -log_softmax(beta * log_probabilities, axis=1)[np.arange(len(labels)), labels].mean()

    return 1 / minimize_scalar(loss, bounds=(1 / HOTTEST, 1 / COLDEST), method="bounded", options={"xatol": 1e-10}).x


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_temperature_is_where_scipy_finds_the_lowest_loss(classes: int, scale: float) -> None:
    values, labels = logits(400, classes, 1.0, classes)
    data = MemberProbabilities.of({"one": [scale * values]}, labels, logits=True)
    found = fit_combination(data, temperature="member").temperatures["one/1"]
    assert found == pytest.approx(best_by_scipy(log_softmax(scale * values, axis=1), labels), rel=1e-4)


def test_family_temperature_is_of_the_family_as_a_whole() -> None:
    first, labels = logits(400, 3, 1.0, 1)
    second = first[::-1] * 0.2 + first
    data = MemberProbabilities.of({"one": [first * 3, second * 3]}, labels, logits=True)
    mean = (softmax(first * 3, axis=1) + softmax(second * 3, axis=1)) / 2
    assert fit_combination(data).temperatures["one"] == pytest.approx(best_by_scipy(np.log(mean), labels), rel=1e-4)
    pool = (log_softmax(first * 3, axis=1) + log_softmax(second * 3, axis=1)) / 2
    by_logits = fit_combination(data, tier1="logit_mean").temperatures["one"]
    assert by_logits == pytest.approx(best_by_scipy(pool, labels), rel=1e-4)


def test_flat_combination_has_one_temperature_for_all_members_of_a_family() -> None:
    values, labels = logits(300, 3, 1.0, 2)
    data = MemberProbabilities.of({"one": [values * 3, values]}, labels, logits=True)
    found = fit_combination(data, "equal", tiers="flat")
    pooled = np.concatenate([log_softmax(values * 3, axis=1), log_softmax(values, axis=1)])
    shared = best_by_scipy(pooled, np.concatenate([labels, labels]))
    assert found.temperatures == {"one": pytest.approx(shared, rel=1e-4)}
    expected = (softmax(values * 3 / shared, axis=1) + softmax(values / shared, axis=1)) / 2
    np.testing.assert_allclose(found.combine(data.values), expected, atol=1e-4)


def test_temperature_lowers_the_loss_and_does_not_change_the_decision() -> None:
    values, labels = logits(500, 4, 1.0, 3)
    data = MemberProbabilities.of({"one": [values * 5]}, labels, logits=True)
    before, after = (fit_combination(data, temperature=kind).combine(data.values) for kind in ("none", "family"))
    assert log_loss(labels, after) < log_loss(labels, before) - 0.5
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()


def test_members_that_are_always_right_or_know_nothing_stay_within_the_limits() -> None:
    labels = np.arange(200) % 2
    sure = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    generator = np.random.default_rng(4)
    noise = generator.dirichlet((0.2, 0.2), 200)
    data = MemberProbabilities.of(
        {
            "sure": [sure],
            "certain": [np.eye(2)[labels]],
            "wrong": [1 - sure],
            "noise": [noise],
            "half": [np.full(200, 0.5)],
        },
        labels,
    )
    found = fit_combination(data, temperature="family").temperatures
    assert found["sure"] == pytest.approx(COLDEST)
    assert found["wrong"] == pytest.approx(HOTTEST)
    assert 3 < found["noise"] <= HOTTEST
    assert found["half"] == found["certain"] == 1.0


def test_beside_an_overconfident_member_a_constant_counts_until_temperatures_are_fitted() -> None:
    """Certain and right in 81 % of the rows: by hand the constant's weight is 2 (1 − 0.81), which is 0 once it says 0.81."""
    labels = np.arange(1000) % 2
    says = np.where(np.arange(1000) % 100 < 19, 1 - labels, labels)
    overconfident = np.where(np.eye(2)[says] == 1, 1 - 1e-6, 1e-6)
    data = MemberProbabilities.of({"sure": [overconfident], "half": [np.full(1000, 0.5)]}, labels)
    without = fit_combination(data, temperature="none").weights
    calibrated = fit_combination(data, temperature="member")
    assert without is not None
    assert without["half"] == pytest.approx(0.38, abs=1e-3)
    assert calibrated.weights == {"sure": pytest.approx(1.0, abs=1e-2), "half": pytest.approx(0.0, abs=1e-2)}
    np.testing.assert_allclose(calibrated.combine(data.values).max(axis=1), 0.81, atol=1e-3)


def test_a_weak_family_gets_weight_near_zero_once_members_are_calibrated() -> None:
    generator = np.random.default_rng(6)
    labels = generator.integers(0, 3, 3000)
    strong, weak = (generator.normal(size=(3000, 3)) + skill * np.eye(3)[labels] for skill in (2.0, 0.1))
    data = MemberProbabilities.of({"strong": [strong * 6], "weak": [weak]}, labels, logits=True)
    without, fitted = (fit_combination(data, temperature=each).weights for each in ("none", "family"))
    assert without is not None
    assert fitted is not None
    assert fitted["weak"] < 0.01
    assert without["weak"] > 0.08

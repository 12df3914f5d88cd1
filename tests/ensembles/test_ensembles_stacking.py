"""Stacking: against scikit-learn's logistic regression on the same log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.fitting import fit_combination
from hf_soup.ensembles.logistic import fit_logistic
from hf_soup.ensembles.methods.stacking import PENALTIES
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.splits import folds


def members(
    rows: int, seed: int = 0, groups: np.ndarray | None = None, skills: tuple[float, ...] = (1.2, 1.0, 0.4)
) -> MemberProbabilities:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, rows)
    logits = [generator.normal(size=(rows, 3)) + skill * np.eye(3)[labels] for skill in skills]
    return MemberProbabilities.of({"big": logits[:2], "small": logits[2:]}, labels, groups=groups, logits=True)


def features(data: MemberProbabilities, tiers: str) -> np.ndarray:
    """With a column of ones, which scikit-learn then penalises like the others."""
    inputs = data.family_values() if tiers == "tiered" else data.values.astype(np.float64)
    return np.concatenate([np.ones((data.rows, 1)), *np.log(inputs)], axis=1)


def sklearn_probabilities(data: MemberProbabilities, tiers: str, c: float) -> np.ndarray:
    x = features(data, tiers)
    return LogisticRegression(C=c, fit_intercept=False, tol=1e-8, max_iter=5000).fit(x, data.labels).predict_proba(x)


@pytest.mark.parametrize("tiers", ["tiered", "flat"])
def test_probabilities_are_those_of_scikit_learn_with_the_same_penalty(tiers: str) -> None:
    data = members(400)
    found = fit_combination(data, "stacking", tiers=tiers)
    assert found.stacking is not None
    assert found.weights is None
    expected = sklearn_probabilities(data, tiers, found.stacking.c)
    np.testing.assert_allclose(found.combine(data.values), expected, atol=2e-4)


@pytest.mark.parametrize("skills", [(1.2, 1.0, 0.4), (0.3, 0.2, 0.1)])
def test_penalty_is_the_one_with_the_lowest_loss_on_folds_that_keep_groups_together(skills: tuple[float, ...]) -> None:
    data = members(60, seed=4, groups=np.repeat(np.arange(12), 5), skills=skills)
    found = fit_combination(data, "stacking")
    x, losses = features(data, "tiered"), []
    for c in PENALTIES:
        loss = 0.0
        for train, test in folds(data, 5):
            model = LogisticRegression(C=c, fit_intercept=False, tol=1e-8, max_iter=5000).fit(
                x[train], data.labels[train]
            )
            loss += log_loss(data.labels[test], model.predict_proba(x[test]), labels=[0, 1, 2], normalize=False)
        losses.append(loss)
    assert found.stacking is not None
    assert found.stacking.c == PENALTIES[int(np.argmin(losses))] == (1.0 if skills[0] > 1 else 0.1)


def test_a_class_that_no_row_has_gets_a_small_probability_and_not_none() -> None:
    generator = np.random.default_rng(1)
    x = np.concatenate([np.ones((50, 1)), generator.normal(size=(50, 2))], axis=1)
    found = fit_logistic(x, generator.integers(0, 2, 50), np.zeros((3, 3)), 1.0)
    assert np.isfinite(found).all()
    scores = x @ found
    assert (scores[:, 2] < scores[:, :2].max(axis=1)).all()


def test_zeros_and_ones_are_no_infinities() -> None:
    labels = np.array([0, 1] * 30)
    hard = np.eye(2)[np.where(np.arange(60) % 10 == 0, 1 - labels, labels)]
    data = MemberProbabilities.of({"hard": [hard], "soft": [np.full(60, 0.4)]}, labels)
    probabilities = fit_combination(data, "stacking").combine(data.values)
    assert np.isfinite(probabilities).all()
    assert log_loss(labels, probabilities) < 0.5


def test_one_group_alone_cannot_choose_a_penalty() -> None:
    found = fit_combination(members(40, groups=np.zeros(40)), "stacking").stacking
    assert found is not None
    assert found.c == 1.0


def test_coefficients_survive_a_file() -> None:
    data = members(100)
    found = fit_combination(data, "stacking")
    again = Combination.from_json(found.to_json())
    assert again == found
    np.testing.assert_array_equal(again.combine(data.values), found.combine(data.values))

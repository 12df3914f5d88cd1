"""Greedy selection with replacement: against the obvious loop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from hf_soup.ensembles.fitting import fit_combination, weight_intervals
from hf_soup.ensembles.probabilities import MemberProbabilities


def members(rows: int, skills: tuple[float, ...], seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, rows)
    logits = [generator.normal(size=(rows, 3)) + skill * np.eye(3)[labels] for skill in skills]
    return [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in logits], labels


def by_hand(values: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    bag: list[int] = []
    lengths = []
    for _ in range(100):
        tries = [
            log_loss(labels, np.mean([values[each] for each in [*bag, new]], axis=0)) for new in range(len(values))
        ]
        bag.append(int(np.argmin(tries)))
        lengths.append(min(tries))
    best = bag[: int(np.argmin(lengths)) + 1]
    return np.bincount(best, minlength=len(values)) / len(best)


@pytest.mark.parametrize("seed", [1, 2])
def test_weights_are_those_of_the_obvious_loop(seed: int) -> None:
    values, labels = members(80, (1.0, 0.9, 0.3), seed)
    data = MemberProbabilities.of({"all": values}, labels)
    found = fit_combination(data, "caruana", tiers="flat", temperature="none").weights
    assert found is not None
    stored = [each.astype(np.float64) / each.astype(np.float64).sum(axis=1, keepdims=True) for each in data.values]
    np.testing.assert_allclose(list(found.values()), by_hand(stored, labels))


def test_it_comes_within_its_resolution_of_the_learned_weights() -> None:
    values, labels = members(1000, (1.0, 0.9, 0.3), 3)
    data = MemberProbabilities.of({"all": values}, labels)
    greedy, learned = (
        fit_combination(data, each, tiers="flat", temperature="none") for each in ("caruana", "learned")
    )
    losses = [log_loss(labels, each.combine(data.values)) for each in (greedy, learned)]
    assert losses[1] - 1e-6 <= losses[0] <= losses[1] + 1e-3


def test_a_member_that_is_right_everywhere_is_taken_alone() -> None:
    values, labels = members(60, (1.0, 0.5), 4)
    data = MemberProbabilities.of({"weak": values, "right": [np.eye(3)[labels]]}, labels)
    assert fit_combination(data, "caruana", temperature="none").weights == {"weak": 0.0, "right": 1.0}


def test_intervals_of_its_weights_hold_them() -> None:
    values, labels = members(150, (1.0, 0.9), 5)
    data = MemberProbabilities.of({"a": values[:1], "b": values[1:]}, labels)
    found = fit_combination(data, "caruana")
    assert found.weights is not None
    for name, (low, high) in weight_intervals(data, found, resamples=60).items():
        assert 0 <= low <= found.weights[name] <= high <= 1
        assert low < high

"""A combination: the paper's formula, scikit-learn's voting, missing members, files, and what cannot be one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.ensemble import VotingClassifier

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.fitting import fit_combination
from hf_soup.ensembles.methods import METHODS
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.errors import InputError

QUICK = settings(derandomize=True, max_examples=40, deadline=None)
FAMILIES = {"x": ("a", "b"), "y": ("c",)}
TIERED = Combination("learned", "tiered", "mean", FAMILIES, ("0", "1", "2"), {"x": 0.6, "y": 0.4})
FLAT = replace(TIERED, tiers="flat", weights={"a": 0.5, "b": 0.2, "c": 0.3})
BY_CLASS = replace(TIERED, method="per_class", class_weights={"x": (0.6, 1.0, 0.2), "y": (0.4, 0.0, 0.8)})


def values(rows: int = 30, members: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet((1.0, 1.0, 1.0), (members, rows))


class Fixed:
    """A fitted classifier, as scikit-learn sees one, that says what it was given."""

    def __init__(self, says: np.ndarray) -> None:
        self._says = says

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return self._says


def test_second_tier_is_the_papers_weighted_mean_of_families() -> None:
    """α = softmax(w), y(x) = Σ_A α_A p_A(x), p_A the mean of three sigmoids."""
    logits = np.random.default_rng(3).normal(size=(3, 3, 40))
    alpha = softmax(np.array([0.3, -1.0, 0.8]))
    names = ("xception", "res2net", "efficientnet")
    data = MemberProbabilities.of({name: list(each) for name, each in zip(names, logits, strict=True)}, logits=True)
    found = Combination(
        "learned", "tiered", "mean", data.family_members, data.classes, dict(zip(names, alpha, strict=True))
    )
    expected = np.einsum("a,an->n", alpha, (1 / (1 + np.exp(-logits))).mean(axis=1))
    np.testing.assert_allclose(found.combine(data.values)[:, 1], expected, atol=1e-7)


@pytest.mark.parametrize("weights", [None, [0.5, 0.2, 0.3]])
def test_flat_weights_are_scikit_learns_soft_voting(weights: list[float] | None) -> None:
    said = values()
    voting = VotingClassifier(
        [(name, Fixed(each)) for name, each in zip("abc", said, strict=True)], voting="soft", weights=weights
    )
    voting.estimators_ = [Fixed(each) for each in said]
    equal = replace(FLAT, weights=dict.fromkeys("abc", 1 / 3))
    found = (FLAT if weights else equal).combine(said)
    np.testing.assert_allclose(found, voting.predict_proba(np.zeros((30, 1))), atol=1e-12)


def test_class_weights_are_renormalised() -> None:
    said = values()
    families = np.stack([(said[0] + said[1]) / 2, said[2]])
    mixed = families[0] * [0.6, 1.0, 0.2] + families[1] * [0.4, 0.0, 0.8]
    np.testing.assert_allclose(BY_CLASS.combine(said), mixed / mixed.sum(axis=1, keepdims=True), atol=1e-9)


@QUICK
@given(
    st.sampled_from(sorted(METHODS)),
    st.sampled_from(["tiered", "flat"]),
    st.sampled_from(["mean", "logit_mean"]),
    st.integers(0, 99),
)
def test_rows_sum_to_one_and_every_method_survives_a_file(method: str, tiers: str, tier1: str, seed: int) -> None:
    said = values(40, 3, seed)
    data = MemberProbabilities.of({"x": said[:2], "y": said[2:]}, np.arange(40) % 3)
    found = fit_combination(data, method, tiers=tiers, tier1=tier1)
    result = found.combine(data.values)
    assert result.dtype == np.float64
    assert result.min() >= 0
    np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-12)
    again = Combination.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found


def test_member_weights_are_what_each_members_probability_counts() -> None:
    said = values()
    for each in (TIERED, FLAT):
        weights = each.member_weights()
        assert each.linear
        assert sum(weights.values()) == pytest.approx(1)
        expected = sum(weights[name] * said[place] for place, name in enumerate(each.members))
        np.testing.assert_allclose(each.combine(said), expected, atol=1e-9)
    assert TIERED.member_weights() == {"a": 0.3, "b": 0.3, "c": 0.4}
    assert replace(TIERED, temperatures={"a": 2.0, "b": 1.0, "c": 1.0}).linear
    assert replace(FLAT, temperatures={"x": 2.0, "y": 1.0}).linear
    assert replace(TIERED, temperatures={"x": 1.0, "y": 2.0}).linear
    assert not replace(TIERED, temperatures={"x": 2.0, "y": 1.0}).linear
    assert not replace(TIERED, tier1="logit_mean").linear
    assert not BY_CLASS.linear


def test_without_a_member_the_other_weights_sum_to_one() -> None:
    assert TIERED.reweighed({"a", "c"}).weights == {"x": 0.6, "y": 0.4}
    assert TIERED.reweighed({"a", "c"}).families == {"x": ("a",), "y": ("c",)}
    assert TIERED.reweighed({"c"}).weights == {"y": 1.0}
    assert FLAT.reweighed({"b", "c"}).weights == {"b": pytest.approx(0.4), "c": pytest.approx(0.6)}
    assert TIERED.reweighed({"a", "b", "c"}) is TIERED
    tempered = replace(FLAT, temperatures={"x": 2.0, "y": 3.0}).reweighed({"c"})
    assert tempered.temperatures == {"y": 3.0}
    by_class = BY_CLASS.reweighed({"c"})
    assert by_class.class_weights == {"y": (1.0, 1.0, 1.0)}


def test_without_any_weight_left_there_is_nothing_to_say() -> None:
    lopsided = replace(TIERED, weights={"x": 1.0, "y": 0.0})
    for present in (set(), {"c"}):
        with pytest.raises(InputError, match="no member with a weight above 0"):
            lopsided.reweighed(present)


@pytest.mark.parametrize("combination", [TIERED, FLAT, BY_CLASS], ids=["tiered", "flat", "per class"])
def test_a_row_without_a_member_is_that_of_the_combination_without_it(combination: Combination) -> None:
    said = values()
    silent = said.copy()
    silent[0, :10] = np.nan
    silent[2, 5:15] = np.nan
    result = combination.combine(silent)
    for rows, present in ((slice(0, 5), "bc"), (slice(5, 10), "b"), (slice(10, 15), "ab"), (slice(15, 30), "abc")):
        those = combination.reweighed(set(present))
        expected = those.combine(said[["abc".index(name) for name in those.members], rows])
        np.testing.assert_allclose(result[rows], expected, atol=1e-9)


def test_a_row_about_which_nobody_says_anything_stays_unknown() -> None:
    said = values()
    said[:, 3] = np.nan
    assert np.isnan(TIERED.combine(said)).any(axis=1).nonzero()[0].tolist() == [3]


def test_values_of_other_members_or_classes_are_refused() -> None:
    for wrong in (values()[:2], values()[:, :, :2], values()[0]):
        with pytest.raises(InputError, match="is of 3 members and 3 classes"):
            TIERED.combine(wrong)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"weights": {"x": 0.6, "y": 0.6}}, "sum to"),
        ({"weights": {"x": 1.5, "y": -0.5}}, "finite number"),
        ({"weights": {"x": float("nan"), "y": 1.0}}, "finite number"),
        ({"weights": {"x": 1.0}}, "its inputs are x, y"),
        ({"weights": None}, "either weights or the coefficients"),
        ({"class_weights": {"x": [1.0], "y": [0.0]}}, "3 finite number"),
        ({"temperatures": {"x": 0.0, "y": 1.0}}, "must be above 0"),
        ({"temperatures": {"x": 1.0}}, "all members or of all families"),
        ({"tiers": "three"}, "not known"),
        ({"families": {"x": ["a"], "y": []}}, "without members"),
        ({"families": {"x": ["a"], "y": ["a"]}}, "stands there twice"),
        ({"tier1": "soup"}, "each family has one member"),
        ({"stacking": {"intercepts": [0.0], "coefficients": [], "c": 1}}, "either weights or"),
        ({"later": 1}, "no field later"),
        ({"families": None}, "not one that was saved here"),
    ],
)
def test_what_contradicts_itself_is_no_combination(changes: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Combination.from_json({**TIERED.to_json(), **changes})

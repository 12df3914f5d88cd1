"""Learned weights: against scipy on the simplex, on hard problems, by their certificate, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from scipy.special import softmax

from hf_soup.ensembles.fitting import fit_combination, weight_intervals
from hf_soup.ensembles.mixture import mixture_weights, quadratic_on_simplex
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.tiers import FLOOR
from hf_soup.errors import InputError

QUICK = settings(derandomize=True, max_examples=40, deadline=None)


def objective(true: np.ndarray, weights: np.ndarray, ridge: float) -> float:
    return -np.log(true @ weights).mean() + ridge * ((weights - 1 / len(weights)) ** 2).sum()


def lowest_by_scipy(true: np.ndarray, ridge: float, method: str) -> float:
    size = true.shape[1]

    def slope(weights: np.ndarray) -> np.ndarray:
        return -(true / (true @ weights)[:, None]).mean(axis=0) + 2 * ridge * (weights - 1 / size)

    found = minimize(
        lambda weights: objective(true, np.maximum(weights, 1e-15), ridge),
        np.full(size, 1 / size),
        jac=lambda weights: slope(np.maximum(weights, 1e-15)),
        method=method,
        bounds=[(0, 1)] * size,
        constraints=LinearConstraint(np.ones(size), 1, 1),
        options={"maxiter": 2000} | ({"ftol": 1e-14} if method == "SLSQP" else {"gtol": 1e-10, "xtol": 1e-12}),
    )
    weights = np.maximum(found.x, 0)
    return objective(true, weights / weights.sum(), ridge)


def random_problem(rows: int, size: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.beta(generator.uniform(0.5, 4, size), 1.0, size=(rows, size))


@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize(("rows", "size", "seed"), [(300, 2, 0), (500, 5, 1), (200, 9, 2), (60, 20, 3)])
def test_loss_is_the_lowest_that_scipy_finds(rows: int, size: int, seed: int, ridge: float) -> None:
    true = random_problem(rows, size, seed)
    found = mixture_weights(true, ridge=ridge)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert objective(true, found, ridge) <= lowest_by_scipy(true, ridge, "SLSQP") + 1e-6


def test_loss_is_the_lowest_that_another_method_of_scipy_finds() -> None:
    true = random_problem(200, 4, 7)
    assert objective(true, mixture_weights(true), 0.0) == pytest.approx(
        lowest_by_scipy(true, 0.0, "trust-constr"), abs=2e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_it_stops_by_the_certificate_of_the_issue(seed: int) -> None:
    true = random_problem(400, 6, seed)
    mixture = true @ mixture_weights(true)
    assert (true / mixture[:, None]).mean(axis=0).max() - 1 <= 1e-6


@pytest.mark.parametrize(
    ("true", "expected"),
    [
        (np.full((50, 1), 0.3), [1.0]),
        (np.repeat(random_problem(50, 1, 0), 3, axis=1), [1 / 3] * 3),
        (np.stack([np.ones(50), random_problem(50, 1, 1)[:, 0]], axis=1), [1.0, 0.0]),
        (np.stack([np.full(50, FLOOR), np.full(50, 0.5)], axis=1), [0.0, 1.0]),
        (np.full((50, 2), FLOOR), [0.5, 0.5]),
        (
            np.stack([np.where(np.arange(50) < 20, 1.0, FLOOR), np.where(np.arange(50) < 20, FLOOR, 1.0)], axis=1),
            [0.4, 0.6],
        ),
    ],
    ids=["one", "identical", "always right", "never right", "nobody ever right", "right in turn"],
)
def test_problems_with_a_known_solution(true: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(mixture_weights(true), expected, atol=1e-4)


def test_a_row_in_which_all_say_zero_does_not_move_the_weights() -> None:
    true = random_problem(100, 3, 4)
    with_row = np.concatenate([true, np.full((1, 3), FLOOR)])
    np.testing.assert_allclose(mixture_weights(with_row), mixture_weights(true), atol=2e-3)
    assert np.isfinite(objective(with_row, mixture_weights(with_row), 0.0))


def test_counts_are_repeated_rows() -> None:
    true = random_problem(80, 4, 5)
    counts = np.random.default_rng(5).integers(0, 4, 80)
    np.testing.assert_allclose(
        mixture_weights(true, counts=counts.astype(np.float32)),
        mixture_weights(np.repeat(true, counts, axis=0)),
        atol=1e-5,
    )


def test_any_start_ends_at_the_same_loss() -> None:
    true = random_problem(200, 4, 6)
    losses = [objective(true, mixture_weights(true, start=start), 0.0) for start in (*np.eye(4), np.full(4, 0.25))]
    assert max(losses) - min(losses) <= 1e-6


def test_ridge_goes_from_the_best_weights_to_equal_ones() -> None:
    true = random_problem(300, 3, 8)
    away = [np.abs(mixture_weights(true, ridge=ridge) - 1 / 3).max() for ridge in (0.0, 0.01, 0.1, 1.0, 1e4)]
    assert away == sorted(away, reverse=True)
    assert away[0] > 0.05
    assert away[-1] < 1e-4


@QUICK
@given(st.integers(1, 7), st.integers(0, 10_000))
def test_quadratic_programs_on_the_simplex_meet_their_conditions(size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size, size))
    matrix, linear = root @ root.T + 0.1 * np.eye(size), 3 * generator.normal(size=size)
    start = generator.dirichlet(np.full(size, 0.3))
    start[generator.random(size) < 0.3] = 0.0
    start = start / start.sum() if start.sum() > 0 else np.eye(size)[0]
    x = quadratic_on_simplex(matrix, linear, start)
    slopes = matrix @ x + linear
    assert x.min() >= 0
    assert x.sum() == pytest.approx(1)
    assert slopes[x > 1e-9].max() <= slopes.min() + 1e-7


def members(seed: int, rows: int = 60) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], generator.integers(0, 3, rows - 3)])
    logits = [generator.normal(size=(rows, 3)) + skill * np.eye(3)[labels] for skill in (1.5, 1.0, 0.5, 1.2)]
    a, b, c, d = (softmax(each, axis=1) for each in logits)
    return {"x": [a, b], "y": [c], "z": [d]}, labels


@QUICK
@given(
    st.integers(0, 10_000),
    st.sampled_from(["learned", "caruana", "best_single", "equal"]),
    st.sampled_from(["tiered", "flat"]),
)
def test_order_of_rows_classes_and_members_changes_nothing(seed: int, method: str, tiers: str) -> None:
    given_, labels = members(seed)
    generator = np.random.default_rng(seed + 1)
    rows, classes = generator.permutation(len(labels)), generator.permutation(3)
    moved = {name: [each[rows][:, classes] for each in given_[name]][::-1] for name in ("z", "x", "y")}
    before = MemberProbabilities.of(given_, labels, classes="012", members=["a", "b", "c", "d"])
    after = MemberProbabilities.of(
        moved, np.argsort(classes)[labels][rows], classes=[str(each) for each in classes], members=["d", "b", "a", "c"]
    )
    first, second = (fit_combination(each, method, tiers=tiers) for each in (before, after))
    assert first.weights == {name: pytest.approx(second.weights[name], abs=2e-3) for name in first.weights}
    np.testing.assert_allclose(first.combine(before.values)[rows][:, classes], second.combine(after.values), atol=2e-3)


@QUICK
@given(st.integers(0, 10_000))
def test_a_member_given_twice_shares_its_weight(seed: int) -> None:
    given_, labels = members(seed)
    a, b, d = *given_["x"], *given_["z"]
    once = MemberProbabilities.of({"a": [a], "b": [b], "d": [d]}, labels)
    twice = MemberProbabilities.of({"a": [a], "again": [a], "b": [b], "d": [d]}, labels)
    first, second = fit_combination(once).weights, fit_combination(twice).weights
    assert first is not None
    assert second is not None
    assert second["a"] == pytest.approx(second["again"], abs=1e-4)
    assert second["a"] + second["again"] == pytest.approx(first["a"], abs=5e-3)


def test_class_weights_are_no_worse_than_the_weights_they_begin_at_and_use_what_members_know() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 3, 900)
    eye = np.eye(3)[labels]
    knows_0 = generator.normal(size=(900, 3)) + 3 * eye * [1, 0, 0]
    knows_1 = generator.normal(size=(900, 3)) + 3 * eye * [0, 1, 0]
    data = MemberProbabilities.of({"0": [knows_0], "1": [knows_1]}, labels, logits=True)
    learned, by_class = (fit_combination(data, each, temperature="none") for each in ("learned", "per_class"))
    losses = [-np.log(each.combine(data.values)[np.arange(900), labels]).mean() for each in (learned, by_class)]
    assert losses[1] < losses[0] - 0.01
    assert by_class.class_weights is not None
    np.testing.assert_allclose(np.sum(list(by_class.class_weights.values()), axis=0), 1)
    assert by_class.class_weights["0"][0] != pytest.approx(by_class.class_weights["0"][1], abs=0.1)


def test_best_single_is_the_member_with_the_lowest_loss() -> None:
    given_, labels = members(4, rows=400)
    data = MemberProbabilities.of(given_, labels)
    found = fit_combination(data, "best_single", temperature="none")
    losses = {
        name: -np.log(each[np.arange(400), labels]).mean()
        for name, each in zip(data.members, data.values, strict=True)
    }
    assert found.tiers == "flat"
    assert found.weights == {name: float(name == min(losses, key=losses.__getitem__)) for name in data.members}


def test_intervals_hold_the_weights_and_are_wider_where_rows_come_in_groups() -> None:
    given_, labels = members(5, rows=300)
    copies = {name: [np.repeat(each, 8, axis=0) for each in several] for name, several in given_.items()}
    apart = MemberProbabilities.of(copies, np.repeat(labels, 8))
    together = MemberProbabilities.of(copies, np.repeat(labels, 8), groups=np.repeat(np.arange(300), 8))
    found = fit_combination(apart)
    assert found.weights is not None
    narrow, wide = (weight_intervals(each, found, resamples=150) for each in (apart, together))
    for name, weight in found.weights.items():
        low, high = wide[name]
        assert low <= weight <= high
    # Eight copies of a row are one row: √8 times as wide, less where a weight of 0 or 1 stops it.
    assert wide["x"][1] - wide["x"][0] > 1.8 * (narrow["x"][1] - narrow["x"][0])
    assert weight_intervals(apart, found, resamples=150) == narrow


def test_intervals_are_those_of_fits_from_scratch_on_the_same_resamples() -> None:
    given_, labels = members(6, rows=200)
    data = MemberProbabilities.of(given_, labels)
    found = fit_combination(data, temperature="none")
    from hf_soup.evaluation.resampling import resample_counts

    true = data.family_values()[:, np.arange(200), labels].T
    weights = [mixture_weights(true, counts=each) for counts in resample_counts(200, 100, 3) for each in counts]
    expected = np.quantile(weights, (0.025, 0.975), axis=0).T
    np.testing.assert_allclose(list(weight_intervals(data, found, 100, 3).values()), expected, atol=0.01)


def test_methods_without_such_weights_have_no_intervals() -> None:
    given_, labels = members(7)
    data = MemberProbabilities.of(given_, labels)
    assert weight_intervals(data, fit_combination(data, "stacking")) == {}
    assert weight_intervals(data, fit_combination(data, "per_class")) == {}


def test_all_that_is_wrong_with_a_fit_is_said_at_once() -> None:
    data = MemberProbabilities.of({"one": [[[0.5, 0.5]] * 3]}, [1, 1, 1])
    with pytest.raises(InputError) as caught:
        fit_combination(data, tiers="flatt", temperature="yes", ridge=-1)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 4
    assert "one class (1)" in caught.value.problems[-1]
    with pytest.raises(InputError, match="known: best_single, caruana, equal, learned, per_class, stacking"):
        fit_combination(data, "softmax")
    with pytest.raises(InputError, match="have no labels"):
        fit_combination(MemberProbabilities.of({"one": [[[0.5, 0.5]] * 3]}))


def test_rows_that_a_member_does_not_know_are_left_out_of_the_fit() -> None:
    given_, labels = members(8, rows=100)
    whole = MemberProbabilities.of(
        {name: [each[:70] for each in several] for name, several in given_.items()}, labels[:70]
    )
    silent = {name: [each.copy() for each in several] for name, several in given_.items()}
    silent["y"][0][70:] = np.nan
    part = MemberProbabilities.of(silent, labels, missing=True)
    assert fit_combination(part) == fit_combination(whole)
    silent["z"][0][:70] = np.nan
    with pytest.raises(InputError, match="by y/1, z/1"):
        fit_combination(MemberProbabilities.of(silent, labels, missing=True))

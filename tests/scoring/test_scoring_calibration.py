"""Calibration: each fit against an independent optimiser, a gate that costs next to nothing, and scores that saw no outcome."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from hf_soup.errors import InputError
from hf_soup.scoring.calibration import calibrate
from hf_soup.scoring.calibrators import calibrator_named
from hf_soup.scoring.logistic import fit_logistic

METHODS = ("shift", "shift_and_slope", "platt", "beta", "isotonic")
NAN = float("nan")


def forecasts_of(n: int, *, bias: float = 0.0, slope: float = 1.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """(forecasts, outcomes, true chances): log odds that are `bias` too high, and `slope` times too far from even."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1.3, n)
    outcomes = (rng.uniform(size=n) < expit(truth)).astype(float)
    return expit(slope * truth + bias), outcomes, expit(truth)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum())


def test_logistic_regression_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 4))
    y = (rng.uniform(size=150) < expit(x[:, 0] - 2 * x[:, 1])).astype(float)

    found = fit_logistic(x, y, means=np.zeros(4), variances=np.full(4, 0.7))

    theirs = LogisticRegression(C=0.7, fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y).coef_[0]
    np.testing.assert_allclose(found, theirs, atol=1e-5)


def test_logistic_regression_stays_finite_where_a_prior_holds_it_and_features_depend_on_each_other():
    x = np.array([[1.0, 1.0], [-1.0, -1.0]])

    found = fit_logistic(x, np.array([1.0, 0.0]), means=np.zeros(2), variances=np.full(2, 4.0))

    assert found[0] == pytest.approx(found[1])
    together = minimize_scalar(
        lambda b: 2 * np.log1p(np.exp(-2 * b)) + 2 * b**2 / 8, bounds=(0, 9), method="bounded"
    ).x
    assert found[0] == pytest.approx(together, abs=1e-4)


def test_the_shift_minimises_log_loss_plus_two_c_squared():
    p, y, _ = forecasts_of(60, bias=0.8)

    fitted = calibrator_named("shift")(p, y, 0.01)

    logits = logit(np.clip(p, 0.01, 0.99))
    best = minimize_scalar(lambda c: log_loss(expit(logits + c), y) + 2 * c**2, bounds=(-3, 3), method="bounded").x
    assert fitted.parameters["shift"] == pytest.approx(best, abs=1e-4)
    np.testing.assert_allclose(fitted.correct(np.array([0.5, 0.0])), expit([best, logit(0.01) + best]), atol=1e-4)


def test_shift_and_slope_minimise_the_loss_with_both_priors():
    p, y, _ = forecasts_of(80, bias=0.5, slope=2.0)

    fitted = calibrator_named("shift_and_slope")(p, y, 0.01)

    logits = logit(np.clip(p, 0.01, 0.99))
    best = minimize(lambda b: log_loss(expit(b[0] + b[1] * logits), y) + 2 * b[0] ** 2 + 2 * (b[1] - 1) ** 2, [0, 1]).x
    assert [fitted.parameters["shift"], fitted.parameters["slope"]] == pytest.approx(best.tolist(), abs=1e-3)


def test_platt_is_fitted_to_his_targets_and_is_finite_on_outcomes_that_can_be_told_apart():
    p, y, _ = forecasts_of(80, bias=0.5, slope=1.5)
    targets = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))
    logits = logit(np.clip(p, 0.01, 0.99))

    fitted = calibrator_named("platt")(p, y, 0.01)
    apart = calibrator_named("platt")(p, (p > 0.5).astype(float), 0.01)

    best = minimize(lambda b: log_loss(expit(b[0] + b[1] * logits), targets), [0, 1]).x
    assert list(fitted.parameters.values()) == pytest.approx(best.tolist(), abs=1e-3)
    assert np.isfinite(list(apart.parameters.values())).all()


@pytest.mark.parametrize("turned", [False, True])
def test_beta_minimises_its_loss_over_rising_maps(turned):
    p, y, _ = forecasts_of(120, bias=-0.4, slope=1.4, seed=5)
    if turned:  # low forecasts come true: no rising map fits
        y = 1 - y

    fitted = calibrator_named("beta")(p, y, 0.01)

    clipped = np.clip(p, 0.01, 0.99)

    def loss(b):
        chances = np.clip(expit(b[0] * np.log(clipped) - b[1] * np.log(1 - clipped) + b[2]), 1e-12, 1 - 1e-12)
        return log_loss(chances, y) + ((b - [1, 1, 0]) ** 2).sum() / 50

    bounds = [(0, None), (0, None), (None, None)]
    best = minimize(loss, [1, 1, 0], method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-8}).x
    np.testing.assert_allclose(list(fitted.parameters.values()), best, atol=2e-3)
    rising = fitted.correct(np.linspace(0, 1, 50))
    assert (np.diff(rising) >= -1e-12).all()


def test_isotonic_rises_and_averages_what_does_not():
    fitted = calibrator_named("isotonic")(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]), 0.01)

    np.testing.assert_allclose(fitted.correct(np.array([0.0, 0.2, 0.3, 0.6, 1.0])), [0.0, 0.5, 0.5, 0.75, 1.0])


def test_every_calibrator_says_what_it_does_and_an_unknown_one_is_refused():
    for method in METHODS:
        assert "Source:" in calibrator_named(method).__doc__
    with pytest.raises(InputError, match="no calibrator 'temperature'; known: shift, shift_and_slope, platt"):
        calibrate(*forecasts_of(40)[:2], np.arange(40), method="temperature")


def test_a_gated_shift_costs_next_to_nothing_on_perfectly_calibrated_crowds_and_is_rarely_applied():
    costs, applied = [], 0
    for run in range(60):
        p, y, truth = forecasts_of(60, seed=run)
        found = calibrate(p, y, np.arange(60), n_folds=5)
        # Expected Brier scores, over the outcomes that might have been: less noise than with those that were.
        costs.append(((found.values - truth) ** 2 - (p - truth) ** 2).mean())
        applied += found.applied

    assert np.mean(costs) <= 0.004
    assert applied <= 15


def test_a_gated_shift_gains_on_a_biased_crowd_and_says_that_it_was_applied():
    gains = []
    for run in range(10):
        p, y, truth = forecasts_of(400, bias=0.8, seed=100 + run)
        found = calibrate(p, y, np.arange(400), n_folds=5)
        gains.append(((p - truth) ** 2 - (found.values - truth) ** 2).mean())
        assert found.applied
        assert found.why.startswith("applied: the cross-validated Brier score of 400 resolved questions falls by 0.0")
        assert found.gain > found.standard_error > 0
        assert found.parameters["shift"] < -0.4

    assert np.mean(gains) > 0.015


def test_the_reported_score_is_that_of_the_nested_values():
    p, y, _ = forecasts_of(150, bias=0.7, seed=3)
    p[:5] = NAN

    found = calibrate(p, y, np.arange(150))

    assert found.brier_before == pytest.approx(np.nanmean((p - y) ** 2))
    assert found.brier_after == pytest.approx(np.nanmean((found.values - y) ** 2))
    assert np.isnan(found.values[:5]).all()
    assert (found.n, found.folds, found.folds_applied) == (145, 10, 10)
    assert found.n_yes == y[5:].sum()


@pytest.mark.parametrize("method", ["shift_and_slope", "beta", "isotonic"])
def test_outcomes_of_a_group_do_not_reach_its_own_values(method):
    p, y, _ = forecasts_of(120, bias=0.9, seed=8)
    groups = np.arange(120) // 2
    group = next(g for g in range(60) if y[2 * g] != y[2 * g + 1])
    swapped = y.copy()
    swapped[[2 * group, 2 * group + 1]] = swapped[[2 * group + 1, 2 * group]]

    before = calibrate(p, y, groups, method=method, n_folds=4).values
    after = calibrate(p, swapped, groups, method=method, n_folds=4).values

    own = groups == group
    np.testing.assert_array_equal(before[own], after[own])
    assert (before != after)[~own].any()


def test_a_question_at_many_dates_counts_once_in_the_gate():
    p, y, _ = forecasts_of(40, bias=0.3, seed=2)
    alone = calibrate(p, y, np.arange(40))
    repeated = calibrate(np.repeat(p, 5), np.repeat(y, 5), np.repeat(np.arange(40), 5))

    as_if_new = calibrate(np.repeat(p, 5), np.repeat(y, 5), np.arange(200))

    assert repeated.standard_error == pytest.approx(alone.standard_error, rel=0.75)
    assert as_if_new.standard_error < 0.7 * repeated.standard_error


@pytest.mark.parametrize(
    ("n", "n_yes", "said"),
    [
        (
            29,
            14,
            "not applied: it needs 30 resolved questions with 10 of each outcome; there are 29, 14 yes and 15 no",
        ),
        (100, 9, "there are 100, 9 yes and 91 no"),
        (0, 0, "there are 0, 0 yes and 0 no"),
    ],
)
def test_too_few_outcomes_leave_forecasts_as_they_are(n, n_yes, said):
    p = np.full(100, 0.9)
    outcomes = np.full(100, NAN)
    outcomes[:n] = np.arange(n) < n_yes

    found = calibrate(p, outcomes, np.arange(100))

    assert not found.applied
    assert said in found.why
    np.testing.assert_array_equal(found.values, p)
    assert np.isnan(found.gain)
    assert found.parameters == {}


def test_outcomes_of_a_single_group_are_not_fitted_on():
    p, y, _ = forecasts_of(60)

    found = calibrate(p, y, np.zeros(60, dtype=int))

    assert found.why == "not applied: it needs resolved questions of two groups or more"


def test_constant_forecasts_and_forecasts_of_0_and_1_are_no_special_cases():
    _, y, _ = forecasts_of(60)
    for method in METHODS:
        for p in (np.full(60, 0.5), np.where(np.arange(60) % 2, 0.0, 1.0), y):
            found = calibrate(p, y, np.arange(60), method=method, n_folds=3)
            assert ((found.values >= 0) & (found.values <= 1)).all(), method


def test_open_questions_are_calibrated_by_the_fit_on_all_resolved_ones_or_left_alone():
    p, y, _ = forecasts_of(130, bias=0.9, seed=4)
    y[100:] = NAN

    biased = calibrate(p, y, np.arange(130))
    good = calibrate(forecasts_of(130, seed=4)[0], y, np.arange(130))

    np.testing.assert_allclose(
        biased.values[100:], expit(logit(np.clip(p[100:], 0.01, 0.99)) + biased.parameters["shift"])
    )
    assert not good.applied
    np.testing.assert_array_equal(good.values[100:], forecasts_of(130, seed=4)[0][100:])


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"clip": 0.0}, "clip=0.0"), ({"clip": 0.5}, "clip=0.5"), ({"n_folds": 1}, "n_folds=1")],
)
def test_wrong_settings_are_refused(changed, said):
    p, y, _ = forecasts_of(60)
    with pytest.raises(InputError, match=said):
        calibrate(p, y, np.arange(60), **changed)
    with pytest.raises(InputError, match="60 forecasts, 60 outcomes and 59 groups"):
        calibrate(p, y, np.arange(59))

"""Aggregators: each against an obvious loop, what all of them keep, and that fitted ones know no outcome they predict."""

from __future__ import annotations

import math
import statistics
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from real_data import real_data
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from hf_soup.errors import InputError
from hf_soup.scoring.aggregators import Kind, aggregate_all, aggregator_named, all_aggregators
from hf_soup.scoring.cross_validation import Split, Splits, earlier_split, group_folds, out_of_fold
from hf_soup.scoring.read_forecasts import read_forecasts
from hf_soup.scoring.table import ForecastTable

NAN = float("nan")
CLOSED = [name for name, each in all_aggregators().items() if each.kind is Kind.CLOSED_FORM]
FITTED = [name for name, each in all_aggregators().items() if each.kind is Kind.FITTED]
MORE_EXTREME = {"extremised", "neyman_roughgarden"}

QUICK = settings(derandomize=True, max_examples=40, deadline=None)
# Within the clip of log odds, so that every aggregator can give back what it was given.
FORECASTS = st.integers(10, 990).map(lambda n: n / 1000)
VALUES = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3)),
    elements=st.one_of(st.just(NAN), FORECASTS),
)


def aggregated(name: str, values: np.ndarray) -> np.ndarray:
    """Later members are later in time, two at a time."""
    when = np.broadcast_to(np.arange(values.shape[1])[None, :, None] // 2, values.shape).astype(float)
    return aggregator_named(name)(ForecastTable.of(values, times=when)).values


# An obvious form of each, for the forecasts of one question: a list of samples for each member that has any.


def _means(samples: list[list[float]]) -> list[float]:
    return [sum(each) / len(each) for each in samples]


def _clipped_logits(samples: list[list[float]]) -> list[float]:
    return [logit(min(max(p, 0.01), 0.99)) for p in _means(samples)]


def _halawi(samples: list[list[float]]) -> float:
    means = _means(samples)
    n = len(means)
    if n == 1:
        return means[0]
    middle = statistics.median(means)
    far = max(abs(p - middle) for p in means)
    results = []
    for out in [at for at, p in enumerate(means) if math.isclose(abs(p - middle), far, abs_tol=1e-12)]:
        weights = [1 / n + 0.5 / n / (n - 1)] * n
        weights[out] = 0.5 / n
        results.append(sum(w * p for w, p in zip(weights, means, strict=True)))
    return sum(results) / len(results)


def _neyman(samples: list[list[float]]) -> float:
    n = len(samples)
    factor = n * (math.sqrt(3 * n**2 - 3 * n + 1) - 2) / (n**2 - n - 1)
    return expit(factor * statistics.mean(_clipped_logits(samples)))


def _pairs(samples: list[list[float]]) -> float:
    logits = _clipped_logits(samples)
    return expit(statistics.median((a + b) / 2 for n, a in enumerate(logits) for b in logits[n:]))


OBVIOUS: dict[str, Callable[[list[list[float]]], float]] = {
    "median": lambda samples: statistics.median(p for each in samples for p in each),
    "median_of_medians": lambda samples: statistics.median(map(statistics.median, samples)),
    "mean": lambda samples: statistics.mean(_means(samples)),
    "trimmed": lambda samples: stats.trim_mean(_means(samples), 0.2),
    "winsorised": lambda samples: stats.mstats.winsorize(np.array(_means(samples)), limits=0.2).mean(),
    "distance_trimmed": _halawi,
    "geometric_odds": lambda samples: expit(statistics.mean(_clipped_logits(samples))),
    "geometric_probabilities": lambda samples: stats.gmean([min(max(p, 0.01), 0.99) for p in _means(samples)]),
    "extremised": lambda samples: expit(math.sqrt(3) * statistics.mean(_clipped_logits(samples))),
    "neyman_roughgarden": _neyman,
    "hodges_lehmann": _pairs,
}


@pytest.mark.parametrize("name", sorted(OBVIOUS))
def test_equals_the_obvious_loop_with_gaps_and_unequal_numbers_of_samples(name):
    rng = np.random.default_rng(1)
    values = rng.uniform(size=(60, 11, 3)).round(3)
    values[rng.uniform(size=values.shape) < 0.5] = NAN
    values[:3, :, :] = NAN
    values[3:6, 1:, :] = NAN
    values[6:9, 2:, :] = NAN
    values[9, 0, 0], values[10, 0, 0] = 0.0, 1.0

    found = aggregated(name, values)

    for question, of_question in enumerate(values):
        samples = [[float(p) for p in each if p == p] for each in of_question]
        samples = [each for each in samples if each]
        if samples:
            assert found[question] == pytest.approx(OBVIOUS[name](samples), abs=1e-12), question
        else:
            assert np.isnan(found[question])


def test_every_closed_form_has_an_oracle_and_every_aggregator_names_its_source():
    assert {*OBVIOUS, "recency_median"} == set(CLOSED)
    assert set(FITTED) == {"beta_pool", "inverse_brier", "stacking"}
    for each in all_aggregators().values():
        assert each.source, each.name
        assert each.summary.endswith("."), each.name


@QUICK
@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_members_means_nothing(values, random):
    order = list(range(values.shape[1]))
    random.shuffle(order)
    when = np.broadcast_to(np.arange(values.shape[1])[None, :, None] // 2, values.shape).astype(float)
    for name in CLOSED:
        each = aggregator_named(name)
        straight = each(ForecastTable.of(values, times=when)).values
        shuffled = each(ForecastTable.of(values[:, order], times=when[:, order])).values
        np.testing.assert_allclose(shuffled, straight, atol=1e-12, err_msg=name)


@QUICK
@given(VALUES)
def test_lies_within_what_was_forecast(values):
    pooled = values.reshape(len(values), -1)
    low, high = (np.where(np.isnan(pooled), edge, pooled) for edge in (np.inf, -np.inf))
    for name in set(CLOSED) - MORE_EXTREME:
        found = aggregated(name, values)
        known = ~np.isnan(found)
        assert (found >= low.min(axis=1) - 1e-12)[known].all(), name
        assert (found <= high.max(axis=1) + 1e-12)[known].all(), name


@QUICK
@given(VALUES)
def test_forecasts_of_the_opposite_give_the_opposite(values):
    for name in set(CLOSED) - {"geometric_probabilities"}:
        opposite = 1 - aggregated(name, values)
        np.testing.assert_allclose(aggregated(name, 1 - values), opposite, atol=1e-12, err_msg=name)


@QUICK
@given(VALUES)
def test_is_missing_exactly_where_nobody_answered(values):
    for name in CLOSED:
        nobody = np.isnan(values).all(axis=(1, 2))
        np.testing.assert_array_equal(np.isnan(aggregated(name, values)), nobody, err_msg=name)


@pytest.mark.parametrize("name", sorted(set(CLOSED) - {"extremised"}))
def test_one_member_alone_is_the_aggregate(name):
    values = np.full((3, 4, 2), NAN)
    values[0, 2, 1], values[1, 0, 0], values[2, 3, :] = 0.37, 0.99, 0.12

    np.testing.assert_allclose(aggregated(name, values), [0.37, 0.99, 0.12])


def test_more_samples_give_a_member_more_weight_in_the_pooled_median_alone():
    once = np.array([[[0.2, NAN, NAN], [0.3, NAN, NAN], [0.9, NAN, NAN]]])
    thrice = np.array([[[0.2, NAN, NAN], [0.3, NAN, NAN], [0.9, 0.9, 0.9]]])

    changed = {name for name in CLOSED if aggregated(name, once)[0] != pytest.approx(aggregated(name, thrice)[0])}

    assert changed == {"median"}


def test_no_question_and_one_member_and_only_gaps_are_no_special_cases():
    for name in CLOSED:
        assert aggregated(name, np.zeros((0, 2, 2))).shape == (0,)
        assert np.isnan(aggregated(name, np.full((2, 1, 1), NAN))).all()


def test_recency_median_equals_the_obvious_loop_over_members_in_the_order_of_their_latest_forecasts():
    rng = np.random.default_rng(2)
    values = rng.uniform(size=(80, 7, 2)).round(3)
    values[rng.uniform(size=values.shape) < 0.4] = NAN
    times = rng.integers(0, 6, values.shape).astype(float)

    found = aggregator_named("recency_median")(ForecastTable.of(values, times=times)).values

    differs = 0
    for question in range(80):
        members = []
        for samples, when in zip(values[question], times[question], strict=True):
            known = [(p, t) for p, t in zip(samples, when, strict=True) if p == p]
            if known:
                members.append((statistics.mean(p for p, _ in known), max(t for _, t in known)))
        ranks = stats.rankdata([t for _, t in members])
        weighted = sorted(zip([p for p, _ in members], [math.exp(math.sqrt(r)) for r in ranks], strict=True))
        half, reached = sum(w for _, w in weighted) / 2, 0.0
        for at, (p, w) in enumerate(weighted):
            reached += w
            if math.isclose(reached, half):
                p = (p + weighted[at + 1][0]) / 2
            if reached >= half or math.isclose(reached, half):
                assert found[question] == pytest.approx(p)
                differs += p != pytest.approx(statistics.median(p for p, _ in members))
                break
    assert differs > 10


def test_recency_median_of_equal_times_is_the_median_and_without_times_is_refused():
    values = np.array([[[0.1], [0.2], [0.6], [0.9]]])

    assert aggregator_named("recency_median")(ForecastTable.of(values, times=np.zeros_like(values))).values[
        0
    ] == pytest.approx(0.4)
    with pytest.raises(InputError, match="needs the time of every forecast, and the table has no times"):
        aggregator_named("recency_median")(values)
    unknown = np.array([[[1.0], [NAN], [2.0], [3.0]]])
    with pytest.raises(InputError, match="1 have none, such as that of 'member 2' on 'question 1'"):
        aggregator_named("recency_median")(ForecastTable.of(values, times=unknown))


def test_the_aggregate_shows_members_spread_counts_and_what_the_clip_moved():
    found = aggregator_named("geometric-odds")(np.array([[0.0, 0.5, NAN], [NAN, 0.4, NAN]]), clip=0.02)

    np.testing.assert_array_equal(found.members, [[0.0, 0.5, NAN], [NAN, 0.4, NAN]])
    np.testing.assert_allclose(found.spread, [statistics.stdev([0.0, 0.5]), NAN])
    assert found.counts.tolist() == [2, 1]
    assert found.description == "geometric_odds (clipped to 2–98 %, which moved 1 member forecasts)"
    assert found.values[0] == pytest.approx(expit((logit(0.02) + 0) / 2))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: aggregator_named("average"), "There is no aggregator 'average'; known: median,"),
        (lambda: aggregator_named("mean")(np.array([[0.5]]), clip=0.1), "has no parameter 'clip'; it has none"),
        (
            lambda: aggregator_named("geometric_odds")(np.array([[0.5]]), clip=0.5),
            "clip=0.5 must be above 0 and below 0.5",
        ),
        (lambda: aggregator_named("geometric_odds")(np.array([[0.5]]), clip=0.0), "must be above 0"),
        (
            lambda: aggregator_named("trimmed")(np.array([[0.5]]), tail=0.5),
            "tail=0.5 must be at least 0 and below 0.5",
        ),
        (lambda: aggregator_named("extremised")(np.array([[0.5]]), factor=NAN), "factor=nan must be above 0"),
        (lambda: aggregator_named("stacking")(np.array([[0.5]])), "needs resolved questions of two groups"),
        (lambda: aggregator_named("mean")(np.array([[0.5]]), splits=Splits((), "none")), "takes no splits"),
    ],
)
def test_wrong_names_and_parameters_are_refused_with_what_is_allowed(call, said):
    with pytest.raises(InputError) as error:
        call()
    assert said in str(error.value)


def crowd_of(n: int, n_members: int, seed: int = 3, gaps: float = 0.2) -> ForecastTable:
    """Members of unequal quality, some questions in groups of two."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1.5, n)
    noise = rng.normal(size=(n, n_members)) * np.linspace(0.3, 2, n_members)
    values = np.clip(expit(truth[:, None] + 0.4 + noise), 0.001, 0.999)
    values[rng.uniform(size=values.shape) < gaps] = NAN
    outcomes = (rng.uniform(size=n) < expit(truth)).astype(float)
    return ForecastTable.of(values, outcomes, groups=np.arange(n) // 2)


@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_one_does_not_know_the_outcomes_of_the_group_that_it_predicts(name):
    table = crowd_of(120, 4)
    group = next(g for g in range(60) if table.outcomes[2 * g] != table.outcomes[2 * g + 1])
    swapped = table.outcomes.copy()
    swapped[[2 * group, 2 * group + 1]] = swapped[[2 * group + 1, 2 * group]]
    each = aggregator_named(name)

    before = each(table).values
    after = each(ForecastTable.of(table.values, swapped, groups=table.groups)).values

    in_group = table.groups == group
    np.testing.assert_array_equal(before[in_group], after[in_group])
    assert (before != after)[~in_group & ~np.isnan(before)].any()


@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_one_predicts_open_questions_from_all_resolved_ones(name):
    table = crowd_of(90, 3)
    outcomes = table.outcomes.copy()
    outcomes[80:] = NAN
    partly = ForecastTable.of(table.values, outcomes, groups=table.groups)

    found = aggregator_named(name)(partly).values

    once = Splits((Split(np.arange(90) < 80, np.arange(90) >= 80),), "resolved to open")
    np.testing.assert_allclose(found[80:], aggregator_named(name)(partly, splits=once).values[80:])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(table.member_means()).all(axis=1))


def test_a_fitted_one_needs_thirty_resolved_questions_and_ten_of_each_outcome():
    table = crowd_of(60, 3, gaps=0)
    rare = np.zeros(60)
    rare[:9] = 1

    for outcomes, said in ((table.outcomes[:28], "there are 28"), (rare, "9 yes and 51 no")):
        few = ForecastTable.of(table.values[: len(outcomes)], outcomes)
        with pytest.raises(InputError, match=said):
            aggregator_named("stacking")(few)
        assert said in aggregate_all(few).left_out["stacking"]


def test_splits_that_would_show_a_fit_what_it_predicts_are_refused():
    table = crowd_of(60, 3, gaps=0)
    everything = np.ones(60, dtype=bool)
    even = np.arange(60) % 2 == 0
    for splits, said in (
        (Splits((Split(everything, everything),), "in sample"), "fits on group 0 and predicts it as well"),
        (Splits((Split(even, ~even),), "through groups"), "fits on group 0 and predicts it as well"),
        (
            Splits(
                (Split(np.arange(60) < 20, np.arange(60) >= 40), Split(np.arange(60) < 20, np.arange(60) >= 50)),
                "twice",
            ),
            "Question 51 is predicted by more than one split",
        ),
        (Splits((Split(everything[:5], ~everything[:5]),), "short"), "Split 1 is of 5 questions, the table has 60"),
    ):
        with pytest.raises(InputError, match=said):
            aggregator_named("inverse_brier")(table, splits=splits)


def test_folds_keep_groups_together_predict_everything_once_and_have_both_outcomes():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 70, 300)
    outcomes = (rng.uniform(size=300) < 0.2).astype(float)
    outcomes[rng.uniform(size=300) < 0.2] = NAN

    splits = group_folds(outcomes, groups, n_folds=7).splits

    assert sum(split.predict.astype(int) for split in splits).tolist() == [1] * 300
    for split in splits:
        assert not set(groups[split.train]) & set(groups[split.predict])
        assert set(outcomes[split.train]) == {0.0, 1.0}
    again = group_folds(outcomes, groups, n_folds=7).splits
    assert all((a.predict == b.predict).all() for a, b in zip(splits, again, strict=True))
    other = group_folds(outcomes, groups, n_folds=7, seed=1).splits
    assert any((a.predict != b.predict).any() for a, b in zip(splits, other, strict=True))


def test_a_split_in_time_fits_on_what_was_resolved_before_and_on_no_group_that_is_predicted():
    outcomes = np.array([1, 0, 1, NAN, 0, 1])
    groups = np.array([0, 1, 2, 3, 4, 1])
    resolved = np.array([10, 10, 30, NAN, 10, 40], dtype=float)
    forecast = np.array([1, 1, 25, 22, NAN, 21], dtype=float)

    (split,) = earlier_split(outcomes, groups, resolved, forecast, 20.0).splits

    assert split.predict.tolist() == [False, False, True, True, False, True]
    assert split.train.tolist() == [True, False, False, False, True, False]
    with pytest.raises(InputError, match="no question was forecast after the cutoff"):
        earlier_split(outcomes, groups, resolved, forecast, 99.0)


def halves(n: int) -> Splits:
    first = np.arange(n) < n // 2
    return Splits((Split(first, ~first), Split(~first, first)), "halves")


def test_inverse_brier_weighs_by_one_over_the_score_of_the_other_half():
    table = crowd_of(80, 3, gaps=0)
    members, outcomes = table.member_means(), table.outcomes

    found = aggregator_named("inverse_brier")(table, splits=halves(80)).values

    for predicted, trained in ((range(40), range(40, 80)), (range(40, 80), range(40))):
        weights = [1 / statistics.mean((members[q, m] - outcomes[q]) ** 2 for q in trained) for m in range(3)]
        for q in predicted:
            assert found[q] == pytest.approx(
                sum(w * p for w, p in zip(weights, members[q], strict=True)) / sum(weights)
            )


def test_leaving_out_hard_questions_earns_no_weight():
    rng = np.random.default_rng(4)
    outcomes = (rng.uniform(size=200) < 0.5).astype(float)
    hard = np.arange(200) % 2 == 0
    right = np.where(outcomes == 1, 0.9, 0.1)
    answers = np.where(hard, 0.5, right)
    values = np.stack([answers, np.where(hard, NAN, answers)], axis=1)
    values[0] = [0.2, 0.8]

    found = aggregator_named("inverse_brier")(ForecastTable.of(values, outcomes)).values

    assert found[0] == pytest.approx(0.5, abs=0.01)


def test_stacking_minimises_its_penalised_loss():
    table = crowd_of(100, 3)
    logits = logit(np.clip(table.member_means(), 0.01, 0.99))
    rows = []
    for row in logits:
        present = [each for each in row if each == each]
        centre = sum(present) / len(present) if present else NAN
        rows.append([1.0, centre, *(0.0 if each != each else each - centre for each in row)])
    features = np.array(rows)

    found = aggregator_named("stacking")(table, splits=halves(100)).values

    for predicted, trained in ((slice(0, 50), slice(50, 100)), (slice(50, 100), slice(0, 50))):
        x, y = features[trained], table.outcomes[trained]
        known = ~np.isnan(x[:, 1])

        def loss(b, x=x[known], y=y[known]):
            p = expit(x @ b)
            return -np.log(np.where(y == 1, p, 1 - p)).sum() + 2 * ((b - [0, 1, 0, 0, 0]) ** 2).sum()

        best = minimize(loss, [0, 1, 0, 0, 0], method="BFGS", options={"gtol": 1e-8}).x
        np.testing.assert_allclose(found[predicted], expit(features[predicted] @ best), atol=1e-5)


def test_the_beta_pool_is_the_best_of_a_grid_of_beta_distributions():
    table = crowd_of(100, 3)
    means = np.clip(table.member_means(), 0, 1)
    means = np.clip([np.mean([p for p in row if p == p] or [NAN]) for row in means], 0.01, 0.99)

    found = aggregator_named("beta_pool")(table, splits=halves(100)).values

    x, y = means[50:], table.outcomes[50:]
    known = ~np.isnan(x)
    logs = np.linspace(-1, 1, 41)

    def loss(log_a, log_b):
        p = stats.beta.cdf(x[known], math.exp(log_a), math.exp(log_b))
        return -np.log(np.where(y[known] == 1, p, 1 - p)).sum() + (log_a**2 + log_b**2) / 2

    best = min((loss(a, b), a, b) for a in logs for b in logs)
    at_best = stats.beta.cdf(means[:50], math.exp(best[1]), math.exp(best[2]))
    np.testing.assert_allclose(found[:50], at_best, atol=0.02)


def test_fits_see_no_question_without_an_outcome():
    outcomes = np.array([1.0, 0.0, NAN, 1.0, 0.0])
    seen = []

    def fit(inputs, targets):
        seen.append(targets)
        return lambda other: np.zeros(len(other))

    out_of_fold(fit, np.zeros(5), outcomes, np.arange(5), group_folds(outcomes, np.arange(5)))

    assert len(seen) == 5
    assert not np.isnan(np.concatenate(seen)).any()


def test_all_of_them_side_by_side_with_the_reason_for_what_is_left_out():
    found = aggregate_all(crowd_of(100, 3))

    assert {*found.found, *found.left_out} == set(all_aggregators())
    assert set(found.left_out) == {"recency_median"}
    assert "fitted by 10-fold cross-validation that keeps groups together" in found.found["stacking"].description


@pytest.fixture(scope="module")
def delib():
    return read_forecasts(
        real_data("delib_202q_3models.csv"), unit="percent", where={"context": "none", "sample": 0}, say=lambda _: None
    )


@pytest.mark.parametrize(
    ("name", "brier"),
    [("mean", 0.16647), ("median", 0.17279), ("geometric_odds", 0.17049), ("extremised", 0.17622)],
)
def test_brier_scores_of_202_real_questions(delib, name, brier):
    assert delib.values.shape == (202, 3, 1)
    found = aggregator_named(name)(delib).values
    assert ((found - delib.outcomes) ** 2).mean() == pytest.approx(brier, abs=5e-6)


@pytest.mark.parametrize(("name", "auc"), [("median", 0.78377), ("mean", 0.80184)])
def test_ranks_of_202_real_questions(delib, name, auc):
    found = aggregator_named(name)(delib).values.round(10)
    assert roc_auc_score(delib.outcomes, found) == pytest.approx(auc, abs=5e-6)


def test_closed_forms_of_a_million_forecasts_take_seconds_and_little_memory():
    rng = np.random.default_rng(0)
    values = rng.uniform(size=(10_000, 20, 5))
    values[rng.uniform(size=values.shape) < 0.1] = NAN
    table = ForecastTable.of(values, times=rng.uniform(size=values.shape))
    aggregate_all(ForecastTable.of(values[:2]), kinds=(Kind.CLOSED_FORM,))

    started = time.process_time()
    aggregate_all(table, kinds=(Kind.CLOSED_FORM,))
    took = time.process_time() - started
    tracemalloc.start()
    aggregate_all(table, kinds=(Kind.CLOSED_FORM,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert took < 4
    assert peak < 500e6

"""Each check of bias against a slow obvious computation, another library, or a crowd whose bias is known."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from hf_soup.scoring.biases.acquiescence import acquiescence
from hf_soup.scoring.biases.confidence import confidence
from hf_soup.scoring.biases.cost_per_brier_point import cost_per_brier_point
from hf_soup.scoring.biases.error_correlation import error_correlation
from hf_soup.scoring.biases.estimate import estimates, with_mean
from hf_soup.scoring.biases.heaping import heaping_of
from hf_soup.scoring.biases.learning_curve import MEAN, MEDIAN, learning_curve
from hf_soup.scoring.biases.mean_against_base_rate import means_against_base_rate
from hf_soup.scoring.biases.paraphrases import paraphrase_sensitivity
from hf_soup.scoring.detectable import smallest_detectable
from hf_soup.scoring.table import mean_of_samples

NAN = float("nan")


def crowd(n: int = 60, members: int = 4, samples: int = 3, gaps: float = 0.15, seed: int = 7):
    """Values [Q, M, S] with gaps, outcomes with some open, two questions a group."""
    generator = np.random.default_rng(seed)
    truth = generator.beta(0.8, 1.2, n)
    values = np.clip(truth[:, None, None] + 0.2 * generator.standard_normal((n, members, samples)), 0, 1)
    values[generator.random(values.shape) < gaps] = NAN
    outcomes = (generator.random(n) < truth).astype(float)
    outcomes[generator.random(n) < 0.1] = NAN
    return values, outcomes, np.arange(n) // 2


def clustered_t(values: np.ndarray, groups: np.ndarray):
    """By statsmodels: (mean, standard error, p)."""
    import statsmodels.api as sm

    kept = ~np.isnan(values)
    fit = sm.OLS(values[kept], np.ones(kept.sum())).fit(
        cov_type="cluster",
        cov_kwds={"groups": groups[kept], "use_correction": True},
        use_t=True,
    )
    return fit.params[0], fit.bse[0], fit.pvalues[0]


# Means


def test_means_stand_against_the_base_rate_of_the_questions_that_each_answered():
    values, outcomes, groups = crowd()
    columns = np.nanmean(values, axis=2)
    found = means_against_base_rate(list("abcd"), columns, outcomes, groups)
    for member, row in enumerate(found):
        answered = [q for q in range(60) if columns[q, member] == columns[q, member] and outcomes[q] == outcomes[q]]
        assert row.mean == pytest.approx(sum(columns[q, member] for q in answered) / len(answered))
        assert row.base_rate == pytest.approx(sum(outcomes[q] for q in answered) / len(answered))
        assert row.excess.n == len(answered)
        mean, error, p = clustered_t(columns[:, member] - outcomes, groups)
        assert (row.excess.value, row.excess.test.p) == pytest.approx((mean, p))
        assert row.excess.detectable == pytest.approx(smallest_detectable(error, row.excess.groups - 1))
        assert row.excess.interval[0] < row.excess.value < row.excess.interval[1]


def test_without_outcomes_or_numbers_nothing_is_estimated():
    row, other = means_against_base_rate(["a", "b"], np.array([[0.2, NAN]]), np.array([NAN]), np.arange(1))
    assert np.isnan([row.mean, row.base_rate, row.excess.value, other.mean]).all()
    assert (row.excess.n, row.excess.test, row.excess.interval, row.excess.detectable) == (0, None, None, None)
    assert [each.n for each in estimates(np.empty((0, 2)), np.empty(0, int))] == [0, 0]


def test_a_single_question_and_numbers_that_do_not_vary_have_no_test():
    one, same = estimates(np.array([[0.1, NAN], [NAN, 0.2], [NAN, 0.2]]), np.arange(3))
    assert (one.value, one.n, one.test, one.interval) == (0.1, 1, None, None)
    assert (same.value, same.n, same.test, same.detectable) == (0.2, 2, None, None)


# Acquiescence


def test_the_lean_of_negated_pairs_is_tested_by_t_clustered_by_question():
    values, _, groups = crowd(gaps=0.3)
    generator = np.random.default_rng(1)
    negated = np.clip(1 - values[:, :, :2] + 0.1 * generator.standard_normal((60, 4, 2)) + 0.05, 0, 1)
    rows = acquiescence([*"abcd", "all"], values, negated, groups)
    for member in range(4):
        p, p_not = np.full(60, NAN), np.full(60, NAN)
        for q in range(60):
            asked, other = ([each for each in side[q, member] if each == each] for side in (values, negated))
            if asked and other:
                p[q], p_not[q] = sum(asked) / len(asked), sum(other) / len(other)
        lean = p + p_not - 1
        mean, _, p_value = clustered_t(lean, groups)
        assert (rows[member].lean.value, rows[member].lean.test.p) == pytest.approx((mean, p_value))
        assert rows[member].inconsistency == pytest.approx(np.nanmean(np.abs(lean)))
        assert (rows[member].mean, rows[member].mean_of_negated) == pytest.approx((np.nanmean(p), np.nanmean(p_not)))


def test_the_crowds_lean_is_that_of_the_members_who_answered_both():
    asked = np.array([[[0.6], [0.9]], [[0.5], [0.7]]])
    negated = np.array([[[0.6], [NAN]], [[0.5], [0.5]]])
    rows = acquiescence(["a", "b", "all"], asked, negated, np.arange(2))
    assert rows[2].lean.value == pytest.approx((0.2 + (0.6 + 0.5 - 1)) / 2)
    assert (rows[1].lean.n, rows[2].lean.n) == (1, 2)


def test_the_interval_of_a_known_lean_covers_it_about_as_often_as_it_says():
    """Pairs of one group share noise, so that intervals of independent pairs would be too narrow."""
    covered, runs = 0, 200
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        shared = np.repeat(generator.normal(0, 0.08, 60), 2)
        p = generator.uniform(0.2, 0.8, 120)
        p_not = 1 - p + 0.04 + shared + generator.normal(0, 0.02, 120)
        p_not = p_not.clip(0, 1)
        row = acquiescence(["a", "all"], p[:, None, None], p_not[:, None, None], np.arange(120) // 2)[0]
        low, high = row.lean.interval
        covered += low <= 0.04 <= high
    assert 0.90 <= covered / runs <= 0.99


# Paraphrases


def test_what_is_due_to_words_is_what_sampling_does_not_explain():
    generator = np.random.default_rng(2)
    level = generator.uniform(0.3, 0.7, 4000)[:, None]
    wording = generator.normal(0, 0.05, (4000, 2)) * [1, 0]
    asked = level[:, :, None] + generator.normal(0, 0.04, (4000, 2, 2))
    reworded = (level + wording)[:, :, None] + generator.normal(0, 0.04, (4000, 2, 3))
    sensitive, steady, both = paraphrase_sensitivity(["a", "b", "all"], asked, reworded, np.arange(4000))
    assert sensitive.wording_deviation == pytest.approx(0.05, rel=0.05)
    assert sensitive.by_sampling == pytest.approx(0.04 * (1 / 2 + 1 / 3) ** 0.5, rel=0.05)
    assert sensitive.root_mean_square == pytest.approx((0.05**2 + 0.04**2 * (1 / 2 + 1 / 3)) ** 0.5, rel=0.05)
    assert sensitive.beyond_sampling.test.p < 1e-6 < 0.01 < steady.beyond_sampling.test.p
    assert steady.wording_deviation < 0.01
    assert both.wording_deviation == pytest.approx(0.025, rel=0.1)


def test_words_and_chance_are_not_told_apart_from_single_samples():
    asked = np.array([[[0.4, NAN], [0.5, 0.6]], [[0.2, NAN], [0.3, 0.2]]])
    reworded = np.array([[[0.5, NAN], [0.5, 0.7]], [[0.2, NAN], [0.6, 0.5]]])
    one, two, both = paraphrase_sensitivity(["a", "b", "all"], asked, reworded, np.arange(2))
    assert one.shift.value == pytest.approx(0.05)
    assert (one.mean_absolute, one.root_mean_square) == pytest.approx((0.05, (0.01 / 2) ** 0.5))
    for row in (one, both):
        assert np.isnan(row.by_sampling)
        assert (row.beyond_sampling.n, row.beyond_sampling.test) == (0, None)
    chance = [0.005 / 2 + 0.02 / 2, 0.005 / 2 + 0.005 / 2]
    assert two.by_sampling == pytest.approx(np.mean(chance) ** 0.5)
    assert two.beyond_sampling.value == pytest.approx(np.mean([0.05**2 - chance[0], 0.3**2 - chance[1]]))


# Heaping


def test_round_numbers_are_counted_against_windows_around_them():
    generator = np.random.default_rng(3)
    values = generator.uniform(0, 1, (80, 2, 3)).round(2)
    values[:, 0] = (values[:, 0] * 20).round() / 20
    values[generator.random(values.shape) < 0.1] = NAN
    for member, row in enumerate(heaping_of(["a", "b", "all"], values, np.arange(80) // 4)):
        given = [round(100 * each) for each in (values if member == 2 else values[:, member]).ravel() if each == each]
        for every, numbers, found in zip(
            (5, 10, 10), (range(5, 100, 5), range(10, 100, 10), [50]), row.round_numbers, strict=True
        ):
            at = expected = 0.0
            for each in given:
                for number in numbers:
                    away = abs(each - number)
                    at += away == 0
                    expected += (1.0 if away < every / 2 else 0.5 if away == every / 2 else 0.0) / every
            assert (found.share, found.expected) == pytest.approx((at / len(given), expected / len(given)))
            assert found.excess.value == pytest.approx((at - expected) / len(given))
            assert found.index == pytest.approx(at / expected)
        assert row.histogram.tolist() == [given.count(each) for each in range(101)]
        assert (row.counts.forecasts, row.counts.multiples_of_5) == (len(given), sum(each % 5 == 0 for each in given))


def test_only_multiples_of_five_give_an_index_of_five_and_a_straight_density_one():
    at_fives = np.tile(np.arange(5, 100, 5) / 100, 20)[:, None, None]
    straight = np.repeat(np.arange(101) / 100, np.arange(101) + 1)[:, None, None]
    fives, _ = heaping_of(["a", "all"], at_fives, np.arange(len(at_fives)))
    line, _ = heaping_of(["a", "all"], straight, np.arange(len(straight)))
    assert fives.round_numbers[0].index == pytest.approx(5)
    assert [each.index for each in line.round_numbers] == pytest.approx([1, 1, 1])
    assert line.round_numbers[0].excess.value == pytest.approx(0)


def test_rare_round_numbers_have_no_test():
    """None of 40 forecasts is 50 %; that all differ from it in the same way says nothing of how rarely it comes."""
    values = np.linspace(0.02, 0.98, 40).round(2)[:, None, None]
    row, _ = heaping_of(["a", "all"], values, np.arange(40))
    assert row.round_numbers[2].excess.test is None
    assert row.round_numbers[2].excess.detectable is None
    assert row.round_numbers[2].excess.interval is None
    # 30 are to be expected at 50 %, and none is there: resampling none gives none, so no interval would be true.
    row, _ = heaping_of(["a", "all"], np.tile([0.45, 0.55], 300)[:, None, None], np.arange(600))
    assert row.round_numbers[2].expected * 600 == pytest.approx(30)
    assert (row.round_numbers[2].share, row.round_numbers[2].excess.interval) == (0, None)
    assert row.round_numbers[2].excess.test is None
    # Five of them have an interval again.
    values = np.concatenate([np.full(5, 0.5), np.tile([0.45, 0.55], 300)])[:, None, None]
    row, _ = heaping_of(["a", "all"], values, np.arange(605))
    assert row.round_numbers[2].excess.interval is not None


# Confidence


def test_slope_and_shift_are_those_of_a_clustered_logistic_regression():
    import statsmodels.api as sm

    values, outcomes, groups = crowd(n=200, members=1, samples=1)
    p = values[:, 0, 0]
    (row,) = confidence(["a"], p[:, None], outcomes, groups)
    kept = ~(np.isnan(p) | np.isnan(outcomes))
    clipped = np.clip(p[kept], 0.01, 0.99)
    x = sm.add_constant(np.log(clipped / (1 - clipped)))
    fit = sm.GLM(outcomes[kept], x, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": groups[kept], "use_correction": True}, tol=1e-12
    )
    n = int(kept.sum())
    errors = fit.bse * np.sqrt((n - 2) / (n - 1))  # statsmodels also corrects for the number of coefficients
    from scipy.stats import t

    reach = t.ppf(0.975, row.slope.groups - 2)
    assert (row.shift.value, row.slope.value) == pytest.approx(tuple(fit.params), abs=1e-6)
    assert row.slope.interval == pytest.approx(
        (fit.params[1] - reach * errors[1], fit.params[1] + reach * errors[1]), abs=1e-6
    )
    assert row.slope.test.t == pytest.approx((fit.params[1] - 1) / errors[1], abs=1e-6)
    assert row.shift.test.t == pytest.approx(fit.params[0] / errors[0], abs=1e-6)
    assert (row.slope.n, row.slope.groups, row.slope.null, row.shift.null) == (n, len(set(groups[kept])), 1.0, 0.0)


def test_the_surplus_of_sureness_is_counted_by_hand():
    p = np.array([[0.9], [0.8], [0.5], [0.3], [NAN], [0.6]])
    outcomes = np.array([1.0, 0.0, 1.0, 0.0, 1.0, NAN])
    (row,) = confidence(["a"], p, outcomes, np.arange(6))
    assert row.sureness == pytest.approx((0.9 + 0.8 + 0.5 + 0.7) / 4)
    assert row.right == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert row.surplus.value == pytest.approx(row.sureness - row.right)
    assert row.slope is None
    assert row.why_no_slope.startswith("it needs 30 resolved questions")


@pytest.mark.parametrize(
    ("p", "groups", "words"),
    [
        (np.full(40, 0.3), np.arange(40), "all the same"),
        (np.r_[np.linspace(0.05, 0.4, 20), np.linspace(0.6, 0.95, 20)], np.arange(40), "divide yes from no"),
        (np.random.default_rng(0).uniform(0, 1, 40), np.arange(40) % 2, "in 2 groups, and three are needed"),
    ],
)
def test_where_no_slope_can_be_fitted_it_is_said_why(p, groups, words):
    (row,) = confidence(["a"], p[:, None], np.repeat([0.0, 1.0], 20), groups)
    assert row.slope is None
    assert words in row.why_no_slope


def test_a_known_slope_is_found_and_its_interval_covers_it():
    covered, found = 0, 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        said = generator.normal(0, 1.5, 250)
        outcomes = (generator.random(250) < 1 / (1 + np.exp(-0.6 * said))).astype(float)
        (row,) = confidence(["a"], 1 / (1 + np.exp(-said))[:, None], outcomes, np.arange(250), clip=1e-6)
        covered += row.slope.interval[0] <= 0.6 <= row.slope.interval[1]
        found += row.slope.test.p < 0.05 and row.slope.value < 1
    assert 0.90 <= covered / 60 <= 1
    assert found / 60 > 0.9


# Errors


def test_correlations_are_pearsons_of_each_pair_on_the_questions_that_both_answered():
    values, outcomes, groups = crowd()
    means = mean_of_samples(values)
    means[:3, 1:] = NAN  # questions that one member alone answered are left out
    found = error_correlation(tuple("abcd"), means, outcomes, groups)
    answered = (~np.isnan(means)).sum(axis=1)
    kept = (answered > 1) & ~np.isnan(outcomes)
    p, y = means[kept], outcomes[kept]
    centre = np.nanmean(p, axis=1)
    pairs = []
    for i, j in combinations(range(4), 2):
        both = ~np.isnan(p[:, i]) & ~np.isnan(p[:, j])
        errors = np.corrcoef((p[:, i] - y)[both], (p[:, j] - y)[both])[0, 1]
        deviations = np.corrcoef((p[:, i] - centre)[both], (p[:, j] - centre)[both])[0, 1]
        assert found.of_errors[i, j] == pytest.approx(errors)
        assert found.of_errors[j, i] == pytest.approx(errors)
        assert found.of_deviations[i, j] == pytest.approx(deviations)
        assert found.common[i, j] == both.sum()
        pairs.append(errors)
    assert np.diag(found.of_errors) == pytest.approx(1)
    assert found.mean_of_errors == pytest.approx(np.mean(pairs))
    assert found.unrelated_deviations == pytest.approx(-1 / 3)
    assert found.n == kept.sum()


def test_the_interval_of_the_mean_correlation_leaves_out_one_group_at_a_time():
    from scipy.stats import t

    values, outcomes, groups = crowd(n=40, members=3, gaps=0.0)
    means = values.mean(axis=2)
    found = error_correlation(tuple("abc"), means, outcomes, groups)
    resolved = ~np.isnan(outcomes)
    without = []
    for group in np.unique(groups[resolved]):
        kept = resolved & (groups != group)
        matrix = np.corrcoef((means - outcomes[:, None])[kept].T)
        without.append(np.arctanh(matrix[np.triu_indices(3, 1)].mean()))
    n = len(without)
    reach = t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((without - np.mean(without)) ** 2).sum())
    centre = np.arctanh(found.mean_of_errors)
    assert found.interval == pytest.approx((np.tanh(centre - reach), np.tanh(centre + reach)))


def test_members_brier_less_diversity_is_exactly_the_brier_of_their_mean():
    values, outcomes, groups = crowd(gaps=0.4)
    found = error_correlation(tuple("abcd"), mean_of_samples(values), outcomes, groups)
    assert found.member_brier - found.diversity == pytest.approx(found.brier_of_mean, abs=1e-12)
    assert found.diversity > 0


def test_members_that_share_only_the_outcome_correlate_as_is_said_of_them():
    generator = np.random.default_rng(4)
    truth = generator.uniform(0.2, 0.8, 20_000)
    outcomes = (generator.random(20_000) < truth).astype(float)
    means = truth[:, None] + generator.normal(0, 0.1, (20_000, 4)) * [1, 1, 0.5, 1.5]
    found = error_correlation(tuple("abcd"), means, outcomes, np.arange(20_000))
    assert found.mean_of_errors == pytest.approx(found.by_shared_outcomes, abs=0.01)
    assert found.mean_of_errors > 0.9


def test_one_member_or_nothing_resolved_has_no_correlation():
    one = np.array([[0.2], [0.4], [0.5]])
    assert error_correlation(("a",), one, np.array([1.0, 0.0, 1.0]), np.arange(3)) is None
    assert error_correlation(("a", "b"), np.hstack([one, one]), np.full(3, NAN), np.arange(3)) is None
    constant = error_correlation(("a", "b"), np.full((3, 2), 0.5), np.ones(3), np.arange(3))
    assert np.isnan(constant.of_errors).all()
    assert (constant.interval, np.isnan(constant.mean_of_errors)) == (None, True)


# How many


def expected_brier(values: np.ndarray, y: float, k: int, s: int, aggregate) -> float:
    """Of one question [M, S], over all choices of k members and s samples of each, one after the other."""
    members = [[each for each in row if each == each] for row in values]
    members = [samples for samples in members if samples]
    total, crowds = 0.0, 0.0
    for chosen in combinations(members, k):
        choices = [list(combinations(samples, min(s, len(samples)))) for samples in chosen]
        weight = 1 / np.prod([len(each) for each in choices])
        for crowd_ in product(*choices):
            total += weight * (aggregate([sum(each) / len(each) for each in crowd_]) - y) ** 2
        crowds += 1
    return total / crowds


def test_the_learning_curve_is_the_mean_over_all_smaller_crowds():
    values, outcomes, groups = crowd(n=24, gaps=0.05)
    curve = learning_curve(values, outcomes, groups)
    answered = (~np.isnan(values)).any(axis=2).sum(axis=1)
    kept = ~np.isnan(outcomes) & (answered >= curve.members)
    assert curve.n == kept.sum()
    assert curve.left_out == (~np.isnan(outcomes)).sum() - curve.n
    assert (curve.members, curve.samples) == (4, 2)
    for k, s in product(range(1, 5), (1, 2)):
        slow = np.array([expected_brier(values[q], outcomes[q], k, s, np.mean) for q in np.flatnonzero(kept)])
        one = np.array([expected_brier(values[q], outcomes[q], 1, 1, np.mean) for q in np.flatnonzero(kept)])
        point = curve.point(MEAN, k, s)
        assert (point.brier, point.gain, point.draws) == pytest.approx((slow.mean(), (one - slow).mean(), 0))
        for got, each in ((point.standard_error, slow), (point.gain_error, one - slow)):
            if k * s > 1:
                assert got == pytest.approx(clustered_t(each, groups[kept])[1])
        median = np.mean([expected_brier(values[q], outcomes[q], k, s, np.median) for q in np.flatnonzero(kept)])
        point = curve.point(MEDIAN, k, s)
        assert point.draws == 32
        assert abs(point.brier - median) < 4 * point.draw_error + 1e-12


def test_with_all_samples_the_medians_expectation_is_exact():
    values, outcomes, groups = crowd(n=15, members=6, samples=1, gaps=0.0)
    curve = learning_curve(values, outcomes, groups)
    for k in range(1, 7):
        slow = [expected_brier(values[q], outcomes[q], k, 1, np.median) for q in np.flatnonzero(~np.isnan(outcomes))]
        point = curve.point(MEDIAN, k, 1)
        assert (point.brier, point.draws, point.draw_error) == pytest.approx((np.mean(slow), 0, 0))


def test_the_curve_of_many_members_has_few_points_and_is_the_same_every_time():
    values, outcomes, groups = crowd(n=40, members=30, samples=2, gaps=0.02)
    first, again = (learning_curve(values, outcomes, groups) for _ in range(2))
    sizes = [point.members for point in first.line(MEAN, 1)]
    assert sizes[:11] == [*range(1, 11), 13]
    assert sizes[-1] == first.members >= 28
    assert first == again
    assert learning_curve(values, np.full(40, NAN), groups) is None


def test_questions_that_few_answer_are_left_out_of_all_points():
    """One member answers the three hardest questions alone: with them small crowds would look worse than they are."""
    values, outcomes, groups = crowd(n=60, members=3, samples=1, gaps=0.0)
    values[:3, 1:] = NAN
    outcomes[:3] = 1.0
    curve = learning_curve(values, outcomes, groups)
    assert (curve.members, curve.left_out) == (3, 3)
    assert curve.why_it_ends() == "3 resolved questions are left out: fewer than 3 members answered."


def test_the_curve_says_why_it_ends_before_the_last_member_and_sample():
    values, outcomes, groups = crowd(n=60, members=3, samples=2, gaps=0.0)
    whole = learning_curve(values, outcomes, groups)
    assert (whole.members, whole.samples, whole.why_it_ends()) == (3, 2, "")
    values[:15, 2] = NAN  # the third member refuses a quarter
    values[:20, :, 1] = NAN  # and a third of the questions was asked once
    curve = learning_curve(values, outcomes, groups)
    assert (curve.members, curve.samples, curve.left_out) == (2, 1, 0)
    assert curve.why_it_ends() == (
        "It ends at 2 of 3 members: more did not answer enough of the resolved questions (90 %). It ends at 1 of 2 samples: more were "
        "not given often enough (90 %)."
    )


# Costs


def test_costs_by_member_and_by_size_of_the_crowd():
    values, outcomes, groups = crowd(n=100, members=3, samples=2, gaps=0.0)
    values = 0.5 * values + 0.5 * np.where(np.isnan(outcomes), 0.5, outcomes)[:, None, None]
    curve = learning_curve(values, outcomes, groups)
    costs = cost_per_brier_point(tuple("abc"), values, outcomes, groups, {"a": 2.0, "b": 4.0, "c": 6.0}, curve)
    a = costs.by_member[0]
    brier = np.nanmean((values.mean(axis=2)[:, 0] - outcomes) ** 2)
    assert (a.dollars, a.per_question) == (2.0, 0.02)
    assert a.gain.value == pytest.approx(0.25 - brier)
    assert a.per_point == pytest.approx(0.02 / (100 * (0.25 - brier)))
    one, *_, most = costs.by_number
    assert (one.members, one.samples, one.per_question, one.per_point) == (1, 1, pytest.approx(0.02), None)
    assert (most.members, most.samples, most.per_question) == (3, 2, pytest.approx(0.12))
    assert most.per_point == pytest.approx((0.12 - 0.02) * 0.01 / curve.point(MEAN, 3, 2).gain)


def test_an_unknown_price_is_said_and_a_gain_that_chance_explains_has_no_price():
    generator = np.random.default_rng(5)
    values = np.stack([generator.uniform(0, 1, (50, 1)), np.full((50, 1), 0.4)], axis=1)
    outcomes = (generator.random(50) < 0.5).astype(float)
    curve = learning_curve(values, outcomes, np.arange(50))
    costs = cost_per_brier_point(("a", "b"), values, outcomes, np.arange(50), {"a": 1.0, "b": None}, curve)
    assert (costs.unknown, costs.by_number) == (("b",), ())
    assert costs.by_member[0].per_question == 0.02
    assert costs.by_member[0].per_point is None
    assert (costs.by_member[1].dollars, costs.by_member[1].per_point) == (None, None)


def test_the_mean_of_members_leaves_out_who_gave_nothing():
    assert with_mean(np.array([[0.2, NAN], [NAN, NAN]]))[:, 2].tolist() == [0.2, pytest.approx(NAN, nan_ok=True)]

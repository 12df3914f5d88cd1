"""Comparisons: against scipy and statsmodels, what they leave out, how they are worded, and what they do when the truth is known.

Simulations here use few runs; their bounds are those of the full run (tests/benchmarks/scoring_simulations.py, 10,000 runs)
plus three Monte Carlo standard errors.
"""

from __future__ import annotations

import csv
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data

from hf_soup.errors import InputError
from hf_soup.scoring.bootstrap import bootstrap_means
from hf_soup.scoring.comparison import Column, compare, compare_pairs, compare_with_constant
from hf_soup.scoring.comparison_sentence import comparison_sentence, equivalence_sentence, number, p_value, signed
from hf_soup.scoring.comparison_tests import clustered_mean, symmetry, t_test, unpaired_error
from hf_soup.scoring.detectable import smallest_detectable
from hf_soup.scoring.equivalence import papers_tost, pooled_sd, tost
from hf_soup.scoring.multiple import benjamini_hochberg

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import scoring_simulations as simulated

WORDS_OF_EQUALITY = re.compile(
    r"\b(equal\w*|same|identical|no difference|as (good|accurate) as|match\w*|tie[sd]?)\b", re.I
)


def crowd(n: int, seed: int = 0, worse: float = 0.0) -> tuple[Column, Column, np.ndarray, np.ndarray]:
    """Two forecasters of n questions, the first noisier by `worse`."""
    generator = np.random.default_rng(seed)
    q = generator.beta(0.8, 0.8, n)
    y = (generator.random(n) < q).astype(float)
    first = np.clip(q + (0.1 + worse) * generator.standard_normal(n), 0, 1)
    second = np.clip(q + 0.1 * generator.standard_normal(n), 0, 1)
    return Column("a", first), Column("b", second), y, np.arange(n)


def standard_error_of(p: float, runs: int) -> float:
    return float(np.sqrt(p * (1 - p) / runs))


def test_without_groups_the_test_is_scipys_paired_t():
    from scipy.stats import ttest_rel, wilcoxon

    a, b, y, groups = crowd(80, worse=0.1)
    compared = compare(a, b, y, groups)
    mine, scipys = compared.test, ttest_rel((a.values - y) ** 2, (b.values - y) ** 2)
    assert (mine.t, mine.df, mine.p) == pytest.approx((scipys.statistic, 79, scipys.pvalue))
    assert compared.difference == pytest.approx(compared.first_mean - compared.second_mean)
    assert compared.symmetry.p == pytest.approx(wilcoxon((a.values - y) ** 2 - (b.values - y) ** 2).pvalue)


def test_against_25_hundredths_the_test_is_scipys_one_sample_t():
    from scipy.stats import ttest_1samp

    a, _, y, groups = crowd(40)
    compared, scipys = compare_with_constant(a, y, groups), ttest_1samp((a.values - y) ** 2, 0.25)
    assert compared.second_mean == 0.25
    assert (compared.test.t, compared.test.p) == pytest.approx((scipys.statistic, scipys.pvalue))


def test_with_groups_the_error_is_that_of_least_squares_with_clusters():
    import statsmodels.api as sm

    generator = np.random.default_rng(5)
    groups = generator.integers(0, 30, 100)
    values = generator.normal(0.02, 0.1, 100) + generator.normal(0, 0.2, 30)[groups]
    fitted = sm.OLS(values, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    mean = clustered_mean(values, groups)
    test = t_test(mean.mean, mean.standard_error, mean.df)
    assert (mean.mean, mean.standard_error) == pytest.approx((fitted.params[0], fitted.bse[0]))
    assert (test.t, test.p) == pytest.approx((fitted.tvalues[0], fitted.pvalues[0]))


def test_the_order_of_the_questions_and_the_names_of_the_groups_change_nothing():
    a, b, y, _ = crowd(60)
    groups = np.arange(60) // 3
    order = np.random.default_rng(1).permutation(60)
    plain = compare(a, b, y, groups)
    mixed = compare(Column("a", a.values[order]), Column("b", b.values[order]), y[order], groups[order] + 1000)
    assert mixed.standard_error == pytest.approx(plain.standard_error)
    assert mixed.interval == pytest.approx(plain.interval)


def test_the_standard_error_of_real_markets_is_clustered_by_question():
    with real_data("forecastbench_market_resolved.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    price = np.array([float(row["crowd_p"]) for row in rows])
    outcomes = np.array([float(row["resolved_to"]) for row in rows])
    _, groups = np.unique([f"{row['source']} {row['id']}" for row in rows], return_inverse=True)
    scores = (price - outcomes) ** 2
    clustered, by_row = clustered_mean(scores, groups), clustered_mean(scores, np.arange(len(rows)))
    assert (clustered.n, clustered.groups) == (1733, 1018)
    assert round(clustered.mean, 5) == 0.09234
    assert round(clustered.standard_error, 4) == 0.0061
    assert round(by_row.standard_error, 4) == 0.0041
    interval = bootstrap_means(scores[:, None], groups).of(0)
    assert (interval[1] - interval[0]) / (2 * 1.96) == pytest.approx(0.0061, abs=0.0003)


def test_tost_is_that_of_statsmodels_paired_and_unpaired():
    from statsmodels.stats.weightstats import ttost_ind, ttost_paired

    a, b, y, groups = crowd(60, worse=0.05)
    first, second = (a.values - y) ** 2, (b.values - y) ** 2
    paired = compare(a, b, y, groups, bound=0.03).equivalence
    p, lower, upper = ttost_paired(first, second, -0.03, 0.03)
    assert (paired.p, paired.lower_t, paired.lower_p) == pytest.approx((p, lower[0], lower[1]))
    assert (paired.upper_t, paired.upper_p) == pytest.approx((upper[0], upper[1]))
    theirs = papers_tost(first, second)
    p, lower, upper = ttost_ind(first, second, -theirs.bound, theirs.bound, usevar="pooled")
    assert (theirs.p, theirs.lower_t, theirs.upper_t, theirs.df) == pytest.approx((p, lower[0], upper[0], 118))


def test_the_papers_bound_is_half_the_pooled_sd_of_the_samples_not_of_their_differences():
    first, second = np.array([0.1, 0.2, 0.6]), np.array([0.1, 0.2, 0.7])
    pooled = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    assert pooled_sd(first, second) == pytest.approx(pooled)
    assert papers_tost(first, second).bound == pytest.approx(pooled / 2)
    assert pooled / (first - second).std(ddof=1) > 4


def test_the_90_percent_interval_lies_inside_the_bounds_exactly_where_tost_passes():
    generator = np.random.default_rng(2)
    for _ in range(200):
        tests = tost(generator.normal(0, 0.02), 0.01, 50, 0.02)
        assert (tests.low > -0.02 and tests.high < 0.02) == (tests.p < 0.05)


def test_skewness_can_withdraw_an_equivalence_and_never_grants_one():
    generator = np.random.default_rng(2)
    withdrawn = 0
    for _ in range(400):
        skewed = tost(generator.normal(0, 0.01), 0.01, 99, 0.02, skewness=generator.normal(0, 3))
        assert skewed.p < 0.05 or not skewed.shown
        withdrawn += skewed.p < 0.05 and not skewed.shown
    assert withdrawn > 0
    plain = tost(0.0, 0.01, 99, 0.02)
    assert plain.p_without_skewness == pytest.approx(plain.p)


@pytest.mark.parametrize("bound", [0.0, -0.02, float("nan"), float("inf")])
def test_a_bound_must_be_stated_above_nothing(bound):
    a, b, y, groups = crowd(10)
    with pytest.raises(InputError, match=r"state the smallest difference that would matter"):
        compare(a, b, y, groups, bound=bound)


def test_the_unpaired_t_is_scipys():
    from scipy.stats import ttest_ind

    a, b, y, _ = crowd(31)
    first, second = (a.values - y) ** 2, ((b.values - y) ** 2)[:20]
    difference, error, df = unpaired_error(np.r_[first, np.nan], second)
    test, scipys = t_test(difference, error, df), ttest_ind(first, second)
    assert (test.t, test.df, test.p) == pytest.approx((scipys.statistic, 49, scipys.pvalue))


def test_the_adjustment_is_that_of_statsmodels_and_of_the_paper():
    from statsmodels.stats.multitest import multipletests

    p = [0.026, 0.850, 0.002, 0.049, 0.3]
    adjusted = benjamini_hochberg("abcde", p)
    assert adjusted.adjusted == pytest.approx(multipletests(p, method="fdr_bh")[1])
    paper = benjamini_hochberg(["H1", "H2", "H3"], [0.026, 0.850, 0.002])
    assert [round(each, 3) for each in paper.adjusted] == [0.039, 0.850, 0.006]
    assert paper.sentence() == "Benjamini–Hochberg over 3 primary comparisons, looked at once."


def test_comparisons_without_a_test_are_left_out_of_the_adjustment_and_looks_cost():
    adjusted = benjamini_hochberg(["a", "b", "c"], [0.01, None, 0.02], looks=3)
    assert adjusted.adjusted == pytest.approx((0.06, None, 0.06))
    assert adjusted.sentence() == (
        "Benjamini–Hochberg over 2 primary comparisons (1 more without a test), after multiplying each p by the 3 looks at these data."
    )
    assert benjamini_hochberg(["a"], [None]).adjusted == (None,)
    with pytest.raises(InputError, match="looks: 0 is below 1"):
        benjamini_hochberg(["a"], [0.5], looks=0)
    with pytest.raises(InputError, match="do not all lie between 0 and 1"):
        benjamini_hochberg(["a"], [1.5])


def test_the_detectable_difference_is_found_with_80_percent_power_and_does_not_depend_on_what_was_observed():
    from statsmodels.stats.power import TTestPower

    detectable = smallest_detectable(0.2 / np.sqrt(150), 149)
    assert TTestPower().power(detectable / 0.2, 150, 0.05) == pytest.approx(0.80, abs=0.005)
    a, b, y, groups = crowd(60)
    differences = (a.values - y) ** 2 - (b.values - y) ** 2
    error = clustered_mean(differences, groups).standard_error
    moved = clustered_mean(differences + 0.3, groups).standard_error
    assert smallest_detectable(error, 59) == pytest.approx(smallest_detectable(moved, 59))
    assert compare(a, b, y, groups).detectable == pytest.approx(smallest_detectable(error, 59))


def test_refusing_the_hard_questions_does_not_look_like_skill():
    """Simulated in the facts as .188 → .174: the member's own mean falls, the comparison on common questions does not."""
    a, b, y, groups = crowd(600, seed=4)
    hard = np.abs(b.values - 0.5) < 0.2
    refuser = Column("refuser", np.where(hard, np.nan, a.values))
    compared = compare(refuser, b, y, groups, beside=[Column("aggregate", (a.values + b.values) / 2)])
    own = np.nanmean((refuser.values - y) ** 2)
    assert own < np.mean((b.values - y) ** 2) - 0.03
    assert compared.n == int((~hard).sum())
    assert compared.only_second == int(hard.sum())
    assert abs(compared.difference) < 0.02
    both = ~hard
    aggregate = ((a.values + b.values)[both] / 2 - y[both]) ** 2
    assert compared.beside[0].mean == pytest.approx(aggregate.mean())
    words = comparison_sentence(compared)
    assert (
        f"{hard.sum()} resolved questions are left out for want of an answer ({hard.sum()} answered by b alone)"
        in words
    )
    assert f"On the questions compared: aggregate {number(aggregate.mean())}" in words


def test_open_questions_are_in_no_count():
    a = Column("a", np.array([0.2, 0.7, np.nan, np.nan, 0.5]))
    b = Column("b", np.array([0.3, np.nan, 0.6, np.nan, 0.5]))
    compared = compare(a, b, np.array([0.0, 1.0, 1.0, 0.0, np.nan]), np.arange(5))
    assert (compared.n, compared.only_first, compared.only_second, compared.neither) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("first", "outcomes", "groups", "reason"),
    [
        ([0.9], [1.0], [0], "one resolved question only: scores, no test"),
        ([0.9, 0.3], [1.0, np.nan], [0, 1], "one resolved question only: scores, no test"),
        ([0.9, 0.3, 0.2], [1.0, 0.0, 0.0], [4, 4, 4], "all 3 questions belong to one group: scores, no test"),
        ([np.nan, np.nan], [1.0, 0.0], [0, 1], "no resolved question was answered by both: nothing to compare"),
        ([0.5, 0.5, 0.5], [1.0, 0.0, 1.0], [0, 1, 2], "the difference does not vary over 3 questions: no test"),
    ],
)
def test_where_nothing_can_be_tested_the_reason_is_said(first, outcomes, groups, reason):
    first = np.array(first)
    compared = compare(
        Column("a", first), Column("b", np.full(len(first), 0.5)), np.array(outcomes), np.array(groups), bound=0.1
    )
    assert compared.no_test == reason
    assert (compared.test, compared.interval, compared.detectable, compared.equivalence) == (None,) * 4
    assert compared.better is None
    assert reason in comparison_sentence(compared)
    assert not WORDS_OF_EQUALITY.search(comparison_sentence(compared).replace("the difference does not vary", ""))
    if compared.n:
        assert compared.first_mean == pytest.approx(np.nanmean(((first - outcomes) ** 2)[: compared.n]))


def test_constant_forecasts_that_differ_are_compared():
    y = np.array([1.0, 0.0, 1.0, 1.0])
    compared = compare(Column("a", np.full(4, 0.7)), Column("b", np.full(4, 0.5)), y, np.arange(4))
    assert compared.test is not None
    assert compared.first_mean == pytest.approx((3 * 0.09 + 0.49) / 4)


def test_no_significant_difference_is_never_worded_as_equality():
    for seed in range(30):
        a, b, y, groups = crowd(40, seed)
        compared = compare(a, b, y, groups, bound=0.001)
        words = comparison_sentence(compared)
        assert not WORDS_OF_EQUALITY.search(words), words
        assert "on 40 questions" in words
        assert f"{number(compared.detectable)}" in words
        if compared.better is None:
            assert "These data do not decide which is better, and that is no evidence that neither is" in words
            assert "scored better" not in words
        assert "was not shown to lie within ±.0010" in words


def test_a_verdict_names_the_better_one_with_interval_test_and_detectable_difference():
    a, b, y, groups = crowd(400, worse=0.3)
    compared = compare(a, b, y, groups)
    assert compared.better == "b"
    words = comparison_sentence(compared)
    for part in (
        f"Brier score on 400 questions: a {number(compared.first_mean)}, b {number(compared.second_mean)}",
        f"difference {signed(compared.difference)} (95 % interval {signed(compared.interval[0])}",
        f"paired t(399) = {compared.test.t:.2f}, p < .001",
        "On these questions b scored better than chance explains.",
        "The smallest difference that n = 400 finds with 80 % power is",
    ):
        assert part in words
    # Of a score that is better the larger, the other side of 0 is better.
    assert compare(a, b, y, groups, score="spherical").better == "b"


def test_equivalence_is_worded_with_its_bound_and_its_90_percent_interval():
    a, b, y, groups = crowd(900)
    shown = compare(a, b, y, groups, bound=0.05)
    words = comparison_sentence(shown)
    assert "The difference was shown to lie within ±.0500 (bound ±0.05, stated beforehand; 90 % interval" in words
    assert not WORDS_OF_EQUALITY.search(words)
    skewed = tost(0.0, 0.01, 99, 0.0175, skewness=6.0)
    assert skewed.p < 0.05
    assert "not once the skewness of the differences is removed" in equivalence_sentence(skewed)


def test_numbers_are_printed_as_the_paper_prints_them():
    assert [number(0.0411), number(1.0), number(None), signed(-0.0078)] == [".0411", "1.00", "unknown", "−.0078"]
    assert [p_value(0.85), p_value(0.0004), p_value(1.0)] == ["= .850", "< .001", "= 1.000"]


def test_below_fifty_questions_or_with_few_of_an_outcome_there_is_a_warning():
    a, b, y, groups = crowd(49)
    assert "n = 49: below 50" in compare(a, b, y, groups).warnings[0]
    a, b, y, groups = crowd(120)
    assert compare(a, b, y, groups).warnings == ()
    assert "120 questions in 40 groups: below 50" in compare(a, b, y, groups // 3).warnings[0]
    rare = np.r_[np.ones(6), np.zeros(114)]
    assert "only 6 of 120 questions ended yes" in compare(a, b, rare, groups).warnings[0]
    assert (
        "only 6 of 40 groups of questions ended no"
        in compare(a, b, 1 - np.repeat(rare[:40], 3), groups // 3).warnings[1]
    )
    near = compare(a, b, rare, groups, bound=0.5)
    assert near.equivalence.p < 0.05
    assert not near.equivalence.shown
    assert "the tests pass, but only 6 of 120 questions ended yes, too few" in comparison_sentence(near)


def test_wilcoxon_is_there_as_a_test_of_symmetry_and_decides_nothing():
    """Skewed differences with mean 0: symmetry is rejected, and no verdict follows from it."""
    y = np.zeros(200)
    first = np.sqrt(np.r_[np.full(180, 0.30), np.full(20, 0.30 + 9 * 0.02)])
    second = np.sqrt(np.full(200, 0.30 + 0.018) + 1e-4 * np.random.default_rng(0).standard_normal(200))
    compared = compare(Column("a", first), Column("b", second), y, np.arange(200))
    assert compared.symmetry.p < 0.001
    assert compared.test.p > 0.5
    assert compared.better is None
    assert symmetry(np.array([0.0, np.nan])) is None


def test_scores_and_lengths_that_do_not_fit_are_refused():
    a, b, y, groups = crowd(10)
    with pytest.raises(InputError, match="'breier' is no score"):
        compare(a, b, y, groups, score="breier")
    with pytest.raises(InputError, match=r"short: has \(3,\) forecasts, there are 10 questions"):
        compare(a, Column("short", np.ones(3)), y, groups)
    assert compare_pairs([], y, groups) == ()


def test_intervals_equal_a_slow_bootstrap_that_draws_whole_groups():
    generator = np.random.default_rng(6)
    groups = np.repeat(np.arange(25), generator.integers(1, 5, 25))
    values = generator.normal(size=(len(groups), 2)) + generator.normal(size=25)[groups][:, None]
    values[::7, 1] = np.nan
    intervals = bootstrap_means(values, groups, resamples=4000)
    rows_of = [np.flatnonzero(groups == group) for group in range(25)]
    means = []
    for _ in range(4000):
        rows = np.concatenate([rows_of[each] for each in generator.integers(0, 25, 25)])
        means.append(np.nanmean(values[rows], axis=0))
    from scipy.stats import norm, t

    outside = norm.cdf(t.ppf(0.025, 24) * np.sqrt(25 / 24))
    slow = np.quantile(np.array(means), (outside, 1 - outside), axis=0)
    assert intervals.low == pytest.approx(slow[0], abs=0.06)
    assert intervals.high == pytest.approx(slow[1], abs=0.06)
    alone = bootstrap_means(values[:, :1], groups, resamples=4000)
    assert alone.of(0) == pytest.approx(intervals.of(0))


def test_intervals_of_few_questions_are_spread_to_the_t_distribution():
    """2,000 samples of ten normal numbers: plain percentiles hold the truth in 91 % of them."""
    values = np.random.default_rng(0).normal(size=(10, 2000))
    intervals = bootstrap_means(values, np.arange(10))
    inside = ((intervals.low <= 0) & (intervals.high >= 0)).mean()
    assert 0.935 <= inside <= 0.965


def test_columns_are_resampled_together_so_that_differences_are_paired():
    generator = np.random.default_rng(0)
    hard = generator.normal(size=200)
    columns = np.stack([hard + 0.01 * generator.standard_normal(200), hard], axis=1)
    low, high = bootstrap_means((columns[:, 0] - columns[:, 1])[:, None], np.arange(200)).of(0)
    assert high - low < 0.005
    assert bootstrap_means(np.full((1, 1), 0.5), np.zeros(1, int)).of(0) is None


def test_two_thousand_resamples_of_35_columns_of_10000_questions_take_less_than_3_s():
    values, groups = np.random.default_rng(0).random((10_000, 35)), np.arange(10_000)
    values[::9, 3] = np.nan
    began = time.process_time()
    bootstrap_means(values, groups)
    assert time.process_time() - began < 3


NULLS = {scenario.name: scenario for scenario in simulated.nulls()}
UNEQUAL = {scenario.name: scenario for scenario in simulated.unequal()}


@pytest.mark.parametrize("name", ["calibrated: bias, noise", "skewed: bias down, noise"])
def test_the_paired_t_rejects_equal_expected_scores_in_about_5_percent(name):
    runs = 1000
    assert simulated.size_of_t(NULLS[name], 100, runs) <= 0.06 + 3 * standard_error_of(0.06, runs)


def test_tost_grants_equivalence_at_the_bound_in_about_5_percent():
    runs = 1000
    verdict, _ = simulated.size_of_tost(UNEQUAL["skewed: biased down"], 100, runs)
    assert verdict <= 0.06 + 3 * standard_error_of(0.06, runs)


def test_the_power_of_the_paired_t_is_the_one_that_is_computed_for_it():
    runs, scenario = 1000, UNEQUAL["calibrated: noisier"]
    expected = simulated.expected_power(scenario, 200)
    assert 0.4 < expected < 0.7
    assert abs(simulated.power_of_t(scenario, 200, runs) - expected) <= 0.03 + 3 * standard_error_of(0.5, runs)


@pytest.mark.parametrize("name", ["calibrated: noisier", "skewed, 3 rows a group: biased down"])
def test_95_percent_intervals_hold_the_truth_in_about_95_percent(name):
    runs = 400
    slack = 3 * standard_error_of(0.95, runs)
    assert 0.93 - slack <= simulated.coverage(UNEQUAL[name], 400, runs) <= 0.97 + slack

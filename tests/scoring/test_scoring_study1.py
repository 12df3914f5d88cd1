"""Study 1: the statistics that the paper printed, from data with its summary statistics, and the protocol's own parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hf_soup.errors import InputError
from hf_soup.scoring.biases.heaping import heaping
from hf_soup.scoring.comparison import Column
from hf_soup.scoring.comparison_sentence import equivalence_sentence
from hf_soup.scoring.comparison_tests import t_test
from hf_soup.scoring.equivalence import tost
from hf_soup.scoring.study1 import acquiescence, study1
from hf_soup.scoring.table import ForecastTable

# Table and text of arXiv 2402.19379: Brier scores of the models' median over 31 questions, M .20, SD .12.
MODELS_MEAN, MODELS_SD, QUESTIONS, ALWAYS_HALF = 0.20, 0.12, 31, 0.25
# Printed: t(30) = −2.35, p = .026 from unrounded data; the printed M and SD give this.
T_AGAINST_HALF, P_AGAINST_HALF = -2.32, 0.027
# Not printed: solved from the printed TOST, whose bounds are ±.081 (0.5 × the pooled SD).
DIFFERENCE, STANDARD_ERROR, BOUND = 0.0078, 0.0411, 0.081
# Printed: t(60) = .19, p = .850; TOST t = 2.16, p = .017 and t = −1.78, p = .040.
T_AGAINST_HUMANS, P_AGAINST_HUMANS = 0.19, 0.850
TOST_LOWER, TOST_UPPER = (2.16, 0.017), (-1.78, 0.040)


def two_values(mean: float, sd: float, n: int, high: int) -> np.ndarray:
    """n numbers of which `high` are the larger of two, with exactly this mean and SD (n − 1)."""
    apart = sd * np.sqrt(n * (n - 1) / (high * (n - high)))
    low = mean - apart * high / n
    return np.r_[np.full(high, low + apart), np.full(n - high, low)]


def papers_table() -> ForecastTable:
    """31 questions, 14 of which ended yes, with forecasts whose Brier scores have the paper's means and deviations."""
    outcomes = (np.arange(QUESTIONS) % 2 == 1).astype(float)
    outcomes[[1]] = 0.0
    humans_sd = np.sqrt(QUESTIONS * STANDARD_ERROR**2 - MODELS_SD**2)
    generator = np.random.default_rng(0)
    models = generator.permutation(two_values(MODELS_MEAN, MODELS_SD, QUESTIONS, 15))
    humans = generator.permutation(two_values(MODELS_MEAN - DIFFERENCE, humans_sd, QUESTIONS, 6))
    said, crowd = (np.abs(outcomes - np.sqrt(brier)) for brier in (models, humans))
    return ForecastTable.of(said[:, None], outcomes, members=["model"], crowd=crowd)


def test_the_papers_statistics_come_out_of_its_summary_statistics():
    alone = t_test(MODELS_MEAN - ALWAYS_HALF, MODELS_SD / np.sqrt(QUESTIONS), QUESTIONS - 1)
    assert (round(alone.t, 2), round(alone.p, 3)) == (T_AGAINST_HALF, P_AGAINST_HALF)
    humans = t_test(DIFFERENCE, STANDARD_ERROR, 2 * QUESTIONS - 2)
    assert (round(humans.t, 2), round(humans.p, 2)) == (T_AGAINST_HUMANS, P_AGAINST_HUMANS)
    tests = tost(DIFFERENCE, STANDARD_ERROR, 2 * QUESTIONS - 2, BOUND)
    assert (round(tests.lower_t, 2), round(tests.lower_p, 3)) == TOST_LOWER
    assert (round(tests.upper_t, 2), round(tests.upper_p, 3)) == TOST_UPPER


def test_the_whole_protocol_prints_the_papers_statistics_for_data_like_the_papers():
    table = papers_table()
    study = study1(table)
    assert table.outcomes.sum() == 14
    models, humans = study.scores.column("median"), study.scores.column("crowd")
    assert [round(each, 2) for each in (models.brier, models.sd, humans.brier, humans.sd)] == [0.20, 0.12, 0.19, 0.19]
    first, second = study.hypotheses
    assert (round(first.test.t, 2), first.test.df, round(first.test.p, 3)) == (T_AGAINST_HALF, 30, P_AGAINST_HALF)
    assert (round(second.test.t, 2), second.test.df) == (T_AGAINST_HUMANS, 60)
    assert round(second.test.p, 2) == P_AGAINST_HUMANS
    equivalence = study.papers_equivalence
    assert round(equivalence.bound, 3) == BOUND
    # The bound is .0809 before rounding, so the upper t is −1.779.
    assert (round(equivalence.lower_t, 2), round(equivalence.lower_p, 3)) == TOST_LOWER
    assert (round(equivalence.upper_t, 2), round(equivalence.upper_p, 2)) == (TOST_UPPER[0], 0.04)
    assert "±0.5 × the pooled SD of both samples, as in arXiv 2402.19379" in equivalence_sentence(equivalence)


def test_a_constant_half_is_not_called_equivalent_to_the_papers_humans():
    """Critics said so; it holds for the point estimate alone (.06 < .081). TOST of M .25, SD 0 gives p = .42."""
    table = papers_table()
    study = study1(replace(table, values=np.full_like(table.values, 0.5)))
    assert study.papers_equivalence.p > 0.05
    assert not study.papers_equivalence.shown
    assert study.hypotheses[0].test is None


def test_the_third_hypothesis_is_said_to_be_unknown_and_is_not_adjusted_with():
    study = study1(papers_table())
    assert "third preregistered hypothesis is not known" in study.notes[0]
    assert study.adjusted.names == ("H1", "H2")
    assert study.adjusted.adjusted == pytest.approx(
        (2 * study.hypotheses[0].test.p, study.hypotheses[1].test.p), rel=1e-9
    )
    assert study1(papers_table(), looks=2).adjusted.adjusted[0] == pytest.approx(4 * study.hypotheses[0].test.p)


def simulated(n: int = 60, members: int = 4, seed: int = 1) -> ForecastTable:
    generator = np.random.default_rng(seed)
    q = generator.beta(0.8, 1.2, n)
    values = np.clip(q[:, None, None] + 0.2 * generator.standard_normal((n, members, 3)), 0, 1).round(2)
    values[generator.random(values.shape) < 0.1] = np.nan
    outcomes = (generator.random(n) < q).astype(float)
    return ForecastTable.of(values, outcomes, members=[f"m{k}" for k in range(members)], crowd=q)


def test_the_crowd_of_models_is_the_pooled_median_unless_told_otherwise():
    table = simulated()
    assert study1(table).scores.column("median").brier == pytest.approx(
        np.mean((np.nanmedian(table.pooled(), axis=1) - table.outcomes) ** 2)
    )
    mean = Column("mean", np.nanmean(table.member_means(), axis=1))
    assert study1(table, aggregate=mean).aggregate == "mean"


def test_models_stand_beside_the_aggregate_on_the_questions_that_both_answered():
    table = simulated()
    values = table.values.copy()
    values[:20, 0] = np.nan
    study = study1(replace(table, values=values))
    row = study.models[0]
    assert (row.scores.name, row.scores.missing, row.forecasts) == ("m0", 20, int((~np.isnan(values[:, 0])).sum()))
    assert row.against_aggregate.n == 40
    median = np.nanmedian(values.reshape(60, -1), axis=1)
    assert row.against_aggregate.second_mean == pytest.approx(np.mean((median - table.outcomes)[20:] ** 2))
    assert study.worse_models == sum(each.against_aggregate.difference > 0 for each in study.models)
    given = int((~np.isnan(values)).sum())
    assert f"{given} of 720 forecasts were given" in study.notes[1]


def test_topics_open_and_annulled_questions():
    table = simulated()
    outcomes = table.outcomes.copy()
    outcomes[:5] = np.nan
    annulled = np.zeros(60, bool)
    annulled[:2] = True
    topics = tuple("war" if k % 2 else "law" for k in range(60))
    study = study1(replace(table, outcomes=outcomes, annulled=annulled, topics=topics))
    assert (study.scores.resolved, study.scores.open, study.scores.annulled) == (55, 3, 2)
    assert [(each.topic, each.scores.name, each.scores.n) for each in study.topics] == [
        ("law", "median", 27),
        ("war", "median", 28),
    ]
    assert sum(each.n for each in study.reliability) == 55
    assert study.acquiescence.groups == 55


def test_acquiescence_is_clustered_by_question_not_by_forecast():
    """What the models share moves all of a question's forecasts at once: as independent ones they would seem to prove a lean."""
    import statsmodels.api as sm

    table = simulated(n=40, members=12)
    lean = acquiescence(table)
    pooled = table.pooled()
    given = ~np.isnan(pooled)
    rows = np.nonzero(given)[0]
    by_question = sm.OLS(pooled[given] - 0.5, np.ones(given.sum())).fit(
        cov_type="cluster", cov_kwds={"groups": rows}, use_t=True
    )
    by_forecast = sm.OLS(pooled[given] - 0.5, np.ones(given.sum())).fit()
    assert (lean.test.t, lean.test.p) == pytest.approx((by_question.tvalues[0], by_question.pvalues[0]))
    assert abs(by_forecast.tvalues[0]) > 3 * abs(lean.test.t)
    assert lean.mean == pytest.approx(np.nanmean(pooled))
    assert lean.forecasts == given.sum()
    weights = given.sum(axis=1)
    assert lean.base_rate == pytest.approx((weights * table.outcomes).sum() / weights.sum())
    assert lean.excess == pytest.approx(lean.mean - lean.base_rate)
    assert lean.interval[0] < lean.mean < lean.interval[1]
    assert lean.excess_interval[0] < lean.excess < lean.excess_interval[1]


def test_a_mean_above_half_is_no_excess_where_more_than_half_ended_yes():
    outcomes = np.r_[np.ones(70), np.zeros(30)]
    lean = acquiescence(ForecastTable.of(np.full((100, 1), 0.7), outcomes, members=["m"]))
    assert lean.mean == pytest.approx(0.7)
    assert lean.excess == pytest.approx(0, abs=1e-12)
    assert lean.test is None  # no spread: a t test would divide by 0


def test_heaping_counts_round_numbers():
    counts = heaping(
        np.array([[0.5, 0.5, 0.49, 0.51], [0.55, 0.07 * 10, 0.1 + 0.2, np.nan], [0.123, 0.0, 1.0, 0.5001]])
    )
    assert (counts.forecasts, counts.exactly_50, counts.exactly_49_or_51) == (11, 2, 2)
    assert (counts.multiples_of_5, counts.multiples_of_10) == (7, 6)


def test_a_stated_bound_is_tested_on_the_pairs():
    study = study1(simulated(200), bound=0.1)
    assert study.against_humans.equivalence.bound == 0.1
    assert study.against_humans.equivalence.df == 199
    assert study1(simulated()).against_humans.equivalence is None
    with pytest.raises(InputError, match="no bound for equivalence"):
        study1(simulated(), bound=-1)


def test_without_humans_or_with_one_question_there_are_scores_and_no_such_tests():
    table = simulated()
    alone = study1(replace(table, crowd=np.full(60, np.nan)))
    assert (alone.against_humans, alone.papers_equivalence, alone.reliability_of_humans) == (None, None, ())
    assert [each.name for each in alone.hypotheses] == ["H1"]
    assert "no human crowd" in alone.notes[-1]
    one = study1(table.subset(np.arange(60) == 3))
    assert [each.test for each in one.hypotheses] == [None, None]
    assert one.against_half.no_test == "one resolved question only: scores, no test"
    assert one.adjusted.tests == 0
    assert one.scores.column("median").n == 1
    silent = study1(replace(table, values=np.full_like(table.values, np.nan)))
    assert silent.scores.column("median").n == 0
    assert silent.heaping.forecasts == 0
    assert silent.acquiescence.test is None
    assert np.isnan(silent.acquiescence.mean)


def test_forecasts_that_knew_the_crowd_are_not_study_1():
    table = simulated()
    shown = np.zeros(table.values.shape, bool)
    shown[5, 0] = True
    with pytest.raises(InputError, match="made after the crowd's was shown, so the models are not alone"):
        study1(replace(table, shown_crowd=shown))
    late = replace(table, times=np.full(table.values.shape, 100.0), crowd_times=np.full(60, 200.0))
    with pytest.raises(InputError, match="dated after a forecast of the same question"):
        study1(late)

"""Scores of forecasts against other libraries, slow loops, and what Metaculus, ForecastBench and the facts print."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import real_data

from hf_soup.errors import InputError
from hf_soup.scoring.calibration_index import (
    calibration_index,
    calibration_index_by_chance,
    expected_calibration_error,
    reliability_bins,
)
from hf_soup.scoring.murphy import murphy
from hf_soup.scoring.scores import (
    SCORES,
    auc,
    brier,
    brier_index,
    clip_probabilities,
    log,
    metaculus_baseline,
    peer_score_against,
    peer_scores,
    score_named,
    spherical,
)
from hf_soup.scoring.scores_table import Kind, score_table
from hf_soup.scoring.table import ForecastTable


def forecasts(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    q = generator.beta(0.8, 1.2, n)
    return np.clip(q + 0.15 * generator.standard_normal(n), 0, 1).round(2), (generator.random(n) < q).astype(float)


def test_brier_and_log_scores_are_those_of_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    p, y = forecasts()
    clipped, _ = clip_probabilities(p)
    assert brier(p, y).mean() == pytest.approx(brier_score_loss(y, p), abs=1e-14)
    assert log(clipped, y).mean() == pytest.approx(log_loss(y, clipped), abs=1e-12)


def test_scores_of_one_question_by_hand():
    p, y = np.array([0.8, 0.8, 0.5]), np.array([1.0, 0.0, 1.0])
    assert brier(p, y) == pytest.approx([0.04, 0.64, 0.25])
    assert log(p, y) == pytest.approx([-math.log(0.8), -math.log(0.2), math.log(2)])
    assert spherical(p, y) == pytest.approx([0.8 / math.hypot(0.8, 0.2), 0.2 / math.hypot(0.8, 0.2), math.sqrt(0.5)])
    assert metaculus_baseline(p, y) == pytest.approx([100 * (1 + math.log2(0.8)), 100 * (1 + math.log2(0.2)), 0.0])


@pytest.mark.parametrize("name", SCORES)
def test_a_missing_forecast_or_outcome_has_no_score_and_an_honest_probability_is_best(name):
    score = SCORES[name]
    scored = score(np.array([0.2, np.nan, 0.3]), np.array([1.0, 0.0, np.nan]))
    assert np.isnan(scored).tolist() == [False, True, True]
    # Proper: with a true probability of .3 nothing expects a better score than saying .3.
    said = np.linspace(0.01, 0.99, 99)
    expected = 0.3 * score(said, np.ones(99)) + 0.7 * score(said, np.zeros(99))
    best = expected.argmin() if score.smaller_is_better else expected.argmax()
    assert said[best] == pytest.approx(0.3)


@pytest.mark.parametrize("name", SCORES)
def test_many_columns_score_as_each_alone(name):
    p, y = forecasts(40)
    columns = np.stack([p, 1 - p, np.where(p > 0.5, np.nan, p)], axis=1)
    together = SCORES[name](columns, y)
    for number in range(3):
        np.testing.assert_array_equal(together[:, number], SCORES[name](columns[:, number], y))


def test_certainty_that_was_wrong_is_infinitely_bad_and_the_clip_says_what_it_moved():
    p, y = np.array([0.0, 1.0, 0.0005, 0.5, np.nan]), np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    assert log(p, y)[0] == math.inf
    clipped, moved = clip_probabilities(p, 0.001)
    assert moved == 3
    assert clipped[:4].tolist() == [0.001, 0.999, 0.001, 0.5]
    assert SCORES["log"](p, y, clip=0.01)[0] == pytest.approx(-math.log(0.01))
    assert SCORES["metaculus_baseline"](p, y)[0] == pytest.approx(100 * (1 + math.log2(0.001)))
    with pytest.raises(InputError, match=r"clip: 0\.5"):
        clip_probabilities(p, 0.5)


def test_brier_index_is_the_one_of_forecastbench():
    assert round(brier_index(0.103), 1) == 67.9
    assert brier_index(0.25) == 50
    assert brier_index(0.0) == 100


def test_peer_scores_equal_the_formula_in_loops():
    generator = np.random.default_rng(3)
    members, y = generator.uniform(0.05, 0.95, (12, 4)), (generator.random(12) < 0.5).astype(float)
    members[0, 1:] = np.nan
    members[1, 2] = np.nan
    members[2] = np.nan
    y[3] = np.nan
    got, against = peer_scores(members, y), peer_score_against(members[:, 0], members, y)
    for q in range(12):
        logs = [math.log(p if y[q] == 1 else 1 - p) for p in members[q]] if y[q] == y[q] else [math.nan] * 4
        given_by = [m for m in range(4) if logs[m] == logs[m]]
        for m in range(4):
            others = [logs[o] for o in given_by if o != m]
            if m in given_by and others:
                assert got[q, m] == pytest.approx(100 * (logs[m] - sum(others) / len(others)))
            else:
                assert np.isnan(got[q, m])
        if 0 in given_by:
            assert against[q] == pytest.approx(100 * (logs[0] - sum(logs[m] for m in given_by) / len(given_by)))


def test_peer_scores_of_a_question_that_all_answered_add_up_to_nothing():
    members = np.random.default_rng(1).uniform(0.1, 0.9, (30, 5))
    assert peer_scores(members, np.ones(30)).sum(axis=1) == pytest.approx(np.zeros(30), abs=1e-9)


def test_auc_is_that_of_scikit_learn_and_ignores_the_order_of_a_summation():
    from sklearn.metrics import roc_auc_score

    p, y = forecasts()
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    tied = np.array([0.1 + 0.2, 0.3])  # these differ in the last bit
    assert tied[0] != tied[1]
    assert auc(tied, np.array([1.0, 0.0])) == 0.5
    assert np.isnan(auc(p, np.ones(len(p))))
    assert np.isnan(auc(np.full(3, np.nan), np.array([1.0, 0.0, 1.0])))


def test_calibration_measures_equal_loops_over_the_bins():
    p, y = forecasts(200, seed=4)
    p[3], y[5] = np.nan, np.nan
    index = error = chance = 0.0
    kept = [(a, b) for a, b in zip(p, y, strict=True) if a == a and b == b]
    for k in range(10):
        inside = [(a, b) for a, b in kept if min(int(round(a * 10, 8)), 9) == k]
        if not inside:
            continue
        gap = sum(a - b for a, b in inside) / len(inside)
        index += len(inside) * gap**2 / len(kept)
        error += len(inside) * abs(gap) / len(kept)
        chance += sum(a * (1 - a) for a, _ in inside) / len(inside) / len(kept)
    assert calibration_index(p, y) == pytest.approx(index)
    assert expected_calibration_error(p, y) == pytest.approx(error)
    assert calibration_index_by_chance(p, y) == pytest.approx(chance)


def test_reliability_bins_are_those_of_scikit_learn_with_wilson_intervals_of_statsmodels():
    from sklearn.calibration import calibration_curve
    from statsmodels.stats.proportion import proportion_confint

    generator = np.random.default_rng(2)
    p = generator.uniform(0, 1, 400)
    y = (generator.random(400) < p).astype(float)
    shares, means = calibration_curve(y, p, n_bins=10)
    bins = reliability_bins(p, y)
    assert [each.share_yes for each in bins] == pytest.approx(list(shares))
    assert [each.mean_forecast for each in bins] == pytest.approx(list(means))
    for each in bins:
        low, high = proportion_confint(round(each.share_yes * each.n), each.n, method="wilson")
        assert (each.share_low, each.share_high) == pytest.approx((low, high))
    assert sum(each.n for each in bins) == 400


def test_a_value_on_an_edge_belongs_to_the_bin_that_begins_there():
    assert 1 - 0.9 < 0.1  # by rounding
    bins = reliability_bins(np.array([1 - 0.9, 0.1, 0.1 + 0.2, 0.3, 1.0, 0.0]), np.array([1.0, 0, 1, 0, 1, 0]))
    assert [(each.low, each.n) for each in bins] == [(0.0, 1), (0.1, 2), (0.3, 2), (0.9, 1)]


def test_noise_alone_gives_a_perfect_forecaster_the_calibration_index_that_is_printed_beside_it():
    generator = np.random.default_rng(8)
    p = generator.uniform(0, 1, 31)
    by_noise = [calibration_index(p, (generator.random(31) < p).astype(float)) for _ in range(2000)]
    assert np.mean(by_noise) == pytest.approx(calibration_index_by_chance(p, np.ones(31)), rel=0.05)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=60), st.sampled_from([None, 1, 5, 10])
)
def test_murphys_parts_add_up_to_the_brier_score(answers, bins):
    p, y = (np.array(each, dtype=float) for each in zip(*answers, strict=True))
    parts = murphy(p / 100, y, bins)
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert whole == pytest.approx(((p / 100 - y) ** 2).mean(), abs=1e-12)
    assert parts.brier == pytest.approx(whole, abs=1e-12)
    if bins is None:
        assert parts.within_bins == pytest.approx(0, abs=1e-12)


def test_a_constant_forecast_has_no_resolution_and_half_an_auc():
    p, y = np.full(40, 0.3), np.r_[np.ones(10), np.zeros(30)]
    parts = murphy(p, y)
    assert (parts.resolution, parts.uncertainty) == pytest.approx((0, 0.1875))
    assert parts.reliability == pytest.approx(0.05**2)
    assert auc(p, y) == 0.5


def table(**changes: object) -> ForecastTable:
    """Six questions: four resolved, one open, one annulled; `b` refuses the second."""
    values = np.array(
        [
            [[0.9, 0.7], [0.6, np.nan]],
            [[0.2, 0.2], [np.nan, np.nan]],
            [[0.4, 0.6], [1.0, 1.0]],
            [[0.1, 0.3], [0.0, 0.0]],
            [[0.5, 0.5], [0.5, 0.5]],
            [[0.5, 0.5], [0.5, 0.5]],
        ]
    )
    made = ForecastTable.of(
        values, [1, 0, 1, 1, np.nan, np.nan], members=["a", "b"], crowd=np.array([0.8, 0.1, 0.5, np.nan, 0.5, 0.5])
    )
    return replace(
        made, annulled=np.array([False] * 5 + [True]), topics=("war", "war", "law", None, "law", "war"), **changes
    )


def test_the_table_scores_members_by_the_mean_of_their_samples_and_counts_what_is_missing():
    scored = score_table(table(), {"mean": np.array([0.7, 0.2, 0.75, 0.1, 0.5, 0.5])})
    assert (scored.resolved, scored.open, scored.annulled) == (4, 1, 1)
    assert [(each.name, each.kind) for each in scored.columns] == [
        ("mean", Kind.AGGREGATE),
        ("crowd", Kind.CROWD),
        ("a", Kind.MEMBER),
        ("b", Kind.MEMBER),
    ]
    a, b = scored.column("a"), scored.column("b")
    assert (a.n, a.missing, b.n, b.missing) == (4, 0, 3, 1)
    assert a.brier == pytest.approx((0.2**2 + 0.2**2 + 0.5**2 + 0.8**2) / 4)
    assert b.brier == pytest.approx((0.4**2 + 0 + 1) / 3)
    assert a.brier_index == pytest.approx(100 * (1 - math.sqrt(a.brier)))
    assert b.clipped == 2
    low, high = a.interval
    assert low < a.brier < high
    assert scored.column("crowd").missing == 1
    text = " ".join(scored.warnings)
    for words in (
        "4 groups",
        "1 of 6 questions is still open",
        "1 annulled question is left out",
        "in pairs",
        "2 forecasts outside",
    ):
        assert words in text


def test_topics_are_scored_apart_and_unnamed_ones_are_kept():
    scored = score_table(table())
    assert list(scored.by_topic) == ["", "law", "war"]
    war = {each.name: each for each in scored.by_topic["war"]}
    assert war["a"].n == 2
    assert war["a"].brier == pytest.approx(0.04)
    assert war["b"].n == 1
    assert np.isnan({each.name: each for each in scored.by_topic["law"]}["a"].auc)
    assert scored.by_source == {}


def test_nothing_given_or_nothing_resolved_scores_nothing_and_says_so():
    silent = ForecastTable.of(np.full((3, 1), np.nan), [1, 0, 1], members=["a"])
    scored = score_table(silent).column("a")
    assert (scored.n, scored.missing, scored.interval) == (0, 3, None)
    assert all(np.isnan(value) for value in [*scored.means.values(), scored.auc, scored.ece, scored.brier_index])
    still_open = score_table(ForecastTable.of(np.full((3, 1), 0.5), members=["a"]))
    assert still_open.warnings == ("no question is resolved: there is nothing to score.",)


def test_one_resolved_question_has_scores_and_no_interval():
    scored = score_table(ForecastTable.of([[0.8, 0.6]], [1.0], members=["a", "b"])).column("a")
    assert scored.brier == pytest.approx(0.04)
    assert scored.interval is None
    assert np.isnan(scored.sd)


def test_names_of_columns_must_differ_and_aggregates_fit():
    with pytest.raises(InputError, match=r"'a' names two columns"):
        score_table(table(), {"a": np.full(6, 0.5)})
    with pytest.raises(InputError, match=r"mean: has shape \[2\], there are 6"):
        score_table(table(), {"mean": np.full(2, 0.5)})
    with pytest.raises(InputError, match=r"'x' was not scored; there are crowd, a, b"):
        score_table(table()).column("x")
    with pytest.raises(InputError, match=r"'brrier' is no score of single questions; there are brier, log"):
        score_named("brrier")


def test_scores_on_real_data_are_those_of_the_facts():
    with real_data("delib_202q_3models.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["context"] == "none" and r["sample"] == "0"]
    members, ids = sorted({r["model"] for r in rows}), sorted({r["question_id"] for r in rows})
    values, outcomes = np.full((len(ids), len(members)), np.nan), np.full(len(ids), np.nan)
    for row in rows:
        place = ids.index(row["question_id"])
        values[place, members.index(row["model"])] = float(row["probability"]) / 100
        outcomes[place] = float(row["resolution"])
    mean, median = values.mean(axis=1), np.median(values, axis=1)
    scored = score_table(ForecastTable.of(values, outcomes, members=members), {"mean": mean, "median": median})
    assert scored.resolved == 202
    assert round(scored.column("mean").brier, 5) == 0.16647
    assert round(scored.column("median").brier, 5) == 0.17279
    assert round(scored.column("mean").auc, 5) == 0.80184
    assert round(scored.column("median").auc, 5) == 0.78377
    # In another order of summation the ties are broken by rounding, unless values are rounded first.
    backwards = ((values[:, 2] + values[:, 1]) + values[:, 0]) / 3
    assert auc(backwards, outcomes) == scored.column("mean").auc


def test_importing_the_scores_loads_no_heavy_library():
    code = (
        "import sys, hf_soup.scoring.scores_table, hf_soup.scoring.study1, hf_soup.scoring.study2; "
        "print(sorted({'scipy', 'sklearn', 'statsmodels', 'scoringrules', 'pandas', 'torch'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_without_scoringrules_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scoringrules", None)
    with pytest.raises(InputError, match=r'pip install "hf-soup\[scores\]"'):
        brier(np.array([0.5]), np.array([1.0]))

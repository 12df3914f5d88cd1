"""Verdicts of comparisons that were made together: no sentence says more than the adjusted p beside it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from hf_soup.errors import InputError
from hf_soup.scoring.blending import Blending, blending
from hf_soup.scoring.comparing import comparing
from hf_soup.scoring.comparison import Column, compare, compare_pairs
from hf_soup.scoring.comparison_family import family_of
from hf_soup.scoring.comparison_sentence import (
    comparison_sentence,
    equivalence_sentence,
    number,
    p_value,
    t_value,
)
from hf_soup.scoring.equivalence import tost
from hf_soup.scoring.scoring import scoring
from hf_soup.scoring.study1_result import study1_result
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.scoring.study2_result import study2_result
from hf_soup.scoring.table import ForecastTable

multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
BETTER = "than chance explains"


def adjusted_by_statsmodels(p: list[float], looks: int = 1) -> list[float]:
    return multipletests(np.minimum(np.array(p) * looks, 1.0), method="fdr_bh")[1].tolist()


def crowd(n: int, members: int = 3, seed: int = 0) -> ForecastTable:
    """Members that know the probabilities of the crowd, each with more noise than the one before."""
    generator = np.random.default_rng(seed)
    q = generator.beta(0.8, 0.8, n)
    noise = generator.standard_normal((n, members)) * np.linspace(0.1, 0.35, members)
    values = np.clip(q[:, None] + noise, 0, 1)
    names = [f"m{k}" for k in range(members)]
    return ForecastTable.of(values, (generator.random(n) < q).astype(float), members=names, crowd=q)


def two_turns(n: int, seed: int = 0, **changes: object) -> TwoTurns:
    """Two members; the second forecast lies nearer to the crowd's, which is the probability itself."""
    generator = np.random.default_rng(seed)
    q = generator.uniform(0.1, 0.9, n)
    first = np.clip(q[:, None] + 0.25 * generator.standard_normal((n, 2)), 0.06, 0.94)
    second = first + 0.5 * generator.random((n, 2)) * (q[:, None] - first)
    outcomes = (generator.random(n) < q).astype(float)
    given = {"members": ["gpt", "claude"], "outcomes": outcomes, **changes}
    width = 0.02 * generator.random((n, 2))
    return TwoTurns.of((first - 0.05, first + 0.05), (second - width, second + width), crowd=q, **given)


def test_p_of_differences_and_of_equivalence_are_two_families_and_looks_multiply_both():
    table = crowd(150)
    means, half = table.member_means(), Column("half", np.full(150, 0.5))
    pairs = [(Column(name, means[:, m]), half) for m, name in enumerate(table.members)]
    compared = compare_pairs(pairs, table.outcomes, table.groups, bound=0.08)
    family = family_of(compared, looks=3)
    p = [each.test.p for each in compared]
    within = [max(each.equivalence.p, each.equivalence.p_without_skewness) for each in compared]

    assert [each.adjusted_p for each in family.comparisons] == pytest.approx(adjusted_by_statsmodels(p, 3))
    assert [each.equivalence.adjusted_p for each in family.comparisons] == pytest.approx(
        adjusted_by_statsmodels(within, 3)
    )
    assert "3 equivalence tests, after multiplying each p by the 3 looks" in family.sentences()
    assert family_of(compare_pairs(pairs, table.outcomes, table.groups)).equivalence is None


def test_better_is_said_only_where_the_adjusted_p_says_so():
    table = crowd(400)
    means = table.member_means()
    alone = compare(Column("a", means[:, 0]), Column("b", means[:, 2]), table.outcomes, table.groups)
    assert (alone.better, alone.better_by_itself) == ("a", "a")
    assert BETTER in comparison_sentence(alone)
    judged = replace(alone, adjusted_p=0.07)
    assert (judged.better, judged.better_by_itself) == (None, "a")
    words = comparison_sentence(judged)
    assert BETTER not in words
    assert "adjusted p = .070)" in words
    assert "By itself this would say that a is better; with all tests and looks counted it is not decided." in words
    assert BETTER in comparison_sentence(replace(alone, adjusted_p=0.04))


def test_equivalence_that_holds_alone_is_not_called_shown_after_fifty_looks():
    table = crowd(600, seed=3)
    once, often = (comparing(table, "members", bound=0.02, looks=looks) for looks in (1, 50))
    shown = [each.equivalence.shown for each in once.comparisons]
    raw = [each.equivalence.decisive_p for each in once.comparisons]
    assert any(shown)
    for each, was_shown, adjusted in zip(often.comparisons, shown, adjusted_by_statsmodels(raw, 50), strict=True):
        words = comparison_sentence(each)
        assert each.equivalence.adjusted_p == pytest.approx(adjusted)
        assert each.equivalence.shown == (adjusted < 0.05)
        assert ("was shown to lie within" in words) == (adjusted < 0.05)
        if was_shown and adjusted >= 0.05:
            assert "the tests pass by themselves, but not with all equivalence tests and looks counted" in words
    alone = tost(0.0, 0.01, 200, 0.02)
    assert alone.shown
    assert "not shown to lie" in equivalence_sentence(replace(alone, adjusted_p=0.2))


def test_study_1_calls_nobody_better_whom_its_own_adjusted_p_leaves_undecided():
    """H1 has p = .04 by itself and .08 with H2."""
    n = 31
    outcomes = (np.arange(n) % 2 == 0).astype(float)
    generator = np.random.default_rng(2)
    said = np.abs(outcomes - np.sqrt(generator.permutation(np.r_[np.full(15, 0.325), np.full(16, 0.0893)])))
    humans = np.abs(outcomes - np.sqrt(generator.permutation(np.r_[np.full(8, 0.49), np.full(23, 0.08)])))
    result = study1_result(ForecastTable.of(said[:, None], outcomes, members=["m"], crowd=humans))
    first, _ = result.study.adjusted.adjusted
    assert result.study.against_half.test.p < 0.05 < first
    assert result.study.against_half.adjusted_p == first
    assert BETTER not in result.table()
    assert "By itself this would say that median is better" in result.table()


def test_study_1_adjusts_the_pairs_in_the_place_of_h2_and_models_among_themselves():
    table = crowd(200, members=4)
    study = study1_result(table, looks=2).study
    p = [study.against_half.test.p, study.against_humans.test.p]
    assert study.against_humans.adjusted_p == pytest.approx(adjusted_by_statsmodels(p, 2)[1])
    of_models = [each.against_aggregate for each in study.models]
    assert [each.adjusted_p for each in of_models] == pytest.approx(
        adjusted_by_statsmodels([each.test.p for each in of_models], 2)
    )


def test_study_1_has_p_interval_and_detectable_difference_of_every_model():
    from scipy.stats import ttest_rel

    table = crowd(120)
    values = table.values.copy()
    values[:30, 2] = np.nan
    table = replace(table, values=values)
    result = study1_result(table)
    median = np.nanmedian(table.pooled(), axis=1)
    for m, row in enumerate(result.rows()):
        own = table.member_means()[:, m]
        both = ~np.isnan(own)
        scores = [((each - table.outcomes) ** 2)[both] for each in (own, median)]
        assert row["p"] == pytest.approx(ttest_rel(*scores).pvalue)
        assert row["low"] < row["against_aggregate"] < row["high"]
        assert row["adjusted_p"] >= row["p"]
        assert row["detectable"] > 0
        assert (row["against_aggregate_n"], row["aggregate_brier"]) == (both.sum(), pytest.approx(scores[1].mean()))
    header = next(line for line in result.table().splitlines() if line.startswith("model "))
    for column in ("aggregate there", "p (BH)", "detectable"):
        assert column in header
    assert "p not adjusted" not in result.table()


def test_study_1_prints_n_and_detectable_difference_beside_the_papers_equivalence_test():
    from scipy.stats import t

    table = crowd(60)
    result = study1_result(table)
    errors = [(each - table.outcomes) ** 2 for each in (np.nanmedian(table.pooled(), axis=1), table.crowd)]
    error = np.sqrt(sum(each.var(ddof=1) for each in errors) / 60)
    detectable = (t.ppf(0.975, 118) + t.ppf(0.8, 118)) * error
    line = next(line for line in result.table().splitlines() if line.startswith("As in the paper"))
    assert "unpaired, n = 60:" in line
    assert f"The smallest difference that it finds with 80 % power is .{round(1e4 * detectable):04d}." in line
    assert study1_result(table, looks=9).study.papers_equivalence.adjusted_p == pytest.approx(
        min(1, 9 * result.study.papers_equivalence.decisive_p)
    )


def test_study_2_adjusts_every_p_that_it_prints():
    result = study2_result(two_turns(200), looks=2)
    everyone = [*result.study.members, result.study.median]
    primary = [each for member in everyone[:2] for each in (member.accuracy, member.against_plain)]
    secondary = [
        *(each for member in everyone[:2] for each in (member.against_weighted, member.against_crowd)),
        *(getattr(everyone[2], name) for name in ("accuracy", "against_plain", "against_weighted", "against_crowd")),
    ]
    changes = [each for member in everyone for each in (member.width, member.movement.distance)]
    for family in (primary, secondary, changes):
        assert [each.adjusted_p for each in family] == pytest.approx(
            adjusted_by_statsmodels([each.test.p for each in family], 2)
        )
    for line in result.table().splitlines():
        if "paired t(" in line:
            assert "adjusted p" in line
        if BETTER in line:
            stated = re.search(r"adjusted p (= \.\d+|< \.001)", line).group(1)
            assert stated == "< .001" or float(stated[2:]) < 0.05
    row = result.rows()[2]
    assert row["member"] == "median of members"
    assert row["adjusted_p"] == everyone[2].accuracy.adjusted_p
    assert row["crowd_adjusted_p"] == everyone[2].against_crowd.adjusted_p


def test_study_2_says_undecided_where_only_the_raw_p_of_the_crowd_or_the_median_is_small():
    seen = 0
    for seed in range(30):
        study = study2_result(two_turns(60, seed)).study
        for member in (*study.members, study.median):
            for each in (
                member.against_weighted,
                member.against_crowd,
                *((member.accuracy,) if member is study.median else ()),
            ):
                if each.test.p < 0.05 <= each.adjusted_p:
                    seen += 1
                    assert each.better is None
                    assert BETTER not in comparison_sentence(each)
    assert seen


def test_study_2_counts_open_and_annulled_questions_and_says_where_they_are_included():
    outcomes = two_turns(60).outcomes.copy()
    outcomes[:7] = np.nan
    annulled = np.arange(60) < 3
    result = study2_result(two_turns(60, outcomes=outcomes, annulled=annulled))
    study = result.study
    assert (study.resolved, study.open, study.annulled) == (53, 4, 3)
    assert "53 questions resolved, 4 open, 3 annulled." in result.table()
    assert "Brier scores are of the 53 resolved questions." in result.table()
    assert "are of all 60 with both answers and a crowd: 4 of them open, 3 annulled." in result.table()
    assert "4 of 60 questions are still open. Those that resolve early are over-represented" in result.table()
    assert "over-represented" not in study2_result(two_turns(60)).table()


def test_study_2_names_the_member_that_a_warning_is_about():
    turns = two_turns(60)
    low = turns.second_low.copy()
    low[:20, 1] = np.nan
    warnings = study2_result(replace(turns, second_low=low)).warnings
    assert warnings[0].startswith("claude: n = 40: below 50 intervals are rough")


def test_the_blend_is_called_better_only_by_its_adjusted_p_and_warns_below_fifty():
    for seed in range(40):
        table = crowd(40, seed=seed)
        found = blending(table, table.member_means().mean(axis=1), "mean", looks=2)
        p = [each.test.p for each in found.comparisons]
        assert [each.adjusted_p for each in found.comparisons] == pytest.approx(adjusted_by_statsmodels(p, 2))
        for each, words in zip(found.comparisons, found.to_json()["comparisons"], strict=True):
            assert (BETTER in words["sentence"]) == (each.adjusted_p < 0.05)
    assert found.warnings[0].startswith("blend with the crowd: n = 40: below 50 intervals are rough")
    assert "adjusted by themselves: Benjamini–Hochberg over 2 comparisons" in str(found)
    assert found.warnings[0] in comparing(table).warnings


def test_a_statistic_has_the_minus_of_all_other_numbers():
    table = crowd(100)
    words = comparison_sentence(comparing(table, "half").comparisons[0])
    assert "= −" in words
    assert re.search(r"[ =]-\d", words) is None
    assert t_value(-0.5) == "−0.50"


def test_looks_at_the_blend_count_in_scores_as_they_do_in_comparisons():
    """By itself the blend beats the models; after 40 looks nothing is decided, and both commands say so."""
    table = crowd(150, seed=1)
    of_scores, of_comparisons = scoring(table, looks=40).blending, comparing(table, looks=40).blending
    assert isinstance(of_scores, Blending)
    p = [each.test.p for each in of_scores.comparisons]
    assert [each.adjusted_p for each in of_scores.comparisons] == pytest.approx(adjusted_by_statsmodels(p, 40))
    assert of_scores.to_json() == of_comparisons.to_json()
    assert BETTER in str(scoring(table))
    assert BETTER not in str(scoring(table, looks=40))
    assert "multiplying each p by the 40 looks" in str(scoring(table, looks=40))
    for without_crowd in (table, replace(table, crowd=np.full(150, np.nan))):
        with pytest.raises(InputError, match="looks: 0 is below 1"):
            scoring(without_crowd, looks=0)


def test_study_1_says_that_the_p_of_acquiescence_is_its_own_and_counts_the_looks():
    table = crowd(200)
    once, often = study1_result(table), study1_result(table, looks=7)
    p = often.study.acquiescence.test.p
    assert often.study.acquiescence.adjusted_p == pytest.approx(min(7 * p, 1))
    assert once.study.acquiescence.adjusted_p is None
    assert "(by itself, not adjusted with the hypotheses), clustered" in str(once)
    assert f"with all looks counted p {p_value(min(7 * p, 1))}, clustered" in str(often)


def test_comparisons_of_study_1_are_the_same_documents_as_those_of_compare():
    table = crowd(200)
    found = study1_result(table, primary="mean").to_json()
    compared = {each["second"]: each for each in comparing(table).to_json()["comparisons"]}
    for name, second in (("against_half", "always 50 %"), ("against_humans", "crowd")):
        assert found[name].keys() == compared[second].keys()
        assert found[name]["first_mean"] == pytest.approx(compared[second]["first_mean"])
        assert found[name]["sentence"].startswith(
            f"Brier score on 200 questions: mean {number(found[name]['first_mean'])}"
        )
    for each in found["models"]:
        one = each["against_aggregate"]
        assert (one["better"] is None) == (one["adjusted_p"] >= 0.05)
        assert (BETTER in one["sentence"]) == (one["better"] is not None)
    assert study1_result(replace(table, crowd=np.full(200, np.nan))).to_json()["against_humans"] is None

"""What the report says in words: never more than the rows tell."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from ensemble_data import members
from scipy import stats

from hf_soup.ensembles import fit_combination
from hf_soup.ensembles.evidence.differences import Difference
from hf_soup.ensembles.evidence.facts import DataFacts, Weight
from hf_soup.ensembles.evidence.left_out import LeftOut
from hf_soup.ensembles.evidence.rivals import adjusted, rivals_of_chosen
from hf_soup.ensembles.evidence.scored import LabelledRows
from hf_soup.ensembles.evidence.scoring import Scores
from hf_soup.ensembles.evidence.systems import single_systems
from hf_soup.ensembles.evidence.verdict import Other, compared, verdict
from hf_soup.ensembles.evidence.verdict_from_figures import verdict_from_figures
from hf_soup.ensembles.report import EnsembleReport, ensemble_report

multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
SINGLE = Other("the best single model (me/a)", "a gain over one model was not shown")
FACTS = DataFacts("test", "test", 1000, None, {"no": 500, "yes": 500})


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intervals themselves are tested in test_ensembles_report_scores.py."""
    for name in ("_MOST_RESAMPLES", "_LEAST_RESAMPLES"):
        monkeypatch.setattr(f"hf_soup.ensembles.evidence.scored.{name}", 200)


def found(metric: str, value: float, error: float, against: str = "best single", of: str = "learned") -> Difference:
    return Difference("test", metric, of, against, value, value - 1.96 * error, value + 1.96 * error, error, 999, 1000)


def test_undecided_is_called_undecided_with_the_smallest_difference_that_could_have_been_found() -> None:
    sentence = compared([found("accuracy", 0.004, 0.005), found("nll", -0.01, 0.02)], SINGLE)
    assert sentence == (
        "Against the best single model (me/a): these rows cannot tell them apart by accuracy (+0.40 points [−0.58, +1.38]) or "
        "NLL (−0.0100 [−0.0492, +0.0292]); smallest difference they could: 1.40 points in accuracy and 0.0561 in NLL; a gain "
        "over one model was not shown."
    )


def test_better_by_one_metric_leaves_the_other_undecided() -> None:
    sentence = compared([found("accuracy", 0.004, 0.005), found("nll", -0.10, 0.02)], SINGLE)
    assert sentence.startswith("Against the best single model (me/a): better by NLL (−0.1000 [")
    assert "cannot tell them apart by accuracy" in sentence
    assert "not shown" not in sentence


def test_worse_is_called_worse() -> None:
    sentence = compared([found("accuracy", -0.02, 0.005), found("nll", 0.10, 0.02)], SINGLE)
    assert "worse by accuracy (−2.00 points" in sentence
    assert "a gain over one model was not shown" in sentence


def test_the_same_decisions_on_every_row_are_a_fact_and_no_equality() -> None:
    sentence = compared([found("accuracy", 0.0, 0.0), found("nll", -0.1, 0.02)], SINGLE)
    assert "both have the same accuracy, row by row" in sentence


def test_no_verdict_calls_systems_equal() -> None:
    for accuracy in (-0.02, 0.0, 0.02):
        for nll in (-0.1, 0.0, 0.1):
            sentence = compared([found("accuracy", accuracy, 0.005), found("nll", nll, 0.02)], SINGLE)
            assert "equal" not in sentence
            assert "no difference" not in sentence


def left_out(name: str, nll: float, accuracy: float = 0.0, among: int = 3) -> LeftOut:
    of = f"without {name}"
    return LeftOut(
        name,
        "member",
        among,
        (found("accuracy", accuracy, 0.005, "learned", of), found("nll", nll, 0.02, "learned", of)),
    )


def test_a_member_without_which_the_others_do_better_is_named() -> None:
    sentence = verdict("", FACTS, [], {}, [left_out("me/a", 0.2), left_out("me/bad", -0.2)], [])
    assert "Without me/bad the others do better, by NLL (−0.2000" in sentence
    assert "me/a" not in sentence


def test_a_member_that_helps_one_metric_is_not_said_to_hurt() -> None:
    assert "leave it out" not in verdict("", FACTS, [], {}, [left_out("me/a", -0.2, accuracy=-0.05)], [])


def test_one_of_many_members_is_not_accused_by_chance() -> None:
    barely = -1.98 * 0.02
    assert "leave it out" in verdict("", FACTS, [], {}, [left_out("me/a", barely, among=1)], [])
    assert "leave it out" not in verdict("", FACTS, [], {}, [left_out("me/a", barely, among=9)], [])


def test_a_family_that_counts_for_nothing_is_named() -> None:
    weights = [Weight("bert", 0.995, 0.98, 1.0), Weight("tf-idf", 0.005, 0.0, 0.012)]
    assert "tf-idf counts for next to nothing: weight 0.005 [0.000, 0.012]" in verdict("", FACTS, [], {}, [], weights)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (DataFacts("test", "test", 150, None, {"no": 70, "yes": 80}), "only 150 rows"),
        (DataFacts("test", "test", 500, None, {"no": 4, "yes": 496}), "only 4 rows of class no"),
        (DataFacts("test", "test", 500, 12, {"no": 200, "yes": 300}), "only 12 groups"),
    ],
)
def test_data_that_are_too_small_are_told(facts: DataFacts, words: str) -> None:
    assert words in facts.too_small
    assert words in verdict("", facts, [], {}, [], [])
    assert any(words in warning for warning in facts.warnings())
    assert not FACTS.too_small


def test_rows_of_one_class_say_nothing_about_the_others() -> None:
    facts = DataFacts("test", "test", 500, None, {"no": 0, "yes": 500})
    assert "all rows are of class yes" in facts.warnings()[0]
    assert "says nothing about the others" in verdict("", facts, [], {}, [], [])


def test_of_many_rare_classes_the_rarest_are_named_and_only_in_the_warning() -> None:
    counts = {"a": 3, "b": 1, "c": 0, "d": 4, "e": 12}
    facts = DataFacts("test", "test", 20, None, counts)
    (warning,) = facts.warnings()
    assert warning.startswith(
        "test has only 20 rows, fewer than 10 rows of 4 of its 5 classes (no row of class c, only 1 row of class b, only 3 rows of "
        "class a, …): "
    )
    sentence = verdict("", facts, [], {}, [], [])
    assert "only 20 rows, fewer than 10 rows of 4 of its 5 classes: what these show" in sentence
    assert "of class" not in sentence
    assert "fewer than 10 rows of each class" in DataFacts("test", "test", 5, None, {"no": 2, "yes": 3}).too_small
    assert "no row of class no" in DataFacts("test", "test", 900, None, {"no": 0, "x": 400, "y": 500}).too_small


@pytest.mark.parametrize(
    "facts",
    [
        DataFacts("test", "test", 150, None, {"no": 70, "yes": 80}),
        DataFacts("test", "test", 500, None, {"no": 0, "yes": 500}),
    ],
)
def test_what_was_found_on_few_rows_is_not_taken_back_in_the_same_breath(facts: DataFacts) -> None:
    sentence = verdict("", facts, [found("nll", -0.1, 0.02)], {"best single": SINGLE}, [], [])
    assert "better by NLL" in sentence
    assert "settle" not in sentence
    assert "needs more rows to confirm it" in sentence or "about rows of that class" in sentence


def rival(name: str, nll: float, accuracy: float = 0.0) -> list[Difference]:
    return [found("accuracy", accuracy, 0.005, name), found("nll", nll, 0.02, name)]


def test_whatever_is_better_than_the_chosen_one_is_named() -> None:
    others = [*rival("stacking", 0.056), *rival("me/a", 0.03), *rival("me/b", -0.2)]
    sentence = verdict("", FACTS, [], {}, [], [], others)
    assert (
        "The chosen one is worse than these others (p below .05, adjusted over all 3 by accuracy and NLL, Benjamini–Hochberg; less "
        "than 0.05 points or 0.0005 is passed over): stacking, by NLL (+0.0560 [+0.0168, +0.0952])." in sentence
    )
    assert "me/" not in sentence


@pytest.mark.parametrize(
    ("value", "error", "listed"),
    [
        (0.0001, 0.00001, False),  # +0.0001 [+0.0001, +0.0001]
        (0.0004, 0.0001, False),
        (0.0006, 0.0003, False),  # its nearer bound is printed as 0.0000
        (0.0006, 0.0001, True),
    ],
)
def test_a_difference_that_rounds_to_nothing_is_no_loss(value: float, error: float, listed: bool) -> None:
    sentence = verdict("", FACTS, [], {}, [], [], [found("nll", value, error, "caruana")])
    assert ("worse than these" in sentence) == listed


def test_one_of_many_rivals_is_not_called_better_by_chance() -> None:
    barely = 1.99 * 0.02
    assert "worse than these" in verdict("", FACTS, [], {}, [], [], [found("nll", barely, 0.02)])
    others = [each for place in range(9) for each in rival(f"r{place}", barely if place == 0 else 0.0)]
    assert "worse than these" not in verdict("", FACTS, [], {}, [], [], others)


def test_of_many_better_ones_the_surest_come_with_figures_and_none_is_left_out() -> None:
    others = [each for place in range(6) for each in rival(f"r{place}", 0.07 + 0.01 * place)]
    sentence = verdict("", FACTS, [], {}, [], [], others)
    names = [sentence.index(f"r{place}") for place in range(5, -1, -1)]
    assert names == sorted(names)
    assert sentence.count("by NLL (") == 3


def test_a_better_one_that_is_worse_by_another_metric_is_told_as_such() -> None:
    both = rival("stacking", 0.056, accuracy=0.03)
    assert "though better by accuracy (+3.00 points" in verdict("", FACTS, [], {}, [], [], both)


def test_what_has_a_sentence_of_its_own_is_not_told_twice() -> None:
    differences = [found("nll", 0.1, 0.02)]
    sentence = verdict("", FACTS, differences, {"best single": SINGLE}, [], [], rival("best single", 0.1))
    assert "worse by NLL" in sentence
    assert "these others" not in sentence


@cache
def with_noise() -> EnsembleReport:
    data = members(250, {"a": (2.5,), "b": (2.5,), "noise": (-1.0,)}, classes=2)
    return ensemble_report(data, chosen=fit_combination(data, "equal", temperature="none"), folds=2)


def test_rivals_are_paired_with_the_chosen_one_and_adjusted_over_all_of_them() -> None:
    report = with_noise()
    chosen = next(each for each in report.systems if each.chosen)
    by_name = {each.name: each for each in report.systems}
    raw = []
    for one in report.rivals:
        ours, theirs = (system.results["held-out"][one.metric].value for system in (chosen, by_name[one.against]))
        assert one.value == pytest.approx(ours - theirs)
        raw.append(2 * stats.t.sf(abs(one.value) / one.standard_error, 249))
    expected = multipletests(raw, method="fdr_bh")[1]
    np.testing.assert_allclose([p for each in adjusted(report.rivals) for p in each.adjusted_p], expected, rtol=1e-9)
    better = {each.name for each in adjusted(report.rivals) if each.ahead}
    assert {"learned weights", "stacking"} <= better
    assert all(name in report.sentence for name in better)


def test_among_seven_that_are_just_as_good_one_is_rarely_called_better() -> None:
    by_adjusted, by_interval = 0, 0
    for seed in range(40):
        data = members(80, {f"m{place}": (1.0,) for place in range(8)}, classes=2, seed=seed)
        scores, rows = Scores(), LabelledRows.of(data)
        for system, values in single_systems(data, "mean"):
            scores.add(replace(system, chosen=system.name == "m0/1"), "test", rows.score(values, ["accuracy", "nll"]))
        differences = rivals_of_chosen(scores, rows, "test", ["accuracy", "nll"])
        by_adjusted += any(each.ahead for each in adjusted(differences))
        by_interval += any(each.better == each.against for each in differences)
    assert by_adjusted <= 6, "more have probability 0.004 at 5 %"
    assert by_interval > 6, "unadjusted it must go wrong for this to test anything"


def test_a_model_and_the_best_single_one_that_is_it_are_one_rival() -> None:
    data, test = members(120, {"a": (-1.0,), "b": (2.0,)}), members(100, {"a": (-1.0,), "b": (2.0,)}, seed=1)
    found = ensemble_report(data, {"test": test}, chosen=fit_combination(data, "equal", temperature="none"), folds=2)
    names = {each.against for each in found.rivals}
    assert "best single" in names
    assert "b/1" not in names


def _report(seed: int, skills: tuple[float, float], method: str = "learned") -> EnsembleReport:
    data = members(250, {"a": skills[:1], "b": skills[1:]}, classes=2, seed=seed)
    return ensemble_report(data, chosen=fit_combination(data, method, temperature="none"), folds=2)


def test_of_two_equally_good_members_fitted_weights_are_not_said_to_beat_equal_ones() -> None:
    claims = 0
    for seed in range(8):
        sentence = _report(seed, (1.0, 1.0)).sentence
        claims += "Against equal weights: these rows cannot tell them apart" not in sentence
    assert claims <= 2


def test_a_useless_member_under_equal_weights_is_told() -> None:
    assert "Without noise/1 the others do better" in with_noise().sentence


def test_an_ensemble_that_is_one_model_is_not_said_to_need_one_pass_instead_of_one() -> None:
    data = members(250, {"a": (2.0,), "b": (-1.0,)}, classes=2)
    chosen = fit_combination(data, "equal", temperature="none")
    report = ensemble_report(data, chosen=chosen, folds=2)
    assert "a gain over one model, which needs 1 forward pass instead of 2, was not shown" in report.sentence
    one = replace(chosen, method="learned", weights={"a": 1.0, "b": 0.0})
    assert "a gain over one model was not shown" in verdict_from_figures(report, one)


def test_a_test_set_of_one_class_has_one_warning_which_names_it() -> None:
    data, test = members(250, classes=2), members(250, classes=2, seed=1)
    same = test.subset(np.flatnonzero(test.labels == 1))
    made = type(data).of(
        {"big": [same.values[0], same.values[1]], "small": [same.values[2]]},
        same.labels.tolist(),
        members=data.members,
    )
    found = ensemble_report(data, {"t": replace(made, ids=same.ids)}, chosen=fit_combination(data, "equal"), folds=2)
    said = [warning for warning in found.warnings if "class" in warning]
    assert len(said) == 1
    assert said[0].startswith("t: all rows are of class 1; AUC is not defined on them")


def test_the_verdict_is_about_the_first_test_where_there_is_one() -> None:
    data, test = members(150), members(220, seed=1)
    chosen = fit_combination(data)
    assert "on held-out (150 rows, out of fold)" in ensemble_report(data, chosen=chosen, folds=2).sentence
    assert "on test (220 rows)" in ensemble_report(data, {"test": test}, chosen=chosen, folds=2).sentence


def test_groups_stay_together_and_are_told() -> None:
    groups = np.repeat(np.arange(30), 5)
    data = members(150, groups=groups)
    found = ensemble_report(data, chosen=fit_combination(data), folds=2)
    assert "150 rows in 30 groups" in found.sentence
    assert found.sets[0].groups == 30

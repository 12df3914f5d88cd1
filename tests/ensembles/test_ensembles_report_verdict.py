"""What the report says in words: never more than the rows tell."""

from __future__ import annotations

import numpy as np
import pytest
from ensemble_data import members

from hf_soup.ensembles import fit_combination
from hf_soup.ensembles.evidence.differences import Difference
from hf_soup.ensembles.evidence.facts import DataFacts, Weight
from hf_soup.ensembles.evidence.left_out import LeftOut
from hf_soup.ensembles.evidence.verdict import Other, compared, verdict
from hf_soup.ensembles.report import EnsembleReport, ensemble_report

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


def test_rows_of_one_class_settle_nothing() -> None:
    facts = DataFacts("test", "test", 500, None, {"no": 0, "yes": 500})
    assert "all rows are of class yes" in facts.warnings()[0]
    assert "settle nothing" in verdict("", facts, [], {}, [], [])


def _report(seed: int, skills: tuple[float, float], method: str = "learned") -> EnsembleReport:
    data = members(250, {"a": skills[:1], "b": skills[1:]}, classes=2, seed=seed)
    return ensemble_report(data, chosen=fit_combination(data, method, temperature="none"))


def test_of_two_equally_good_members_fitted_weights_are_not_said_to_beat_equal_ones() -> None:
    claims = 0
    for seed in range(8):
        sentence = _report(seed, (1.0, 1.0)).sentence
        claims += "Against equal weights: these rows cannot tell them apart" not in sentence
    assert claims <= 2


def test_a_useless_member_under_equal_weights_is_told() -> None:
    data = members(400, {"a": (2.5,), "b": (2.5,), "noise": (-1.0,)}, classes=2)
    sentence = ensemble_report(data, chosen=fit_combination(data, "equal", temperature="none")).sentence
    assert "Without noise/1 the others do better" in sentence


def test_the_verdict_is_about_the_first_test_where_there_is_one() -> None:
    data, test = members(150), members(220, seed=1)
    chosen = fit_combination(data)
    assert "on held-out (150 rows, out of fold)" in ensemble_report(data, chosen=chosen).sentence
    assert "on test (220 rows)" in ensemble_report(data, {"test": test}, chosen=chosen).sentence


def test_groups_stay_together_and_are_told() -> None:
    groups = np.repeat(np.arange(30), 5)
    data = members(150, groups=groups)
    found = ensemble_report(data, chosen=fit_combination(data))
    assert "150 rows in 30 groups" in found.sentence
    assert found.sets[0].groups == 30

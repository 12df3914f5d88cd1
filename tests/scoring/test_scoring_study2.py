"""Study 2: what members do with the human median, by hand, by slow loops and with its limits."""

from __future__ import annotations

import numpy as np
import pytest

from hf_soup.errors import InputError
from hf_soup.scoring.study2 import MEDIAN, study2
from hf_soup.scoring.study2_data import TwoTurns


def turns(n: int = 40, way: float = 0.4, seed: int = 0, **changes: object) -> TwoTurns:
    """Two members; each moves `way` of the way to the crowd's and halves its interval."""
    generator = np.random.default_rng(seed)
    crowd = generator.uniform(0.25, 0.75, n).round(3)
    first = np.clip(crowd[:, None] + 0.2 * generator.standard_normal((n, 2)), 0.1, 0.9)
    second = first + way * (crowd[:, None] - first)
    outcomes = (generator.random(n) < crowd).astype(float)
    given = {"members": ["gpt", "claude"], **changes}
    return TwoTurns.of((first - 0.06, first + 0.06), (second - 0.03, second + 0.03), outcomes, crowd, **given)


def test_one_question_by_hand():
    study = study2(
        TwoTurns.of(
            (np.array([[0.3]]), np.array([[0.5]])),
            (np.array([[0.5]]), np.array([[0.6]])),
            [1.0],
            [0.7],
            members=["gpt"],
        )
    )
    member = study.members[0]
    assert (member.accuracy.second_mean, member.accuracy.first_mean) == pytest.approx((0.6**2, 0.45**2))
    assert member.relative_gain == pytest.approx((0.36 - 0.2025) / 0.36)
    assert member.accuracy.no_test == "one resolved question only: scores, no test"
    assert (member.width.before, member.width.after) == pytest.approx((0.2, 0.1))
    assert member.movement.share_of_the_way == pytest.approx(0.5)
    assert (member.movement.distance.before, member.movement.distance.after) == pytest.approx((0.3, 0.15))
    assert member.crowd_inside == 0
    assert member.against_plain.second_mean == pytest.approx((0.55 - 1) ** 2)
    log_odds = 0.75 * np.log(0.7 / 0.3) + 0.25 * np.log(0.4 / 0.6)
    assert member.against_weighted.second_mean == pytest.approx((1 / (1 + np.exp(-log_odds)) - 1) ** 2)
    assert member.against_crowd.second_mean == pytest.approx(0.09)
    assert study.median is None
    assert study.primary.adjusted.tests == 0


@pytest.mark.parametrize(("before", "after", "percent"), [(0.17, 0.14, 17.6), (0.22, 0.15, 31.8)])
def test_the_change_is_relative_to_the_first_score_as_the_paper_counts(before, after, percent):
    """.17 → .14 and .22 → .15 are printed; 17.6 % and 31.8 % follow, not the abstract's 28 %."""
    first, second = (np.full((4, 1), np.sqrt(each)) for each in (before, after))
    study = study2(TwoTurns.of((first, first), (second, second), np.zeros(4), np.full(4, 0.1), members=["m"]))
    assert round(100 * study.members[0].relative_gain, 1) == percent


def test_members_that_move_all_alike_are_measured_as_such():
    study = study2(turns(way=0.4))
    for member in [*study.members, study.median]:
        assert member.movement.n == 40
        assert (member.movement.towards, member.movement.away, member.movement.stayed) == (40, 0, 0)
        assert member.width.before == pytest.approx(0.12)
        assert member.width.difference == pytest.approx(-0.06)
        assert member.incomplete == 0
    for member in study.members:
        assert member.movement.share_of_the_way == pytest.approx(0.4)
        assert member.movement.distance.difference == pytest.approx(-0.4 * member.movement.distance.before)
    assert study.median.name == MEDIAN
    # Half the way is the plain average itself: nothing is left to test.
    half = study2(turns(way=0.5)).members[0].against_plain
    assert half.test is None
    assert half.difference == pytest.approx(0, abs=1e-12)
    assert study2(turns(way=-0.1)).members[0].movement.away == 40
    assert study2(turns(way=0.0)).members[0].movement.stayed == 40
    assert study2(turns(way=1.3, seed=3)).members[0].movement.share_of_the_way == pytest.approx(1.3)


def test_accuracy_and_averages_are_scipys_paired_tests_on_the_middles_of_the_intervals():
    from scipy.stats import ttest_rel

    data = turns(n=80)
    member = study2(data, bound=0.05).members[1]
    first = ((data.first_low + data.first_high) / 2)[:, 1, 0]
    second = ((data.second_low + data.second_high) / 2)[:, 1, 0]
    y = data.outcomes
    for compared, other in ((member.accuracy, first), (member.against_plain, (first + data.crowd) / 2)):
        scipys = ttest_rel((second - y) ** 2, (other - y) ** 2)
        assert (compared.test.t, compared.test.p) == pytest.approx((scipys.statistic, scipys.pvalue))
        assert compared.equivalence.bound == 0.05
        assert compared.detectable > 0


def test_a_family_of_two_tests_a_member_is_adjusted_together():
    study = study2(turns(n=80))
    assert study.primary.adjusted.names == (
        "gpt (second) against gpt (first)",
        "gpt (second) against plain average with the crowd",
        "claude (second) against claude (first)",
        "claude (second) against plain average with the crowd",
    )
    assert study.primary.adjusted.tests == 4
    assert all(a >= p for a, p in zip(study.primary.adjusted.adjusted, study.primary.adjusted.p, strict=True))


def test_samples_are_averaged_within_a_member_and_only_whole_conversations_count():
    low, high = (
        np.array([[[0.1, 0.5]], [[0.2, 0.2]], [[0.3, 0.3]]]),
        np.array([[[0.3, 0.7]], [[0.4, 0.4]], [[0.5, 0.5]]]),
    )
    second_low = low.copy()
    second_low[1, 0, 1] = np.nan
    second_low[2] = np.nan
    data = TwoTurns.of((low, high), (second_low, high), [1.0, 0.0, 1.0], [0.5, 0.5, 0.5], members=["m"])
    study = study2(data)
    member = study.members[0]
    assert member.accuracy.n == 2
    assert member.incomplete == 1
    assert member.accuracy.second_mean == pytest.approx(((0.4 - 1) ** 2 + 0.3**2) / 2)
    assert "3 samples have one of the two answers only" in study.notes[-1]


def test_open_questions_count_for_width_and_movement_only_and_questions_without_a_crowd_for_nothing():
    data = turns()
    outcomes, crowd = data.outcomes.copy(), data.crowd.copy()
    outcomes[:10], crowd[35:] = np.nan, np.nan
    member = study2(
        TwoTurns.of(
            (data.first_low, data.first_high), (data.second_low, data.second_high), outcomes, crowd, members=["a", "b"]
        )
    ).members[0]
    assert (member.accuracy.n, member.against_crowd.n, member.width.n, member.movement.n) == (25, 25, 35, 35)
    assert member.incomplete == 5
    assert (member.accuracy.only_second, member.accuracy.neither) == (0, 0)


def test_a_member_that_already_said_the_crowds_cannot_move_towards_it():
    same = np.array([[0.5], [0.5], [0.4]])
    member = study2(TwoTurns.of((same, same), (same, same), [1, 0, 1], [0.5, 0.5, 0.5], members=["m"])).members[0]
    assert (member.movement.n, member.movement.stayed) == (1, 1)
    assert member.crowd_inside == pytest.approx(2 / 3)


def test_no_answers_at_all():
    nothing = np.full((3, 2), np.nan)
    study = study2(TwoTurns.of((nothing, nothing), (nothing, nothing), [1, 0, 1], [0.5] * 3, members=["a", "b"]))
    assert [each.incomplete for each in study.members] == [3, 3]
    assert np.isnan(study.members[0].relative_gain)
    assert np.isnan(study.members[0].movement.share_of_the_way)
    assert study.primary.adjusted.tests == 0


def test_groups_go_into_every_error():
    grouped, alone = study2(turns(groups=np.arange(40) // 4)), study2(turns())
    assert grouped.members[0].accuracy.groups == 10
    assert grouped.members[0].width.n == 40
    assert grouped.members[0].accuracy.standard_error != pytest.approx(alone.members[0].accuracy.standard_error)


def test_the_notes_say_what_the_second_forecasts_are_and_that_the_papers_numbers_disagree():
    study = study2(turns(), crowd_weight=0.6)
    assert "no forecasts of models alone" in study.notes[0]
    assert "do not agree" in study.notes[1]
    assert study.weighted == "log odds, crowd 0.6, machine 0.4, clipped to 0.01–0.99"


def test_what_does_not_fit_is_refused():
    low, high = np.array([[0.3], [0.6]]), np.array([[0.5], [0.4]])
    with pytest.raises(InputError, match="first interval of m on question 'question 2': its low end lies above"):
        TwoTurns.of((low, high), (low, low), [1, 0], [0.5, 0.5], members=["m"])
    with pytest.raises(InputError, match=r"crowd: 50.0 of question 'question 1' does not lie between 0 and 1"):
        TwoTurns.of((low, low), (low, low), [1, 0], [50.0, 0.5], members=["m"])
    with pytest.raises(InputError, match=r"outcomes: 2.0 of question 'question 2'"):
        TwoTurns.of((low, low), (low, low), [1, 2], [0.5, 0.5], members=["m"])
    with pytest.raises(InputError, match=r"second_high: has shape \[1, 1, 1\], first_low has \[2, 1, 1\]"):
        TwoTurns.of((low, low), (low, low[:1]), [1, 0], [0.5, 0.5], members=["m"])
    with pytest.raises(InputError, match="there are 2 questions and 2 members"):
        TwoTurns.of((low, low), (low, low), [1, 0], [0.5, 0.5], members=["m", "k"])
    for wrong in ({"crowd_weight": 1.5}, {"clip": 0.0}, {"bound": 0.0}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))}: "):
            study2(turns(), **wrong)

"""The blend with a human crowd: its arithmetic, what is refused, and a fitted weight that knows no outcome it is scored on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from hf_soup.errors import InputError
from hf_soup.scoring.crowd_blend import blend_with_crowd, late_crowd
from hf_soup.scoring.table import ForecastTable

NAN = float("nan")


def table_of(crowd, models, outcomes=None, **more) -> ForecastTable:
    return replace(ForecastTable.of(np.asarray(models)[:, None], outcomes, crowd=crowd), **more)


def test_the_default_is_three_parts_crowd_in_log_odds_and_says_where_it_comes_from():
    table = table_of([0.2, 0.999], [0.6, 0.5])

    found = blend_with_crowd(table, table.member_means()[:, 0])

    np.testing.assert_allclose(
        found.blend, expit(0.75 * logit(np.array([0.2, 0.99])) + 0.25 * logit(np.array([0.6, 0.5])))
    )
    assert found.how == "crowd's weight 0.75, which was chosen on one data set"
    assert (found.clip, found.clipped) == (0.01, 1)
    assert found.weights.tolist() == [0.75, 0.75]


@pytest.mark.parametrize(("weight", "side"), [(1, "crowd"), (0, "models")])
def test_all_the_weight_on_one_side_is_that_side(weight, side):
    table = table_of([0.2, 0.7], [0.6, 0.5])

    found = blend_with_crowd(table, table.member_means()[:, 0], crowd_weight=weight)

    np.testing.assert_allclose(found.blend, getattr(found, side))
    assert found.how == f"crowd's weight {weight}"


def test_crowd_models_and_blend_are_of_the_same_questions():
    table = table_of([0.2, NAN, 0.4, NAN], [0.6, 0.5, NAN, NAN])

    found = blend_with_crowd(table, table.member_means()[:, 0])

    for each in (found.blend, found.crowd, found.models):
        assert np.isnan(each).tolist() == [False, True, True, True]
    assert found.left_out == 2


def test_a_crowd_dated_after_a_forecast_is_refused_and_an_earlier_one_is_not():
    times = np.array([[[10.0]], [[10.0]], [[NAN]]])
    table = table_of([0.2, 0.3, 0.4], [0.6, 0.5, 0.4], times=times, crowd_times=np.array([9.0, 11.0, 99.0]))

    assert late_crowd(table).tolist() == [False, True, False]
    with pytest.raises(InputError) as error:
        blend_with_crowd(table, table.member_means()[:, 0])
    assert "forecast of question 'question 2' is dated after a forecast" in str(error.value)
    assert "crowd_time" in str(error.value)
    early = table.subset(np.array([True, False, True]))
    assert blend_with_crowd(early, early.member_means()[:, 0]).unchecked == 1


def test_a_time_of_a_missing_forecast_does_not_make_the_crowd_late():
    table = replace(
        ForecastTable.of(np.array([[[0.5, NAN]]]), crowd=[0.4], times=np.array([[[20.0, 5.0]]])),
        crowd_times=np.array([10.0]),
    )

    assert not late_crowd(table).any()


def test_forecasts_that_were_shown_the_crowd_are_not_blended_with_it():
    shown = np.array([[[True]], [[False]]])
    table = table_of([0.2, 0.3], [0.6, 0.5], shown_crowd=shown)

    with pytest.raises(
        InputError, match="question 'question 1' were made after the crowd's was shown: they are not the models alone"
    ):
        blend_with_crowd(table, table.member_means()[:, 0])
    assert blend_with_crowd(replace(table, crowd=np.array([NAN, 0.3])), table.member_means()[:, 0]).blend[1] > 0.3


def crowd_and_models(n: int, *, crowd_noise: float, model_noise: float) -> ForecastTable:
    rng = np.random.default_rng(7)
    truth = rng.normal(0, 1.5, n)
    outcomes = (rng.uniform(size=n) < expit(truth)).astype(float)
    crowd, models = (expit(truth + rng.normal(0, noise, n)) for noise in (crowd_noise, model_noise))
    return replace(table_of(crowd, models, outcomes), groups=np.arange(n) // 2)


def test_a_fitted_weight_goes_to_the_better_side_and_is_the_best_of_a_grid_on_the_other_folds():
    for noises, low, high in (((0.01, 3.0), 0.9, 1.0), ((3.0, 0.01), 0.0, 0.1)):
        table = crowd_and_models(400, crowd_noise=noises[0], model_noise=noises[1])
        found = blend_with_crowd(table, table.member_means()[:, 0], crowd_weight="fit")
        assert low <= found.weights.min() <= found.weights.max() <= high
        assert "fitted by 10-fold cross-validation" in found.how

    one = found.weights[0]
    fold = found.weights == one

    def brier(weight):
        p = expit(
            weight * logit(np.clip(table.crowd, 0.01, 0.99)) + (1 - weight) * logit(np.clip(found.models, 0.01, 0.99))
        )
        return ((p - table.outcomes)[~fold] ** 2).mean()

    if len(set(found.weights)) > 1 and fold.sum() == 40:
        assert brier(one) == pytest.approx(min(map(brier, np.linspace(0, 1, 101))))


def test_a_fitted_weight_does_not_know_the_outcomes_of_its_group():
    table = crowd_and_models(80, crowd_noise=1.0, model_noise=1.0)
    changed = 0
    for group in (g for g in range(40) if table.outcomes[2 * g] != table.outcomes[2 * g + 1]):
        outcomes = table.outcomes.copy()
        outcomes[[2 * group, 2 * group + 1]] = outcomes[[2 * group + 1, 2 * group]]
        before, after = (
            blend_with_crowd(each, table.member_means()[:, 0], crowd_weight="fit").weights
            for each in (table, replace(table, outcomes=outcomes))
        )
        own = np.arange(80) // 2 == group
        np.testing.assert_array_equal(before[own], after[own])
        changed += (before != after).any()
    assert changed


def test_a_fitted_weight_needs_enough_questions_with_both_sides():
    table = crowd_and_models(80, crowd_noise=1.0, model_noise=1.0)
    crowd = np.where(np.arange(80) < 25, table.crowd, NAN)

    with pytest.raises(InputError, match=r"a fitted weight needs 30 resolved questions .* there are 25"):
        blend_with_crowd(replace(table, crowd=crowd), table.member_means()[:, 0], crowd_weight="fit")


def test_open_questions_are_blended_and_the_note_says_that_early_ones_are_over_represented():
    table = crowd_and_models(80, crowd_noise=1.0, model_noise=1.0)
    outcomes = np.where(np.arange(80) < 60, table.outcomes, NAN)

    found = blend_with_crowd(replace(table, outcomes=outcomes), table.member_means()[:, 0], crowd_weight="fit")

    assert not np.isnan(found.blend).any()
    assert found.notes[0].startswith(
        "20 of 80 questions are still open. Those that resolve early are over-represented"
    )
    assert blend_with_crowd(table, table.member_means()[:, 0]).notes == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"crowd_weight": 1.2}, "crowd_weight=1.2: must lie between 0 and 1"),
        ({"crowd_weight": "best"}, "crowd_weight='best'"),
        ({"clip": 0.0}, "clip=0.0"),
    ],
)
def test_wrong_settings_are_refused(changed, said):
    table = table_of([0.2], [0.6])
    with pytest.raises(InputError, match=said):
        blend_with_crowd(table, table.member_means()[:, 0], **changed)
    with pytest.raises(InputError, match="2 aggregates for 1 questions"):
        blend_with_crowd(table, np.zeros(2))

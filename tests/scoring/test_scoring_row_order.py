"""The order of the rows of a file decides no number: groups are dealt to folds and drawn in the order of their ids."""

from __future__ import annotations

import numpy as np
import pytest

from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.calibrating import calibrating
from hf_soup.scoring.comparing import comparing
from hf_soup.scoring.cross_validation import group_folds
from hf_soup.scoring.scoring import scoring
from hf_soup.scoring.study2 import study2
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.scoring.table import ForecastTable, numbered_by_id

N = 90


def as_they_come(groups: np.ndarray) -> np.ndarray:
    """The same groups, numbered as a reader of a file does: in the order in which they first appear."""
    number: dict[int, int] = {}
    return np.array([number.setdefault(group, len(number)) for group in groups.tolist()])


def asked(order: np.ndarray) -> ForecastTable:
    """90 questions in 60 groups, in this order; ids, groups and forecasts of a question are always the same."""
    generator = np.random.default_rng(1)
    q = generator.beta(0.8, 0.8, N)
    values = np.clip(q[:, None] + 0.25 * generator.standard_normal((N, 3)), 0, 1)
    outcomes = (generator.random(N) < np.clip(q - 0.1, 0, 1)).astype(float)
    outcomes[::9] = np.nan
    return ForecastTable.of(
        values[order],
        outcomes[order],
        questions=[f"q{n}" for n in order],
        groups=as_they_come(order % 60),
        crowd=q[order],
    )


@pytest.fixture
def both() -> tuple[ForecastTable, ForecastTable, np.ndarray]:
    """The table, the same one shuffled, and for each question of the first its place in the second."""
    order = np.random.default_rng(8).permutation(N)
    return asked(np.arange(N)), asked(order), np.argsort(order)


@pytest.mark.parametrize("name", ["stacking", "inverse_brier", "beta_pool"])
def test_fitted_aggregators_do_not_depend_on_the_order_of_rows(both, name):
    first, second, place = both
    method = aggregator_named(name)
    np.testing.assert_allclose(method(first).values, method(second).values[place], atol=1e-9)


def test_folds_hold_the_same_questions_in_any_order(both):
    first, second, place = both
    folds = [group_folds(each.outcomes, each.groups).splits for each in (first, second)]
    for one, other in zip(*folds, strict=True):
        assert one.predict.tolist() == other.predict[place].tolist()


def test_intervals_p_and_fitted_weights_do_not_depend_on_the_order_of_rows(both):
    first, second, _ = both
    one, other = (comparing(each, crowd_weight="fit", bound=0.02) for each in (first, second))
    for a, b in zip(one.comparisons, other.comparisons, strict=True):
        assert (a.name, a.groups, a.interval) == (b.name, b.groups, pytest.approx(b.interval, abs=1e-12))
        assert a.adjusted_p == pytest.approx(b.adjusted_p)
    assert one.blending.blend.how == other.blending.blend.how
    one, other = (scoring(each, ["stacking"]) for each in (first, second))
    for a, b in zip(one.scores.columns, other.scores.columns, strict=True):
        assert (a.brier, a.interval) == (pytest.approx(b.brier), pytest.approx(b.interval, abs=1e-9))


def test_calibration_does_not_depend_on_the_order_of_rows(both):
    first, second, place = both
    one, other = (calibrating(each, method="platt").calibration for each in (first, second))
    assert one.why == other.why
    np.testing.assert_allclose(one.values, other.values[place], atol=1e-9)


def test_groups_are_numbered_by_their_smallest_id():
    assert numbered_by_id(np.array([5, 5, 2, 9]), ["d", "b", "a", "c"]).tolist() == [1, 1, 0, 2]
    assert numbered_by_id(np.array([], dtype=int), []).tolist() == []
    table = ForecastTable.of(np.full((3, 1), 0.5), questions=["z", "y", "x"], groups=[1, 2, 1])
    assert table.groups.tolist() == [0, 1, 0]


def test_study_2_does_not_depend_on_the_order_of_rows():
    order = np.random.default_rng(3).permutation(60)
    whole, shuffled = (study2(two_turns(each)).members[0] for each in (np.arange(60), order))
    assert whole.accuracy.interval == pytest.approx(shuffled.accuracy.interval, abs=1e-12)
    assert whole.width.interval == pytest.approx(shuffled.width.interval, abs=1e-12)


def two_turns(order: np.ndarray) -> TwoTurns:
    """60 questions in 20 groups in this order, every number of a question always the same."""
    generator = np.random.default_rng(2)
    low, up, moved = (
        generator.uniform(0.1, 0.5, (60, 1)),
        generator.uniform(0.1, 0.4, (60, 1)),
        generator.random((60, 1)),
    )
    outcomes = (generator.random(60) < 0.5).astype(float)
    return TwoTurns.of(
        (low[order], (low + up)[order]),
        ((low * moved)[order], (low + up * moved)[order]),
        outcomes[order],
        low[order, 0],
        members=["m"],
        questions=[f"q{n}" for n in order],
        groups=as_they_come(order % 20),
    )

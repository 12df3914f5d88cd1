"""Folds: groups stay together, classes are spread, and nothing is predicted by what was fitted on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.fitting import fit_combination
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.splits import cross_validated, fold_of_rows, folds, possible_folds
from hf_soup.errors import InputError

QUICK = settings(derandomize=True, max_examples=60, deadline=None)


def data(labels: list[int], groups: list[int] | None = None, ids: list[str] | None = None) -> MemberProbabilities:
    values = np.random.default_rng(len(labels)).dirichlet((1.0, 1.0, 1.0), len(labels))
    return MemberProbabilities.of({"one": [values]}, labels, groups=groups, ids=ids)


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=5, max_size=80),
    st.integers(2, 5),
    st.integers(0, 9),
)
def test_no_group_is_on_both_sides_and_every_row_is_tested_once(rows: list, k: int, seed: int) -> None:
    groups = np.array([group for group, _ in rows])
    if len(set(groups.tolist())) < k:
        with pytest.raises(InputError, match="as many groups"):
            folds(data([label for _, label in rows], groups.tolist()), k, seed)
        return
    pairs = folds(data([label for _, label in rows], groups.tolist()), k, seed)
    for train, test in pairs:
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(len(rows)))
        assert len(test)
    assert sorted(np.concatenate([test for _, test in pairs])) == list(range(len(rows)))


@QUICK
@given(st.lists(st.integers(0, 2), min_size=10, max_size=90), st.integers(0, 9))
def test_every_class_is_spread_evenly_where_rows_are_their_own_groups(labels: list[int], seed: int) -> None:
    for label in range(3):
        held = [sum(labels[row] == label for row in test) for _, test in folds(data(labels), 5, seed)]
        assert max(held) - min(held) <= 1


def test_classes_are_spread_over_folds_of_whole_videos_of_different_lengths() -> None:
    generator = np.random.default_rng(1)
    lengths = generator.integers(5, 40, 100)
    groups = np.repeat(np.arange(100), lengths)
    labels = np.repeat(generator.random(100) < 0.3, lengths).astype(int)
    shares = [labels[test].mean() for _, test in folds(data(labels.tolist(), groups.tolist()), 5)]
    assert max(shares) - min(shares) < 0.04


def test_order_of_rows_does_not_change_who_is_tested_together_where_ids_are_of_the_content() -> None:
    generator = np.random.default_rng(2)
    labels, groups = generator.integers(0, 3, 60), generator.integers(0, 20, 60)
    ids = np.array([f"digest {number:04}" for number in generator.permutation(60)])
    order = generator.permutation(60)
    before = folds(data(labels.tolist(), groups.tolist(), ids.tolist()), 4)
    after = folds(data(labels[order].tolist(), groups[order].tolist(), ids[order].tolist()), 4)
    assert [set(ids[test]) for _, test in before] == [set(ids[order][test]) for _, test in after]


def test_out_of_fold_predictions_come_from_combinations_that_never_saw_the_row() -> None:
    rows = data([0, 1, 2] * 20)
    seen = []

    def fit(part: MemberProbabilities) -> Combination:
        seen.append(set(part.ids))
        return fit_combination(part, temperature="none")

    predicted = cross_validated(rows, fit, 3)
    np.testing.assert_allclose(predicted, rows.values[0], atol=1e-6)
    tested = [set(rows.ids) - each for each in seen]
    assert sum(map(len, tested)) == rows.rows
    assert set.union(*tested) == set(rows.ids)


def test_each_row_is_in_the_fold_in_which_it_is_tested() -> None:
    rows = data([0, 1, 2] * 20)
    fold = fold_of_rows(rows, 4, seed=3)
    for number, (_, test) in enumerate(folds(rows, 4, seed=3)):
        assert (fold[test] == number).all()
    assert (fold != fold_of_rows(rows, 4, seed=4)).any()


def test_there_are_no_more_folds_than_rows_or_groups() -> None:
    assert possible_folds(data([0, 1, 0, 1]), 5) == 4
    assert possible_folds(data([0, 1] * 10, [row // 7 for row in range(20)]), 5) == 3
    assert possible_folds(data([0, 1] * 10), 5) == 5


def test_rows_without_labels_are_refused() -> None:
    with pytest.raises(InputError, match="no labels"):
        folds(MemberProbabilities.of({"one": [[[0.5, 0.5]] * 9]}))

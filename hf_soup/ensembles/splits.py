"""Cross-validation that keeps groups together and classes spread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.errors import InputError


def folds(data: MemberProbabilities, k: int = 5, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns k pairs (rows to fit on, rows to test on), indices in ascending order; every row is tested once.

    Rows of one group are in one fold. Classes are spread: groups in random order, those of the rarest classes and the largest
    first, each go where there are fewest rows of its most frequent class. The order of the rows does not matter where their ids
    are of their content. `seed`: of that random order. Raises InputError without labels, and for fewer groups than folds.
    """
    fold = fold_of_rows(data, k, seed)
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(k)]


def fold_of_rows(data: MemberProbabilities, k: int = 5, seed: int = 0) -> np.ndarray:
    """Returns int64 [rows]: the number of the fold in which `folds` tests each row. Raises what it raises."""
    if data.labels is None:
        raise InputError("Cross-validation spreads the classes over the folds, and these rows have no labels.")
    order = np.argsort(data.ids, kind="stable")
    given = np.arange(data.rows) if data.groups is None else data.groups
    group = _by_first_place(given[order])
    groups = int(group.max()) + 1 if len(group) else 0
    if not 2 <= k <= groups:
        what = "rows" if data.groups is None else "groups"
        raise InputError(
            f"Cross-validation in {k} folds: needs 2 folds or more, and as many {what}; there are {groups}."
        )
    fold_of_group = _dealt(group, data.labels[order], len(data.classes), k, seed)
    fold = np.empty(data.rows, np.int64)
    fold[order] = fold_of_group[group]
    return fold


def possible_folds(data: MemberProbabilities, wanted: int) -> int:
    """Returns `wanted`, or as many folds as there are rows or groups to put into them."""
    return min(wanted, data.rows if data.groups is None else len(np.unique(data.groups)))


def cross_validated(
    data: MemberProbabilities,
    fit: Callable[[MemberProbabilities], Combination],
    k: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Returns float64 [N, C]: what is said about each row by a combination that was fitted without it and without its group."""
    place = {name: index for index, name in enumerate(data.members)}
    predicted = np.empty((data.rows, len(data.classes)))
    for train, test in folds(data, k, seed):
        combination = fit(data.subset(train))
        order = np.array([place[name] for name in combination.members])
        predicted[test] = combination.combine(data.values[np.ix_(order, test)])
    return predicted


def _by_first_place(groups: np.ndarray) -> np.ndarray:
    """Numbers the groups from 0 in the order in which they first come."""
    _, first, which = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which]


def _dealt(group: np.ndarray, labels: np.ndarray, classes: int, k: int, seed: int) -> np.ndarray:
    """The fold of each group."""
    groups = int(group.max()) + 1
    pairs, counts = np.unique(group * classes + labels, return_counts=True)
    starts = np.searchsorted(pairs // classes, np.arange(groups + 1))
    sizes = np.bincount(group, minlength=groups)
    by_count = np.lexsort((-counts, pairs // classes))  # within each group its most frequent class first
    main = (pairs % classes)[by_count[starts[:-1]]]
    rarity = np.bincount(labels, minlength=classes)[main]
    shuffled = np.random.default_rng(seed).permutation(groups)
    order = shuffled[np.lexsort((-sizes[shuffled], main[shuffled], rarity[shuffled]))]
    rows_of = [[0] * k for _ in range(classes)]
    totals = [0] * k
    fold_of = np.empty(groups, np.int64)
    pair_classes, pair_counts, bounds = (pairs % classes).tolist(), counts.tolist(), starts.tolist()
    for each, its_class in zip(order.tolist(), main[order].tolist(), strict=True):
        rows = rows_of[its_class]
        best = min(range(k), key=lambda fold: (rows[fold], totals[fold]))
        fold_of[each] = best
        for pair in range(bounds[each], bounds[each + 1]):
            rows_of[pair_classes[pair]][best] += pair_counts[pair]
        totals[best] += int(sizes[each])
    return fold_of

"""Members' probabilities: what is read from arrays, every way in which they can be wrong, tiers, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.errors import InputError

NAN = float("nan")
A = np.array([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]])
B = np.array([[0.6, 0.4], [0.1, 0.9], [0.25, 0.75]])


def problems(families: Any, **options: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        MemberProbabilities.of(families, **options)
    return list(caught.value.problems)


def test_one_logit_and_two_columns_are_read_alike() -> None:
    one_column = MemberProbabilities.of({"x": [A, A[:, 1], A[:, 1:], torch.tensor(A), A.tolist()]})
    for each in one_column.values:
        np.testing.assert_allclose(each, A, atol=1e-7)
    assert one_column.values.dtype == np.float32


def test_logits_become_probabilities_once_and_probabilities_never() -> None:
    two, one = np.array([[2.0, -1.0, 0.5], [30.0, -800.0, 0.0]]), np.array([-1.5, 3.0])
    np.testing.assert_allclose(
        MemberProbabilities.of({"x": [two]}, logits=True).values[0], softmax(two, axis=1), atol=1e-7
    )
    np.testing.assert_allclose(
        MemberProbabilities.of({"x": [one]}, logits=True).values[0, :, 1], expit(one), atol=1e-7
    )
    np.testing.assert_allclose(MemberProbabilities.of({"x": [A]}).values[0], A, atol=1e-7)
    assert "already" in problems({"x": [A]}, logits=True)[0]


def test_labels_are_columns_by_number_or_by_name() -> None:
    for labels, classes in (
        ([0, 1, 1], None),
        ([0.0, 1.0, 1.0], "ab"),
        (["a", "b", "b"], "ab"),
        ([False, True, True], None),
    ):
        found = MemberProbabilities.of({"x": [A]}, labels, classes=classes).labels
        assert found is not None
        assert found.tolist() == [0, 1, 1]


def test_groups_of_any_kind_become_numbers() -> None:
    for groups in (["v1", "v2", "v1"], [7, 9, 7], np.array(["v1", "v2", "v1"], dtype=object)):
        found = MemberProbabilities.of({"x": [A]}, groups=groups).groups
        assert found is not None
        assert found.tolist() == [0, 1, 0]


def test_members_are_numbered_in_their_families_or_named() -> None:
    assert MemberProbabilities.of({"x": [A, B], "y": A}).members == ("x/1", "x/2", "y/1")
    named = MemberProbabilities.of({"x": [A, B], "y": [A]}, members=["p", "q", "y"])
    assert named.family_members == {"x": ("p", "q"), "y": ("y",)}


@pytest.mark.parametrize(
    ("families", "options", "expected"),
    [
        ({}, {}, "There is no family"),
        ({"x": [], "y": [A]}, {}, "Family x has no member"),
        ({"x": [A, A[:2]]}, {}, "different rows: x/1 3, x/2 2"),
        ({"x": [A], "y": [np.full((3, 3), 1 / 3)]}, {}, "different numbers of classes: x/1 2, y/1 3"),
        ({"x": [A + 0.1]}, {}, "x/1: probabilities do not sum to 1 in rows 1, 2, 3 (furthest: 1.2)"),
        ({"x": [A * 3 - 1]}, {}, "below 0 or above 1 in rows 1, 2"),
        ({"x": [[0.5, 1.5, 0.2]]}, {}, "below 0 or above 1 in row 2"),
        ({"x": [[[0.5, NAN], [0.5, 0.5]]]}, {"missing": True}, "x/1: NaN or infinity in row 1"),
        ({"x": [[[NAN, NAN], [0.5, 0.5]]]}, {}, "missing=True"),
        ({"x": [[[np.inf, 0.0], [1.0, 3.0]]]}, {"logits": True}, "NaN or infinity in row 1"),
        ({"x": [["one", "two"]]}, {}, "x/1: is not an array of numbers"),
        ({"x": [np.zeros((2, 2, 2))]}, {}, "has shape (2, 2, 2)"),
        ({"x": [A]}, {"labels": [0, 2, 1]}, "whole numbers from 0 to 1"),
        ({"x": [A]}, {"labels": [0, 0.5, 1]}, "whole numbers from 0 to 1"),
        ({"x": [A]}, {"labels": [0, NAN, 1]}, "labels: are missing in row 2"),
        ({"x": [A]}, {"labels": [0, 1]}, "labels: has shape (2,), there are 3 rows"),
        ({"x": [A]}, {"labels": ["a", "b", "a"]}, "nothing says which column is which"),
        ({"x": [A]}, {"labels": ["a", "c", "a"], "classes": "ab"}, "labels: c in row 2 is none of the classes a, b"),
        ({"x": [A]}, {"classes": "abc"}, "3 names (a, b, c) for 2 columns"),
        ({"x": [A]}, {"classes": "aa"}, "a stands there twice"),
        ({"x": [A]}, {"groups": ["v", None, ""]}, "groups: are missing in rows 2, 3"),
        ({"x": [A]}, {"groups": ["v", "w"]}, "groups: has shape (2,)"),
        ({"x": [A]}, {"ids": ["1"]}, "ids: 1 for 3 rows"),
        ({"x": [A, B]}, {"members": ["p", "p"]}, "p is named more than once"),
        ({"x": [A, B]}, {"members": ["p"]}, "1 names for 2 members"),
        ({"x": [A], "y": [B]}, {"members": ["y", "p"]}, "has the name of another family"),
    ],
)
def test_what_is_wrong_is_said_with_member_and_rows(families: Any, options: dict[str, Any], expected: str) -> None:
    assert expected in "\n".join(problems(families, **options))


def test_all_problems_are_said_at_once() -> None:
    found = problems({"x": [A + 1], "y": [A[:2]], "z": []}, labels=[0, 5, 1], groups=[None, 1, 2])
    assert len(found) == 5, found


def test_rounded_probabilities_are_divided_by_their_sums_and_mentioned() -> None:
    data = MemberProbabilities.of({"x": [A * 0.995], "y": [A.astype(np.float16)]})
    np.testing.assert_allclose(data.values[0], A, atol=1e-6)
    assert len(data.warnings) == 1
    assert "x/1: its rows sum to 1 only roughly" in data.warnings[0]


def test_a_softmax_of_probabilities_is_suspected_and_honest_members_are_not() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 500)
    logits = 3 * generator.normal(size=(500, 2)) + 4 * np.eye(2)[labels]
    sound = softmax(logits, axis=1)
    modest = softmax(0.2 * logits, axis=1)
    for known in (labels, None):
        data = MemberProbabilities.of({"sound": [sound], "modest": [modest], "half": [np.full(500, 0.5)]}, known)
        assert data.warnings == ()
        spoiled = MemberProbabilities.of({"x": [sound, softmax(sound, axis=1)]}, known)
        assert len(spoiled.warnings) == 1
        assert spoiled.warnings[0].startswith(
            "x/2: its probabilities look like a softmax of probabilities (none is above 0.731)"
        )


def test_first_tier_is_the_papers_mean_of_sigmoids() -> None:
    logits = np.random.default_rng(1).normal(size=(3, 20))
    data = MemberProbabilities.of({"xception": list(logits)}, logits=True)
    expected = (1 / (1 + np.exp(-logits))).sum(axis=0) / 3
    np.testing.assert_allclose(data.family_values()[0, :, 1], expected, atol=1e-7)


def test_mean_of_logits_needs_no_logits() -> None:
    logits = np.random.default_rng(2).normal(size=(2, 20, 4)) * 3
    data = MemberProbabilities.of({"x": list(logits)}, logits=True)
    np.testing.assert_allclose(data.family_values("logit_mean")[0], softmax(logits.mean(axis=0), axis=1), atol=1e-6)


@pytest.mark.parametrize("tier1", ["mean", "logit_mean"])
def test_temperatures_of_members_come_before_the_mean_and_of_families_after(tier1: Any) -> None:
    data = MemberProbabilities.of({"x": [A, B], "y": [B]})

    def at(values: np.ndarray, temperature: float) -> np.ndarray:
        return softmax(np.log(values) / temperature, axis=1)

    def mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (first + second) / 2 if tier1 == "mean" else softmax((np.log(first) + np.log(second)) / 2, axis=1)

    by_member = data.family_values(tier1, {"x/1": 2.0, "x/2": 0.5, "y/1": 3.0})
    np.testing.assert_allclose(by_member, [mean(at(A, 2.0), at(B, 0.5)), at(B, 3.0)], atol=1e-6)
    by_family = data.family_values(tier1, {"x": 2.0, "y": 3.0})
    np.testing.assert_allclose(by_family, [at(mean(A, B), 2.0), at(B, 3.0)], atol=1e-6)
    with pytest.raises(InputError, match=r"all members .* or of all families"):
        data.family_values(tier1, {"x/1": 2.0})


def test_who_says_nothing_is_left_out_of_the_mean() -> None:
    silent = A.copy()
    silent[1] = NAN
    data = MemberProbabilities.of({"x": [silent, B], "y": [silent]}, missing=True)
    assert data.complete_rows.tolist() == [True, False, True]
    assert "x/1: says nothing about 1 rows" in data.warnings[0]
    family = data.family_values()
    np.testing.assert_allclose(family[0], [(A[0] + B[0]) / 2, B[1], (A[2] + B[2]) / 2], atol=1e-7)
    assert np.isnan(family[1, 1]).all()


def test_saved_probabilities_come_back_as_a_memory_map(tmp_path: Path) -> None:
    data = MemberProbabilities.of(
        {"x": [A, B], "ÿ": [B]}, ["a", "b", "a"], "ab", groups=["v", "w", "v"], ids=["i", "ii", "iii"]
    )
    data.save(tmp_path / "kept")
    again = MemberProbabilities.load(tmp_path / "kept")
    assert isinstance(again.values, np.memmap)
    for name in ("values", "ids", "labels", "groups"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert (again.members, again.families, again.classes) == (data.members, data.families, data.classes)
    again.subset(np.array([2, 0])).save(tmp_path / "kept")  # onto the file that it is a map of
    assert MemberProbabilities.load(tmp_path / "kept").ids.tolist() == ["iii", "i"]
    np.testing.assert_array_equal(again.values, data.values)


@pytest.mark.parametrize("spoil", ["probabilities.json", "values.npy", "rows.npz"])
def test_a_damaged_folder_is_named(tmp_path: Path, spoil: str) -> None:
    MemberProbabilities.of({"x": [A]}).save(tmp_path)
    (tmp_path / spoil).write_bytes((tmp_path / spoil).read_bytes()[:20])
    with pytest.raises(InputError, match="is not a readable folder of saved probabilities"):
        MemberProbabilities.load(tmp_path)

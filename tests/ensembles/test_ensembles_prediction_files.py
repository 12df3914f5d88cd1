"""Ready-made predictions: how files become what members say, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hf_soup.ensembles.prediction import EnsemblePredictions
from hf_soup.ensembles.prediction_files import read_predictions
from hf_soup.ensembles.prediction_output import as_csv, refuse_unknown_format, write_predictions
from hf_soup.errors import InputError

LABELS = [("r1", "dog"), ("r2", "cat"), ("r3", "dog"), ("r4", "cat")]
CHANCES = {"r1": (0.2, 0.8), "r2": (0.9, 0.1), "r3": (0.4, 0.6), "r4": (0.7, 0.3)}  # cat, dog


def table(path: Path, columns: list[str], rows: list[tuple]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def labels(tmp_path) -> Path:
    return table(tmp_path / "labels.csv", ["id", "label"], LABELS)


def member(path: Path, order: tuple[str, ...] = ("r1", "r2", "r3", "r4")) -> Path:
    return table(path, ["id", "cat", "dog"], [(name, *CHANCES[name]) for name in order])


def test_rows_are_matched_by_id_and_columns_by_name(tmp_path, labels):
    one = member(tmp_path / "one.csv")
    other = table(
        tmp_path / "other.csv",
        ["dog", "predicted", "id", "cat"],
        [(CHANCES[name][1], "cat", name, CHANCES[name][0]) for name in ("r4", "r1", "r3", "r2")],
    )
    data, tests = read_predictions({"a": [one], "b": [other]}, labels)
    assert tests == {}
    assert data.members == ("one", "other")
    assert data.classes == ("cat", "dog")
    assert data.ids.tolist() == ["r1", "r2", "r3", "r4"]
    assert data.labels.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(data.values[0], data.values[1])
    np.testing.assert_allclose(data.values[0], list(CHANCES.values()), rtol=1e-6)


def test_csv_jsonl_parquet_and_an_array_give_the_same(tmp_path, labels):
    import pyarrow
    from pyarrow import parquet

    records = [{"id": name, "cat": cat, "dog": dog} for name, (cat, dog) in CHANCES.items()]
    (tmp_path / "two.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "three.parquet")
    np.save(tmp_path / "four.npy", np.array(list(CHANCES.values()), np.float32))
    files = [member(tmp_path / "one.csv"), *(tmp_path / name for name in ("two.jsonl", "three.parquet", "four.npy"))]
    data, _ = read_predictions({"all": files}, labels)
    for values in data.values[1:]:
        np.testing.assert_allclose(values, data.values[0], rtol=1e-6)


@pytest.mark.parametrize("column", ["cat", "dog"])
@pytest.mark.parametrize("logits", [False, True])
def test_of_two_classes_one_column_is_enough(tmp_path, labels, column, logits):
    place = ("cat", "dog").index(column)
    chances = [(name, CHANCES[name][place]) for name in CHANCES]
    if logits:
        chances = [(name, float(np.log(chance / (1 - chance)))) for name, chance in chances]
    data, _ = read_predictions({"a": [table(tmp_path / "a.csv", ["id", column], chances)]}, labels, logits=logits)
    np.testing.assert_allclose(data.values[0], list(CHANCES.values()), rtol=1e-5)


def test_test_sets_take_their_rows_from_the_same_files(tmp_path):
    fit = table(tmp_path / "fit.csv", ["id", "label"], LABELS[:2])
    test = table(tmp_path / "test.csv", ["id", "label"], LABELS[2:])
    files = {"a": [member(tmp_path / "one.csv", ("r4", "r3", "r2", "r1"))]}
    data, tests = read_predictions(files, fit, {"elsewhere": test})
    assert data.ids.tolist() == ["r1", "r2"]
    assert tests["elsewhere"].ids.tolist() == ["r3", "r4"]
    np.testing.assert_allclose(tests["elsewhere"].values[0], [CHANCES["r3"], CHANCES["r4"]], rtol=1e-6)
    again = table(tmp_path / "again.csv", ["id", "label"], LABELS[1:3])
    with pytest.raises(InputError, match=r"again\.csv: has row 'r2', which fit\.csv has too"):
        read_predictions(files, fit, {"elsewhere": again})


def test_rows_that_differ_between_members_are_named(tmp_path, labels):
    few = table(tmp_path / "few.csv", ["id", "cat", "dog"], [("r1", 0.5, 0.5), ("r9", 0.5, 0.5)])
    with pytest.raises(InputError) as caught:
        read_predictions({"a": [member(tmp_path / "one.csv"), few]}, labels)
    assert caught.value.problems == (
        "few: has no rows 'r2', 'r3', 'r4', which labels.csv has.",
        "few: has row 'r9', which labels.csv has not.",
    )
    with pytest.raises(InputError, match="few: has no rows 'r2', 'r3', 'r4', which one has"):
        read_predictions({"a": [tmp_path / "one.csv", few]})


def test_every_problem_of_every_file_is_told_at_once(tmp_path, labels):
    table(tmp_path / "nameless.csv", ["row", "cat", "dog"], [("r1", 0.5, 0.5)])
    table(tmp_path / "wordy.csv", ["id", "cat", "dog"], [("r1", "much", 0.5), ("r2", "0.5", "")])
    table(tmp_path / "bare.csv", ["id", "label"], [("r1", "cat")])
    (tmp_path / "broken.npy").write_bytes(b"not an array")
    names = ("nameless.csv", "wordy.csv", "bare.csv", "broken.npy", "gone.csv")
    with pytest.raises(InputError) as caught:
        read_predictions({"a": [tmp_path / name for name in names]}, labels)
    found = "\n".join(caught.value.problems)
    assert "nameless.csv: has no column 'id'" in found
    assert "--column id=…" in found
    assert "wordy.csv: row 1: 'cat' is not a number" in found
    assert "wordy.csv: row 2: 'dog' is not a number" in found
    assert "bare.csv: has no column of probabilities" in found
    assert "broken.npy: is not a readable .npy file" in found
    assert "gone.csv: there is no such file" in found


def test_classes_that_differ_are_shown(tmp_path, labels):
    horse = table(tmp_path / "horse.csv", ["id", "cat", "horse"], [(name, *CHANCES[name]) for name in CHANCES])
    with pytest.raises(InputError, match="horse: has columns for cat, horse; the classes are cat, dog"):
        read_predictions({"a": [member(tmp_path / "one.csv"), horse]}, labels, classes=["cat", "dog"])
    with pytest.raises(InputError, match=r"labels\.csv: rows 1, 3: dog is not a class of the predictions"):
        read_predictions({"a": [horse]}, labels)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_file_with_other_classes_is_blamed_wherever_it_stands(tmp_path, labels, place):
    files = [member(tmp_path / "one.csv"), member(tmp_path / "other.csv")]
    odd = table(tmp_path / "odd.csv", ["id", "x", "y", "z"], [(name, 0.2, 0.3, 0.5) for name in CHANCES])
    files.insert(place, odd)
    for answers in (labels, None):
        with pytest.raises(InputError) as caught:
            read_predictions({"a": files}, answers)
        assert caught.value.problems == (
            "odd: has columns for x, y, z; the classes are cat, dog. All members must have the same.",
        )


def test_of_two_files_that_differ_the_labels_say_which_is_right(tmp_path, labels):
    odd = table(tmp_path / "odd.csv", ["id", "x", "y"], [(name, 0.2, 0.8) for name in CHANCES])
    with pytest.raises(InputError) as caught:
        read_predictions({"a": [odd, member(tmp_path / "one.csv")]}, labels)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["odd"]


def test_problems_of_every_kind_are_told_at_once(tmp_path, labels):
    """Of single cells, of sums, of rows and of classes, each in another file."""
    rows = list(CHANCES)
    table(
        tmp_path / "cells.csv",
        ["id", "cat", "dog"],
        [(rows[0], "nan", 1), (rows[1], 0.5, 0.5), (rows[2], "", 1), (rows[3], 1, 0)],
    )
    table(tmp_path / "sums.csv", ["id", "cat", "dog"], [(name, 0.9, 0.9) for name in rows])
    table(tmp_path / "less.csv", ["id", "cat", "dog"], [(name, 0.5, 0.5) for name in rows[1:]])
    table(tmp_path / "horse.csv", ["id", "cat", "horse"], [(name, 0.5, 0.5) for name in rows])
    files = {
        "a": [tmp_path / "cells.csv", member(tmp_path / "one.csv"), tmp_path / "gone.csv"],
        "b": [tmp_path / f"{name}.csv" for name in ("sums", "less", "horse")],
    }
    with pytest.raises(InputError) as caught:
        read_predictions(files, labels)
    found = "\n".join(caught.value.problems)
    assert "cells.csv: rows 1, 3: 'cat' is not a number, or not a finite one." in found
    assert "gone.csv: there is no such file." in found
    assert "sums: probabilities do not sum to 1 in rows 1, 2, 3, 4 (furthest: 1.8)" in found
    assert "less: has no row 'r1', which labels.csv has." in found
    assert "horse: has columns for cat, horse" in found
    assert len(caught.value.problems) == 5
    with pytest.raises(InputError) as caught:
        read_predictions(files, tmp_path / "gone-too.csv")
    assert len(caught.value.problems) == 6


def test_members_files_may_have_other_names_than_the_members(tmp_path, labels, capsys):
    files = {"a": [member(tmp_path / "new.csv"), member(tmp_path / "two.csv")], "b": [member(tmp_path / "last.csv")]}
    data, _ = read_predictions(files, labels, members={"b": ("three",), "a": ("one", "two")})
    assert data.members == ("one", "two", "three")
    assert data.family_members == {"b": ("three",), "a": ("one", "two")}
    assert "new as one, last as three" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"The predictions are of a \(2\), b \(1\); the ensemble is of a \(3\): "):
        read_predictions(files, labels, members={"a": ("one", "two", "three")})
    with pytest.raises(InputError, match="'two' is given for the family a, and is a member of another one"):
        read_predictions(files, labels, members={"a": ("one", "four"), "b": ("two",)})


def test_sets_have_the_names_of_their_files(tmp_path):
    fit = table(tmp_path / "fit.csv", ["id", "label"], LABELS[:2])
    test = table(tmp_path / "test.csv", ["id", "label"], [LABELS[2]])
    one = table(tmp_path / "one.csv", ["id", "cat", "dog"], [(name, *CHANCES[name]) for name in ("r1", "r2", "r3")])
    data, tests = read_predictions({"a": [one]}, fit, {"later": test})
    assert data.warnings == ()
    assert tests["later"].warnings == ()  # that it is of one class is for the report to say
    assert (data.name, tests["later"].name) == ("fit.csv", "test.csv")


def test_an_array_needs_class_names_unless_labels_number_its_columns(tmp_path, labels):
    np.save(tmp_path / "a.npy", np.array(list(CHANCES.values())))
    with pytest.raises(InputError, match="--classes"):
        read_predictions({"a": [tmp_path / "a.npy"]}, labels)
    named, _ = read_predictions({"a": [tmp_path / "a.npy"]}, labels, classes=["cat", "dog"])
    assert named.labels.tolist() == [1, 0, 1, 0]
    numbers = table(tmp_path / "numbers.csv", ["label"], [("1",), ("0",), ("1",), ("0",)])
    numbered, _ = read_predictions({"a": [tmp_path / "a.npy"]}, numbers)
    assert numbered.labels.tolist() == [1, 0, 1, 0]
    short = table(tmp_path / "short.csv", ["label"], [("1",), ("0",)])
    with pytest.raises(InputError, match=r"a: has 4 rows, short\.csv has 2"):
        read_predictions({"a": [tmp_path / "a.npy"]}, short)


def test_groups_and_renamed_columns(tmp_path):
    rows = [(name, label, name in ("r1", "r3")) for name, label in LABELS]
    labels = table(tmp_path / "labels.csv", ["qid", "target", "video"], rows)
    data, _ = read_predictions(
        {"a": [table(tmp_path / "a.csv", ["qid", "cat", "dog"], [(name, *CHANCES[name]) for name in CHANCES])]},
        labels,
        columns={"id": "qid", "label": "target"},
        group_by="video",
    )
    assert data.groups[0] == data.groups[2] != data.groups[1]
    with pytest.raises(InputError, match="has no column 'clip'"):
        read_predictions({"a": [tmp_path / "a.csv"]}, labels, columns={"label": "target"}, group_by="clip")


def test_members_that_are_called_alike_get_their_family_before_their_name(tmp_path, labels):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        member(tmp_path / folder / "run.csv")
    data, _ = read_predictions({"a": [tmp_path / "x" / "run.csv"], "b": [tmp_path / "y" / "run.csv"]}, labels)
    assert data.members == ("a/run", "b/run")


def test_a_row_that_is_there_twice_is_named(tmp_path, labels):
    with pytest.raises(InputError, match=r"one\.csv: has row 'r1' more than once"):
        read_predictions({"a": [member(tmp_path / "one.csv", ("r1", "r1", "r2"))]}, labels)


def test_a_family_without_files_is_refused(labels):
    with pytest.raises(InputError, match="The family 'a' has no members"):
        read_predictions({"a": []}, labels)


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_what_is_written_can_be_read_as_a_members_file(tmp_path, labels, name):
    found = EnsemblePredictions(
        ids=np.array(list(CHANCES)),
        classes=("cat", "dog"),
        probabilities=np.array(list(CHANCES.values())),
        member_names=("m",),
        members=np.zeros((1, 4, 2), np.float32),
        passes=np.ones(4, np.int64),
    )
    write_predictions(tmp_path / name, found)
    data, _ = read_predictions({"a": [tmp_path / name]}, labels)
    np.testing.assert_allclose(data.values[0], found.probabilities, rtol=1e-6)
    lines = as_csv(found).splitlines()
    assert lines[:2] == ["id,predicted,cat,dog", "r1,dog,0.2,0.8"]


def test_an_output_of_another_format_or_place_is_refused_before_the_work(tmp_path):
    with pytest.raises(InputError, match="is of no known format"):
        refuse_unknown_format(tmp_path / "out.xlsx")
    with pytest.raises(InputError, match="there is no folder"):
        refuse_unknown_format(tmp_path / "nowhere" / "out.csv")

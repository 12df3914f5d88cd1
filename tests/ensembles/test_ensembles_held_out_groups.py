"""Rows that belong together: the column is read with the data, and changes nothing else."""

from __future__ import annotations

import pytest
from tiny_models import write_csv
from voting_models import rows

from hf_soup import HeldOut
from hf_soup.errors import InputError

TASK = "text-classification"


def with_videos(count: int = 12) -> list[dict]:
    return [{**row, "video": f"v{number // 3}"} for number, row in enumerate(rows(count))]


def test_groups_are_read_and_the_digest_is_that_of_the_rows_alone():
    plain, grouped = HeldOut(rows(12), TASK), HeldOut(with_videos(), TASK, group_by="video")
    assert grouped.groups == [f"v{number // 3}" for number in range(12)]
    assert plain.groups is None
    assert grouped.fingerprint == plain.fingerprint
    assert grouped.examples == plain.examples


def test_whole_numbers_are_the_same_group_in_every_file_format():
    given = [{**row, "video": video} for row, video in zip(rows(4), [7, 7.0, "7", " 7"], strict=True)]
    assert HeldOut(given, TASK, group_by="video").groups == ["7"] * 4


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"no column 'film' to group by; its columns: text, label, video"):
        HeldOut(with_videos(), TASK, group_by="film")


@pytest.mark.parametrize("empty", [None, "", "  ", float("nan")])
def test_rows_without_a_group_are_named(empty):
    data = with_videos()
    data[1]["video"] = data[4]["video"] = empty
    with pytest.raises(InputError, match=r"rows 2, 5: 'video' is empty"):
        HeldOut(data, TASK, group_by="video")


def test_a_function_has_no_columns():
    with pytest.raises(InputError, match="group_by"):
        HeldOut(lambda model: 1.0, group_by="video")


def test_other_data_are_grouped_by_the_same_column():
    held_out = HeldOut(with_videos(), TASK, group_by="video")
    assert held_out.like(with_videos(6)).groups == ["v0"] * 3 + ["v1"] * 3


def test_a_file_can_be_grouped_afterwards_and_rows_cannot(tmp_path):
    held_out = HeldOut(write_csv(tmp_path / "rows.csv", with_videos()), TASK)
    assert held_out.grouped("video").groups == [f"v{number // 3}" for number in range(12)]
    with pytest.raises(InputError, match=r"say HeldOut\(…, group_by='video'\)"):
        HeldOut(with_videos(), TASK).grouped("video")


def test_calling_changes_the_names_of_classes_and_nothing_else():
    held_out = HeldOut(rows(12), TASK, labels={"LABEL_0": "negative"})
    other = held_out.calling({"LABEL_1": "positive"})
    assert (held_out.labels, other.labels) == ({"LABEL_0": "negative"}, {"LABEL_1": "positive"})
    assert other.fingerprint == held_out.fingerprint

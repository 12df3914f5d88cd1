"""Data in every form, and every way in which it can be wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluation_models import write_csv

from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut

TASK = "text-classification"
ROWS = [
    {"text": 'Größe, "quoted"\nand\u2028broken', "label": "good"},
    {"text": "plain", "label": "bad"},
    {"text": "42", "label": "good"},
]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def problem(data: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        HeldOut(data, **{"task": TASK, **options})
    return str(caught.value)


def test_every_format_gives_the_same_rows_and_the_same_fingerprint(tmp_path: Path) -> None:
    import datasets

    sources: list[Any] = [
        write_csv(tmp_path / "a.csv", ROWS),
        str(write_jsonl(tmp_path / "b.jsonl", ROWS)),
        write_parquet(tmp_path / "c.parquet", ROWS),
        ROWS,
        datasets.Dataset.from_list(ROWS),
    ]
    several = [HeldOut(source, TASK) for source in sources]
    assert [each.examples for each in several] == [ROWS] * 5
    assert len({each.fingerprint for each in several}) == 1
    assert {each.rows for each in several} == {3}
    assert several[0].name == "a.csv"


def test_numbers_as_labels_are_the_same_in_every_format(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": 1}]
    decimals = [{**row, "label": float(row["label"])} for row in rows]
    several = [HeldOut(source, TASK) for source in (write_csv(tmp_path / "a.csv", rows), rows, decimals)]
    assert len({each.fingerprint for each in several}) == 1
    assert [example["label"] for example in several[0].examples] == ["0", "1"]


def test_the_fingerprint_tells_other_contents_apart() -> None:
    other = [*ROWS[:2], {"text": "42", "label": "bad"}]
    pairs = [{**row, "text_pair": "x"} for row in ROWS]
    fingerprints = {
        HeldOut(ROWS, TASK).fingerprint,
        HeldOut(other, TASK).fingerprint,
        HeldOut(pairs, TASK).fingerprint,
        HeldOut(ROWS[::-1], TASK).fingerprint,
        HeldOut(ROWS, "causal-lm").fingerprint,
    }
    assert len(fingerprints) == 5


def test_columns_are_renamed() -> None:
    rows = [{"sentence": row["text"], "class": row["label"], "label": "decoy"} for row in ROWS]
    assert (
        HeldOut(rows, TASK, columns={"text": "sentence", "label": "class"}).fingerprint
        == HeldOut(ROWS, TASK).fingerprint
    )


def test_class_numbers_of_a_dataset_become_their_names() -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = [{"text": row["text"], "label": int(row["label"] == "good")} for row in ROWS]
    found = HeldOut(datasets.Dataset.from_list(rows, features=features), TASK)
    assert [example["label"] for example in found.examples] == ["good", "bad", "good"]


def test_metric_and_direction_follow_the_task() -> None:
    assert (HeldOut(ROWS, TASK).metric, HeldOut(ROWS, TASK).maximise) == ("accuracy", True)
    found = HeldOut([{"text": "a b"}], "text-generation")
    assert (found.task, found.metric, found.maximise) == ("causal-lm", "nll", False)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert "nowhere.csv: there is no such file" in problem(tmp_path / "nowhere.csv")


def test_an_unknown_format_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"x")
    assert "rows.xlsx: is of no known format; known: .csv, .jsonl, .parquet" in problem(tmp_path / "rows.xlsx")


@pytest.mark.parametrize("content", ["", "text,label\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.csv").write_text(content)
    assert "rows.csv: has no rows" in problem(tmp_path / "rows.csv")
    assert "has no rows" in problem([])


def test_a_missing_column_is_an_error_that_lists_the_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", [{"sentence": "a", "class": "b"}])
    message = problem(path)
    assert "has no column 'text'; its columns: sentence, class. Say which one it is: --column text=…" in message
    assert "has no column 'label'" in message


def test_all_problems_come_together_with_their_row_numbers(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": "x"},
        {"text": " ", "label": ""},
        {"text": "", "label": "y"},
        {"text": "b", "label": ""},
    ]
    with pytest.raises(InputError) as caught:
        HeldOut(write_csv(tmp_path / "rows.csv", rows), TASK, columns={"txt": "text"})
    assert caught.value.problems == (
        "columns: text-classification has no column 'txt'; it has text, label, text_pair.",
        "rows.csv: rows 2, 3: 'text' is empty.",
        "rows.csv: rows 2, 4: 'label' is empty.",
    )


def test_many_bad_rows_are_counted_and_not_all_listed() -> None:
    rows = [{"text": "", "label": "a"} for _ in range(25)]
    assert "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 15 more: 'text' is empty" in problem(rows)


def test_one_class_only_is_an_error() -> None:
    assert "all 2 rows have the label 'good'" in problem([ROWS[0], ROWS[2]])


@pytest.mark.parametrize(
    ("value", "expected"), [(["a", "b"], "holds several values"), (None, "is empty"), (float("nan"), "is empty")]
)
def test_a_label_that_is_none_or_several_is_an_error(value: Any, expected: str) -> None:
    assert f"row 2: 'label' {expected}" in problem([ROWS[0], {"text": "a", "label": value}])


def test_a_text_that_is_no_text_is_an_error() -> None:
    assert "row 1: 'text' is not a text but a int" in problem([{"text": 3, "label": "a"}, ROWS[1]])


def test_a_row_with_too_many_fields_is_an_error_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nfine,a\noh, no,b\nshort\n")
    assert "rows 2, 3 have another number of fields than the header, which has 2" in problem(tmp_path / "rows.csv")


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,text,label\na,b,c\n")
    assert "the column 'text' is there twice" in problem(tmp_path / "rows.csv")


def test_a_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("text,label\nGröße,a\n".encode("latin-1"))
    assert "is not UTF-8 text (byte 13)" in problem(tmp_path / "rows.csv")


def test_lines_that_are_no_json_objects_are_errors_with_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n{broken\n\n[1]\n')
    message = problem(tmp_path / "rows.jsonl")
    assert "rows.jsonl: line 2 is not JSON" in message
    assert "rows.jsonl: line 4 is not a JSON object" in message


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nonsense")
    assert "rows.parquet: is not a readable Parquet file" in problem(tmp_path / "rows.parquet")


def test_parquet_without_pyarrow_is_an_error_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "rows.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert 'pip install "hf-soup[data]"' in problem(path)


def test_a_dataset_dict_is_an_error_that_asks_for_a_split() -> None:
    import datasets

    splits = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})
    assert "train; give one split, e.g. data['test']" in problem(splits)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"task": None}, "needs a task; known tasks: causal-lm, image-classification"),
        ({"task": "translation"}, "no task 'translation'; known tasks"),
        ({"metric": "bleu"}, "no metric for a classification task 'bleu'; known: accuracy"),
        ({"metric": "perplexity"}, "no metric for a classification task 'perplexity'"),
        ({"max_length": 0}, "max_length=0: must be at least 1"),
        ({"maximise": False}, "accuracy is one to maximise"),
    ],
)
def test_options_that_do_not_fit_are_errors(options: dict[str, Any], expected: str) -> None:
    assert expected in problem(ROWS, **options)


def test_data_that_is_nothing_of_the_kind_is_an_error() -> None:
    assert "a int is not understood" in problem(3)


def test_importing_the_room_and_reading_data_import_no_heavy_library() -> None:
    import subprocess

    code = (
        "import sys, hf_soup.evaluation as e; e.HeldOut([{'text': 'a', 'label': 'x'}, {'text': 'b', 'label': 'y'}], "
        "task='text-classification'); print([m for m in ('torch', 'transformers', 'sklearn') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"

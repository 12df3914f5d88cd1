"""One process at a time writes a run, only to a folder that is one, and all of it is for the user's eyes only."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.run_folder import RunFolder, read_record, read_rows


def row(number: int) -> Forecast:
    return Forecast(
        question_id=f"q{number}",
        model="m",
        sample=0,
        prompt="plain",
        status=Status.REFUSED,
        slot=f"k{number}",
        prompt_digest="d",
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "runs" / "one") as folder:
        assert folder.record() == {}
        folder.write_record({"questions": [{"id": "q0"}]})
        folder.write_rows([row(0), row(1)])
    assert read_rows(tmp_path / "runs" / "one") == [row(0), row(1)]
    record = read_record(tmp_path / "runs" / "one")
    assert record["questions"] == [{"id": "q0"}]
    assert record["versions"]["hf-soup"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no modes")
def test_nobody_else_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with RunFolder(tmp_path / "run") as folder:
            folder.write_record({})
            folder.write_rows([row(0)])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").iterdir()} == {0o600}


def test_a_second_process_gets_one_sentence(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run"), pytest.raises(InputError, match="another process is at work") as caught:
        RunFolder(tmp_path / "run")
    assert len(caught.value.problems) == 1
    with RunFolder(tmp_path / "run"):
        pass


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="is a file"):
        RunFolder(tmp_path / "notes.txt")


def test_a_run_may_have_other_files_beside(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.write_record({})
    (tmp_path / "run" / "report.html").write_text("x")
    with RunFolder(tmp_path / "run"):
        pass


def test_keys_in_a_record_are_hidden(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.write_record({"members": [{"parameters": {"api_key": "plain", "note": "sk-abcdefgh12345678"}}]})
    text = (tmp_path / "run" / "run.json").read_text()
    assert "plain" not in text
    assert "abcdefgh" not in text


def test_rows_are_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    with RunFolder(tmp_path / "run") as folder:
        folder.write_rows([row(0)])
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            with pytest.raises(SoupError, match=r"forecasts.jsonl: .* are safe"):
                folder.write_rows(row(number) for number in range(100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_rows(tmp_path / "run") == [row(0)]
    assert not list((tmp_path / "run").glob(".forecasts*"))


def test_what_is_no_run_of_this_version_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a run"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="format 1"):
        read_record(tmp_path)
    with pytest.raises(InputError, match=r"no forecasts.jsonl yet"):
        read_rows(tmp_path)
    (tmp_path / "forecasts.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="line 1 is no forecast"):
        read_rows(tmp_path)

"""An interrupted merge is gone on with; nothing else takes its place, and nothing half-done looks done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file
from tiny_checkpoints import write_relatives

from hf_soup.errors import InputError, NonFiniteWeights, SoupError
from hf_soup.merging import Plan, make_plan, merge, open_ingredients
from hf_soup.merging.journal import Journal, read_journal
from hf_soup.merging.portions import portions_of

KILLS = 50


def many_tensors(root: Path, count: int = 900) -> list[Path]:
    """Three models and a base of so many tensors that a kill can hit between them."""
    generator = torch.Generator().manual_seed(0)
    base = {f"layer.{i}.weight": torch.randn(40, 64, generator=generator) for i in range(count)}
    folders = []
    for name in ("m0", "m1", "m2", "base"):
        folder = root / name
        folder.mkdir(parents=True)
        tensors = {n: t + 0.05 * torch.randn(t.shape, generator=generator) for n, t in base.items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text("{}")
        folders.append(folder)
    return folders


def plan_of(folders: list[Path], **options) -> Plan:
    return make_plan(open_ingredients(list(map(str, folders))), **options)


class Stopped(Exception):
    pass


def begin(plan: Plan, out: Path, portions: int, error: type[BaseException] = KeyboardInterrupt) -> Path:
    """Merges until so many portions are finished, then ends as Ctrl-C would; returns the partial folder."""
    seen = []

    def stop_soon(nbytes: int) -> None:
        seen.append(nbytes)
        if len(seen) > portions:
            raise error

    with pytest.raises(error):
        merge(plan, out, progress=stop_soon)
    return out.with_name(out.name + ".partial")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="kills a forked process")
@pytest.mark.parametrize(("method", "kills"), [("linear", KILLS), ("ties", 5)])
def test_a_merge_that_is_killed_at_any_moment_goes_on_and_gives_the_same_bytes(tmp_path, method, kills):
    *models, base = many_tensors(tmp_path / "in")
    program = Path(__file__).with_name("kill_and_resume.py")
    needed = str(base) if method == "ties" else "-"
    command = [sys.executable, str(program), method, str(kills), "7", str(tmp_path / "out"), needed, *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == kills
    in_between = [row for row in rows if 0.01 < row["finished"] / row["portions"] < 0.99]
    assert len(in_between) >= 0.8 * kills
    assert len({row["weights"] for row in rows}) == 1
    for row in rows:
        assert row["left"] == ["config.json", "model.safetensors", "soup.json"]
        assert not row["partial"]
    for row in in_between:
        assert not row["complete_at_kill"]
        assert row["taken_over_bytes"] == row["finished_bytes"]


def test_only_what_was_not_finished_is_computed_again(tmp_path):
    plan = plan_of(write_relatives(tmp_path / "in", 3), workers=1)
    partial = begin(plan, tmp_path / "out", 3)
    finished = read_journal(partial / ".journal-0")
    assert 1 <= len(finished) < len(plan.tensors)
    told = []
    merge(plan, tmp_path / "out", progress=told.append)
    sizes = {portion.index: portion.nbytes for portion in portions_of(plan)}
    assert told[0] == sum(sizes[index] for index in finished)
    assert sorted(told[1:]) == sorted(sizes[index] for index in sizes if index not in finished)
    merge(plan, tmp_path / "whole")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert (tmp_path / "out/soup.json").read_bytes() == (tmp_path / "whole/soup.json").read_bytes()


def test_what_a_power_cut_took_from_the_files_is_found_by_its_checksum(tmp_path):
    plan = plan_of(write_relatives(tmp_path / "in", 3), workers=1)
    partial = begin(plan, tmp_path / "out", 4)
    finished = read_journal(partial / ".journal-0")
    lost = next(portion for portion in portions_of(plan) if portion.index == max(finished))
    content = bytearray((partial / "model.safetensors").read_bytes())
    content[lost.offset + 8 : lost.offset + 16] = bytes(8)
    (partial / "model.safetensors").write_bytes(content)
    told = []
    merge(plan, tmp_path / "out", progress=told.append)
    sizes = {portion.index: portion.nbytes for portion in portions_of(plan)}
    assert told[0] == sum(sizes[index] for index in finished if index != lost.index)
    merge(plan, tmp_path / "whole")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


@pytest.mark.parametrize("cut", [1, 5, 11, 12, 19])
def test_a_record_that_was_cut_short_is_not_believed_and_not_built_upon(tmp_path, cut):
    path = tmp_path / ".journal-0"
    with Journal(path) as journal:
        journal.append(3, [1, 2**64 - 1])
        journal.append(4, [7])
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_journal(path) == {3: (1, 2**64 - 1)}
    with Journal(path) as journal:
        journal.append(5, [])
    assert read_journal(path) == {3: (1, 2**64 - 1), 5: ()}


def test_another_plan_does_not_go_on_with_it_and_says_why(tmp_path):
    folders = write_relatives(tmp_path / "in", 3)
    partial = begin(plan_of(folders, workers=1), tmp_path / "out", 3)
    journal = (partial / ".journal-0").read_bytes()
    for other, reason in [
        (plan_of(folders, parameters={"weight": [3, 1, 1]}), "other parameters"),
        (plan_of(folders, dtype="bfloat16"), "other layout"),
        (plan_of(folders[:2]), "other ingredients"),
    ]:
        with pytest.raises(InputError, match=rf"unfinished merge of another plan \(.*{reason}.*--fresh"):
            merge(other, tmp_path / "out")
        assert (partial / ".journal-0").read_bytes() == journal
    merge(other, tmp_path / "out", fresh=True)
    merge(other, tmp_path / "whole")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert not partial.exists()


def test_an_ingredient_that_changed_meanwhile_makes_another_plan(tmp_path):
    folders = write_relatives(tmp_path / "in", 3)
    begin(plan_of(folders, workers=1), tmp_path / "out", 3)
    (folders[1] / "model.safetensors").write_bytes((folders[1] / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="other ingredients"):
        merge(plan_of(folders), tmp_path / "out")


def test_the_number_of_workers_may_change_when_it_goes_on(tmp_path):
    folders = write_relatives(tmp_path / "in", 3)
    begin(plan_of(folders, workers=1), tmp_path / "out", 3)
    merge(plan_of(folders, workers=4, memory_bytes=2**30), tmp_path / "out")
    merge(plan_of(folders), tmp_path / "whole")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_a_second_process_does_not_merge_into_the_same_folder(tmp_path):
    plan = plan_of(write_relatives(tmp_path / "in", 3), workers=1)
    partial = begin(plan, tmp_path / "out", 3)
    before = {path.name: path.read_bytes() for path in partial.iterdir()}
    with FileLock(partial / ".lock"), pytest.raises(InputError, match="Another process is merging into"):
        merge(plan, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in partial.iterdir()} == before
    merge(plan, tmp_path / "out")


def test_an_error_that_would_come_again_leaves_nothing_to_go_on_with(tmp_path):
    assert not begin(plan_of(write_relatives(tmp_path / "in", 2)), tmp_path / "out", 4, NonFiniteWeights).exists()


def test_an_error_of_the_disk_keeps_what_was_done(tmp_path):
    folders = write_relatives(tmp_path / "in", 3)
    seen = []

    def fail(nbytes: int) -> None:
        seen.append(nbytes)
        if len(seen) > 3:
            raise OSError(5, "Input/output error")

    with pytest.raises(SoupError, match=r"Input/output error.*kept in 'out.partial', and the same command goes on"):
        merge(plan_of(folders, workers=1), tmp_path / "out", progress=fail)
    merge(plan_of(folders), tmp_path / "out")


def test_a_disk_with_room_for_the_rest_is_enough_to_go_on(tmp_path, monkeypatch):
    import shutil

    folders = write_relatives(tmp_path / "in", 3)
    begin(plan_of(folders, workers=1), tmp_path / "out", 3)
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=5000))
    assert "has 5,000 bytes free" in str(plan_of(folders, out=tmp_path / "elsewhere").problems)
    assert plan_of(folders, out=tmp_path / "out").problems == ()


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", ".unfinished-merge.draft"]])
def test_a_kill_before_the_plan_was_written_down_blocks_nothing(tmp_path, left):
    (tmp_path / "out.partial").mkdir()
    for name in left:
        (tmp_path / "out.partial" / name).touch()
    merge(plan_of(write_relatives(tmp_path / "in", 2)), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_an_earlier_result_that_a_kill_left_aside_gets_its_name_back(tmp_path, capsys):
    plan = plan_of(write_relatives(tmp_path / "in", 2))
    merge(plan, tmp_path / "out")
    aside = tmp_path / ".out.replaced-abc"
    aside.mkdir()
    (tmp_path / "out").rename(aside / "out")
    with pytest.raises(InputError, match="exists; name another one or pass --overwrite"):
        merge(plan, tmp_path / "out")
    assert (tmp_path / "out" / "soup.json").exists()
    assert not aside.exists()
    aside.mkdir()
    merge(plan, tmp_path / "out", overwrite=True)
    assert "is what is left of a result that was replaced before" in capsys.readouterr().err


def test_an_interrupt_between_the_renames_takes_the_first_one_back(tmp_path, monkeypatch):
    plan = plan_of(write_relatives(tmp_path / "in", 2))
    merge(plan, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "out.partial":
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            merge(plan, tmp_path / "out", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "out.partial"]
    merge(plan, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_wrong_input_that_shows_late_keeps_what_was_computed(tmp_path):
    plan = plan_of(write_relatives(tmp_path / "in", 2))

    def refuse(folder: Path, record: object) -> None:
        raise InputError("the licences differ")

    with pytest.raises(InputError, match="licences differ"):
        merge(plan, tmp_path / "out", finish=refuse)
    told = []
    merge(plan, tmp_path / "out", progress=told.append)
    assert told == [sum(portion.nbytes for portion in portions_of(plan))]

"""Several processes share one merge, under torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_merging_resume import many_tensors

from hf_soup.merging import make_plan, merge, open_ingredients

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo is tested on Linux")

# Arguments: what happens in the second process after ten portions, the output, the base, the models.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from hf_soup.errors import SoupError
from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.ranks import end_process
fate, out, base, *models = sys.argv[1:]
plan = make_plan(open_ingredients(models, base), "ties")
written = []

def meet_fate(nbytes):
    written.append(nbytes)
    if os.environ["RANK"] == "1" and len(written) > 10:
        if fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fate == "fails":
            raise OSError(5, "the disk of this process")

try:
    record = merge(plan, Path(out), progress=meet_fate)
except SoupError as error:
    print(f"process {os.environ['RANK']} says: {error}", file=sys.stderr, flush=True)
    end_process(1)
Path(f"{out}.{os.environ['RANK']}").write_text(f"{sum(written)} {record.outputs['model.safetensors'].root}")
end_process(0)
"""


def launched(root: Path, fate: str, folders: list[Path], processes: int = 2) -> subprocess.CompletedProcess[str]:
    program = root / "program.py"
    program.write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    *models, base = folders
    return subprocess.run(
        [*launcher, str(program), fate, str(root / "together"), str(base), *map(str, models)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def alone(root: Path, folders: list[Path], out: str = "alone") -> bytes:
    *models, base = map(str, folders)
    merge(make_plan(open_ingredients(models, base), "ties"), root / out)
    return (root / out / "model.safetensors").read_bytes()


def test_two_processes_write_what_one_does_and_each_a_part_of_it(tmp_path):
    folders = many_tensors(tmp_path / "in", 200)
    done = launched(tmp_path, "lives", folders)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "together/model.safetensors").read_bytes() == alone(tmp_path, folders)
    assert (tmp_path / "together/soup.json").read_bytes() == (tmp_path / "alone/soup.json").read_bytes()
    (first, root_of_first), (second, root_of_second) = (
        (tmp_path / f"together.{rank}").read_text().split() for rank in range(2)
    )
    assert root_of_first == root_of_second
    assert int(first) == int(second) == 100 * 40 * 64 * 4
    assert sorted(path.name for path in (tmp_path / "together").iterdir()) == [
        "config.json",
        "model.safetensors",
        "soup.json",
    ]


@pytest.mark.parametrize("fate", ["killed", "fails"])
def test_a_process_that_ends_stops_the_others_and_any_number_of_processes_goes_on(tmp_path, fate):
    folders = many_tensors(tmp_path / "in", 200)
    done = launched(tmp_path, fate, folders)
    assert done.returncode != 0
    assert not (tmp_path / "together").exists()
    journals = sorted(path.name for path in (tmp_path / "together.partial").glob(".journal-*"))
    assert journals == [".journal-0", ".journal-1"]
    if fate == "fails":
        assert "process 0 says: Another process of this merge failed (process 1: OSError" in done.stderr
        assert "the disk of this process" in done.stderr
    else:
        assert "Signal 9 (SIGKILL)" in done.stderr
    assert alone(tmp_path, folders, "together") == alone(tmp_path, folders)


DIFFERENT = """
import os, sys
from pathlib import Path
from hf_soup.errors import InputError
from hf_soup.merging import make_plan, merge, open_ingredients
out, *models = sys.argv[1:]
rank = int(os.environ["RANK"])
try:
    merge(make_plan(open_ingredients(models[rank : rank + 2])), Path(out))
except InputError as error:
    print(f"process {rank} says: {error}", file=sys.stderr, flush=True)
"""


def test_processes_that_do_not_see_the_same_models_refuse(tmp_path):
    *models, _ = many_tensors(tmp_path / "in", 3)
    program = tmp_path / "program.py"
    program.write_text(DIFFERENT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    done = subprocess.run(
        [*launcher, str(tmp_path / "out"), *map(str, models)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    for rank in range(2):
        assert f"process {rank} says: The processes of this run do not see the same models" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "program.py"]

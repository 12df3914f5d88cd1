"""Several processes under torchrun: all take the same decisions, one writes and prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from fine_tunes import data
from tiny_models import fine_tune, read_json

from hf_soup import HeldOut, Soup

PROGRAM = "from hf_soup.cli import main; main()\n"


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo is tested on Linux")
def test_two_ranks_choose_and_write_what_one_process_does(tmp_path):
    folders = [fine_tune(tmp_path / f"run-{seed}", seed, steps=40 + 10 * seed) for seed in range(3)]
    alone = Soup(folders).greedy(
        HeldOut(data()["held_out"], task="text-classification", metric="accuracy"), out=tmp_path / "alone"
    )
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    arguments = ["greedy", *map(str, folders), "--data", str(data()["held_out"]), "--task", "text-classification"]
    done = subprocess.run(
        [sys.executable, *launcher, *arguments, "--metric", "accuracy", "-o", str(tmp_path / "together"), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["path"] == str(tmp_path / "together")
    together = read_json(tmp_path / "together" / "soup.json")
    assert together["selection"]["chosen"] == list(alone.recipe.selection["chosen"])
    assert together["selection"]["scores"] == list(alone.recipe.selection["scores"])
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("alone", "together")]
    assert weights[0] == weights[1]
    assert not list(tmp_path.glob("*.partial"))

"""Two processes train the same members as one process does, and write them once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from finetuned import QUICK, held_out, still, trained_on
from safetensors.torch import load_file
from voting_models import shared, texts

from hf_soup import Ensemble

PROGRAM = """
import json, os, sys
import torch
torch.set_num_threads(1)
sys.path[:0] = sys.argv[4:]
from finetuned import QUICK, held_out, one_step, trained_on
from voting_models import texts
from hf_soup import Ensemble
from hf_soup.ranks import end_process
a, b, out = sys.argv[1:4]
for batch, parts in (([0, 3, 5, 2, 7, 1, 4], 1), ([0, 3, 5, 2, 7, 1, 4], 3), ([6], 1)):
    for mine, theirs in zip(*one_step(batch, parts), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
ensemble = Ensemble({"a": {"a": a}, "b": {"b": b}})
ensemble.fit(held_out(), finetune=True, train=trained_on(), out=out + "/m", **(QUICK | {"batch_size": 33}))
found = ensemble.predict(texts()).probabilities
record = ensemble.finetuning
said = {"found": found.tolist(), "weights": record.weights, "nll": [e.train_nll for e in record.epochs], "processes": record.processes}
with open(f"{out}/{os.environ['RANK']}.json", "w") as file:
    json.dump(said, file)
end_process(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo is tested on Linux")
def test_two_processes_learn_what_one_learns(tmp_path):
    models = [shared(still, 0), shared(still, 1)]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    here = Path(__file__).parent
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    done = subprocess.run(
        [sys.executable, *launcher, *map(str, models), str(tmp_path), str(here), str(here.parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Epoch 1 of 2") == 1
    # 100 rows in steps of 33: of the last step, one row, the second process has none.
    alone = Ensemble({"a": {"a": models[0]}, "b": {"b": models[1]}})
    alone.fit(held_out(), finetune=True, train=trained_on(), out=tmp_path / "alone", **(QUICK | {"batch_size": 33}))
    expected = alone.predict(texts()).probabilities
    for rank in (0, 1):
        said = json.loads((tmp_path / f"{rank}.json").read_text())
        assert said["processes"] == 2
        assert said["weights"] == pytest.approx(alone.finetuning.weights, abs=1e-4)
        assert said["nll"] == pytest.approx([epoch.train_nll for epoch in alone.finetuning.epochs], abs=1e-4)
        np.testing.assert_allclose(said["found"], expected, atol=1e-3)
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"a", "b"}
    for name in "ab":
        two, one = (load_file(tmp_path / out / name / "model.safetensors") for out in ("m", "alone"))
        for key in one:
            if key.endswith("key.bias"):  # its gradient is zero, and Adam makes steps of the rounding that is left
                continue
            torch.testing.assert_close(two[key], one[key], atol=1e-3, rtol=0)

"""Two processes share the rows of every member, and get what one process gets."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from voted import with_weights
from voting_models import rows, save_text_model, shared, texts

from hf_soup import Ensemble, HeldOut

PROGRAM = """
import os, sys
import numpy as np, torch
torch.set_num_threads(1)
sys.path[:0] = sys.argv[4:]
from voted import with_weights
from voting_models import rows, texts
from hf_soup import Ensemble, HeldOut
from hf_soup.ranks import end_process
a, b, out = sys.argv[1:4]
rank = os.environ["RANK"]
def rule(examples):
    return [0.8 if len(each["text"]) % 2 else 0.3 for each in examples]
families = {"bert": {"a": a}, "mini": {"b": b}, "rule": {"rule": rule}}
held_out = HeldOut(rows(), "text-classification")
values = np.asarray(Ensemble(families).member_probabilities(held_out).values)
ensemble = with_weights(families, {"bert": 0.6, "mini": 0.3, "rule": 0.1})
found = ensemble.predict(texts(), batch_size=4)
early = ensemble.predict(texts(), batch_size=4, early_exit=True)
np.savez(f"{out}/{rank}.npz", values=values, found=found.probabilities, early=early.predicted, passes=early.passes)
assert torch.distributed.get_world_size() == 2
end_process(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo is tested on Linux")
def test_two_processes_say_what_one_says(tmp_path):
    models = [shared(save_text_model, "bert", 0), shared(save_text_model, "distilbert", 5)]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    here = os.path.dirname(__file__)  # noqa: PTH120
    arguments = [*map(str, models), str(tmp_path), here, os.path.dirname(here)]  # noqa: PTH120
    done = subprocess.run(
        [sys.executable, *launcher, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    families = {"bert": {"a": models[0]}, "mini": {"b": models[1]}, "rule": {"rule": rule}}
    alone = with_weights(families, {"bert": 0.6, "mini": 0.3, "rule": 0.1})
    values = Ensemble(families).member_probabilities(HeldOut(rows(), "text-classification")).values
    found = alone.predict(texts(), batch_size=4)
    for rank in (0, 1):
        with np.load(tmp_path / f"{rank}.npz") as said:
            np.testing.assert_array_equal(said["values"], values)
            np.testing.assert_array_equal(said["found"], found.probabilities)
            np.testing.assert_array_equal(said["early"], found.predicted)
            assert said["passes"].sum() < 120


def rule(examples):
    return [0.8 if len(each["text"]) % 2 else 0.3 for each in examples]

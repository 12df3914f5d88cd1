"""Several processes share the rows of one evaluation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from evaluation_models import (
    text_rows,
)

from hf_soup.checkpoints import open_checkpoint
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache

TASK = "text-classification"


TWO_PROCESSES = """
import os, sys, numpy as np, torch
torch.set_num_threads(1)
from hf_soup.checkpoints import open_checkpoint
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache
from hf_soup.ranks import end_process
evaluator = Evaluator(HeldOut(sys.argv[1], "text-classification", batch_size=4), cache=PredictionCache(sys.argv[2]))
logits = [evaluator.predictions(open_checkpoint(folder)).logits for folder in sys.argv[4:]]
np.save(f"{sys.argv[3]}/{os.environ['RANK']}.npy", np.array(logits))
passes = evaluator.forward_passes, torch.distributed.get_world_size()
assert passes == (38, 2), passes
end_process(0)
"""


def launched(tmp_path: Path, code: str, arguments: list[str]) -> None:
    script = tmp_path / "judge.py"
    script.write_text(code)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        "0",
        "--standalone",
    ]
    done = subprocess.run([*launch, str(script), *arguments], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-5000:]


MAIN_FAILS = """
import pathlib, sys, torch
from hf_soup.errors import SoupError
from hf_soup.evaluation.hardware import Hardware
from hf_soup.ranks import end_process
class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")
def fail(error):
    raise error
hardware, met = Hardware(), []
for error in (ValueError("no luck"), Odd("two", "words"), SoupError("said")):
    try:
        hardware.on_main(lambda: fail(error))
    except Exception as found:
        met.append(f"{type(found).__name__}: {found}")
pathlib.Path(sys.argv[1], f"{hardware.rank}.txt").write_text("\\n".join(met))
end_process(0)
"""


def test_every_process_meets_the_main_ones_error_whatever_it_is(tmp_path: Path) -> None:
    launched(tmp_path, MAIN_FAILS, [str(tmp_path)])
    for rank in range(2):
        value_error, odd, soup_error = (tmp_path / f"{rank}.txt").read_text().splitlines()
        assert value_error == "ValueError: no luck"
        assert odd.startswith("SoupError: Odd: two words")  # cannot be sent as it is
        assert soup_error == "SoupError: said"


def test_every_process_sees_the_predictions_of_a_single_one(
    tmp_path: Path, berts: list[Path], cache: PredictionCache
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in text_rows(19)))
    arguments = [str(data), str(tmp_path / "other-cache"), str(tmp_path), str(berts[0]), str(berts[1])]
    launched(tmp_path, TWO_PROCESSES, arguments)
    alone = Evaluator(HeldOut(data, TASK, batch_size=4), cache=cache)
    expected = np.array([alone.predictions(open_checkpoint(folder)).logits for folder in berts[:2]])
    for rank in range(2):
        assert np.array_equal(np.load(tmp_path / f"{rank}.npy"), expected)

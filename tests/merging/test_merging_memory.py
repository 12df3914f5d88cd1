"""A merge holds blocks, not models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from merge_memory import measure


@pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is read from /proc")
def test_anonymous_memory_does_not_grow_with_the_models():
    figures = measure(megabytes=120)
    assert figures["above_mb"] < 60  # half of one model; the figure to hold for three models of 500 MB is 400


PROGRAM = """
import json, sys
from pathlib import Path
from hf_soup.merging import make_plan, merge, open_ingredients
from measured_process import MemoryWatch, memory_of
method, budget, root = sys.argv[1:]

def run(size):
    base, *models = [f"{root}/{size}-{name}" for name in ("base", "m0", "m1", "m2")]
    ingredients = open_ingredients(models, base if method == "ties" else None)
    merge(make_plan(ingredients, method, memory_bytes=int(budget)), Path(root) / f"out-{size}")

run("small")  # what is imported late is imported now
before = memory_of().anonymous
with MemoryWatch() as watch:
    run("large")
print(json.dumps(watch.peak.anonymous - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is read from /proc")
@pytest.mark.parametrize(("method", "budget_mib"), [("linear", 48), ("ties", 80)])
def test_a_tensor_larger_than_the_budget_is_merged_within_it(tmp_path, method, budget_mib):
    generator = torch.Generator().manual_seed(0)
    for size, rows in (("small", 2), ("large", 6_000)):
        for name in ("base", "m0", "m1", "m2"):
            folder = tmp_path / f"{size}-{name}"
            folder.mkdir()
            tensor = torch.randn(rows * 10_000, generator=generator).bfloat16().reshape(rows, 10_000)  # 120 MB
            save_file({"weight": tensor}, folder / "model.safetensors", metadata={"format": "pt"})
            (folder / "config.json").write_text("{}")
    benchmarks = str(Path(__file__).parents[1] / "benchmarks")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, method, str(budget_mib * 2**20), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": benchmarks, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) * 1e6 < budget_mib * 2**20

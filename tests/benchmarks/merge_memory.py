"""Anonymous memory and time of merging three models of half a gigabyte.

Run: python tests/benchmarks/merge_memory.py [MEGABYTES_PER_MODEL]     (Linux: reads RssAnon from /proc)
Prints the peak of anonymous memory above what the imports cost, and the wall time beside the time of reading the inputs
and copying one output (`cat` and `cp`), which is the limit.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MERGE = """
import json, sys, threading, time
from pathlib import Path

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024

import torch
from hf_soup.merging import make_plan, merge, open_ingredients
torch.ones(8, dtype=torch.bfloat16).float().sum()
before, peak, over = anonymous(), 0, threading.Event()

def watch():
    global peak
    while not over.is_set():
        peak = max(peak, anonymous())
        over.wait(0.01)

watcher = threading.Thread(target=watch)
watcher.start()
start, cpu = time.perf_counter(), time.process_time()
plan = make_plan(open_ingredients(sys.argv[2:]))
from hf_soup.merging.execute import write_weights
out = Path(sys.argv[1])
out.mkdir()
write_weights(plan, out)
written, spent = time.perf_counter() - start, time.process_time() - cpu
over.set()
watcher.join()
print(json.dumps({"imports_mb": before / 1e6, "above_mb": (peak - before) / 1e6, "wall_s": written, "cpu_s": spent}))
"""


def make_model(folder: Path, megabytes: int, seed: int) -> None:
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    rows = megabytes * 10**6 // 2 // 12 // 1024
    tensors = {f"layers.{i}.weight": torch.randn(rows, 1024, generator=generator).bfloat16() for i in range(12)}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "llama"}')


def measure(megabytes: int) -> dict[str, float]:
    """Returns the figures of one merge of three models, each of `megabytes` MB in bfloat16."""
    with tempfile.TemporaryDirectory() as root:
        models = [Path(root) / f"model-{i}" for i in range(3)]
        for seed, model in enumerate(models):
            make_model(model, megabytes, seed)
        command = [sys.executable, "-c", MERGE, f"{root}/out", *map(str, models)]
        figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        start = time.perf_counter()
        for model in models:
            with (model / "model.safetensors").open("rb") as file:
                while file.read(1 << 20):
                    pass
        shutil.copyfile(models[0] / "model.safetensors", f"{root}/copy")
        return figures | {"limit_s": time.perf_counter() - start}


if __name__ == "__main__":
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 500).items():
        print(f"{name:>12}: {value:8.2f}")

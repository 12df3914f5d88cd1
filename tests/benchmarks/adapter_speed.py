"""Seconds to combine eight rank-16 adapters over all linear layers of the 267 M model of the benchmarks.

Run: python tests/benchmarks/adapter_speed.py [adapters] [model] [--adapters 8] [--rank 16] [--layers 12] [--repeat 3]
Adapters have random weights, float32. Both cases are run unless one is named.

`adapters`: they become one adapter, and PEFT does it beside. `concat` and `svd` write complete adapter repositories, card
included; imports are over before. PEFT's `add_weighted_adapter(combination_type="svd")` is timed without loading and saving,
on adapters that are in memory. All have as many threads as torch chooses.

`model`: they are merged into full weights, bfloat16, by `linear`, in as many workers as there are cores. Beside it `cp` of the
base, and the products B·A alone, in float64, tile by tile into the same memory, in as many threads. The bound is one and a half
times the sum of the two; where others are at work on the machine, its CPU time says more than its seconds. Everything was in the
page cache before; the best of the repetitions counts, the median stands behind it. Peak of anonymous memory: what the process
holds above what it held before the merge.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import torch
from bench_models import WEIGHTS, make_model
from measured_process import MemoryWatch, memory_of
from measured_table import conditions, load, spread, table, tell
from safetensors.torch import save_file

from hf_soup.adapters import combine_adapters
from hf_soup.checkpoints import AdapterCheckpoint
from hf_soup.checkpoints.row_tiles import TILE_ELEMENTS, tiles
from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.merging.threads import one_torch_thread

_WIDTH = 1024
_MEGABYTES = 534
"""Of the base: 267 M parameters in bfloat16, in which the width of the linear layers is 1024."""
_SHAPES = {f"self_attn.{name}_proj": (_WIDTH, _WIDTH) for name in "qkvo"}
_SHAPES |= {
    "mlp.gate_proj": (4 * _WIDTH, _WIDTH),
    "mlp.up_proj": (4 * _WIDTH, _WIDTH),
    "mlp.down_proj": (_WIDTH, 4 * _WIDTH),
}


class Layer(torch.nn.Module):
    """Only the linear modules: what is adapted, in its place."""

    def __init__(self) -> None:
        super().__init__()
        for part in ("self_attn", "mlp"):
            inside = {n.split(".")[1]: s for n, s in _SHAPES.items() if n.startswith(part)}
            self.add_module(
                part, torch.nn.ModuleDict({n: torch.nn.Linear(c, r, bias=False) for n, (r, c) in inside.items()})
            )


def write_adapter(
    folder: Path, seed: int, rank: int, layers: int, *, inside: str = "", base: str = "me/not-there"
) -> Path:
    """`inside`: the module that holds the layers, with a dot behind it."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(layers):
        for name, (rows, columns) in _SHAPES.items():
            place = f"base_model.model.{inside}layers.{layer}.{name}"
            tensors[f"{place}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * 0.03
            tensors[f"{place}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.03
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "base_model_name_or_path": base}
    config["target_modules"] = sorted({name.split(".")[1] for name in _SHAPES})
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def seconds_of_peft(folders: list[Path], rank: int, layers: int) -> float:
    from peft import PeftModel

    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList(Layer() for _ in range(layers))
    adapted = PeftModel.from_pretrained(model, folders[0], adapter_name="a0")
    for number, folder in enumerate(folders[1:], 1):
        adapted.load_adapter(folder, f"a{number}")
    names = [f"a{number}" for number in range(len(folders))]
    start = time.perf_counter()
    adapted.base_model.add_weighted_adapter(
        names, [1 / len(names)] * len(names), "sum", combination_type="svd", svd_rank=rank, svd_full_matrices=False
    )
    return time.perf_counter() - start


def adapters_case(root: Path, count: int, rank: int, layers: int) -> None:
    folders = [write_adapter(root / str(seed), seed, rank, layers) for seed in range(count)]
    combine_adapters(folders[:1], out=root / "warm-up")
    rows = []
    for title, settings in (("concat", {}), ("svd", {"as_": "svd", "rank": rank})):
        start = time.perf_counter()
        combine_adapters(folders, out=root / title, **settings)
        rows.append([title, f"{time.perf_counter() - start:.2f}"])
        tell(" ".join(rows[-1]))
    rows.append(["PEFT svd", f"{seconds_of_peft(folders, rank, layers):.2f}"])
    print(table(["", "seconds"], rows))


class Timer:
    """Seconds and CPU seconds of this process and of those it waited for, while the block runs; each time one pair more."""

    def __init__(self) -> None:
        self.walls: list[float] = []
        self.cpus: list[float] = []

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), sum(os.times()[:4])

    def __exit__(self, *error: object) -> None:
        self.walls.append(time.perf_counter() - self._wall)
        self.cpus.append(sum(os.times()[:4]) - self._cpu)

    def forget_first(self) -> None:
        del self.walls[0], self.cpus[0]


def multiply_factors(models: Sequence[AdapterCheckpoint], timer: Timer) -> None:
    """The factors are in memory, in float64, before."""
    factors = {}
    for number, model in enumerate(models):
        for name, update in model.fitted.updates.items():
            a, b = model.adapter.factors(update)
            factors[name, number] = b.double(), a.double()
    largest = max(TILE_ELEMENTS, *(a.shape[1] for _, a in factors.values()))

    def multiply(part: Sequence[tuple[str, int]]) -> None:
        room = torch.empty(largest, dtype=torch.float64)
        for key in part:
            b, a = factors[key]
            height, width = b.shape[0], a.shape[1]
            for first, last in tiles(0, height, width, height):
                torch.mm(b[first:last], a, out=room[: (last - first) * width].view(last - first, width))

    threads = os.cpu_count() or 1
    keys = sorted(factors)
    with one_torch_thread(), ThreadPoolExecutor(threads) as pool, timer:
        list(pool.map(multiply, [keys[number::threads] for number in range(threads)]))


def model_case(root: Path, count: int, rank: int, layers: int, repeat: int) -> None:
    base = root / "base"
    make_model(base, _MEGABYTES, 0)
    folders = [
        write_adapter(root / f"adapter-{seed}", seed, rank, layers, inside="model.", base=str(base))
        for seed in range(count)
    ]
    copy, products, merging, peaks = Timer(), Timer(), Timer(), []
    for number in range(repeat + 1):
        out = root / f"merged-{number}"
        ingredients = open_ingredients([str(folder) for folder in folders])
        plan = make_plan(ingredients, out=out)
        plan.raise_problems()
        os.sync()
        with copy:
            subprocess.run(["cp", "--reflink=never", base / WEIGHTS, root / "copy"], check=True)
        (root / "copy").unlink()
        multiply_factors(cast(Sequence[AdapterCheckpoint], ingredients.models), products)
        os.sync()
        held = memory_of()
        with MemoryWatch() as watch, merging:
            merge(plan, out)
        peaks.append(watch.peak.anonymous - (held.anonymous if held is not None else 0))
        (out / WEIGHTS).unlink()
        tell(f"merge {merging.walls[-1]:.2f} s, cp {copy.walls[-1]:.2f} s, products {products.walls[-1]:.2f} s")
    for timer in (copy, products, merging):
        timer.forget_first()  # what happens once, such as imports
    bound = [1.5 * (min(copy.walls) + min(products.walls)), 1.5 * (min(copy.cpus) + min(products.cpus))]
    rows = [
        ["merge into full weights", spread(merging.walls), spread(merging.cpus)],
        ["cp of the base", spread(copy.walls), spread(copy.cpus)],
        ["products alone", spread(products.walls), spread(products.cpus)],
        ["bound", *(f"{value:.2f}" for value in bound)],
        [
            "merge over bound",
            *(f"{min(v) / b:.2f}" for v, b in zip((merging.walls, merging.cpus), bound, strict=True)),
        ],
    ]
    print(table([f"{count} adapters of rank {rank}, {plan.workers} workers", "seconds", "CPU seconds"], rows))
    print(f"Peak of anonymous memory {spread(peaks[1:], 0)} MB; buffers of the plan {plan.memory_bytes / 1e6:.0f} MB.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="adapters, model")
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - {"adapters", "model"}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    cases = arguments.cases or ["adapters", "model"]
    before = load()
    sizes = arguments.adapters, arguments.rank, arguments.layers
    with tempfile.TemporaryDirectory() as root:
        if "adapters" in cases:
            adapters_case(Path(root), *sizes)
        if "model" in cases:
            model_case(Path(root), *sizes, arguments.repeat)
    print(conditions(before))


if __name__ == "__main__":
    main()

"""Seconds to bring greedy selection's candidates into the model in memory where they are adapters of one base.

Run: python tests/benchmarks/adapter_greedy.py BASE [--adapters 8] [--rank 16] [--layers 12] [--narrow]
Adapters have random weights, float32, over all linear layers, or with `--narrow` over the attention's q_proj and v_proj alone.
First every adapter by itself, then soups of the first two, three, … of them: what greedy selection loads when it accepts each
one. One thread; planning is in the numbers, forward passes are not. The base's layers must be as wide as those of the
267 M model of the benchmarks (make bench_models' `base` with 534 MB).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import adapter_speed
import torch
from measured_table import conditions, load, table, tell

from hf_soup.evaluation import Skeleton
from hf_soup.merging import make_plan, open_ingredients
from hf_soup.selection.select import candidate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--narrow", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    before = load()
    if arguments.narrow:
        kept = ("self_attn.q_proj", "self_attn.v_proj")
        adapter_speed._SHAPES = {name: shape for name, shape in adapter_speed._SHAPES.items() if name in kept}
    with tempfile.TemporaryDirectory() as root:
        folders = [
            adapter_speed.write_adapter(
                Path(root) / str(seed), seed, arguments.rank, arguments.layers, inside="model."
            )
            for seed in range(arguments.adapters)
        ]
        ingredients = open_ingredients(folders, arguments.base)
        skeleton = Skeleton(ingredients.models[0], "AutoModelForCausalLM", torch.device("cpu"))
        count = len(folders)
        rows = []
        for subset in [(index,) for index in range(count)] + [tuple(range(size)) for size in range(2, count + 1)]:
            start = time.perf_counter()
            plan = make_plan(ingredients.subset(subset), checks=False)
            skeleton.load(candidate(plan, ingredients.models[subset[0]]) if len(subset) == 1 else plan.virtual())
            title = f"adapter {subset[0]}" if len(subset) == 1 else f"soup of {len(subset)}"
            rows.append([title, f"{time.perf_counter() - start:.2f}"])
            tell(" ".join(rows[-1]))
    print(table(["", "seconds"], rows))
    print(conditions(before))


if __name__ == "__main__":
    main()

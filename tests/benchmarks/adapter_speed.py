"""Seconds to combine eight rank-16 adapters over all linear layers of the 267 M model of the benchmarks; PEFT beside it.

Run: python tests/benchmarks/adapter_speed.py [--adapters 8] [--rank 16] [--layers 12]
Adapters have random weights, float32. `concat` and `svd` write complete adapter repositories, card included; imports are
over before. PEFT's `add_weighted_adapter(combination_type="svd")` is timed without loading and saving, on adapters that are
in memory. All have as many threads as torch chooses.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from measured_table import conditions, load, table, tell
from safetensors.torch import save_file

from hf_soup.adapters import combine_adapters

_WIDTH = 1024
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


def write_adapter(folder: Path, seed: int, rank: int, layers: int) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(layers):
        for name, (rows, columns) in _SHAPES.items():
            place = f"base_model.model.layers.{layer}.{name}"
            tensors[f"{place}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * 0.03
            tensors[f"{place}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.03
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "base_model_name_or_path": "me/not-there"}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=12)
    arguments = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory() as root:
        folders = [
            write_adapter(Path(root) / str(seed), seed, arguments.rank, arguments.layers)
            for seed in range(arguments.adapters)
        ]
        combine_adapters(folders[:1], out=Path(root) / "warm-up")
        rows = []
        for title, settings in (("concat", {}), ("svd", {"as_": "svd", "rank": arguments.rank})):
            start = time.perf_counter()
            combine_adapters(folders, out=Path(root) / title, **settings)
            rows.append([title, f"{time.perf_counter() - start:.2f}"])
            tell(" ".join(rows[-1]))
        seconds = seconds_of_peft(folders, arguments.rank, arguments.layers)
        rows.append(["PEFT svd", f"{seconds:.2f}"])
    print(table(["", "seconds"], rows))
    print(conditions(before))


if __name__ == "__main__":
    main()

"""Do a mergekit file's result and ours agree? Runs both on the same files and compares the tensors.

Run: python tests/benchmarks/mergekit_agreement.py --mergekit ENVIRONMENT [NAME ...]
ENVIRONMENT is the folder of a Python environment with mergekit, which is run as a program and never imported. The models are
small, random and have the layout of Llama: three relatives of a base. Prints the largest difference for each file; both
compute in float32, so about 1e-6 is agreement. DARE draws at random: there, how much of the sum that nothing is dropped from
arrives, which is 1 on average, and the share of positions that change.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from hf_soup import Soup
from hf_soup.errors import SoupError
from hf_soup.merging.read_request import read_request

LAYERS, HIDDEN, INNER, WORDS = 5, 64, 96, 256
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": HIDDEN // 2,
    "vocab_size": WORDS,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "dtype": "float32",
}


def shapes() -> dict[str, tuple[int, ...]]:
    layer = {
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
        "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "mlp.down_proj": (HIDDEN, INNER),
        "input_layernorm": (HIDDEN,),
        "post_attention_layernorm": (HIDDEN,),
    }
    outside = {"model.embed_tokens": (WORDS, HIDDEN), "model.norm": (HIDDEN,), "lm_head": (WORDS, HIDDEN)}
    inside = {f"model.layers.{i}.{name}": shape for i in range(LAYERS) for name, shape in layer.items()}
    return {f"{name}.weight": shape for name, shape in (outside | inside).items()}


def write_models(root: Path) -> None:
    """base, and m1 to m3, whose task vectors have something in common, so that angles and signs mean something."""
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=generator) for name, shape in shapes().items()}
    shared = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes().items()}
    models = {"base": base}
    for number in (1, 2, 3):
        own = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes().items()}
        models[f"m{number}"] = {name: base[name] + shared[name] + own[name] for name in base}
    for name, tensors in models.items():
        (root / name).mkdir()
        save_file(tensors, root / name / "model.safetensors", metadata={"format": "pt"})
        (root / name / "config.json").write_text(json.dumps(CONFIG))


def files(root: Path) -> dict[str, dict[str, Any]]:
    """mergekit files by name. Folders are absolute: mergekit takes relative ones for names on the Hub when it ends."""

    def models(*parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"model": str(root / f"m{number}"), "parameters": each} for number, each in enumerate(parameters, start=1)
        ]

    def whole(*parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"sources": [{**model, "layer_range": [0, LAYERS]} for model in models(*parameters)]}]

    base, first = str(root / "base"), str(root / "m1")
    weights = ({"weight": 0.5}, {"weight": 2}, {"weight": 1})
    dense = ({"weight": 1, "density": 0.5}, {"weight": 2, "density": 0.3}, {"weight": 1, "density": 0.7})
    signed = ({"weight": 1, "density": 0.5}, {"weight": -0.5, "density": 0.5}, {"weight": 1, "density": 0.33})
    by_layer = (
        {"weight": [0.2, 1]},
        {"weight": [1, 0.3, 0.7]},
        {"weight": [{"filter": "mlp", "value": 0.5}, {"value": 1}]},
    )
    t = [
        {"filter": "self_attn", "value": [0, 0.5, 0.3, 0.7, 1]},
        {"filter": "mlp", "value": [1, 0.5, 0.3, 0]},
        {"value": 0.5},
    ]
    task = {"base_model": base, "models": models(*weights)}
    return {
        "linear": {"merge_method": "linear", "models": models(*weights)},
        "linear sum": {"merge_method": "linear", "models": models(*weights), "parameters": {"normalize": False}},
        "linear with base": {
            "merge_method": "linear",
            "base_model": base,
            "models": models({}, {}),
            "parameters": {"weight": 1},
        },
        "linear by layer": {"merge_method": "linear", "models": models(*by_layer)},
        "linear, slices": {"merge_method": "linear", "slices": whole(*by_layer)},
        "linear bfloat16": {"merge_method": "linear", "models": models(*weights), "out_dtype": "bfloat16"},
        "slerp": {"merge_method": "slerp", "base_model": first, "models": models({}, {}), "parameters": {"t": 0.3}},
        "slerp by layer": {
            "merge_method": "slerp",
            "base_model": first,
            "models": models({}, {}),
            "parameters": {"t": t},
        },
        "task_arithmetic": {"merge_method": "task_arithmetic", **task, "parameters": {"lambda": 0.7}},
        "task_arithmetic mean": {"merge_method": "task_arithmetic", **task, "parameters": {"normalize": True}},
        "ties": {"merge_method": "ties", "base_model": base, "models": models(*dense)},
        "ties defaults": {"merge_method": "ties", **task},
        "ties sum": {
            "merge_method": "ties",
            "base_model": base,
            "models": models(*dense),
            "parameters": {"normalize": False, "lambda": 0.4, "int8_mask": True},
        },
        "ties, a negative weight": {"merge_method": "ties", "base_model": base, "models": models(*signed)},
        "ties by layer": {
            "merge_method": "ties",
            "base_model": base,
            "models": models(*by_layer),
            "parameters": {"density": [1, 0.7, 0.1]},
        },
        "model_stock": {"merge_method": "model_stock", "base_model": base, "models": models({}, {}, {})},
        "dare_linear": {"merge_method": "dare_linear", "base_model": base, "models": models(*dense)},
        "dare_ties": {"merge_method": "dare_ties", "base_model": base, "models": models(*dense)},
        "dare_linear plain": {
            "merge_method": "dare_linear",
            "base_model": base,
            "models": models(*dense),
            "parameters": {"rescale": False},
        },
        "dare_ties mean": {
            "merge_method": "dare_ties",
            "base_model": base,
            "models": models(*dense),
            "parameters": {"normalize": True},
        },
    }


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v.double() for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}


def compare(name: str, document: dict[str, Any], ours: Path, theirs: Path, root: Path) -> str:
    a, b = tensors_of(ours), tensors_of(theirs)
    if a.keys() != b.keys():
        return f"{name:26} not the same tensors: {sorted(a.keys() ^ b.keys())[:4]}"
    if not document["merge_method"].startswith("dare"):
        return f"{name:26} {max(float((a[key] - b[key]).abs().max()) for key in a):.1e}"
    base = tensors_of(root / "base")
    sources = [(tensors_of(Path(model["model"])), model["parameters"]["weight"]) for model in document["models"]]
    whole = torch.cat([sum(w * (t[key] - base[key]) for t, w in sources).flatten() for key in base])
    said = []
    for who, result in (("ours", a), ("mergekit", b)):
        change = torch.cat([(result[key] - base[key]).flatten() for key in base])
        said.append(
            f"{who}: {change @ whole / (whole @ whole):.3f} arrives, {(change != 0).double().mean():.3f} change"
        )
    return f"{name:26} {'; '.join(said)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of the files to run; all without")
    parser.add_argument("--mergekit", required=True, type=Path)
    arguments = parser.parse_args()
    program = arguments.mergekit / "bin" / "mergekit-yaml"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_models(root)
        for name, document in files(root).items():
            if arguments.names and name not in arguments.names:
                continue
            slug = name.replace(" ", "-").replace(",", "")
            file, ours, theirs = root / f"{slug}.yml", root / f"{slug}-ours", root / f"{slug}-theirs"
            file.write_text(yaml.safe_dump(document, sort_keys=False))
            run = subprocess.run([program, file, theirs], env=environment, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{name:26} mergekit failed: {run.stderr.strip().splitlines()[-1]}", flush=True)
                continue
            try:
                request = read_request(file)
                Soup(**request.soup_arguments).merge(**request.merge_arguments, out=ours, force=True)
            except SoupError as error:
                print(f"{name:26} ours failed: {str(error).splitlines()[0]}", flush=True)
                continue
            print(compare(name, document, ours, theirs, root), flush=True)


if __name__ == "__main__":
    main()

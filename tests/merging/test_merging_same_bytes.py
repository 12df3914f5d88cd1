"""The bytes of a result do not depend on how the work was done: the matrix of methods and ways."""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from tiny_checkpoints import write_checkpoint

from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.methods import METHODS

MIB = 2**20
# What each method is given that is not its default, so that every parameter takes part.
PARAMETERS: dict[str, dict] = {
    "linear": {"weight": [3.0, 1.0, 2.0]},
    "slerp": {"t": 0.3},
    "task_arithmetic": {"weight": [0.7, 0.5, -0.3], "scale": 0.8},
    "ties": {"density": [0.2, 0.5, 0.9], "weight": [1.0, 2.0, 0.5]},
    "dare_linear": {"density": 0.4, "weight": [0.3, 0.3, 0.4], "seed": 5},
    "dare_ties": {"density": [0.3, 0.6, 0.9], "seed": 5},
    "model_stock": {},
}


def large_relatives(count: int, dtype: torch.dtype = torch.bfloat16) -> list[dict[str, torch.Tensor]]:
    """Tensors below, at and beyond the size of a granule and of a portion's slab, some of them shared in value."""
    generator = torch.Generator().manual_seed(3)
    shapes = {
        "model.layers.0.big.weight": (1100, 600),  # three granules, the last one short
        "model.layers.1.exact.weight": (512, 512),  # one granule
        "model.layers.10.small.weight": (5, 7),
        "model.layers.2.bias": (262_145,),
        "lm_head.scalar": (),
    }
    ancestor = {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    models = []
    for _ in range(count):
        model = {n: (t + 0.002 * torch.randn(t.shape, generator=generator)).to(dtype) for n, t in ancestor.items()}
        model["position_ids"] = torch.arange(300_000).reshape(1, -1)
        models.append(model)
    return models


def shards_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("model*"))}


class Models:
    """Checkpoints on this disk, whole and in shards, and the same ones on the Hub; the last one is the base."""

    def __init__(self, root: Path, api: HfApi) -> None:
        models = large_relatives(4)
        config = {"model_type": "llama"}
        self.folders = [write_checkpoint(root / f"whole-{i}", model, config) for i, model in enumerate(models)]
        self.sharded = [write_checkpoint(root / f"parts-{i}", m, config, shards=3) for i, m in enumerate(models)]
        self.hub = []
        for number, folder in enumerate(self.folders):
            name = f"tester/same-bytes-{number}"
            api.create_repo(name, exist_ok=True)
            api.upload_folder(repo_id=name, folder_path=folder)
            self.hub.append(name)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"), HfApi())


def ways(models: Models, method: str, out: Path) -> Callable[..., dict[str, bytes]]:
    """Returns a function that merges in one way and gives the bytes."""
    number = itertools.count()
    count = METHODS[method].exactly or 3

    def merged(sources: Sequence[str | Path] = models.folders, order: Sequence[int] | None = None, **options):
        stream = options.pop("stream", False)
        order = order or range(count)
        parameters = {
            name: [value[i] for i in order] if isinstance(value, list) else value
            for name, value in PARAMETERS[method].items()
        }
        base = str(sources[3]) if METHODS[method].needs_base else None
        ingredients = open_ingredients([str(sources[i]) for i in order], base, stream=stream)
        target = out / str(next(number))
        merge(make_plan(ingredients, method, parameters, **options), target)
        return shards_of(target)

    return merged


@pytest.mark.parametrize("method", sorted(PARAMETERS))
def test_neither_workers_nor_memory_nor_the_sharding_of_the_inputs_change_the_bytes(models, tmp_path, method):
    merged = ways(models, method, tmp_path)
    expected = merged()
    assert merged(workers=1) == expected
    assert merged(workers=5, memory_bytes=1024 * MIB) == expected
    assert merged(memory_bytes=60 * MIB) == expected
    assert merged(models.sharded) == expected
    assert merged(workers=3) == expected


@pytest.mark.parametrize("method", sorted(PARAMETERS))
@pytest.mark.hub
def test_neither_the_hub_nor_streaming_change_the_bytes(models, tmp_path, hub, method):
    """A folder's fingerprint is another one than that of the same files on the Hub, so both sides come from the Hub."""
    merged = ways(models, method, tmp_path)
    expected = merged(models.hub)
    assert merged(models.hub, stream=True) == expected
    assert merged(models.hub, stream=True, workers=1) == expected
    tight = 96 * MIB if METHODS[method].survey else 36 * MIB
    assert merged(models.hub, stream=True, workers=4, memory_bytes=tight) == expected


@pytest.mark.parametrize("method", sorted(name for name in PARAMETERS if METHODS[name].commutative))
def test_the_order_of_the_ingredients_does_not_change_the_bytes(models, tmp_path, method):
    merged = ways(models, method, tmp_path)
    expected = merged()
    for order in [(2, 1, 0), (1, 2, 0), (0, 2, 1)]:
        assert merged(order=order) == expected


@pytest.mark.parametrize("method", sorted(PARAMETERS))
def test_the_shards_of_the_output_hold_the_same_tensors(models, tmp_path, method):
    from safetensors.torch import load_file

    merged = ways(models, method, tmp_path)
    merged()
    merged(shard_bytes=800_000)
    whole = load_file(tmp_path / "0/model.safetensors")
    files = sorted((tmp_path / "1").glob("*.safetensors"))
    assert len(files) > 2
    parts = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert set(parts) == set(whole)
    for name, tensor in parts.items():
        assert torch.equal(tensor, whole[name])


@pytest.mark.parametrize("method", sorted(PARAMETERS))
def test_a_virtual_checkpoint_reads_any_span_of_what_is_written(models, tmp_path, method):
    from hf_soup.checkpoints import open_checkpoint

    count = METHODS[method].exactly or 3
    base = str(models.folders[3]) if METHODS[method].needs_base else None
    plan = make_plan(open_ingredients([str(f) for f in models.folders[:count]], base), method)
    merge(plan, tmp_path / "out")
    virtual, written = plan.virtual(), open_checkpoint(tmp_path / "out")
    for name in virtual.names():
        numel = virtual.info(name).numel
        assert torch.equal(virtual.read(name), written.read(name))
        for start, stop in [(0, min(3, numel)), (numel // 3, numel // 2 + 1), (max(0, numel - 270_000), numel)]:
            assert torch.equal(virtual.read_span(name, start, stop), written.read_span(name, start, stop))


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names the extensions of x86-64")
def test_neither_do_the_vector_instructions_of_the_processor(models, tmp_path):
    """torch and numpy are told to do without AVX2, AVX-512 and FMA, as on a processor that has none of them."""
    program = Path(__file__).with_name("merge_every_method.py")
    tests = {"PYTHONPATH": str(Path(__file__).parents[1])}
    plain = {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": _optional_features()}
    runs = []
    for name, environment in {"plain": plain, "own": {}}.items():
        command = [sys.executable, str(program), str(models.folders[0].parent), str(tmp_path / name)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | tests | environment
        )
        assert done.returncode == 0, done.stderr[-2000:]
        runs.append(json.loads(done.stdout))
    assert runs[0] == runs[1]


def _optional_features() -> str:
    """What numpy uses where the processor has it; it refuses names that it does not know."""
    from numpy._core._multiarray_umath import __cpu_dispatch__

    return " ".join(__cpu_dispatch__)


def test_the_matrix_has_every_method():
    assert set(PARAMETERS) == set(METHODS)

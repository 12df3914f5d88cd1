"""Adapters whose base stays on the Hub: the same bytes, few requests, known memory."""

from __future__ import annotations

import itertools
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, snapshot_download
from safetensors.torch import save_file
from tiny_checkpoints import write_checkpoint

from hf_soup import Soup, verify
from hf_soup.checkpoints import open_checkpoint, row_tiles
from hf_soup.checkpoints.remote_checkpoint import HOLD_REQUESTS
from hf_soup.cli import main
from hf_soup.errors import InputError
from hf_soup.merging import Ingredients, make_plan, merge, open_ingredients, probe
from hf_soup.merging.buffers import reading_memory
from hf_soup.merging.slabs import remote_sources
from hf_soup.methods import GRANULE
from hf_soup.publishing import Verdict

pytestmark = pytest.mark.hub
_NUMBER = itertools.count()
CARD = "---\nlicense: mit\n---\n\n# A model\n"
MODULES = {"up": (700, 600), "down": (600, 700), "odd": (5, 100_000)}
"""[rows, columns]: here and there a row of 600, 700 or 100,000 elements lies in two blocks."""


def upload(api: HfApi, folder: Path) -> str:
    (folder / "README.md").write_text(CARD)
    repo_id = f"tester/adapters-stream-{next(_NUMBER)}"
    api.create_repo(repo_id)
    api.upload_folder(repo_id=repo_id, folder_path=folder)
    return repo_id


def base_folder(root: Path, seed: int = 0, shards: int = 3) -> Path:
    ancestor, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    shapes = {f"layers.{n}.{module}.weight": shape for n in range(2) for module, shape in MODULES.items()}
    shapes |= {"embed.weight": (900, 600), "layers.0.up.bias": (700,), "scale": ()}
    tensors = {
        name: torch.randn(shape, generator=ancestor) + (seed > 0) * 0.1 * torch.randn(shape, generator=own)
        for name, shape in shapes.items()
    }
    return write_checkpoint(
        root, {name: tensor.bfloat16() for name, tensor in tensors.items()}, {"model_type": "llama"}, shards=shards
    )


def adapter_folder(
    root: Path, base: str, seed: int, modules=("up", "odd", "down"), dora: bool = False, turned: bool = False, **config
) -> Path:
    """`turned`: for modules whose weights are stored as [in, out]."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer, module in itertools.product(range(2), modules):
        rows, columns = MODULES[module][::-1] if turned else MODULES[module]
        place = f"base_model.model.layers.{layer}.{module}"
        tensors[f"{place}.lora_A.weight"] = 0.2 * torch.randn(4, columns, generator=generator)
        tensors[f"{place}.lora_B.weight"] = 0.2 * torch.randn(rows, 4, generator=generator)
        if dora:
            tensors[f"{place}.lora_magnitude_vector.weight"] = 1 + torch.rand(rows, generator=generator)
    root.mkdir(parents=True)
    save_file(tensors, root / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": list(modules),
        "use_dora": dora,
        **config,
    }
    (root / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return upload(HfApi(), base_folder(tmp_path_factory.mktemp("base") / "base"))


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory) -> list[str]:
    root = tmp_path_factory.mktemp("adapters")
    return [upload(HfApi(), adapter_folder(root / str(s), base, s, dora=s == 2)) for s in (1, 2, 3)]


@pytest.fixture(scope="module")
def full(base, tmp_path_factory) -> str:
    return upload(HfApi(), base_folder(tmp_path_factory.mktemp("full") / "full", seed=5))


def merged(
    out: Path, names: list[str], method: str = "linear", base: str | None = None, stream: bool = False, **options
):
    """Merges and returns the bytes of the weight files."""
    ingredients = open_ingredients(names, base=base, stream=stream)
    plan = make_plan(ingredients, method, **options)
    if "memory_bytes" in options:  # no less than what is needed
        plan = make_plan(ingredients, method, **options | {"memory_bytes": plan.memory_bytes})
    assert plan.streams is stream
    merge(plan, out)
    return {file.name: file.read_bytes() for file in sorted(out.glob("model*"))}


WAYS = {
    "slabs": ("linear", None, {}),
    "small slabs, over a base": ("task_arithmetic", {"weight": 0.4}, {"memory_bytes": 1}),
    "whole tensors": ("ties", {"density": 0.5}, {"workers": 1}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mixed", [False, True])
def test_a_streamed_merge_has_the_bytes_of_one_from_this_disk(way, mixed, base, adapters, full, tmp_path):
    method, parameters, options = WAYS[way]
    names = [*adapters, full] if mixed else adapters
    given = base if method != "linear" else None
    ordinary = merged(tmp_path / "ordinary", names, method, given, parameters=parameters)
    streamed = merged(tmp_path / "streamed", names, method, given, stream=True, parameters=parameters, **options)
    assert streamed == ordinary


def test_the_base_comes_once_for_all_that_read_it(hub, base, adapters, tmp_path):
    ingredients = open_ingredients(adapters, base=base, stream=True)
    assert ingredients.base is not None
    assert remote_sources(ingredients.all()) == [ingredients.base]
    least = make_plan(ingredients, "task_arithmetic", memory_bytes=1).memory_bytes
    plan = make_plan(ingredients, "task_arithmetic", memory_bytes=least)
    assert plan.problems == ()
    assert plan.slab_elements == GRANULE  # several slabs of one tensor, which end within rows
    for source in plan.sources:
        source.fetch()
    hub.clear_requests()
    merge(plan, tmp_path / "out")
    stored = sum(ingredients.base.info(name).nbytes for name in ingredients.base.names())
    answered = [request for request in hub.requests if request.origin == "cdn" and request.method == "GET"]
    assert sum(request.sent for request in answered) == stored
    assert len(answered) <= plan.requests <= 3 + 2 * len(answered)


def test_the_probe_reads_the_base_in_few_requests(hub, base, adapters):
    ingredients = open_ingredients(adapters, stream=True)
    plan = make_plan(ingredients)
    ingredients.models[0].base.fetch()
    hub.clear_requests()
    streamed = probe(plan)
    assert len([request for request in hub.requests if request.origin == "cdn"]) <= HOLD_REQUESTS
    ordinary = probe(make_plan(open_ingredients(adapters)))
    assert streamed.problems == ordinary.problems == ()
    assert (streamed.cosines.round(6) == ordinary.cosines.round(6)).all()


def test_no_weights_of_the_base_come_to_this_disk(base, adapters, full, tmp_path):
    soup = Soup([*adapters, full], stream=True, cache_dir=tmp_path / "cache")
    assert soup.plan().bytes_to_download < 200_000
    soup.merge(out=tmp_path / "soup", force=True)
    assert {file.name for file in (tmp_path / "cache").rglob("*.safetensors")} == {"adapter_model.safetensors"}
    assert verify(tmp_path / "soup").verdict is Verdict.IDENTICAL


def test_the_command_streams_into_a_folder_and_to_the_hub(api, adapters, tmp_path):
    target = f"tester/adapters-stream-soup-{next(_NUMBER)}"
    for place in (["-o", str(tmp_path / "soup")], ["--push", target]):
        with pytest.raises(SystemExit) as ended:
            main(["merge", *adapters, "--stream", *place])
        assert ended.value.code == 0
    pushed = Path(snapshot_download(target))
    ours = {file.name: file.read_bytes() for file in (tmp_path / "soup").glob("model*")}
    assert {file.name: file.read_bytes() for file in pushed.glob("model*")} == ours
    assert verify(target).verdict is Verdict.IDENTICAL


def test_an_adapter_on_this_disk_streams_its_base(base, tmp_path):
    folders = [adapter_folder(tmp_path / str(seed), base, seed) for seed in (1, 4)]
    names = [str(folder) for folder in folders]
    assert merged(tmp_path / "a", names, stream=True) == merged(tmp_path / "b", names)


def test_what_would_read_the_base_twice_is_said_in_the_plan(base, tmp_path):
    stored = {"modules": ("up",), "turned": True, "fan_in_fan_out": True}
    plain, dora = (adapter_folder(tmp_path / str(d), base, 1, dora=d, **stored) for d in (False, True))
    other = str(adapter_folder(tmp_path / "other", base, 2))
    plan = make_plan(open_ingredients([str(dora), other], stream=True))
    (problem,) = plan.problems
    assert "sets the lengths of columns of 'layers.0.up.weight' (DoRA)" in problem
    assert "merge without streaming" in problem
    assert make_plan(open_ingredients([str(dora), other])).problems == ()
    names = [str(plain), other]
    assert merged(tmp_path / "a", names, stream=True) == merged(tmp_path / "b", names)


def test_a_pickled_base_is_refused_by_name(api, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    torch.save({"layers.0.up.weight": torch.zeros(700, 600)}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text("{}")
    base = upload(api, folder)
    adapter = adapter_folder(tmp_path / "adapter", base, 1)
    with pytest.raises(InputError, match=rf"The base of .*{base}.*pickle.*streaming needs safetensors"):
        open_checkpoint(adapter, stream=True)


def test_adapters_of_one_base_read_each_of_its_blocks_once(tmp_path, monkeypatch):
    base = base_folder(tmp_path / "base")
    folders = [adapter_folder(tmp_path / str(seed), str(base), seed) for seed in (1, 2, 3)]
    plan = make_plan(open_ingredients(folders), workers=2)
    asked: list[tuple[str, int, int]] = []
    shared = plan.models[0].base
    read = shared.read_span
    monkeypatch.setattr(shared, "read_span", lambda *span: asked.append(span[:3]) or read(*span))
    merge(plan, tmp_path / "out")
    assert len(asked) == len(set(asked)) > 10
    assert {name for name, *_ in asked} == {f"layers.{n}.{module}.weight" for n in range(2) for module in MODULES}


@pytest.mark.parametrize("width", [1, 7, 50, 64, 200, 333])
def test_tiles_do_not_depend_on_what_is_asked_for(width, monkeypatch):
    monkeypatch.setattr(row_tiles, "BLOCK_ELEMENTS", 200)
    monkeypatch.setattr(row_tiles, "TILE_ELEMENTS", 100)
    rows = 2_000 // width + 3
    whole = list(row_tiles.tiles(0, rows, width, rows))
    assert [row for first, stop in whole for row in range(first, stop)] == list(range(rows))
    for first, stop in whole:
        blocks = {row * width // 200 for row in range(first, stop)} | {(stop * width - 1) // 200}
        assert stop - first == 1 or len(blocks) == 1
    for first in range(0, rows, 1 + rows // 50):
        for stop in {first + 1, min(first + 37, rows), rows}:
            assert list(row_tiles.tiles(first, stop, width, rows)) == [
                t for t in whole if t[1] > first and t[0] < stop
            ]
            begin, end = row_tiles.tiled(first, stop, width, rows)
            assert (begin, end) == (min(a for a, b in whole if b > first), max(b for a, b in whole if a < stop))


def test_spans_in_any_order_and_thread_have_the_bits_of_the_whole(tmp_path, monkeypatch):
    base = base_folder(tmp_path / "base")
    opened = open_ingredients([adapter_folder(tmp_path / str(s), str(base), s, dora=s == 2) for s in (1, 2)]).models
    whole = [[model.read(f"layers.1.{module}.weight").flatten() for module in MODULES] for model in opened]

    def same(seed: int) -> bool:
        draw = random.Random(seed)
        for _ in range(12):
            m, k = draw.randrange(2), draw.randrange(3)
            start = draw.randrange(whole[m][k].numel())
            stop = min(start + draw.choice([1, 1_000, 300_000]), whole[m][k].numel())
            name = f"layers.1.{list(MODULES)[k]}.weight"
            if not torch.equal(opened[m].read_span(name, start, stop), whole[m][k][start:stop]):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, range(8)))


def test_what_reading_threads_hold_is_known_and_counted(tmp_path):
    base = base_folder(tmp_path / "base")
    folders = [adapter_folder(tmp_path / str(s), str(base), s, dora=s == 2) for s in (1, 2)]
    opened = open_ingredients(folders)
    stated = reading_memory(opened.models)
    held = 0
    for model in opened.models:
        per_tensor = []
        for name, update in model.fitted.updates.items():
            factors = model._factors_of(name, update)
            found = [factors.left, factors.right, *([factors.magnitude] if factors.magnitude is not None else [])]
            per_tensor.append(sum(tensor.nbytes for tensor in found))
        held += max(per_tensor)
    assert held <= stated.factors <= 2 * held
    assert stated.kept == 0
    widest = max(columns for _, columns in MODULES.values())
    assert stated.rows == (GRANULE + 2 * widest) * 2 + row_tiles.TILE_ELEMENTS * 8

    alone = make_plan(Ingredients(tuple(model.base for model in opened.models)), workers=2)
    plan = make_plan(opened, workers=2)
    assert plan.memory_bytes == alone.memory_bytes + 2 * (stated.factors + stated.rows)
    tight = make_plan(opened, workers=2, memory_bytes=plan.memory_bytes - 1)
    assert tight.workers == 1
    (problem,) = make_plan(opened, workers=2, memory_bytes=alone.memory_bytes // 2).problems
    assert "one block and the factors of one module of every adapter" in problem

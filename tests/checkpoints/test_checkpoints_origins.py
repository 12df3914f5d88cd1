"""Where tensors come from: equal origins mean equal contents, and what an adapter leaves alone is its base's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import save_adapter, save_base

from hf_soup.checkpoints import open_checkpoint
from hf_soup.merging import make_plan, open_ingredients

pytest.importorskip("peft")

BERT = "AutoModelForSequenceClassification"
ADAPTED = {f"model.layers.{n}.self_attn.q_proj.weight" for n in (0, 1)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("origins") / "base")


@pytest.fixture(scope="module")
def adapters(base: Path) -> list[Path]:
    settings = {"r": 2, "target_modules": ["q_proj"]}
    return [save_adapter(base.parent / f"run-{seed}", base, seed=seed, **settings) for seed in range(2)]


def test_adapters_have_what_they_leave_alone_from_their_base(base, adapters):
    start = open_checkpoint(base).origins()
    first, second = (model.origins() for model in open_ingredients(adapters).models)
    assert first.keys() == second.keys() == start.keys()
    assert {name for name in start if first[name] != start[name]} == ADAPTED
    assert {name for name in start if second[name] != start[name]} == ADAPTED
    assert not {first[name] for name in ADAPTED} & {second[name] for name in ADAPTED}


def test_a_tensor_that_is_updated_and_one_that_is_replaced_are_the_adapters_own(base, tmp_path):
    adapter = save_adapter(
        tmp_path / "run", base, r=2, target_modules=["q_proj", "embed_tokens"], modules_to_save=["lm_head"]
    )
    start, found = open_checkpoint(base).origins(), open_checkpoint(adapter).origins()
    own = {name for name in start if found[name] != start[name]}
    assert own == {*ADAPTED, "model.embed_tokens.weight", "lm_head.weight"}


def test_the_bases_names_are_those_in_its_own_files(tmp_path):
    """A headless base is saved without `bert.` before its names."""
    base = save_base(tmp_path / "base", "BertModel")
    adapter = save_adapter(
        tmp_path / "run", base, BERT, load={"num_labels": 3}, r=2, target_modules=["query"], task_type="SEQ_CLS"
    )
    start, model = open_checkpoint(base).origins(), open_checkpoint(adapter)
    found = model.origins()
    assert found["bert.embeddings.word_embeddings.weight"] == start["embeddings.word_embeddings.weight"]
    assert found["classifier.weight"] not in start.values()
    stored = load_file(base / "model.safetensors")
    for name, (_, source) in found.items():
        if found[name] in start.values():
            assert torch.equal(model.read(name), stored[source]), name


def test_a_scale_makes_another_tensor(base, adapters, tmp_path):
    louder = tmp_path / "louder"
    louder.mkdir()
    for path in adapters[0].iterdir():
        (louder / path.name).write_bytes(path.read_bytes())
    config = json.loads((louder / "adapter_config.json").read_text())
    (louder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 3 * config["lora_alpha"]}))
    one, other = (model.origins() for model in open_ingredients([adapters[0], louder], base).models)
    assert {name for name in one if one[name] != other[name]} == ADAPTED


def test_a_soup_has_what_it_copies_from_where_its_ingredients_have_it(base, adapters):
    start = open_checkpoint(base).origins()
    ingredients = open_ingredients(adapters, base)
    for method in ("linear", "task_arithmetic"):
        soup = make_plan(ingredients, method, checks=False).virtual().origins()
        assert {name for name in start if soup[name] != start[name]} == ADAPTED
    weights = {"weight": [1, 2], "normalize": False}
    sum_of_both = make_plan(ingredients, "linear", weights, checks=False).virtual().origins()
    assert not set(sum_of_both.values()) & set(start.values())
    rounded = make_plan(ingredients, "linear", dtype="float16", checks=False).virtual().origins()
    assert not set(rounded.values()) & set(start.values())


def test_soups_of_full_models_have_origins_of_their_own(base, tmp_path):
    tensors = load_file(base / "model.safetensors")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes((base / "config.json").read_bytes())
    save_file({name: x * 1.01 for name, x in tensors.items()}, other / "model.safetensors", metadata={"format": "pt"})
    plan = make_plan(open_ingredients([base, other]), checks=False)
    assert not any(tensor.copied for tensor in plan.tensors)
    models = [open_checkpoint(folder).origins() for folder in (base, other)]
    assert not set(plan.virtual().origins().values()) & {origin for model in models for origin in model.values()}


def test_origins_change_with_the_file(base, adapters, tmp_path):
    copy = tmp_path / "base"
    copy.mkdir()
    for path in base.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    model = open_ingredients(adapters[:1], copy).models[0]
    before = model.origins()
    assert model.origins() == before
    stat = (copy / "model.safetensors").stat()
    os.utime(copy / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert not set(before.values()) & set(model.origins().values())


@pytest.mark.hub
def test_equal_files_in_two_repositories_are_one_place(base, api):
    found = []
    for name in ("tester/origins-one", "tester/origins-two"):
        api.create_repo(name)
        api.upload_folder(repo_id=name, folder_path=base)
        found.append(open_checkpoint(name).origins())
    assert found[0] == found[1]

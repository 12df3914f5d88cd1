"""Soups of adapters and full models on the loopback Hub: found by name, over one base, published, verified, loaded."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, snapshot_download
from tiny_adapters import merged_by_peft, save_adapter, save_base
from tiny_models import fine_tune, sentences

from hf_soup import Soup
from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut
from hf_soup.merging import open_ingredients
from hf_soup.merging.materialize import materialized
from hf_soup.publishing import Verdict, verify

pytest.importorskip("peft")

CARD = "---\nlicense: {licence}\n---\n\n# A model\n"
_NUMBER = itertools.count()


def upload(api: HfApi, folder: Path, name: str, licence: str = "mit", private: bool = False) -> tuple[str, str]:
    """Returns the Hub ID and the commit."""
    repo_id = f"tester/adapters-{name}-{next(_NUMBER)}"
    (folder / "README.md").write_text(CARD.format(licence=licence))
    api.create_repo(repo_id, private=private)
    return repo_id, str(api.upload_folder(repo_id=repo_id, folder_path=folder).oid)


def with_base(adapter: Path, name: str | None, revision: str | None = None) -> Path:
    path = adapter / "adapter_config.json"
    config = {**json.loads(path.read_text()), "base_model_name_or_path": name, "revision": revision}
    path.write_text(json.dumps(config))
    return adapter


@pytest.fixture
def base(tmp_path):
    return save_base(tmp_path / "base", "BertForSequenceClassification")


def adapt(base: Path, out: Path, seed: int) -> Path:
    settings = {"r": 2 + seed, "target_modules": ["query", "dense"], "task_type": "SEQ_CLS"}
    return save_adapter(out, base, "AutoModelForSequenceClassification", seed=seed, size=0.05, **settings)


def test_two_adapters_and_a_full_model_become_one_that_verifies_and_loads(api, base, tmp_path):
    base_id, commit = upload(api, base, "base")
    parts = []
    for seed in (1, 2, 3):
        adapter = adapt(base, tmp_path / f"adapter-{seed}", seed)
        whole = merged_by_peft(adapter, base, tmp_path / f"full-{seed}", "AutoModelForSequenceClassification")
        parts.append(whole)
    full_id, _ = upload(api, tmp_path / "full-3", "full")
    ids = [upload(api, with_base(tmp_path / f"adapter-{seed}", base_id, commit), "adapter")[0] for seed in (1, 2)]
    later = save_base(tmp_path / "later", "BertForSequenceClassification", dtype=torch.bfloat16)
    api.upload_folder(repo_id=base_id, folder_path=later)  # the adapters name the commit before this one

    soup = Soup([*ids, full_id])
    first, second, full = soup.ingredients.models
    assert first.base is second.base
    base_bytes = (base / "model.safetensors").stat().st_size
    assert (
        soup.plan().bytes_to_download - full.bytes_to_download() == base_bytes
    )  # once; the adapters came for the plan
    merged = soup.merge(out=tmp_path / "soup", weights=[1, 2, 3], publish=True)

    model = merged.load()
    for name, tensor in model.state_dict().items():
        expected = sum(w * part[name] for w, part in zip((1, 2, 3), parts, strict=True)) / 6
        assert torch.allclose(tensor, expected, atol=1e-6), name
    one = next(one for one in merged.recipe.ingredients if one.name == ids[0])
    assert one.adapter_of is not None
    assert (one.adapter_of.repo_id, one.adapter_of.revision) == (base_id, commit)
    assert set(one.files) == {"adapter_model.safetensors", "adapter_config.json"}

    soup_id = f"tester/adapter-soup-{next(_NUMBER)}"
    merged.push_to_hub(soup_id)
    found = verify(soup_id)
    assert found.verdict is Verdict.IDENTICAL, str(found)
    assert "adapter_config.json" not in {Path(path).name for path in api.list_repo_files(soup_id)}


def test_methods_on_task_vectors_take_adapters_with_their_base(api, base, tmp_path):
    base_id, _ = upload(api, base, "base")
    ids = [upload(api, with_base(adapt(base, tmp_path / f"a{s}", s), base_id), "adapter")[0] for s in (1, 2)]
    merged = Soup(ids, base=base_id).merge("ties", out=tmp_path / "soup", density=0.5)
    assert verify(merged.path).verdict is Verdict.IDENTICAL


def test_the_licence_of_the_base_counts_as_well(api, base, tmp_path):
    base_id, _ = upload(api, base, "base", licence="llama3")
    ids = [upload(api, with_base(adapt(base, tmp_path / f"a{s}", s), base_id), "adapter")[0] for s in (1, 2)]
    with pytest.raises(InputError, match=r"llama3"):
        Soup(ids).merge(out=tmp_path / "soup", publish=True)


def test_a_private_base_is_not_named_in_public(api, base, tmp_path):
    base_id, _ = upload(api, base, "secret-base", private=True)
    ids = [upload(api, with_base(adapt(base, tmp_path / f"a{s}", s), base_id), "adapter")[0] for s in (1, 2)]
    soup_id = f"tester/adapter-soup-{next(_NUMBER)}"
    Soup(ids).merge(out=tmp_path / "soup").push_to_hub(soup_id)
    published = Path(snapshot_download(soup_id))
    assert not [path for path in published.iterdir() if path.suffix != ".safetensors" and base_id in path.read_text()]
    record = json.loads((published / "soup.json").read_text())
    alias = record["ingredients"][0]["adapter_of"]["name"]
    with pytest.raises(InputError, match=alias):
        verify(soup_id)
    assert verify(soup_id, ingredients={alias: base_id}).verdict is Verdict.IDENTICAL


def test_adapters_of_different_bases_are_refused_unless_their_weights_are_equal(api, base, tmp_path):
    first, _ = upload(api, base, "base")
    mirror, _ = upload(api, base, "mirror")
    stranger, _ = upload(
        api, save_base(tmp_path / "b2", "BertForSequenceClassification", dtype=torch.bfloat16), "other"
    )
    a, b, c = (
        upload(api, with_base(adapt(base, tmp_path / f"a{number}", number), name), "adapter")[0]
        for number, name in ((1, first), (2, mirror), (3, stranger))
    )
    found = open_ingredients([a, b])
    assert found.models[0].base is found.models[1].base
    with pytest.raises(InputError, match=rf"trained on different models: .*{first}.*{stranger}.*base="):
        open_ingredients([a, c])
    given = open_ingredients([a, c], base=first)
    assert given.models[0].base is given.models[1].base is given.base


def test_a_base_on_the_hub_and_its_copy_on_this_disk_are_one_base_and_the_hubs_is_named(api, base, tmp_path):
    base_id, commit = upload(api, base, "base")
    here = with_base(adapt(base, tmp_path / "here", 1), str(base))
    there = with_base(adapt(base, tmp_path / "there", 2), base_id)
    for order in ([here, there], [there, here]):
        found = open_ingredients(order)
        assert found.models[0].base is found.models[1].base
        assert found.models[0].base.ref.revision == commit
    config = base / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_act": "relu"}))
    with pytest.raises(InputError, match=rf"trained on different models: .*{base_id}"):
        open_ingredients([here, there])


def test_a_local_adapter_is_recognised_whatever_kind_of_place_its_base_has(api, base, tmp_path):
    base_id, commit = upload(api, base, "base")
    runs = [with_base(adapt(base, tmp_path / f"run-{n}", n), base_id) for n in (1, 2)]
    Soup(runs).merge(out=tmp_path / "over-hub")
    given = {run.name: run for run in runs}
    assert verify(tmp_path / "over-hub", ingredients=given).verdict is Verdict.IDENTICAL
    assert verify(tmp_path / "over-hub", ingredients={**given, base_id: base}).verdict is Verdict.IDENTICAL
    Soup([with_base(run, str(base)) for run in runs]).merge(out=tmp_path / "over-folder")
    places = {**given, "base": f"{base_id}@{commit}"}
    assert verify(tmp_path / "over-folder", ingredients=places).verdict is Verdict.IDENTICAL
    found = verify(tmp_path / "over-folder", ingredients={**places, "run-1": runs[1]})
    assert any("is not the model that soup.json recorded for run-1" in line for line in found.contradictions)


def test_a_private_base_that_the_adapters_cards_name_is_not_named_by_the_soups(api, base, tmp_path):
    base_id, _ = upload(api, base, "card-base", private=True)
    ids = []
    for seed in (1, 2):
        repo_id, _ = upload(api, with_base(adapt(base, tmp_path / f"a{seed}", seed), base_id), "adapter")
        card = f"---\nlicense: mit\nbase_model: {base_id}\n---\n# An adapter\n"
        api.upload_file(repo_id=repo_id, path_in_repo="README.md", path_or_fileobj=card.encode())
        ids.append(repo_id)
    soup_id = f"tester/adapter-soup-{next(_NUMBER)}"
    Soup(ids).merge(out=tmp_path / "soup").push_to_hub(soup_id)
    card = Path(snapshot_download(soup_id), "README.md").read_text()
    assert base_id not in card
    assert "Common ancestor" not in card
    assert "All of the ingredients are LoRA adapters" in card


def test_an_adapter_in_a_subfolder_of_a_repository(api, base, tmp_path):
    base_id, _ = upload(api, base, "base")
    for seed in (1, 2):
        with_base(adapt(base, tmp_path / "all" / f"run-{seed}", seed), base_id)
    everything, _ = upload(api, tmp_path / "all", "all")
    found = open_ingredients([f"{everything}:run-*"])
    assert [model.ref.name for model in found.models] == [f"{everything}:run-1", f"{everything}:run-2"]
    merged = Soup([f"{everything}:run-1", f"{everything}:run-2"]).merge(out=tmp_path / "soup")
    assert verify(merged.path).verdict is Verdict.IDENTICAL


def test_a_base_that_is_not_to_be_had_is_named(api, base, tmp_path):
    cases = {
        None: r"does not name a base; name the base with base=",
        "/home/somebody/base": r"'/home/somebody/base' as its base, a folder on its author's machine",
        "tester/never-was": r"The base of tester/adapter.*'tester/never-was'.*no such model.*base=",
    }
    for number, (name, sentence) in enumerate(cases.items()):
        adapter, _ = upload(api, with_base(adapt(base, tmp_path / f"a{number}", number), name), "adapter")
        with pytest.raises(InputError, match=sentence):
            open_checkpoint(adapter)
        assert open_ingredients([adapter], base=base).models[0].base.ref.path == base


def test_an_adapter_cannot_be_the_base(api, base, tmp_path):
    base_id, _ = upload(api, base, "base")
    adapter, _ = upload(api, with_base(adapt(base, tmp_path / "a", 1), base_id), "adapter")
    with pytest.raises(InputError, match=r"is an adapter and cannot be the base"):
        open_ingredients([base_id], base=adapter)


def test_a_greedy_soup_chooses_among_adapters_and_full_models(tmp_path):
    base = fine_tune(tmp_path / "base", 0, steps=20)
    full = fine_tune(tmp_path / "full", 1, steps=20)
    adapters = [adapt(base, tmp_path / f"a{seed}", seed) for seed in (1, 2)]
    soup = Soup([full, *adapters]).greedy(
        HeldOut(sentences(60, seed=5), task="text-classification"), out=tmp_path / "soup"
    )
    assert soup.recipe.selection is not None
    assert len(soup.recipe.selection["candidates"]) == 3
    places = {folder.name: folder for folder in (base, full, *adapters)}
    used = {one.name for one in soup.recipe.ingredients}
    given = {name: place for name, place in places.items() if name in used or (name == "base" and used & {"a1", "a2"})}
    assert verify(soup.path, ingredients=given).verdict is Verdict.IDENTICAL


def test_a_judge_that_takes_folders_gets_the_merged_adapter(base, tmp_path):
    checkpoint = open_checkpoint(adapt(base, tmp_path / "adapter", 1))
    with materialized(checkpoint) as folder:
        there = open_checkpoint(folder)
        assert there.config["architectures"] == ["BertForSequenceClassification"]
        assert all(torch.equal(there.read(name), checkpoint.read(name)) for name in checkpoint.names())

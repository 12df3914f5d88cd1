"""Deriving published merges again: what is found, and what is not believed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from hub_merges import merged, unique, upload_runs
from huggingface_hub import snapshot_download
from safetensors.torch import load_file, save_file
from tiny_checkpoints import write_relatives

from hf_soup.errors import InputError
from hf_soup.merging.checksums import root_of
from hf_soup.publishing import Verdict, push, verify


@pytest.fixture
def runs(tmp_path):
    return write_relatives(tmp_path / "runs", 3)


@pytest.fixture
def soup(runs, tmp_path):
    return merged(runs, tmp_path / "soup")


def given(runs: list[Path]) -> dict[str, Path]:
    return {run.name: run for run in runs}


def alter_weights(folder: Path, name: str = "encoder.layer.0.dense.weight", by: float = 1e-3) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[7] += by
    rewrite(folder, tensors)


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Changes the data of the file and leaves its header as the merge wrote it."""
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    for name, entry in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            raw[start + begin : start + end] = tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    path.write_bytes(raw)


def edit_record(folder: Path, **changes: object) -> None:
    path = folder / "soup.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def make_digests_fit(folder: Path) -> None:
    """What a forger does after altering files: soup.json gets the digests of what lies there now."""
    outputs = json.loads((folder / "soup.json").read_text())["outputs"]
    for path, output in outputs.items():
        content = (folder / path).read_bytes()
        output |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if output["root"] is not None:
            output["root"] = root_of(folder / path)
    edit_record(folder, outputs=outputs)


def test_an_untouched_merge_is_identical(soup, runs):
    found = verify(soup, ingredients=given(runs))
    assert found.verdict is Verdict.IDENTICAL
    assert found.exit_code == 0
    assert len(found.tensors) == 8
    assert found.files == ()
    assert found.contradictions == ()
    assert "is what its card says" in str(found)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("shard_bytes", [2_000, 5_000_000_000])
def test_sharded_and_cast_merges_are_identical(runs, tmp_path, dtype, shard_bytes):
    folder = merged(runs, tmp_path / "soup", dtype=dtype, shard_bytes=shard_bytes)
    assert verify(folder, ingredients=given(runs)).verdict is Verdict.IDENTICAL


def test_weights_in_another_proportion_than_recorded_are_found(soup, runs, tmp_path):
    other = merged(runs, tmp_path / "other", parameters={"weight": [2.0, 1.0, 1.0]})
    shutil.copy(other / "model.safetensors", soup / "model.safetensors")
    make_digests_fit(soup)
    found = verify(soup, ingredients=given(runs))
    assert found.exit_code == 4
    assert found.weights is Verdict.DIFFERENT


def test_an_altered_element_is_found_and_its_tensor_named(soup, runs):
    alter_weights(soup)
    found = verify(soup, ingredients=given(runs))
    assert found.exit_code == 4
    [tensor] = [one for one in found.tensors if one.verdict is not Verdict.IDENTICAL]
    assert (tensor.name, tensor.differing) == ("encoder.layer.0.dense.weight", 1)
    assert tensor.max_difference == pytest.approx(1e-3, rel=1e-2)
    assert "encoder.layer.0.dense.weight" in str(found)


def test_altering_the_weights_and_the_digests_alike_is_found(soup, runs):
    alter_weights(soup)
    make_digests_fit(soup)
    found = verify(soup, ingredients=given(runs))
    assert found.exit_code == 4
    assert found.files == ()  # nothing but the derivation can tell
    assert [one.name for one in found.tensors if one.verdict is Verdict.DIFFERENT] == ["encoder.layer.0.dense.weight"]


def test_altering_the_weights_and_the_recipe_alike_contradicts_the_card(soup, runs, tmp_path):
    other = merged(runs, tmp_path / "other", parameters={"weight": [2.0, 1.0, 1.0]})
    shutil.copy(other / "model.safetensors", soup / "model.safetensors")
    shutil.copy(other / "soup.json", soup / "soup.json")
    found = verify(soup, ingredients=given(runs))
    assert found.weights is Verdict.IDENTICAL
    assert found.exit_code == 4
    assert any("table of ingredients, commits and weights" in one for one in found.contradictions)


@pytest.mark.parametrize(("device", "exit_code"), [("cpu", 4), ("cuda:0", 0)])
def test_one_rounding_is_accepted_only_of_a_gpu(soup, runs, device, exit_code):
    tensors = load_file(soup / "model.safetensors")
    values = tensors["classifier.weight"]
    tensors["classifier.weight"] = torch.nextafter(values, torch.full_like(values, torch.inf))
    rewrite(soup, tensors)
    make_digests_fit(soup)
    edit_record(soup, device=device)
    found = verify(soup, ingredients=given(runs))
    assert found.weights is Verdict.ROUNDING
    assert found.exit_code == exit_code


def test_two_roundings_are_different_on_any_device(soup, runs):
    tensors = load_file(soup / "model.safetensors")
    values = tensors["classifier.weight"]
    up = torch.full_like(values, torch.inf)
    tensors["classifier.weight"] = torch.nextafter(torch.nextafter(values, up), up)
    rewrite(soup, tensors)
    make_digests_fit(soup)
    edit_record(soup, device="cuda:0")
    assert verify(soup, ingredients=given(runs)).exit_code == 4


def test_nan_in_the_published_weights_is_different(soup, runs):
    alter_weights(soup, by=float("nan"))
    found = verify(soup, ingredients=given(runs))
    assert found.weights is Verdict.DIFFERENT
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["tensors"][0]["max_difference"] is None


def test_missing_and_added_tensors_are_named(soup, runs):
    tensors = load_file(soup / "model.safetensors")
    tensors["extra"] = tensors.pop("classifier.bias")
    save_file(tensors, soup / "model.safetensors", metadata={"format": "pt"})
    make_digests_fit(soup)
    text = str(verify(soup, ingredients=given(runs)))
    assert "'extra': is published, but is not in the derived model" in text
    assert "'classifier.bias': is missing from what is published" in text


def test_data_hidden_in_a_header_is_found(soup, runs):
    tensors = load_file(soup / "model.safetensors")
    save_file(tensors, soup / "model.safetensors", metadata={"format": "pt", "note": "hello"})
    make_digests_fit(soup)
    found = verify(soup, ingredients=given(runs))
    assert found.weights is Verdict.IDENTICAL
    assert found.exit_code == 4
    assert [file.path for file in found.files] == ["model.safetensors"]


@pytest.mark.parametrize("name", ["vocab.txt", "config.json"])
def test_a_changed_file_beside_the_weights_is_named(soup, runs, name):
    path = soup / name
    path.write_text(path.read_text().replace("negative", "positive").replace("a\n", "x\n"))
    make_digests_fit(soup)
    found = verify(soup, ingredients=given(runs))
    assert found.exit_code == 4
    assert [file.path for file in found.files] == [name]


def test_where_a_config_once_lay_does_not_count(soup, runs):
    donor = json.loads((soup / "soup.json").read_text())["donor"]
    for place, value in ((runs[donor], "/home/maria/runs/a"), (soup, "elsewhere")):
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, "_name_or_path": value}))
        make_digests_fit(soup)
        assert verify(soup, ingredients=given(runs)).files == ()


def test_added_code_and_a_second_weight_file_are_named(soup, runs):
    (soup / "modeling_mine.py").write_text("import os\n")
    (soup / "adapter_model.safetensors").write_bytes(b"x")
    found = verify(soup, ingredients=given(runs))
    assert {file.path for file in found.files if file.counts} == {"modeling_mine.py", "adapter_model.safetensors"}


def test_text_that_no_loader_reads_may_be_added(soup, runs):
    (soup / "LICENSE").write_text("MIT")
    assert verify(soup, ingredients=given(runs)).exit_code == 0


def test_a_folder_that_is_not_the_recorded_ingredient_is_said(soup, runs, tmp_path):
    stranger = write_relatives(tmp_path / "strangers", 1, seed=9)[0]
    found = verify(soup, ingredients={**given(runs), "run-1": stranger})
    assert found.exit_code == 4
    assert any("is not the model that soup.json recorded for run-1" in one for one in found.contradictions)


def test_missing_local_ingredients_are_listed_with_the_option_that_supplies_them(soup, runs):
    with pytest.raises(InputError) as caught:
        verify(soup, ingredients={"run-0": runs[0]})
    assert len(caught.value.problems) == 2
    assert "--ingredient 'run-1=DIR'" in str(caught.value)
    assert "--ingredient 'run-2=DIR'" in str(caught.value)


def test_an_ingredient_that_the_record_does_not_name_is_refused(soup, runs):
    with pytest.raises(InputError, match="names no ingredient 'run-7'"):
        verify(soup, ingredients={**given(runs), "run-7": runs[0]})


def test_a_folder_without_a_record_cannot_be_verified(runs):
    with pytest.raises(InputError, match=r"has no soup\.json"):
        verify(runs[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "no merge method 'magic'"),
        ({"donor": 9}, "does not say from which model"),
        ({"arithmetic": 99}, "version 99 of the arithmetic"),
        ({"parameters": {"weight": [0.0, 0.0, 0.0], "normalize": True}}, "all weights are zero"),
        ({"surprise": 1}, "is not a record of hf-soup"),
    ],
)
def test_a_record_that_describes_no_merge_is_refused(soup, runs, changes, message):
    edit_record(soup, **changes)
    with pytest.raises(InputError, match=message):
        verify(soup, ingredients=given(runs))


def test_progress_counts_the_bytes_that_were_compared(soup, runs):
    from contextlib import contextmanager

    seen = {"total": 0, "done": 0}

    @contextmanager
    def bar(title, total):
        seen["total"] = total
        yield lambda nbytes: seen.__setitem__("done", seen["done"] + nbytes)

    verify(soup, ingredients=given(runs), progress=bar)
    assert seen["done"] == seen["total"] == sum(t.nbytes for t in load_file(soup / "model.safetensors").values())


@pytest.mark.hub
def test_a_published_merge_is_identical(api, tmp_path):
    repo = unique("soup")
    push(merged(upload_runs(api, tmp_path, dtype=torch.bfloat16), tmp_path / "soup"), repo)
    found = verify(repo)
    assert found.verdict is Verdict.IDENTICAL
    assert found.files == ()
    assert found.contradictions == ()


@pytest.mark.hub
def test_a_branch_that_moved_on_does_not_matter_ingredients_are_pinned(api, tmp_path):
    runs = upload_runs(api, tmp_path)
    repo = unique("soup")
    push(merged(runs, tmp_path / "soup"), repo)
    api.upload_file(
        repo_id=runs[0], path_or_fileobj=tmp_path / "source-1/model.safetensors", path_in_repo="model.safetensors"
    )
    assert verify(repo).verdict is Verdict.IDENTICAL


@pytest.mark.hub
def test_forged_weights_and_digests_on_the_hub_are_found(api, tmp_path):
    repo = unique("soup")
    push(merged(upload_runs(api, tmp_path), tmp_path / "soup"), repo)
    forged = tmp_path / "forged"
    snapshot_download(repo, local_dir=forged)
    alter_weights(forged)
    make_digests_fit(forged)
    api.upload_folder(repo_id=repo, folder_path=forged)
    assert verify(repo).exit_code == 4
    assert verify(f"{repo}@main").exit_code == 4


@pytest.mark.hub
def test_an_ingredient_with_another_digest_than_recorded_is_named(api, tmp_path):
    runs = upload_runs(api, tmp_path)
    folder = merged(runs, tmp_path / "soup")
    record = json.loads((folder / "soup.json").read_text())
    ingredients = record["ingredients"]
    ingredients[1]["files"]["model.safetensors"]["sha256"] = "0" * 64
    edit_record(folder, ingredients=ingredients)
    found = verify(folder)
    assert found.exit_code == 4
    assert any(ingredients[1]["name"] in one and "another digest" in one for one in found.contradictions)


@pytest.mark.hub
def test_a_record_that_pins_a_branch_is_refused(api, tmp_path):
    folder = merged(upload_runs(api, tmp_path), tmp_path / "soup")
    ingredients = json.loads((folder / "soup.json").read_text())["ingredients"]
    ingredients[0]["revision"] = "main"
    edit_record(folder, ingredients=ingredients)
    with pytest.raises(InputError, match=r"does not pin .* to a commit"):
        verify(folder)


@pytest.mark.parametrize("subfolder", ["../elsewhere", "runs/../..", "/etc", "a\\..\\b"])
def test_a_record_whose_subfolder_leads_out_of_the_repository_is_refused(soup, runs, subfolder):
    ingredients = json.loads((soup / "soup.json").read_text())["ingredients"]
    ingredients[0] |= {"repo_id": "tester/run", "revision": "0" * 40, "subfolder": subfolder}
    edit_record(soup, ingredients=ingredients)
    with pytest.raises(InputError, match=r"soup\.json: The subfolder of 'run-\d' must be a path below"):
        verify(soup, ingredients={name: run for name, run in given(runs).items() if name != ingredients[0]["name"]})


@pytest.mark.hub
def test_nameless_private_ingredients_can_be_supplied_by_who_knows_them(api, tmp_path):
    runs = upload_runs(api, tmp_path, private=[1])
    folder = merged(runs, tmp_path / "soup")
    repo = unique("soup")
    push(folder, repo)
    with pytest.raises(InputError, match="its name is withheld") as caught:
        verify(repo)
    alias = str(caught.value).split("'")[1]
    commit = api.model_info(runs[1]).sha
    assert verify(repo, ingredients={alias: f"{runs[1]}@{commit}"}).verdict is Verdict.IDENTICAL
    assert verify(repo, ingredients={alias: tmp_path / "source-1"}).verdict is Verdict.IDENTICAL


@pytest.mark.gpu
def test_a_merge_that_was_made_on_a_gpu_is_what_its_card_says(runs, tmp_path):
    folder = merged(runs, tmp_path / "soup", device="cuda", dtype="bfloat16", parameters={"weight": [3.0, 1.0, 2.0]})
    found = verify(folder, ingredients=given(runs))
    assert found.exit_code == 0
    assert found.device.startswith("cuda")

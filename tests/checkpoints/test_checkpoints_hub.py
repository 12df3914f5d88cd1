"""References and reading over real HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hf_soup.checkpoints import open_checkpoint, resolve
from hf_soup.errors import HubError, InputError

pytestmark = pytest.mark.hub


def _tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "a.weight": torch.randn(7, 5, generator=generator),
        "b.bias": torch.randn(11, generator=generator).bfloat16(),
        "b.ids": torch.arange(6).reshape(2, 3),
    }


def _folder(path: Path, tensors: dict[str, torch.Tensor], config: dict | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    (path / "config.json").write_text(json.dumps(config or {"model_type": "bert"}))
    return path


def _sharded(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    weight_map = {}
    for number, (name, tensor) in enumerate(tensors.items(), 1):
        shard = f"model-{number:05d}-of-{len(tensors):05d}.safetensors"
        save_file({name: tensor}, path / shard, metadata={"format": "pt"})
        weight_map[name] = shard
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (path / "config.json").write_text("{}")
    return path


def test_a_branch_is_pinned_to_the_commit_it_pointed_to_when_resolved(api, repo, tmp_path):
    api.upload_folder(repo_id=repo, folder_path=_folder(tmp_path / "m", _tensors(0)))
    first = open_checkpoint(repo)
    api.upload_folder(repo_id=repo, folder_path=_folder(tmp_path / "m", _tensors(1)))
    assert torch.equal(first.read("a.weight"), _tensors(0)["a.weight"])
    assert torch.equal(open_checkpoint(repo).read("a.weight"), _tensors(1)["a.weight"])


def test_no_request_after_resolving_names_a_branch(api, hub, repo, tmp_path):
    api.upload_folder(repo_id=repo, folder_path=_folder(tmp_path / "m", _tensors()))
    pinned = resolve(repo)[0]
    hub.clear_requests()
    checkpoint = open_checkpoint(pinned)
    checkpoint.read("a.weight")
    checkpoint.side_folder()
    assert hub.requests
    assert not [request for request in hub.requests if "main" in request.path]


def test_opening_reads_headers_only_and_reading_brings_the_file_once(api, hub, repo, tmp_path):
    big = {"w": torch.zeros(2_000_000)}
    api.upload_folder(repo_id=repo, folder_path=_folder(tmp_path / "m", big))
    checkpoint = open_checkpoint(repo)
    assert checkpoint.info("w").nbytes == 8_000_000
    assert checkpoint.bytes_to_download() > 8_000_000
    assert sum(request.sent for request in hub.requests if request.method == "GET") < 300_000
    checkpoint.fetch()
    assert checkpoint.bytes_to_download() == 0
    hub.clear_requests()
    open_checkpoint(checkpoint.ref).read("w")
    assert not [r for r in hub.requests if r.method == "GET" and r.path.endswith("model.safetensors")]


def test_revisions_subfolders_and_globs_name_what_they_say(api, repo, tmp_path):
    for step in (2, 10):
        _folder(tmp_path / "runs" / f"checkpoint-{step}", _tensors(step))
    (tmp_path / "runs" / "checkpoint-empty").mkdir()
    (tmp_path / "runs" / "checkpoint-empty" / "notes.txt").write_text("nothing")
    api.upload_folder(repo_id=repo, folder_path=tmp_path / "runs")
    api.create_tag(repo, tag="v1.0")
    assert [ref.subfolder for ref in resolve(f"{repo}:checkpoint-*")] == ["checkpoint-2", "checkpoint-10"]
    checkpoint = open_checkpoint(f"{repo}@v1.0:checkpoint-10")
    assert torch.equal(checkpoint.read("a.weight"), _tensors(10)["a.weight"])
    assert checkpoint.side_folder().name == "checkpoint-10"
    with pytest.raises(InputError, match=r"matches 'epoch-\*'.*checkpoint-2, checkpoint-10"):
        resolve(f"{repo}:epoch-*")


def test_shards_read_like_one_file_and_nothing_else_is_downloaded(api, repo, tmp_path, hub):
    folder = _sharded(tmp_path / "m", _tensors())
    torch.save({"state": torch.zeros(3)}, folder / "optimizer.pt")
    torch.save(_tensors(), folder / "pytorch_model.bin")
    api.upload_folder(repo_id=repo, folder_path=folder)
    hub.clear_requests()
    checkpoint = open_checkpoint(repo)
    for name, tensor in _tensors().items():
        assert torch.equal(checkpoint.read(name), tensor)
    assert torch.equal(checkpoint.read_rows("a.weight", 2, 5), _tensors()["a.weight"][2:5])
    assert not [r for r in hub.requests if "optimizer" in r.path or "pytorch_model" in r.path]


def test_equal_weights_in_two_repositories_have_equal_fingerprints(api, repo, tmp_path):
    other = f"{repo}-copy"
    api.create_repo(other, exist_ok=True)
    for name in (repo, other):
        api.upload_folder(repo_id=name, folder_path=_folder(tmp_path / "m", _tensors()))
    assert open_checkpoint(repo).fingerprint == open_checkpoint(other).fingerprint


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("tester/there-is-no-such", "no such model repository, or it is private"),
        ("{repo}@no-such-branch", "has no such branch, tag or commit"),
        ("{repo}:no/such/folder", "has no folder 'no/such/folder'"),
        ("{repo}", "is empty, it holds no model"),
        ("no spaces please", "neither a folder that exists nor a Hub reference"),
    ],
)
def test_a_reference_that_leads_nowhere_is_one_clear_sentence(api, repo, reference, sentence):
    with pytest.raises(InputError, match=sentence):
        open_checkpoint(reference.format(repo=repo))


def test_private_and_gated_repositories_say_what_to_do(api, hub, repo, tmp_path):
    api.upload_folder(repo_id=repo, folder_path=_folder(tmp_path / "m", _tensors()))
    api.update_repo_settings(repo, gated="auto")
    with pytest.raises(InputError, match=r"gated.*ask for access"):
        open_checkpoint(repo, token=hub.reader_token).read("a.weight")
    api.update_repo_settings(repo, gated=False, visibility="private")
    with pytest.raises(InputError, match=r"or it is private and the token cannot see it"):
        open_checkpoint(repo, token=False)


def test_a_folder_without_weights_says_where_there_are_some(api, repo, tmp_path):
    _folder(tmp_path / "m" / "runs" / "3", _tensors())
    (tmp_path / "m" / "notes.txt").write_text("x")
    api.upload_folder(repo_id=repo, folder_path=tmp_path / "m")
    with pytest.raises(InputError, match=rf"has no model.safetensors.*{repo}:runs/3"):
        open_checkpoint(repo)


def test_a_broken_connection_is_a_hub_error_that_says_to_repeat(api, hub, repo, tmp_path):
    api.upload_folder(repo_id=repo, folder_path=_folder(tmp_path / "m", _tensors()))
    hub.faults.add(f"/api/models/{repo}", drop=True, times=None)
    with pytest.raises(HubError, match="run the command again"):
        open_checkpoint(repo)
    hub.faults.clear()
    assert open_checkpoint(repo).names() == sorted(_tensors())

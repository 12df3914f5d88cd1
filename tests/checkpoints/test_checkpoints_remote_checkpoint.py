"""A checkpoint of the Hub that is read over the network: equal to the downloaded one, with few requests and no files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from huggingface_hub import CommitOperationAdd
from tiny_checkpoints import write_checkpoint

from hf_soup.checkpoints import open_checkpoint, resolve
from hf_soup.checkpoints.folder import HubFolder
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint
from hf_soup.errors import InputError

pytestmark = pytest.mark.hub


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "a.weight": torch.randn(300, 500, generator=generator),
        "b.weight": torch.randn(200, 100, generator=generator).bfloat16(),
        "c.ids": torch.arange(1000).reshape(10, 100),
        "d.empty": torch.zeros(0, 3),
        "e.scalar": torch.tensor(2.5),
    }


@pytest.fixture
def opened(api, repo, hub, tmp_path):
    """Uploads a folder; returns the streamed checkpoint of the test's repository, with a cache of its own."""

    def upload(folder: Path) -> RemoteCheckpoint:
        api.upload_folder(repo_id=repo, folder_path=folder)
        pinned = resolve(repo)[0]
        hub.clear_requests()
        checkpoint = open_checkpoint(pinned, cache_dir=tmp_path / "cache", stream=True)
        assert isinstance(checkpoint, RemoteCheckpoint)
        return checkpoint

    return upload


def weight_requests(hub) -> list:
    return [request for request in hub.requests if request.origin == "cdn" or "safetensors" in request.path]


def in_file_order(checkpoint: RemoteCheckpoint) -> list[tuple[str, int, int]]:
    whole = [(name, 0, checkpoint.info(name).numel) for name in checkpoint.names()]
    return sorted(whole, key=lambda span: checkpoint.span_of(*span))


@pytest.mark.parametrize("shards", [1, 3])
def test_every_tensor_reads_as_it_was_saved_and_no_weight_comes_to_the_disk(opened, tmp_path, shards):
    checkpoint = opened(write_checkpoint(tmp_path / "m", tensors(), shards=shards))
    for name, tensor in tensors().items():
        assert torch.equal(checkpoint.read(name), tensor)
    assert torch.equal(checkpoint.read_rows("b.weight", 20, 31), tensors()["b.weight"][20:31])
    out = torch.empty(50)
    assert checkpoint.read_span("a.weight", 7, 57, out=out).data_ptr() == out.data_ptr()
    assert torch.equal(out, tensors()["a.weight"].flatten()[7:57])
    folder = checkpoint.fetch()
    assert folder == checkpoint.side_folder()
    assert (folder / "config.json").is_file()
    assert checkpoint.bytes_to_download() == 0
    assert checkpoint.streams
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) < 20_000


@pytest.mark.parametrize("shards", [1, 3])
def test_a_stream_gives_the_bytes_of_the_element_spans_in_the_order_asked_for(opened, tmp_path, shards):
    checkpoint = opened(write_checkpoint(tmp_path / "m", tensors(), shards=shards))
    chooser = random.Random(shards)
    spans = []
    for _ in range(12):
        name = chooser.choice(checkpoint.names())
        start, stop = sorted(chooser.choices(range(checkpoint.info(name).numel + 1), k=2))
        spans.append((name, start, stop))
    expected = b"".join(checkpoint.read_bytes(*span) for span in spans)
    with checkpoint.span_stream(spans, range_bytes=50_000) as stream:
        buffer = bytearray(stream.bytes_left)
        stream.read_into(memoryview(buffer))
        assert buffer == expected
        assert stream.request_count == checkpoint.request_count(spans, range_bytes=50_000)


@pytest.mark.parametrize("count", [3, 900])  # with 900 tensors the header takes a second request
@pytest.mark.parametrize("numel", [100, 3_000])
def test_streaming_a_file_in_order_takes_no_more_requests_than_it_must(opened, hub, tmp_path, count, numel):
    many = {
        f"model.layers.{i}.a_rather_long_name.of_a_tensor.weight": torch.full((numel,), float(i)) for i in range(count)
    }
    checkpoint = opened(write_checkpoint(tmp_path / "m", many))
    range_bytes = 320_000
    with checkpoint.span_stream(in_file_order(checkpoint), range_bytes=range_bytes) as stream:
        buffer = bytearray(stream.bytes_left)
        stream.read_into(memoryview(buffer))
    size = checkpoint.weight_files()[0].size
    assert len(weight_requests(hub)) <= size / range_bytes + 3
    assert not any(request.authorized for request in hub.requests if request.origin == "cdn")


def test_many_small_spans_are_held_by_few_requests(opened, hub, tmp_path):
    many = {f"layer.{i}.weight": torch.full((1000,), float(i)) for i in range(300)}
    checkpoint = opened(write_checkpoint(tmp_path / "m", many, shards=2))
    spans = [(name, 10, 20) for name in many]
    assert checkpoint.can_hold(spans)
    hub.clear_requests()
    with checkpoint.hold(spans):
        held = len(weight_requests(hub))
        assert held <= 8
        for name, tensor in many.items():
            assert torch.equal(checkpoint.read_span(name, 10, 20), tensor[10:20])
        assert len(weight_requests(hub)) == held
        last, _, stop = in_file_order(checkpoint)[-1]
        assert torch.equal(checkpoint.read_span(last, 900, stop), many[last][900:])  # beyond what is held
        assert len(weight_requests(hub)) == held + 1
    checkpoint.read_span("layer.0.weight", 10, 20)
    assert len(weight_requests(hub)) == held + 2


def test_what_does_not_fit_is_read_as_ever(opened, hub, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_soup.checkpoints.remote_checkpoint.HOLD_BYTES", 1_000_000)
    wide = {f"layer.{i:02}.weight": torch.full((60_000,), float(i)) for i in range(15)}
    checkpoint = opened(write_checkpoint(tmp_path / "m", wide))
    spans = [(name, 0, 1000) for name in wide]
    assert not checkpoint.can_hold(spans)
    hub.clear_requests()
    with checkpoint.hold(spans):
        assert len(weight_requests(hub)) == 8
        assert sum(request.sent for request in weight_requests(hub)) <= 1_000_000
        for name, start, stop in spans:
            assert torch.equal(checkpoint.read_span(name, start, stop), wide[name][start:stop])
        assert 8 < len(weight_requests(hub)) < 15


def test_fingerprint_and_identity_are_those_of_the_downloaded_model(opened, hub, repo, tmp_path):
    checkpoint = opened(write_checkpoint(tmp_path / "m", tensors(), shards=2))
    downloaded = open_checkpoint(repo)
    hub.clear_requests()
    assert (checkpoint.fingerprint, checkpoint.identity) == (downloaded.fingerprint, downloaded.identity)
    assert weight_requests(hub) == []


def test_a_file_outside_lfs_has_the_fingerprint_of_its_tensors(api, hub, repo, tmp_path):
    folder = write_checkpoint(tmp_path / "m", tensors())
    weights = CommitOperationAdd("model.safetensors", (folder / "model.safetensors").read_bytes())
    weights._upload_mode = "regular"  # as some repositories of the Hub's early days have it
    api.create_commit(repo, [weights], commit_message="m")
    checkpoint = open_checkpoint(repo, stream=True)
    hub.clear_requests()
    assert checkpoint.fingerprint == open_checkpoint(folder).fingerprint
    assert [(request.method, request.origin) for request in weight_requests(hub)] == [("GET", "hub")]
    assert checkpoint.identity != checkpoint.fingerprint


def test_a_pickle_cannot_be_streamed(api, repo, tmp_path):
    torch.save(tensors(), tmp_path / "pytorch_model.bin")
    api.upload_folder(repo_id=repo, folder_path=tmp_path)
    with pytest.raises(InputError, match=rf"{repo}@.*: its weights are a pickle .*streaming needs safetensors"):
        open_checkpoint(repo, stream=True)


def test_a_folder_on_this_machine_stays_what_it_is(tmp_path):
    checkpoint = open_checkpoint(write_checkpoint(tmp_path, tensors()), stream=True)
    assert type(checkpoint) is SafetensorsCheckpoint
    assert not checkpoint.streams


def test_a_subfolder_is_streamed_from_its_place(api, repo, tmp_path):
    for step in (1, 2):
        write_checkpoint(tmp_path / "runs" / str(step), tensors(step))
    api.upload_folder(repo_id=repo, folder_path=tmp_path)
    checkpoint = open_checkpoint(f"{repo}:runs/2", stream=True)
    assert torch.equal(checkpoint.read("a.weight"), tensors(2)["a.weight"])


def test_headers_are_read_with_the_same_patience_as_weights(hub, opened, repo, tmp_path, backoff, waits):
    checkpoint = opened(write_checkpoint(tmp_path / "m", tensors()))
    hub.faults.add("^/models/", "GET", truncate=3)
    again = RemoteCheckpoint(HubFolder(checkpoint.ref, backoff=backoff), checkpoint.weights)
    assert again.names() == checkpoint.names()
    assert waits == [1.0]

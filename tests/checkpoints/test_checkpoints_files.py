"""Reading files: every rule of the format has a file that breaks it."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from tiny_checkpoints import relatives, write_checkpoint

from hf_soup.checkpoints import ModelRef, open_checkpoint
from hf_soup.checkpoints.dtypes import ITEM_SIZE, promote, torch_dtype
from hf_soup.checkpoints.header import parse_header
from hf_soup.errors import InputError


def header(entries: dict, data: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has 0 bytes and is no safetensors file"),
        (struct.pack("<Q", 10**12) + b"{}", "says its header has 1,000,000,000,000 bytes"),
        (struct.pack("<Q", 5000) + b"{}", "says its header has 5,000 bytes, but the file has 10"),
        (struct.pack("<Q", 4) + b"}{][", "header is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "header is not a JSON object"),
        (header({"w": entry()}, bytes(4)), "describes 8 bytes of data, the file holds 4"),
        (header({"w": entry()}, bytes(12)), "describes 8 bytes of data, the file holds 12"),
        (header({"v": entry(), "w": entry(offsets=(4, 12))}, bytes(12)), "tensor 'w' overlaps the tensor before it"),
        (header({"w": entry(offsets=(4, 12))}, bytes(12)), "tensor 'w' leaves a hole before it"),
        (header({"w": entry(dtype="F99")}, bytes(8)), "has dtype 'F99', which the format does not know"),
        (header({"w": entry(dtype="F16")}, bytes(8)), r"is F16 \[2\] and needs 4 bytes, its offsets span 8"),
        (header({"w": entry(shape=(-2,))}, bytes(8)), "are no counts"),
        (header({"w": entry(offsets=(8, 0))}, bytes(8)), "corrupt"),
        (header({"w": {"dtype": "F32"}}, bytes(8)), "lacks dtype, shape or data_offsets"),
    ],
)
def test_a_corrupt_file_is_refused_with_its_name_and_the_reason(tmp_path, content, sentence):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as error:
        open_checkpoint(tmp_path)
    assert "model.safetensors of" in str(error.value)


def test_a_truncated_file_is_noticed_before_it_is_read(tmp_path):
    folder = write_checkpoint(tmp_path, relatives(1)[0])
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/passwd", "sub/model.safetensors", "..\\x", ".hidden"]
)
def test_an_index_cannot_lead_out_of_its_folder(tmp_path, shard):
    (tmp_path / "m").mkdir()
    save_file({"w": torch.zeros(2)}, tmp_path / "secret.safetensors")
    index = {"metadata": {}, "weight_map": {"w": shard}}
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="is not a file of that folder"):
        open_checkpoint(tmp_path / "m")


def test_every_missing_shard_is_named(tmp_path):
    folder = write_checkpoint(tmp_path, relatives(1)[0], shards=3)
    (folder / "model-00001-of-00003.safetensors").unlink()
    (folder / "model-00003-of-00003.safetensors").unlink()
    with pytest.raises(InputError) as error:
        open_checkpoint(folder)
    assert len(error.value.problems) == 2
    assert "model-00003-of-00003.safetensors', which is missing" in error.value.problems[1]


def test_an_index_that_names_a_tensor_its_shard_lacks_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path, relatives(1)[0], shards=2)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["ghost"] = "model-00001-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="puts tensor 'ghost' into model-00001"):
        open_checkpoint(folder)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


def test_a_pickle_with_code_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"wants to run code.*Ask for the model as safetensors"):
        open_checkpoint(tmp_path).names()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"pytorch_model\.bin of"):
        open_checkpoint(tmp_path).names()
    assert not (tmp_path / "evil-was-here").exists()


def test_a_pickle_of_tensors_reads_like_safetensors(tmp_path):
    tensors = relatives(1, dtype=torch.bfloat16)[0]
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.names() == sorted(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(checkpoint.read(name), tensor)
    assert torch.equal(checkpoint.read_span("classifier.weight", 3, 9), tensors["classifier.weight"].reshape(-1)[3:9])


def test_safetensors_win_over_a_pickle_beside_them(tmp_path):
    folder = write_checkpoint(tmp_path, {"w": torch.ones(2)})
    torch.save({"w": torch.zeros(2)}, folder / "pytorch_model.bin")
    assert torch.equal(open_checkpoint(folder).read("w"), torch.ones(2))


@given(st.integers(0, 34), st.integers(0, 34))
@settings(max_examples=60, deadline=None)
def test_spans_and_rows_are_the_slices_they_name(tmp_path_factory, a, b):
    start, stop = sorted((a, b))
    tensor = torch.arange(35, dtype=torch.float16).reshape(7, 5)
    folder = write_checkpoint(tmp_path_factory.mktemp("m"), {"w": tensor})
    checkpoint = open_checkpoint(folder)
    assert torch.equal(checkpoint.read_span("w", start, stop), tensor.reshape(-1)[start:stop])
    out = torch.empty(50, dtype=torch.float16)
    assert torch.equal(checkpoint.read_span("w", start, stop, out=out), out[: stop - start])
    assert torch.equal(checkpoint.read_rows("w", start // 5, stop // 5), tensor[start // 5 : stop // 5])


def test_scalars_and_empty_tensors_are_read(tmp_path):
    tensors = {"scalar": torch.tensor(3, dtype=torch.int64), "none": torch.zeros(0, 4)}
    checkpoint = open_checkpoint(write_checkpoint(tmp_path, tensors))
    assert checkpoint.read("scalar") == 3
    assert checkpoint.read("none").shape == (0, 4)


def test_the_fingerprint_of_a_folder_ignores_sharding_and_sees_every_tensor(tmp_path):
    tensors = relatives(1)[0]
    whole = open_checkpoint(write_checkpoint(tmp_path / "a", tensors)).fingerprint
    assert open_checkpoint(write_checkpoint(tmp_path / "b", tensors, shards=3)).fingerprint == whole
    for number, name in enumerate(tensors):
        changed = {n: t.clone() for n, t in tensors.items()}
        changed[name].view(-1)[-1] += 1
        assert open_checkpoint(write_checkpoint(tmp_path / f"c{number}", changed)).fingerprint != whole


@pytest.mark.parametrize("code", sorted(ITEM_SIZE))
def test_sizes_and_torch_dtypes_agree_with_torch_itself(code):
    assert torch.empty(1, dtype=torch_dtype(code)).element_size() == ITEM_SIZE[code]


def test_the_header_parser_agrees_with_safetensors_itself():
    tensors = relatives(1, dtype=torch.bfloat16)[0]
    content = save(tensors, metadata={"format": "pt"})
    length = int.from_bytes(content[:8], "little")
    parsed = parse_header(content[8 : 8 + length], path="x", where="x", file_bytes=len(content))
    for name, tensor in tensors.items():
        assert parsed.tensors[name].shape == tuple(tensor.shape)
        start = parsed.offsets[name]
        assert content[start : start + tensor.nbytes] == tensor.contiguous().view(torch.uint8).numpy().tobytes()
    assert parsed.metadata == {"format": "pt"}


def test_promotion_loses_nothing():
    assert promote({"F16"}) == "F16"
    assert promote({"F16", "BF16"}) == "F32"
    assert promote({"F16", "F32"}) == "F32"
    assert promote({"F64", "BF16"}) == "F64"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/name", ("user/name", None, None)),
        ("gpt2", ("gpt2", None, None)),
        ("user/name@v1.0", ("user/name", "v1.0", None)),
        ("user/name@refs/pr/3:sub", ("user/name", "refs/pr/3", "sub")),
        ("user/name:runs/3", ("user/name", None, "runs/3")),
        ("user/name:checkpoint-*", ("user/name", None, "checkpoint-*")),
    ],
)
def test_references_are_parsed(text, expected):
    ref = ModelRef.parse(text)
    assert (ref.repo_id, ref.revision, ref.subfolder) == expected


@pytest.mark.parametrize(
    "text", ["user/name:../x", "user/name:/abs", "user/name:a\\b", "", " ", "a/b/c", "user/name@"]
)
def test_references_that_mean_nothing_or_lead_out_are_refused(text):
    with pytest.raises(InputError):
        ModelRef.parse(text)


def test_folders_are_found_and_windows_paths_are_no_hub_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "model" / "runs").mkdir(parents=True)
    assert ModelRef.parse("me/model").path == Path("me/model")
    assert ModelRef.parse("./me/model:runs").subfolder == "runs"
    assert ModelRef.parse(Path("me/model")).path == Path("me/model")
    for windows in (r"C:\models\run-1", "C:/models/run-1", r".\run-1"):
        with pytest.raises(InputError, match="does not exist"):
            ModelRef.parse(windows)

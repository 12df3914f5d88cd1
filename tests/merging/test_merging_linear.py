"""The weighted average, from files to files, against a slow and obvious loop in float64."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_checkpoints import relatives, write_checkpoint, write_relatives

from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import NonFiniteWeights
from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.methods import METHODS

linear = METHODS["linear"].combine
blocks = st.integers(1, 4).flatmap(
    lambda k: st.lists(
        st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6).map(torch.tensor), min_size=k, max_size=k
    )
)


def merged(tmp_path, folders, out="out", **options):
    plan = make_plan(open_ingredients([str(folder) for folder in folders]), out=tmp_path / out, **options)
    merge(plan, tmp_path / out)
    return tmp_path / out


def weights_of(folder) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def bytes_of(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.safetensors"))}


@given(blocks, st.lists(st.floats(0.1, 10), min_size=4, max_size=4))
@settings(max_examples=100, deadline=None)
def test_linear_is_the_weighted_mean(models, weight):
    weight = weight[: len(models)]
    exact = sum(w * x.double() for w, x in zip(weight, models, strict=True)) / math.fsum(weight)
    fresh = [model.clone() for model in models]
    torch.testing.assert_close(linear(fresh, weight=weight), exact.float(), rtol=2e-6, atol=2e-5)


@given(blocks, st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_one_model_of_any_weight_comes_back_unchanged(models, weight):
    assert torch.equal(linear([models[0].clone()], weight=[weight]), models[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_merge_equals_the_obvious_loop_to_one_rounding(tmp_path, dtype):
    models = relatives(3, dtype=dtype)
    folders = [write_checkpoint(tmp_path / f"m{i}", model) for i, model in enumerate(models)]
    result = weights_of(merged(tmp_path, folders, parameters={"weight": [3, 1, 1]}))
    assert set(result) == set(models[0])
    for name, tensor in result.items():
        assert tensor.dtype == models[0][name].dtype
        if tensor.is_floating_point():
            exact = sum(w * m[name].double() for w, m in zip([3, 1, 1], models, strict=True)) / 5
            # Half a spacing of the output dtype, and the accumulator's own error where terms cancel.
            accumulator = torch.float64 if dtype == torch.float64 else torch.float32
            error = torch.finfo(dtype).eps * exact.abs() + 8 * torch.finfo(accumulator).eps
            assert ((tensor.double() - exact).abs() <= error).all()
        else:
            assert torch.equal(tensor, models[0][name])


def test_order_of_ingredients_does_not_change_the_bytes(tmp_path):
    folders = write_relatives(tmp_path, 4)
    weights = [1.0, 2.0, 3.0, 4.0]
    expected = None
    for number, order in enumerate(itertools.islice(itertools.permutations(range(4)), 0, 24, 5)):
        out = merged(
            tmp_path, [folders[i] for i in order], f"out{number}", parameters={"weight": [weights[i] for i in order]}
        )
        expected = expected or bytes_of(out)
        assert bytes_of(out) == expected


def test_input_shards_block_size_and_workers_do_not_change_the_bytes(tmp_path):
    models = relatives(3)
    whole = [write_checkpoint(tmp_path / f"whole{i}", model) for i, model in enumerate(models)]
    parts = [write_checkpoint(tmp_path / f"parts{i}", model, shards=3) for i, model in enumerate(models)]
    expected = bytes_of(merged(tmp_path, whole, "a"))
    assert bytes_of(merged(tmp_path, parts, "b")) == expected
    assert bytes_of(merged(tmp_path, whole, "c", workers=5, memory_bytes=16 * 2**20)) == expected
    assert bytes_of(merged(tmp_path, whole, "d", workers=1)) == expected


def test_what_a_virtual_checkpoint_reads_is_what_a_merge_writes(tmp_path):
    folders = write_relatives(tmp_path, 3, dtype=torch.bfloat16)
    plan = make_plan(open_ingredients([str(f) for f in folders]), dtype="float16")
    merge(plan, tmp_path / "out")
    virtual, written = plan.virtual(), open_checkpoint(tmp_path / "out")
    assert virtual.names() == written.names()
    for name in virtual.names():
        assert virtual.info(name) == written.info(name)
        assert torch.equal(virtual.read(name), written.read(name))
        if virtual.info(name).shape:
            assert torch.equal(virtual.read_rows(name, 0, 1), written.read_rows(name, 0, 1))


def test_shards_have_an_index_that_transformers_and_safetensors_understand(tmp_path):
    folders = write_relatives(tmp_path, 2)
    whole = weights_of(merged(tmp_path, folders, "whole"))
    out = merged(tmp_path, folders, "sharded", shard_bytes=4_000)
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 2
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in whole.values())
    for name, file in index["weight_map"].items():
        with safe_open(out / file, "pt") as handle:
            assert handle.metadata() == {"format": "pt"}
            assert torch.equal(handle.get_tensor(name), whole[name])


def test_dtype_changes_the_tensors_and_the_config_and_nothing_else(tmp_path):
    config = {"model_type": "bert", "dtype": "float32", "hidden": [1, 2], "id2label": {"0": "ä", "1": "b"}}
    folders = [write_checkpoint(tmp_path / f"m{i}", m, config) for i, m in enumerate(relatives(2))]
    out = merged(tmp_path, folders, dtype="bfloat16")
    assert {t.dtype for t in weights_of(out).values() if t.is_floating_point()} == {torch.bfloat16}
    assert json.loads((out / "config.json").read_text()) == config | {"dtype": "bfloat16"}
    assert (out / "vocab.txt").read_bytes() == (folders[0] / "vocab.txt").read_bytes()


def test_side_files_are_copied_byte_for_byte_and_training_files_are_not(tmp_path):
    folders = write_relatives(tmp_path, 2)
    kept = {
        "config.json": b'{ "model_type" :\t"bert" }\n\n',
        "tokenizer.json": b'{"model": {"vocab": {}}}',
        "chat_template.jinja": b"{{ messages }}",
        "modeling_own.py": b"# code\n",
        "preprocessor_config.json": b"{}",
    }
    left = {"optimizer.pt": b"x", "training_args.bin": b"x", "trainer_state.json": b"{}", "README.md": b"#"}
    for name, content in (kept | left).items():
        (folders[0] / name).write_bytes(content)
    (folders[1] / "config.json").write_bytes(kept["config.json"])
    out = merged(tmp_path, folders)
    for name, content in kept.items():
        assert (out / name).read_bytes() == content
    assert not [name for name in left if (out / name).exists()]


def test_models_of_two_dtypes_are_merged_into_the_wider_one(tmp_path):
    a, b = relatives(2)
    b = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in b.items()}
    out = merged(tmp_path, [write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", b)])
    for name, tensor in weights_of(out).items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (a[name] + b[name].float()) / 2, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("dtype", "largest"), [("float32", 3.4e38), ("bfloat16", 3.38e38), ("float16", 65_504.0)])
def test_what_does_not_fit_the_output_dtype_stops_the_merge(tmp_path, dtype, largest):
    for value, fits in ((largest, True), (largest * 1.01, False)):
        models = [{"w": torch.full((3, 3), value, dtype=torch.float64)} for _ in range(2)]
        models[1]["w"][0, 0] = 1.0
        folders = [write_checkpoint(tmp_path / f"{fits}-{i}", model, {}) for i, model in enumerate(models)]
        if fits:
            assert weights_of(merged(tmp_path, folders, f"out-{fits}", dtype=dtype))["w"].isfinite().all()
        else:
            with pytest.raises(NonFiniteWeights, match="does not fit"):
                merged(tmp_path, folders, f"out-{fits}", dtype=dtype)

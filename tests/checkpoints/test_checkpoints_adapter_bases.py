"""Whose weights an adapter is added to: different bases and quantised ones are named, with what to do instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import save_adapter, save_base

from hf_soup import Soup
from hf_soup.errors import InputError
from hf_soup.merging import open_ingredients

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("made")
    base = save_base(root / "base")
    return base, save_adapter(root / "adapter", base, r=2, lora_alpha=4, target_modules=["q_proj"])


def on(base: Path, adapter: Path, out: Path) -> Path:
    """A copy of the adapter that names this base."""
    shutil.copytree(adapter, out)
    path = out / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(base)}))
    return out


def problems_of(*models, **options) -> list[str]:
    with pytest.raises(InputError) as failure:
        open_ingredients(models, **options)
    return list(failure.value.problems)


def test_adapters_of_different_models_are_one_sentence_that_says_who_names_what(made, tmp_path):
    base, adapter = made
    other = save_base(tmp_path / "other", attention_bias=True)
    for tensor in (tensors := load_file(other / "model.safetensors")).values():
        tensor.mul_(1.5)
    save_file(tensors, other / "model.safetensors")
    one, two, three = (
        on(base, adapter, tmp_path / "one"),
        on(other, adapter, tmp_path / "two"),
        on(base, adapter, tmp_path / "three"),
    )
    assert problems_of(one, two, three) == [
        f"The adapters were trained on different models: {base} is the base of {one}, {three}; {other} is the base of {two}. "
        "If those have the same weights, name one with base=."
    ]
    given = open_ingredients([one, two], base=base)
    assert all(model.base is given.base for model in given.models)


def test_copies_of_one_model_are_one_base(made, tmp_path):
    copy = shutil.copytree(made[0], tmp_path / "copy")
    one, two = on(made[0], made[1], tmp_path / "one"), on(copy, made[1], tmp_path / "two")
    found = open_ingredients([one, two])
    assert found.models[0].base is found.models[1].base


def bitsandbytes(base: Path) -> None:
    _configure(base, {"quant_method": "bitsandbytes", "load_in_4bit": True})


def awq(base: Path) -> None:
    _configure(base, {"quant_method": "awq", "bits": 4})


def gptq_without_a_word_in_its_config(base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        stem = name.removesuffix("weight")
        tensors[f"{stem}qweight"] = tensors.pop(name).to(torch.int32)
        tensors[f"{stem}scales"] = torch.ones(2)
    save_file(tensors, base / "model.safetensors")


def _configure(base: Path, quantization: dict) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}))


@pytest.mark.parametrize(
    ("quantise", "how"),
    [
        (bitsandbytes, "config.json has a quantization_config (bitsandbytes)"),
        (awq, "config.json has a quantization_config (awq)"),
        (gptq_without_a_word_in_its_config, "it has the tensor 'model.layers.0.mlp.down_proj.qweight'"),
    ],
)
def test_a_quantised_base_is_one_sentence_that_says_what_to_name_instead(made, tmp_path, quantise, how):
    base = shutil.copytree(made[0], tmp_path / "quantised")
    quantise(base)
    adapter = on(base, made[1], tmp_path / "adapter")
    assert problems_of(adapter) == [
        f"{adapter}: its base {base} is quantised: {how}; name the same model in 16 or 32 bits with base= (--base), the one that "
        "it was quantised from, which its card names."
    ]
    assert Soup([adapter, made[0]], base=made[0]).plan().problems == ()

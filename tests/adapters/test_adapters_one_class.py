"""Adapters of one base that were trained with several of its classes, which name one module differently."""

from __future__ import annotations

import json
from pathlib import Path

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_adapters import merged_by_peft, save_adapter, save_base

from hf_soup.adapters import combine_adapters
from hf_soup.errors import InputError

TARGET = ["q_proj"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return save_base(tmp_path_factory.mktemp("llama") / "base")


@pytest.fixture(scope="module")
def two_classes(llama, tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("adapters")
    return [
        save_adapter(root / "lm", llama, r=2, target_modules=TARGET, task_type="CAUSAL_LM", seed=1),
        save_adapter(
            root / "headless", llama, "AutoModel", r=3, target_modules=TARGET, task_type="FEATURE_EXTRACTION", seed=2
        ),
    ]


def changed(
    merged: dict[str, torch.Tensor], base: dict[str, torch.Tensor], prefix: str = ""
) -> dict[str, torch.Tensor]:
    """By the names in the base's files."""
    return {
        name: merged[name.removeprefix(prefix)].double() - base[name].double()
        for name in base
        if name.removeprefix(prefix) in merged
    }


@pytest.mark.parametrize("turned", [False, True], ids=["language model first", "headless first"])
@pytest.mark.parametrize("form", ["concat", "svd"])
def test_two_classes_names_of_one_module_are_one_module(llama, two_classes, tmp_path, turned, form):
    """PEFT's own merges of the two, one after the other, are what PEFT makes of ours: nothing is dropped."""
    base = load_file(llama / "model.safetensors")
    lm, headless = two_classes
    parts = [
        changed(merged_by_peft(lm, llama, tmp_path / "lm"), base),
        changed(merged_by_peft(headless, llama, tmp_path / "headless", "AutoModel"), base, "model."),
    ]
    given = [headless, lm] if turned else [lm, headless]
    more = {} if form == "concat" else {"rank": 5}
    made = combine_adapters(given, out=tmp_path / "out", as_=form, **more)
    assert {module.rank for module in made.record.modules.values()} == {5}
    assert len(made.record.modules) == 2
    prefix, auto = ("model.", "AutoModel") if turned else ("", "AutoModelForCausalLM")
    ours = changed(merged_by_peft(tmp_path / "out", llama, tmp_path / "merged", auto), base, prefix)
    names = [name for name in base if "q_proj" in name]
    for name in names:
        torch.testing.assert_close(ours[name], (parts[0][name] + parts[1][name]) / 2, atol=1e-6, rtol=1e-5)
        assert float(ours[name].norm()) > 0.1
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["task_type"] == ("FEATURE_EXTRACTION" if turned else "CAUSAL_LM")


def test_a_class_that_lacks_a_module_of_another_adapter_is_not_the_one(llama, two_classes, tmp_path):
    head = save_adapter(tmp_path / "head", llama, r=2, target_modules=["lm_head"], task_type="CAUSAL_LM", seed=4)
    made = combine_adapters([two_classes[1], head], out=tmp_path / "out")
    assert sorted(made.record.modules)[:2] == ["lm_head", "model.layers.0.self_attn.q_proj"]


def test_classes_of_which_none_has_everything_are_refused(llama, tmp_path):
    parts = [
        save_adapter(tmp_path / "lm", llama, r=2, target_modules=["lm_head"], task_type="CAUSAL_LM"),
        save_adapter(
            tmp_path / "cls",
            llama,
            "AutoModelForSequenceClassification",
            r=2,
            target_modules=TARGET,
            task_type="SEQ_CLS",
        ),
    ]
    with pytest.raises(InputError, match=r"none of these has all their modules.*--as model"):
        combine_adapters(parts, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_the_base_names_that_end_alike_are_refused(two_classes, tmp_path):
    for number, adapter in enumerate(two_classes):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = json.loads((adapter / "adapter_config.json").read_text()) | {"base_model_name_or_path": "/not/here"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        save_file(load_file(adapter / "adapter_model.safetensors"), folder / "adapter_model.safetensors")
    with pytest.raises(InputError, match="look like one tensor of two classes"):
        combine_adapters([tmp_path / "0", tmp_path / "1"], out=tmp_path / "out")


def test_names_of_an_older_transformers_are_those_of_today(tmp_path):
    base = save_base(tmp_path / "base", "ViTForImageClassification")
    auto = "AutoModelForImageClassification"
    new, old = (
        save_adapter(tmp_path / str(seed), base, auto, r=2, target_modules=TARGET, seed=seed) for seed in (1, 2)
    )
    by_peft = [merged_by_peft(each, base, tmp_path / f"merged-{n}", auto) for n, each in enumerate((new, old))]
    tensors = {
        name.replace("vit.layers.", "vit.encoder.layer.").replace(
            "attention.q_proj", "attention.attention.query"
        ): tensor
        for name, tensor in load_file(old / "adapter_model.safetensors").items()
    }
    save_file(tensors, old / "adapter_model.safetensors")
    config = json.loads((old / "adapter_config.json").read_text()) | {"target_modules": ["query"]}
    (old / "adapter_config.json").write_text(json.dumps(config))
    combine_adapters([new, old], out=tmp_path / "out")
    model = getattr(transformers, auto).from_pretrained(base)
    peft.PeftModel.from_pretrained(model, tmp_path / "out").merge_and_unload().save_pretrained(tmp_path / "ours")
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    start = load_file(base / "model.safetensors")
    name = "vit.encoder.layer.0.attention.attention.query.weight"
    assert not torch.equal(ours[name], start[name])
    torch.testing.assert_close(ours[name], (by_peft[0][name] + by_peft[1][name]) / 2, atol=1e-6, rtol=1e-5)

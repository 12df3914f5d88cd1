"""hf-soup inspect of a LoRA adapter: what it does to which base, and what is wrong with it."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from tiny_adapters import save_adapter, save_base

from hf_soup.cli import main

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    base = save_base(root / "base", "BertForSequenceClassification")
    settings = {"target_modules": ["query", "dense"], "rank_pattern": {"dense": 4}, "task_type": "SEQ_CLS"}
    adapter = save_adapter(
        root / "adapter", base, "AutoModelForSequenceClassification", r=2, lora_alpha=16, use_rslora=True, **settings
    )
    return base, adapter


def run(capsys, *arguments) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    return int(end.value.code or 0), capsys.readouterr().out


def test_what_an_adapter_does_to_which_base(capsys, made):
    base, adapter = made
    code, out = run(capsys, "inspect", adapter)
    lines = [line.strip() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == str(adapter)
    assert lines[3:7] == [
        f"LoRA (rsLoRA) on {base}",
        "rank 2, 4, lora_alpha 16, scale 8, 11.3137",
        "updates 9 tensors: dense, query",
        "replaces classifier.bias, classifier.weight",
    ]
    assert "problem" not in out


def test_the_same_as_json(capsys, made):
    _, out = run(capsys, "inspect", *made, "--json")
    full, adapter = sorted(json.loads(out)["models"], key=lambda model: model["adapter"] is not None)
    assert full["adapter"] is None
    assert adapter["adapter"] == {
        "base": str(made[0]),
        "ranks": [2, 4],
        "alpha": 16,
        "scales": [8, pytest.approx(16 / 2**0.5)],
        "variants": ["rsLoRA"],
        "targets": ["dense", "query"],
        "updated": 9,
        "replaced": ["classifier.bias", "classifier.weight"],
    }


def test_what_is_wrong_with_it_is_said_once(capsys, made, tmp_path):
    adapter = shutil.copytree(made[1], tmp_path / "untrained")
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.zero_()
    save_file(tensors, adapter / "adapter_model.safetensors")
    for models in ([adapter], [adapter, made[1]]):
        for extra in ([], ["--probe"]):
            _, out = run(capsys, "inspect", *models, *extra)
            assert [line for line in out.splitlines() if "lora_B" in line] == [
                f"problem: {adapter}: every lora_B is zero, so the adapter was not trained; it adds nothing."
            ]
            assert "can be merged" not in out

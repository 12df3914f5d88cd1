"""An adapter as a checkpoint holds what PEFT's merge_and_unload saves, to one rounding of the stored dtype."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_adapters import merged_by_peft, roundings_apart, save_adapter, save_base

from hf_soup.checkpoints import AdapterBases, AdapterCheckpoint, adapter_checkpoint, open_checkpoint
from hf_soup.errors import InputError
from hf_soup.merging import open_ingredients

pytest.importorskip("peft")

ATTENTION = ["q_proj", "v_proj"]
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BERT = "AutoModelForSequenceClassification"
PEFT_ROUNDS = 4
"""In float32 PEFT itself rounds the product, the scaled product and the sum, with DoRA also norm, quotient and product."""
CASES = {
    "plain": ("LlamaForCausalLM", {}, {"target_modules": ATTENTION}),
    "every linear layer, rsLoRA": ("LlamaForCausalLM", {}, {"target_modules": LINEAR, "use_rslora": True, "r": 6}),
    "rank and alpha patterns": (
        "LlamaForCausalLM",
        {},
        {
            "target_modules": LINEAR,
            "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 7},
            "alpha_pattern": {"v_proj": 3, "^model.layers.0.self_attn.q_proj": 5},
        },
    ),
    "DoRA": ("LlamaForCausalLM", {}, {"target_modules": LINEAR, "use_dora": True}),
    "biases of lora_B": (
        "BertForSequenceClassification",
        {},
        {"target_modules": ["query", "dense"], "lora_bias": True},
    ),
    "all biases": ("BertForSequenceClassification", {}, {"target_modules": ["query"], "bias": "all"}),
    "biases of adapted layers": (
        "BertForSequenceClassification",
        {},
        {"target_modules": ["query"], "bias": "lora_only"},
    ),
    "a head of its own": (
        "BertForSequenceClassification",
        {},
        {"target_modules": ["query"], "modules_to_save": ["classifier"], "task_type": "SEQ_CLS"},
    ),
    "embeddings": ("LlamaForCausalLM", {}, {"target_modules": ["embed_tokens", "q_proj"]}),
    "embeddings of BERT, DoRA": (
        "BertForSequenceClassification",
        {},
        {"target_modules": ["word_embeddings", "query"], "use_dora": True},
    ),
    "tied embeddings": (
        "LlamaForCausalLM",
        {"tie_word_embeddings": True},
        {"target_modules": ["embed_tokens", "v_proj"]},
    ),
    "output matrix": ("LlamaForCausalLM", {}, {"target_modules": ["lm_head"]}),
    "saved embeddings": (
        "LlamaForCausalLM",
        {},
        {"target_modules": ATTENTION, "modules_to_save": ["embed_tokens", "lm_head"]},
    ),
    "Conv1D": ("GPT2LMHeadModel", {}, {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}),
    "Conv1D, DoRA": (
        "GPT2LMHeadModel",
        {},
        {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True, "use_dora": True},
    ),
    "names in memory (ViT)": (
        "ViTForImageClassification",
        {},
        {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]},
    ),
    "convolutions": ("ResNetForImageClassification", {}, {"target_modules": ["convolution"]}),
    "convolutions, DoRA": ("ResNetForImageClassification", {}, {"target_modules": ["convolution"], "use_dora": True}),
    "factors that started orthogonal": (
        "LlamaForCausalLM",
        {},
        {"target_modules": ATTENTION, "init_lora_weights": "orthogonal"},
    ),
}


def auto_class(kind: str) -> str:
    return {
        "BertForSequenceClassification": BERT,
        "ViTForImageClassification": "AutoModelForImageClassification",
        "ResNetForImageClassification": "AutoModelForImageClassification",
    }.get(kind, "AutoModelForCausalLM")


def differences(adapter, base, tmp_path, auto="AutoModelForCausalLM", load=None) -> dict[str, float]:
    expected = merged_by_peft(adapter, base, tmp_path / "merged", auto, load)
    checkpoint = open_checkpoint(adapter)
    assert isinstance(checkpoint, AdapterCheckpoint)
    assert checkpoint.names() == sorted(expected)
    assert all(checkpoint.info(name).shape == tuple(tensor.shape) for name, tensor in expected.items())
    changed = [n for n in checkpoint.names() if n in checkpoint.fitted.updates or n in checkpoint.fitted.replaced]
    start = load_file(base / "model.safetensors")
    assert all(not torch.equal(checkpoint.read(n), start[n]) for n in changed if n in start)
    return {
        name: roundings_apart(checkpoint.read(name), tensor)
        for name, tensor in expected.items()
        if tensor.is_floating_point()
    }


@pytest.mark.parametrize("case", CASES)
def test_an_adapter_is_what_peft_merges(case, tmp_path):
    kind, settings, config = CASES[case]
    base = save_base(tmp_path / "base", kind, **settings)
    adapter = save_adapter(tmp_path / "adapter", base, auto_class(kind), **({"r": 4, "lora_alpha": 7} | config))
    apart = differences(adapter, base, tmp_path, auto_class(kind))
    assert max(apart.values()) <= PEFT_ROUNDS, apart


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("factors", [torch.float32, torch.float16, torch.bfloat16])
def test_base_and_adapter_may_have_different_precisions(stored, factors, tmp_path):
    base = save_base(tmp_path / "base", dtype=stored)
    adapter = save_adapter(tmp_path / "adapter", base, r=4, lora_alpha=7, target_modules=LINEAR, dtype=factors)
    assert max(differences(adapter, base, tmp_path).values()) <= (PEFT_ROUNDS if stored == torch.float32 else 1)


@pytest.mark.parametrize("kind", ["BertModel", "BertForPreTraining"])
def test_a_head_that_the_base_lacks_makes_the_class_that_was_adapted(kind, tmp_path):
    """A headless base is saved without `bert.` before its names; one with other heads has tensors that nothing uses."""
    base = save_base(tmp_path / "base", kind)
    adapter = save_adapter(
        tmp_path / "adapter", base, BERT, load={"num_labels": 3}, r=2, target_modules=["query"], task_type="SEQ_CLS"
    )
    apart = differences(adapter, base, tmp_path, BERT, load={"num_labels": 3})
    assert max(apart.values()) <= PEFT_ROUNDS
    checkpoint = open_checkpoint(adapter)
    assert checkpoint.config["architectures"] == ["BertForSequenceClassification"]
    assert len(checkpoint.config["id2label"]) == 3
    assert json.loads((checkpoint.side_folder() / "config.json").read_text()) == checkpoint.config


def test_several_adapters_lie_in_one_folder(tmp_path):
    base = save_base(tmp_path / "base")
    for name, seed in (("first", 1), ("second", 2)):
        save_adapter(tmp_path / "all" / name, base, r=2, target_modules=ATTENTION, seed=seed)
    first, second = (differences(tmp_path / "all" / name, base, tmp_path / name) for name in ("first", "second"))
    assert max(*first.values(), *second.values()) <= PEFT_ROUNDS
    found = open_ingredients([f"{tmp_path / 'all'}:*"])
    assert [model.label for model in found.models] == [str(tmp_path / "all" / name) for name in ("first", "second")]


def test_a_pickled_adapter_is_read_as_data_only(tmp_path):
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, r=2, target_modules=ATTENTION)
    expected = {name: open_checkpoint(adapter).read(name) for name in open_checkpoint(adapter).names()}
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    pickled = open_checkpoint(adapter)
    assert all(torch.equal(pickled.read(name), tensor) for name, tensor in expected.items())
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps({"a.lora_A.weight": Path("x")}))
    with pytest.raises(InputError, match=r"adapter_model\.bin .*(run code|not a readable)"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    "config", [{"target_modules": LINEAR}, {"target_modules": [*LINEAR, "embed_tokens"], "use_dora": True}]
)
def test_any_span_has_the_bits_of_the_whole_tensor(config, tmp_path, monkeypatch):
    base = save_base(tmp_path / "base", dtype=torch.bfloat16)
    adapter = save_adapter(tmp_path / "adapter", base, r=3, **config)
    monkeypatch.setattr(adapter_checkpoint, "_TILE_ELEMENTS", 50)
    checkpoint = open_checkpoint(adapter)
    whole = {name: checkpoint.read(name).flatten() for name in checkpoint.names()}

    def read_in_pieces(step: int) -> bool:
        spans = [
            (name, start, min(start + step, tensor.numel()))
            for name, tensor in whole.items()
            for start in range(0, tensor.numel(), step)
        ]
        return all(torch.equal(checkpoint.read_span(*span), whole[span[0]][span[1] : span[2]]) for span in spans)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read_in_pieces, (7, 16, 33, 100)))


def test_reading_a_few_rows_reads_those_rows_of_the_base_only(tmp_path, monkeypatch):
    base = save_base(tmp_path / "base")
    checkpoint = open_checkpoint(save_adapter(tmp_path / "adapter", base, r=2, target_modules=["down_proj"]))
    monkeypatch.setattr(adapter_checkpoint, "_TILE_ELEMENTS", 40)
    asked = []
    read = checkpoint.base.read_span
    monkeypatch.setattr(checkpoint.base, "read_span", lambda *span: asked.append(span) or read(*span))
    checkpoint.read_rows("model.layers.1.mlp.down_proj.weight", 4, 6)
    assert asked == [("model.layers.1.mlp.down_proj.weight", 4 * 20, 6 * 20)]


def test_fingerprints_tell_scales_and_bases_apart(tmp_path):
    base, other = save_base(tmp_path / "base"), save_base(tmp_path / "other", dtype=torch.bfloat16)
    adapter = save_adapter(tmp_path / "adapter", base, r=2, lora_alpha=4, target_modules=ATTENTION)
    first = open_checkpoint(adapter)
    assert first.fingerprint == open_checkpoint(adapter).fingerprint
    elsewhere = open_checkpoint(adapter, bases=AdapterBases(open_checkpoint(other)))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 5}))
    louder = open_checkpoint(adapter)
    assert len({model.fingerprint for model in (first, elsewhere, louder)}) == 3
    assert len({model.identity for model in (first, elsewhere, louder)}) == 3


def test_tokenizers_come_from_the_adapter_where_it_has_them(tmp_path):
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, r=2, target_modules=ATTENTION)
    (base / "vocab.txt").write_text("base")
    (base / "merges.txt").write_text("base")
    (adapter / "vocab.txt").write_text("adapter")
    checkpoint = open_checkpoint(adapter)
    folder = checkpoint.side_folder()
    assert {"config.json", "generation_config.json", "merges.txt", "vocab.txt"} == set(checkpoint.side_files())
    assert (folder / "vocab.txt").read_text() == "adapter"
    assert (folder / "merges.txt").read_text() == "base"
    assert (folder / "config.json").read_bytes() == (base / "config.json").read_bytes()

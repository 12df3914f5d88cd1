"""An adapter as a checkpoint holds W + s·B·A, correctly rounded, which is what PEFT's merge_and_unload saves to its own rounding.

Two oracles: the formulas in float64, written out in tiny_adapters, of which every number must be the nearest in the stored
dtype; and PEFT's merge.
"""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_adapters import PEFT_ROUNDS, assert_exact, roundings_apart, save_adapter, save_base

from hf_soup.checkpoints import AdapterBases, open_checkpoint, row_tiles
from hf_soup.errors import InputError
from hf_soup.merging import open_ingredients

pytest.importorskip("peft")

ATTENTION = ["q_proj", "v_proj"]
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BERT = "AutoModelForSequenceClassification"
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
    "trained tokens": (
        "LlamaForCausalLM",
        {},
        {"target_modules": ATTENTION, "trainable_token_indices": [20, 3]},
    ),
    "trained tokens of tied embeddings": (
        "LlamaForCausalLM",
        {"tie_word_embeddings": True},
        {"target_modules": ATTENTION, "trainable_token_indices": [0, 23]},
    ),
    "trained tokens of two matrices": (
        "LlamaForCausalLM",
        {},
        {"target_modules": ATTENTION, "trainable_token_indices": {"embed_tokens": [5], "lm_head": [7, 2]}},
    ),
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


@pytest.mark.parametrize("case", CASES)
def test_an_adapter_is_what_peft_merges(case, tmp_path):
    kind, settings, config = CASES[case]
    base = save_base(tmp_path / "base", kind, **settings)
    adapter = save_adapter(tmp_path / "adapter", base, auto_class(kind), **({"r": 4, "lora_alpha": 7} | config))
    assert_exact(adapter, base, tmp_path, auto_class(kind))


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("factors", [torch.float32, torch.float16, torch.bfloat16])
def test_base_and_adapter_may_have_different_precisions(stored, factors, tmp_path):
    base = save_base(tmp_path / "base", dtype=stored)
    adapter = save_adapter(tmp_path / "adapter", base, r=4, lora_alpha=7, target_modules=LINEAR, dtype=factors)
    assert_exact(adapter, base, tmp_path)


@pytest.mark.parametrize(
    "case",
    ["DoRA", "Conv1D, DoRA", "embeddings of BERT, DoRA", "convolutions, DoRA", "trained tokens", "biases of lora_B"],
)
def test_a_base_in_16_bits_is_rounded_once(case, tmp_path):
    kind, settings, config = CASES[case]
    base = save_base(tmp_path / "base", kind, dtype=torch.float16, **settings)
    config = {"r": 4, "lora_alpha": 7, "dtype": torch.float32} | config
    assert_exact(
        save_adapter(tmp_path / "adapter", base, auto_class(kind), **config), base, tmp_path, auto_class(kind)
    )


@pytest.mark.parametrize("kind", ["BertModel", "BertForPreTraining"])
def test_a_head_that_the_base_lacks_makes_the_class_that_was_adapted(kind, tmp_path):
    """A headless base is saved without `bert.` before its names; one with other heads has tensors that nothing uses."""
    base = save_base(tmp_path / "base", kind)
    adapter = save_adapter(
        tmp_path / "adapter", base, BERT, load={"num_labels": 3}, r=2, target_modules=["query"], task_type="SEQ_CLS"
    )
    checkpoint = assert_exact(adapter, base, tmp_path, BERT, load={"num_labels": 3})
    assert checkpoint.config["architectures"] == ["BertForSequenceClassification"]
    assert len(checkpoint.config["id2label"]) == 3
    assert json.loads((checkpoint.side_folder() / "config.json").read_text()) == checkpoint.config


@pytest.mark.parametrize("tied", [True, False])
def test_trained_tokens_may_be_new_ones(tied, tmp_path):
    base = save_base(tmp_path / "base", tie_word_embeddings=tied)
    adapter = save_adapter(
        tmp_path / "adapter", base, tokens=26, r=2, target_modules=ATTENTION, trainable_token_indices=[24, 25]
    )
    checkpoint = assert_exact(adapter, base, tmp_path, tokens=26)
    assert checkpoint.info("model.embed_tokens.weight").shape == (26, 16)
    assert checkpoint.config["vocab_size"] == 26


def test_eva_leaves_the_base_as_it_is(tmp_path):
    """Its first A comes from activations, and so do the ranks: rank_pattern says them, with EVA's own alphas."""
    import peft
    import transformers

    base = save_base(tmp_path / "base")
    torch.manual_seed(0)
    settings = peft.LoraConfig(
        r=4,
        lora_alpha=3,
        target_modules=["q_proj", "v_proj", "o_proj", "down_proj"],
        init_lora_weights="eva",
        eva_config=peft.EvaConfig(rho=2.0, use_label_mask=False),
    )
    adapted = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), settings)
    tokens = [{"input_ids": torch.randint(0, 24, (2, 12))} for _ in range(4)]
    peft.initialize_lora_eva_weights(adapted, tokens, show_progress_bar=False)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["init_lora_weights"] == "eva"
    assert config["rank_pattern"]
    checkpoint = assert_exact(tmp_path / "adapter", base, tmp_path)
    adapted.merge_and_unload().save_pretrained(tmp_path / "trained")
    for name, tensor in load_file(tmp_path / "trained" / "model.safetensors").items():
        assert roundings_apart(checkpoint.read(name), tensor) <= PEFT_ROUNDS[torch.float32]


def test_several_adapters_lie_in_one_folder(tmp_path):
    base = save_base(tmp_path / "base")
    for name, seed in (("first", 1), ("second", 2)):
        save_adapter(tmp_path / "all" / name, base, r=2, target_modules=ATTENTION, seed=seed)
        assert_exact(tmp_path / "all" / name, base, tmp_path / name)
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
    monkeypatch.setattr(row_tiles, "TILE_ELEMENTS", 50)
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
    monkeypatch.setattr(row_tiles, "TILE_ELEMENTS", 40)
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

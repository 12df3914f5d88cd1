"""What PEFT does with an adapter beside its config's word: untied embeddings, matrices that look turned, leftovers in the file."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import assert_exact, merged_by_peft, save_adapter, save_base

from hf_soup import Soup
from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError
from hf_soup.merging import open_ingredients

pytest.importorskip("peft")
SEQ_CLS = "AutoModelForSequenceClassification"
EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
SETTINGS = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}


def configure(adapter, **changes) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def tied_base(folder, kind="LlamaForCausalLM", **settings):
    return save_base(folder, kind, tie_word_embeddings=True, **settings)


@pytest.mark.parametrize(
    ("kind", "target", "saved", "tokens"),
    [
        ("LlamaForCausalLM", "q_proj", ["embed_tokens"], None),
        ("LlamaForCausalLM", "q_proj", ["lm_head"], None),
        ("LlamaForCausalLM", "q_proj", ["embed_tokens", "lm_head"], None),
        ("LlamaForCausalLM", "q_proj", ["embed_tokens"], 26),
        ("GPT2LMHeadModel", "c_attn", ["wte"], None),
    ],
)
def test_a_matrix_that_is_saved_alone_is_not_tied_any_more(kind, target, saved, tokens, tmp_path):
    base = tied_base(tmp_path / "base", kind)
    settings = SETTINGS | {"target_modules": [target], "modules_to_save": saved}
    adapter = save_adapter(tmp_path / "adapter", base, tokens=tokens, **settings)
    checkpoint = assert_exact(adapter, base, tmp_path, tokens=tokens)
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"] is False
    assert json.loads((checkpoint.side_folder() / "config.json").read_text())["tie_word_embeddings"] is False


def test_a_merge_computes_what_the_adapter_computes(tmp_path):
    import peft
    import transformers

    base = tied_base(tmp_path / "base")
    runs = [
        save_adapter(tmp_path / f"run-{seed}", base, seed=seed, modules_to_save=["embed_tokens"], **SETTINGS)
        for seed in (1, 2)
    ]
    Soup(runs).merge("linear", weights=[1, 0], out=tmp_path / "soup")
    load = transformers.AutoModelForCausalLM.from_pretrained
    ids = torch.tensor([[1, 5, 7]])
    with torch.no_grad():
        wanted = peft.PeftModel.from_pretrained(load(base), runs[0]).eval()(ids).logits
        torch.testing.assert_close(load(tmp_path / "soup").eval()(ids).logits, wanted, rtol=1e-4, atol=1e-5)


def test_copies_that_peft_keeps_tied_stay_tied(tmp_path):
    base = tied_base(tmp_path / "base")
    settings = SETTINGS | {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}
    adapter = save_adapter(tmp_path / "adapter", base, **settings)
    checkpoint = open_checkpoint(adapter)
    assert HEAD not in checkpoint.names()
    assert checkpoint.config["tie_word_embeddings"] is True
    assert torch.equal(checkpoint.read(EMBEDDINGS), merged_by_peft(adapter, base, tmp_path / "merged")[EMBEDDINGS])


def test_new_rows_that_only_the_embeddings_have(tmp_path):
    base = tied_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, tokens=26, modules_to_save=["embed_tokens"], **SETTINGS)
    path = adapter / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if "lm_head" not in name}, path)
    with pytest.raises(InputError, match=r"brings 'model\.embed_tokens\.weight' \[26, 16\] .* not 'lm_head\.weight'"):
        open_checkpoint(adapter)


def test_matrices_of_a_class_that_is_not_known_may_be_tied(tmp_path):
    base = tied_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, modules_to_save=["embed_tokens"], **SETTINGS)
    path = base / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "of_nobody"}))
    with pytest.raises(InputError, match=r"a copy of its own of 'model\.embed_tokens\.weight' \(modules_to_save\)"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    ("kind", "modules", "says"),
    [("LlamaForCausalLM", ["q_proj", "down_proj"], True), ("GPT2LMHeadModel", ["c_proj"], False)],
)
def test_the_class_of_a_module_tells_how_a_square_matrix_is_stored(kind, modules, says, tmp_path):
    base = save_base(tmp_path / "base", kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapter = save_adapter(tmp_path / "adapter", base, r=2, target_modules=modules)
    configure(adapter, fan_in_fan_out=says)
    assert_exact(adapter, base, tmp_path)


def test_a_square_matrix_of_a_class_that_is_not_known(tmp_path):
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, r=2, target_modules=["q_proj"])
    configure(adapter, fan_in_fan_out=True)
    path = base / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "of_nobody"}))
    with pytest.raises(InputError, match=r"says fan_in_fan_out, and its update of '.*q_proj' is square"):
        open_checkpoint(adapter)


def test_biases_of_a_head_that_peft_wraps_are_no_tensors_of_the_model(tmp_path):
    base = save_base(tmp_path / "base", "BertForSequenceClassification")
    settings = {"r": 2, "task_type": "SEQ_CLS"}
    every = save_adapter(tmp_path / "every", base, SEQ_CLS, bias="all", target_modules=["key"], **settings)
    saved = load_file(every / "adapter_model.safetensors")
    assert any(".original_module." in name for name in saved)
    assert_exact(every, base, tmp_path, SEQ_CLS)
    other = save_adapter(tmp_path / "other", base, SEQ_CLS, seed=3, target_modules=["query"], **settings)
    assert Soup([every, other]).plan().problems == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"modules_to_save": 5}, "modules_to_save is no list of names"),
        ({"modules_to_save": "classifier"}, "modules_to_save is no list of names"),
        ({"modules_to_save": [["classifier"]]}, "modules_to_save is no list of names"),
        ({"lora_alpha": 10**400}, r"lora_alpha 1000+\.\.\.0+; both must be numbers"),
        ({"r": 10**400}, r"r is 1000+\.\.\.0+ and"),
        ({"rank_pattern": {"q_proj": 10**400}}, "rank_pattern does not map module names to numbers"),
    ],
)
def test_values_that_peft_never_writes(changes, sentence, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", save_base(tmp_path / "base"), **SETTINGS)
    configure(adapter, **changes)
    with pytest.raises(InputError, match=sentence):
        open_ingredients([adapter])

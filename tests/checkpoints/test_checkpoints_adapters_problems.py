"""What cannot be applied exactly, or does not fit, is refused with a sentence that names it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import save_adapter, save_base

from hf_soup import Soup
from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError
from hf_soup.merging import make_plan, open_ingredients, probe

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    base = save_base(root / "base")
    return base, save_adapter(root / "adapter", base, r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])


@pytest.fixture
def adapter(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "adapter")


def configure(adapter, **changes) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit(adapter, change) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file(change(tensors) or tensors, adapter / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"peft_type": "IA3"}, "adapter of PEFT type IA3, not a LoRA"),
        ({"peft_type": "LOHA"}, "PEFT type LOHA"),
        ({"peft_type": "LOKR"}, "PEFT type LOKR"),
        ({"peft_type": "OFT"}, "PEFT type OFT"),
        ({"peft_type": "VERA"}, "PEFT type VERA"),
        ({"peft_type": "PROMPT_TUNING"}, "PEFT type PROMPT_TUNING, which adds to the input and changes no weights"),
        ({"peft_type": "PREFIX_TUNING"}, "PEFT type PREFIX_TUNING, which adds to the input and changes no weights"),
        ({"peft_type": None}, "names no peft_type"),
        ({"init_lora_weights": "pissa_niter_4"}, "initialised by PiSSA"),
        ({"init_lora_weights": "olora"}, "initialised by OLoRA"),
        ({"init_lora_weights": "corda"}, "initialised by CorDA"),
        ({"init_lora_weights": "loftq"}, "initialised by LoftQ"),
        ({"layer_replication": [[0, 1], [0, 2]]}, "repeats layers"),
        ({"init_lora_weights": "lora_ga"}, "initialised by LoRA-GA"),
        ({"trainable_token_indices": [1]}, r"holds no rows of embeddings, .* \(trainable_token_indices\)"),
        ({"trainable_token_indices": [1, 1]}, "trainable_token_indices gives no lists of different numbers from 0"),
        ({"trainable_token_indices": {"embed_tokens": [-1]}}, "gives no lists of different numbers from 0"),
        ({"target_parameters": ["k_proj.weight"]}, r"no factors for 'model\.layers\.0\.self_attn\.k_proj\.weight'"),
        ({"target_parameters": "k_proj.weight"}, "target_parameters is no list of names"),
        ({"use_qalora": True}, "QALoRA"),
        ({"r": 3}, r"module 'model\.layers\.0\.self_attn\.q_proj' has factors of rank 2, adapter_config\.json says 3"),
        ({"r": 0}, r"r is 0 and lora_alpha 4"),
        ({"lora_alpha": "much"}, r"lora_alpha 'much'"),
        ({"rank_pattern": {"(": 2}}, r"rank_pattern has '\(', which is no regular expression"),
        ({"use_dora": True}, "has no magnitudes, .* use_dora=True"),
    ],
)
def test_a_config_that_cannot_be_applied_exactly(changes, sentence, adapter):
    configure(adapter, **changes)
    with pytest.raises(InputError, match=sentence):
        open_checkpoint(adapter)


def drop(ending):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.endswith(ending)}


def rename(old, new):
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop("0.self_attn.q_proj.lora_B.weight"), "q_proj' has no lora_B; the file is not complete"),
        (
            rename("q_proj", "query"),
            r"adapts 'model\.layers\.0\.self_attn\.query', .*1\.self_attn\.query', which .*base does not",
        ),
        (rename("q_proj", "k_proj"), r"update of '.*k_proj\.weight' is \[16, 16\], the tensor is \[8, 16\]"),
        (
            rename("lora_A.weight", "lora_A.default.weight"),
            r"has '.*lora_A\.default\.weight', a name that PEFT does not",
        ),
        (rename("lora_A", "lora_down"), r"format of kohya's scripts"),
        (rename("lora_A.weight", "lora.down.weight"), r"old format of diffusers"),
        (lambda tensors: {name: tensor.to(torch.int32) for name, tensor in tensors.items()}, "is I32, not a floating"),
        (
            lambda tensors: {"base_model.model.lm_head.weight": torch.zeros(24, 8)},
            r"'base_model.*' is \[24, 8\], .*\[24, 16\]",
        ),
    ],
)
def test_tensors_that_do_not_fit(change, sentence, adapter):
    edit(adapter, change)
    with pytest.raises(InputError, match=sentence):
        open_checkpoint(adapter)


def test_files_of_other_programs_are_named(tmp_path):
    folder = tmp_path / "kohya"
    folder.mkdir()
    save_file({"lora_unet_mid.lora_down.weight": torch.zeros(2, 2)}, folder / "style.safetensors")
    with pytest.raises(InputError, match=r"LoRA in the format of kohya's scripts"):
        open_checkpoint(folder)


def test_an_adapter_without_weights(adapter):
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has adapter_config\.json and no adapter_model\.safetensors"):
        open_checkpoint(adapter)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq"])
def test_a_quantised_base(method, made, adapter, tmp_path):
    base = shutil.copytree(made[0], tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": method}}))
    configure(adapter, base_model_name_or_path=str(base))
    with pytest.raises(
        InputError,
        match=rf"its base .* is quantised: .* \({method}\); name the same model in 16 or 32 bits with base= .* its card names",
    ):
        open_checkpoint(adapter)
    assert open_ingredients([adapter], base=made[0]).models[0].base.ref.path == made[0]


def test_a_quantised_base_whose_config_does_not_say_so(made, adapter, tmp_path):
    base = shutil.copytree(made[0], tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    packed = {f"{name.removesuffix('weight')}qweight": torch.zeros(2, 16, dtype=torch.int32) for name in tensors}
    save_file(packed, base / "model.safetensors")
    configure(adapter, base_model_name_or_path=str(base))
    with pytest.raises(InputError, match=r"its base .* is quantised: .*; name the same model in 16 or 32 bits"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([1, 2, 3], r"trains rows of 'model\.embed_tokens', \[2, 16\]; .* names 3 rows of it"),
        ([1, 24], "trains row 24 of"),
    ],
)
def test_trained_tokens_that_do_not_fit(rows, wanted, made, adapter):
    configure(adapter, trainable_token_indices=rows)
    delta = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"
    edit(adapter, lambda tensors: tensors | {delta: torch.zeros(2, 16)})
    with pytest.raises(InputError, match=wanted):
        open_checkpoint(adapter)


def test_trained_tokens_of_a_tied_output_matrix_of_its_own(tmp_path):
    """PEFT merges both into the shared matrix, though in training each changed only its own use of it."""
    base = save_base(tmp_path / "base", tie_word_embeddings=True)
    tokens = {"embed_tokens": [3], "lm_head": [2, 4]}
    adapter = save_adapter(tmp_path / "a", base, r=2, target_modules=["q_proj"], trainable_token_indices=tokens)
    with pytest.raises(InputError, match=r"adapts 'lm_head', whose weights .* shares with its embeddings"):
        open_checkpoint(adapter)


def test_an_adapter_on_an_adapter(made, adapter):
    configure(adapter, base_model_name_or_path=str(made[1]))
    with pytest.raises(InputError, match=r"is an adapter itself"):
        open_checkpoint(adapter)


def test_an_update_of_an_output_matrix_that_is_tied(tmp_path):
    tied = save_base(tmp_path / "base", tie_word_embeddings=True)
    free = save_base(tmp_path / "free")
    adapter = save_adapter(tmp_path / "adapter", free, r=2, target_modules=["lm_head"])
    edit(adapter, drop("lm_head.base_layer.weight"))
    configure(adapter, base_model_name_or_path=str(tied))
    with pytest.raises(InputError, match=r"adapts 'lm_head', whose weights .* shares with its embeddings"):
        open_checkpoint(adapter)


def test_all_that_is_unhealthy_is_listed_before_the_merge(made, adapter, tmp_path):
    def break_it(tensors):
        for name, tensor in tensors.items():
            if "lora_B" in name:
                tensor.zero_()
        tensors["base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"][0, 0] = float("nan")

    edit(adapter, break_it)
    configure(adapter, lora_alpha=1e5)
    plan = make_plan(open_ingredients([adapter, made[1]]))
    assert not plan.problems
    said = "\n".join(probe(plan).problems)
    for sentence in ("v_proj.lora_A.weight' holds NaN", "every lora_B is zero", "scales its updates by 50000"):
        assert sentence in said
    with pytest.raises(InputError, match="every lora_B is zero"):
        Soup([adapter, made[1]]).merge(out=tmp_path / "soup")


def test_every_adapter_with_a_problem_is_listed_at_once(made, adapter, tmp_path):
    other = shutil.copytree(adapter, tmp_path / "other")
    configure(adapter, peft_type="IA3")
    configure(other, init_lora_weights="pissa")
    with pytest.raises(InputError) as failure:
        open_ingredients([adapter, other, made[1]])
    assert len(failure.value.problems) == 2

"""Adapters of stacked experts (target_parameters): exact in the tensors of the base's files, whatever memory makes of them."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import assert_exact, save_adapter, save_base

from hf_soup import Soup
from hf_soup.checkpoints import open_checkpoint, row_tiles
from hf_soup.checkpoints.lora_adapter import open_adapter
from hf_soup.errors import InputError

pytest.importorskip("peft")

BOTH = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
MERGE = "merge it into its base with PEFT"
CASES = {
    "one tensor per expert, gate and up apart": (
        "Qwen3MoeForCausalLM",
        {"target_modules": ["q_proj"], "target_parameters": BOTH},
    ),
    "other names in files": (
        "MixtralForCausalLM",
        {"target_modules": [], "target_parameters": ["experts.down_proj", "mlp.gate.weight"], "use_rslora": True},
    ),
    "names without a module, patterns that name parameters": (
        "MixtralForCausalLM",
        {
            "target_modules": ["v_proj"],
            "target_parameters": ["gate_up_proj", "down_proj"],
            "rank_pattern": {"experts.gate_up_proj": 3, "v_proj": 2},
            "alpha_pattern": {r".*\.down_proj": 5},
        },
    ),
    "stacked in files, inputs first, three parameters of one module": (
        "GptOssForCausalLM",
        {"target_modules": [], "target_parameters": [*BOTH, "mlp.experts.down_proj_bias"]},
    ),
    "stacked in files, inputs first unsaid": (
        "Llama4ForCausalLM",
        {"target_modules": [], "target_parameters": ["feed_forward.experts.gate_up_proj"]},
    ),
    "stacked in files, outputs first, other names": (
        "GraniteMoeForCausalLM",
        {"target_modules": ["q_proj"], "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]},
    ),
    "a parameter that is a linear layer's weight": (
        "LlamaForCausalLM",
        {"target_modules": [], "target_parameters": ["q_proj.weight"], "rank_pattern": {"q_proj": 2}},
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_an_adapter_of_experts_is_what_peft_merges(case, dtype, tmp_path):
    kind, config = CASES[case]
    base = save_base(tmp_path / "base", kind, dtype=dtype)
    adapter = save_adapter(tmp_path / "adapter", base, **({"r": 4, "lora_alpha": 7} | config))
    checkpoint = assert_exact(adapter, base, tmp_path)
    assert checkpoint.names() == open_checkpoint(base).names()


def test_a_single_expert(tmp_path):
    base = save_base(tmp_path / "base", "MixtralForCausalLM", num_local_experts=1, num_experts_per_tok=1)
    assert_exact(
        save_adapter(tmp_path / "adapter", base, r=2, target_modules=[], target_parameters=BOTH), base, tmp_path
    )


def test_files_may_have_the_experts_turned(tmp_path):
    """transformers turns them on loading where their shapes say so; saved again they would lie as in memory."""
    auto = "AutoModelForImageTextToText"
    plain = save_base(tmp_path / "plain", "Qwen3VLMoeForConditionalGeneration")
    adapter = save_adapter(tmp_path / "adapter", plain, auto, r=2, target_modules=[], target_parameters=BOTH)
    expected = assert_exact(adapter, plain, tmp_path, auto)
    tensors = load_file(plain / "model.safetensors")
    stacked = [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]
    assert len(stacked) == 2
    turned = tmp_path / "turned"
    turned.mkdir()
    tensors |= {name: tensors[name].mT.contiguous() for name in stacked}
    save_file(tensors, turned / "model.safetensors", {"format": "pt"})
    (turned / "config.json").write_bytes((plain / "config.json").read_bytes())
    checkpoint = open_checkpoint(rebased(adapter, turned))
    for name in stacked:
        assert torch.equal(checkpoint.read(name).mT, expected.read(name))


def test_adapters_from_before_experts_were_stacked(tmp_path):
    """transformers 4 had a linear layer for every expert, under the names that files have."""
    base = save_base(tmp_path / "base", "MixtralForCausalLM")
    adapter = save_adapter(tmp_path / "adapter", base, r=2, lora_alpha=3, target_modules=["q_proj"])
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name, tensor in load_file(base / "model.safetensors").items():
        if ".experts." in name:
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = 0.2 * torch.randn(2, tensor.shape[1])
            tensors[f"{module}.lora_B.weight"] = 0.2 * torch.randn(tensor.shape[0], 2)
    save_file(tensors, adapter / "adapter_model.safetensors", {"format": "pt"})
    configure(adapter, target_modules=["q_proj", "w1", "w2", "w3"])
    assert_exact(adapter, base, tmp_path)


def test_a_new_head_keeps_the_experts(tmp_path):
    base = save_base(tmp_path / "base", "Qwen3MoeForCausalLM")
    adapter = save_adapter(
        tmp_path / "adapter",
        base,
        "AutoModelForSequenceClassification",
        load={"num_labels": 3},
        r=2,
        target_modules=[],
        target_parameters=BOTH,
        task_type="SEQ_CLS",
    )
    checkpoint = assert_exact(adapter, base, tmp_path, "AutoModelForSequenceClassification", load={"num_labels": 3})
    assert "score.weight" in checkpoint.names()


@pytest.mark.parametrize("kind", ["GptOssForCausalLM", "Qwen3MoeForCausalLM"])
def test_any_span_of_experts_has_the_bits_of_the_whole(kind, tmp_path, monkeypatch):
    base = save_base(tmp_path / "base", kind, dtype=torch.bfloat16)
    checkpoint = open_checkpoint(
        save_adapter(tmp_path / "adapter", base, r=3, target_modules=[], target_parameters=BOTH)
    )
    monkeypatch.setattr(row_tiles, "TILE_ELEMENTS", 100)
    for name in checkpoint.fitted.updates:
        whole = checkpoint.read(name).flatten()
        for step in (7, 100, 640):
            pieces = [
                checkpoint.read_span(name, start, min(start + step, len(whole)))
                for start in range(0, len(whole), step)
            ]
            assert torch.equal(torch.cat(pieces), whole), (name, step)


def test_a_soup_of_such_adapters_has_the_base_s_files(tmp_path):
    base = save_base(tmp_path / "base", "Qwen3MoeForCausalLM")
    adapters = [
        save_adapter(tmp_path / f"run-{n}", base, seed=n, r=2, target_modules=["q_proj"], target_parameters=BOTH)
        for n in (1, 2)
    ]
    Soup(adapters).merge(out=tmp_path / "soup")
    soup, one, other = (open_checkpoint(path) for path in (tmp_path / "soup", *adapters))
    assert soup.names() == open_checkpoint(base).names()
    for name in soup.names():
        torch.testing.assert_close(soup.read(name), (one.read(name) + other.read(name)) / 2, rtol=0, atol=1e-6)


def test_identities_tell_apart_which_parameters_and_rows_the_config_names(tmp_path):
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, r=2, target_modules=["q_proj"], trainable_token_indices=[3, 5])
    first = open_checkpoint(adapter).identity
    configure(adapter, trainable_token_indices=[3, 6])
    assert open_checkpoint(adapter).identity != first


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("experts")
    base = save_base(root / "base", "Qwen3MoeForCausalLM")
    return base, save_adapter(root / "adapter", base, r=2, target_modules=["q_proj"], target_parameters=BOTH)


def configure(adapter, **changes) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def copied(adapter, folder, change=lambda tensors: tensors):
    folder.mkdir()
    save_file(change(load_file(adapter / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    return folder


def rebased(adapter, base):
    configure(adapter, base_model_name_or_path=str(base))
    return adapter


def test_a_layout_that_is_more_than_cut_and_turned_is_refused(tmp_path):
    base = save_base(tmp_path / "base", "Inkling2ForCausalLM")
    adapter = save_adapter(tmp_path / "adapter", base, r=2, target_modules=[], target_parameters=BOTH)
    with pytest.raises(InputError, match=rf"gate_up_proj', which transformers stores in another layout .*{MERGE}"):
        open_checkpoint(adapter)


def test_a_module_that_files_hold_fused_with_others_is_refused(tmp_path):
    base = save_base(tmp_path / "base", "NomicBertModel")
    adapter = save_adapter(tmp_path / "adapter", base, "AutoModel", r=2, target_modules=["q_proj"])
    fused = r"self_attn\.q_proj'.*, which .* stores cut, fused with others, or in another order"
    with pytest.raises(InputError, match=rf"{fused}; {MERGE}"):
        open_checkpoint(adapter)


def test_a_model_type_that_transformers_does_not_know(made, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes((made[0] / "model.safetensors").read_bytes())
    (base / "config.json").write_text(json.dumps({"model_type": "ours", "architectures": ["Ours"]}))
    with pytest.raises(InputError, match=rf"transformers does not know the model type 'ours' .*{MERGE}"):
        open_checkpoint(rebased(copied(made[1], tmp_path / "adapter"), base))


def test_a_base_of_other_experts(made, tmp_path):
    more = save_base(tmp_path / "more", "Qwen3MoeForCausalLM", num_experts=4)
    with pytest.raises(InputError, match=r"lora_A \[6, 16\] .*\[4, 24, 16\], which at rank 2 takes \[8, 16\]"):
        open_checkpoint(rebased(copied(made[1], tmp_path / "adapter"), more))


def test_a_file_that_lacks_an_expert(made, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    lost = "model.layers.1.mlp.experts.2.up_proj.weight"
    tensors = load_file(made[0] / "model.safetensors")
    del tensors[lost]
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    (base / "config.json").write_bytes((made[0] / "config.json").read_bytes())
    with pytest.raises(InputError, match=rf"stores as '{lost}' \[12, 16\]; in .* it is not there"):
        open_checkpoint(rebased(copied(made[1], tmp_path / "adapter"), base))


def test_factors_for_fewer_parameters_than_the_config_names(made, tmp_path):
    adapter = copied(
        made[1],
        tmp_path / "adapter",
        lambda tensors: {name: t for name, t in tensors.items() if ".base_layer." not in name},
    )
    with pytest.raises(InputError, match=r"factors for 1 parameters of 'model\.layers\.0\.mlp\.experts', .* has 2"):
        open_checkpoint(adapter)


def test_experts_that_are_saved_whole(made, tmp_path):
    whole = torch.zeros(3, 24, 16)
    adapter = copied(
        made[1],
        tmp_path / "adapter",
        lambda tensors: tensors | {"base_model.model.model.layers.0.mlp.experts.gate_up_proj": whole},
    )
    with pytest.raises(
        InputError, match=rf"gate_up_proj', which .* stores cut, fused with others, or in another order; {MERGE}"
    ):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"target_parameters": BOTH}, r"adapts stacked experts \(target_parameters\)"),
        (
            {"target_modules": ["q_proj"], "trainable_token_indices": [1]},
            r"trains single rows .*\(trainable_token_indices\)",
        ),
    ],
)
def test_factors_that_mean_nothing_alone_are_not_handled_alone(config, what, tmp_path):
    base = save_base(tmp_path / "base", "MixtralForCausalLM")
    adapter = save_adapter(tmp_path / "adapter", base, **({"r": 2, "target_modules": []} | config))
    with pytest.raises(InputError, match=rf"{what}, which can only be applied to its base"):
        open_adapter(adapter)

"""A full fine-tune becomes an adapter, and the commands that make adapters."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_samples import loaded, logits, merged_by_peft, weighted_full_model, write_adapter, write_base
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_adapters import save_base
from transformers import BertForSequenceClassification

from hf_soup.adapters import extract_adapter
from hf_soup.adapters.best_rank import best_low_rank
from hf_soup.cli import main
from hf_soup.errors import InputError


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory) -> Path:
    """Every tensor differs from the base's."""
    model = BertForSequenceClassification.from_pretrained(base)
    torch.manual_seed(5)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("tuned")
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (300, 200)])
def test_the_nearest_matrix_of_a_rank(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(0.9 ** torch.arange(shape[1]).float())
    result = best_low_rank(matrix, rank=5)
    sigma = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    error = torch.linalg.norm(matrix - result.factors.b @ result.factors.a)
    assert float(error) == pytest.approx(np.linalg.norm(sigma[5:]), rel=1e-3)
    assert result.energy == pytest.approx(np.sum(sigma[:5] ** 2) / np.sum(sigma**2), rel=1e-3)


def test_all_ranks_and_full_tensors_give_the_fine_tune_back(base, tuned, tmp_path):
    made = extract_adapter(tuned, base, energy=1.0, full=True, out=tmp_path / "out")
    expected = logits(BertForSequenceClassification.from_pretrained(tuned))
    assert made.record.left_out == {}
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), expected, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(logits(merged_by_peft(base, tmp_path / "out")), expected, atol=2e-5, rtol=2e-5)


def test_a_small_rank_states_its_error_and_what_it_leaves_out(base, tuned, tmp_path):
    made = extract_adapter(tuned, base, rank=3, out=tmp_path / "out")
    module = "bert.encoder.layer.0.attention.self.query"
    models = [BertForSequenceClassification.from_pretrained(each) for each in (tuned, base)]
    whole = models[0].get_submodule(module).weight - models[1].get_submodule(module).weight
    delta = loaded(base, tmp_path / "out").get_submodule(f"base_model.model.{module}").get_delta_weight("default")
    stated = made.record.modules[module]
    assert stated.error == pytest.approx(float((whole - delta).detach().norm()), rel=1e-3)
    assert f"{module}.bias" in made.record.left_out
    assert any("--full" in warning for warning in made.warnings)


def test_gpt2_with_its_transposed_matrices_and_tied_embeddings(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=50, n_positions=16)).eval()
    model.save_pretrained(tmp_path / "base")
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and "wte" not in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "tuned")
    made = extract_adapter(tmp_path / "tuned", tmp_path / "base", energy=1.0, out=tmp_path / "out")
    assert made.record.left_out == {}
    words = torch.tensor([[1, 2, 3, 4]])
    start = GPT2LMHeadModel.from_pretrained(tmp_path / "base")
    found = PeftModel.from_pretrained(start, tmp_path / "out").eval()
    torch.testing.assert_close(found(words).logits, model(words).logits, atol=1e-5, rtol=1e-5)


def test_a_head_that_the_base_lacks_is_kept_in_full(tuned, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    BertForMaskedLM(BertConfig.from_pretrained(tuned)).save_pretrained(tmp_path / "masked")
    made = extract_adapter(tuned, tmp_path / "masked", energy=1.0, full=True, out=tmp_path / "out")
    assert {"classifier.weight", "classifier.bias"} <= set(made.record.replaced)
    expected = logits(BertForSequenceClassification.from_pretrained(tuned))
    torch.testing.assert_close(logits(loaded(tmp_path / "masked", tmp_path / "out")), expected, atol=2e-5, rtol=2e-5)


def test_wrong_requests_are_refused(base, tuned, tmp_path):
    for settings, said in (({}, "one of the two"), ({"rank": 0}, "at least 1"), ({"rank": 900}, "largest matrix")):
        with pytest.raises(InputError, match=said):
            extract_adapter(tuned, base, **settings, out=tmp_path / "out")
    with pytest.raises(InputError, match="nothing to extract"):
        extract_adapter(write_base(tmp_path / "same"), base, rank=2, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def run(capsys, *words) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["adapters", *map(str, words)])
    return int(end.value.code or 0), capsys.readouterr().out


def test_the_commands(capsys, base, tuned, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(2)]
    code, out = run(capsys, "combine", *adapters, "-o", tmp_path / "svd", "--as", "svd", "--rank", "4", "--json")
    assert code == 0
    assert 0 < json.loads(out)["energy"] < 1
    code, out = run(capsys, "combine", *adapters, "-o", tmp_path / "cat", "--weights", "3,1")
    assert code == 0
    assert "exact" in out
    expected = logits(weighted_full_model(base, adapters, [0.75, 0.25]))
    torch.testing.assert_close(logits(loaded(base, tmp_path / "cat")), expected, atol=2e-5, rtol=2e-5)
    code, out = run(capsys, "extract", tuned, "--base", base, "--rank", 2, "-o", tmp_path / "small")
    assert code == 0
    assert "rank    2" in out
    assert run(capsys, "combine", *adapters, "-o", tmp_path / "x", "--rank", "many", "--as", "svd")[0] == 2


def test_the_command_makes_a_full_model(capsys, base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(2)]
    code, _ = run(capsys, "combine", *adapters, "-o", tmp_path / "model", "--as", "model", "--weights", "3,1")
    assert code == 0
    expected = logits(weighted_full_model(base, adapters, [0.75, 0.25]))
    found = logits(BertForSequenceClassification.from_pretrained(tmp_path / "model"))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


def test_experts_that_lie_cut_in_files_are_said_to_be_left_out(tmp_path):
    base = save_base(tmp_path / "base", "MixtralForCausalLM")
    tensors = load_file(base / "model.safetensors")
    experts = [name for name in tensors if ".experts." in name]
    assert experts
    tuned = shutil.copytree(base, tmp_path / "tuned")
    torch.manual_seed(0)
    moved = {n: t + 0.1 * torch.randn_like(t) if n in experts or "q_proj" in n else t for n, t in tensors.items()}
    save_file(moved, tuned / "model.safetensors", metadata={"format": "pt"})
    made = extract_adapter(tuned, base, energy=1.0, out=tmp_path / "out")
    assert sorted(made.record.left_out) == sorted(experts)
    for name in experts:
        assert made.record.left_out[name] == pytest.approx(float((moved[name] - tensors[name]).norm()), rel=1e-4)
    assert any(f"{len(experts)} tensors differ" in warning for warning in made.warnings)
    assert experts[0] in (tmp_path / "out" / "README.md").read_text()


def test_nan_in_an_expert_is_refused(tmp_path):
    base = save_base(tmp_path / "base", "MixtralForCausalLM")
    tuned = shutil.copytree(base, tmp_path / "tuned")
    tensors = load_file(tuned / "model.safetensors")
    expert = next(name for name in tensors if ".experts." in name)
    tensors[expert][0, 0] = float("nan")
    save_file(tensors, tuned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"{re.escape(expert)}' holds NaN"):
        extract_adapter(tuned, base, rank=2, out=tmp_path / "out")


@pytest.mark.parametrize("which", ["model", "base"])
def test_codes_of_eight_bits_are_no_weights(base, tuned, tmp_path, which):
    """Without a quantization_config: what bitsandbytes leaves in the file tells it."""
    codes = shutil.copytree(base, tmp_path / "codes")
    tensors = load_file(codes / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query"
    tensors[f"{name}.weight"] = tensors[f"{name}.weight"].mul(100).to(torch.int8)
    tensors[f"{name}.SCB"] = torch.ones(32)
    save_file(tensors, codes / "model.safetensors", metadata={"format": "pt"})
    pair = (codes, tuned) if which == "model" else (tuned, codes)
    with pytest.raises(InputError, match=r"codes: is quantised: it has the tensor .*SCB"):
        extract_adapter(*pair, rank=2, out=tmp_path / "out")

"""The probe's error rates on named pairs of really trained models."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import relatives, write_checkpoint, write_relatives

from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint
from hf_soup.merging import make_plan, open_ingredients, probe
from hf_soup.merging.probe import MAX_BYTES

HIDDEN = 32


def probed(*folders, base=None):
    ingredients = open_ingredients([str(f) for f in folders], base=str(base) if base else None)
    return probe(make_plan(ingredients), ingredients.base)


def tiny_bert(seed: int):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=64,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(seed)
    model = BertForSequenceClassification(config)
    for parameter in model.parameters():
        if parameter.ndim >= 2:  # matrices of a pre-trained model's size, so that training moves them by as little
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def train(model, *, seed: int, lr: float, steps: int = 40):
    """Fits "does an even token come first" on random sentences; each seed has its own data order."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    for _ in range(steps):
        tokens = torch.randint(0, 64, (16, 8), generator=generator)
        model(input_ids=tokens, labels=(tokens[:, 0] + 1) % 2).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model


def new_head(model, seed: int):
    torch.manual_seed(seed)
    torch.nn.init.normal_(model.classifier.weight, std=0.2)
    return model


def lora_merge(model, *, seed: int):
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, task_type=TaskType.SEQ_CLS, target_modules=["query", "value"])
    return train(get_peft_model(model, config), seed=seed, lr=5e-3).merge_and_unload()


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("probe")
    made = {
        "base": tiny_bert(0),
        "small-lr-1": train(tiny_bert(0), seed=1, lr=1e-4),
        "small-lr-2": train(tiny_bert(0), seed=2, lr=1e-4),
        "absurd-lr-1": train(tiny_bert(0), seed=3, lr=5e-3),
        "absurd-lr-2": train(tiny_bert(0), seed=4, lr=5e-3),
        "lora-1": lora_merge(tiny_bert(0), seed=5),
        "lora-2": lora_merge(tiny_bert(0), seed=6),
        "own-head-1": train(new_head(tiny_bert(0), 11), seed=7, lr=1e-4),
        "own-head-2": train(new_head(tiny_bert(0), 12), seed=8, lr=1e-4),
        "second-pretraining": train(tiny_bert(100), seed=1, lr=5e-3, steps=80),
        "random": tiny_bert(200),
    }
    for name, model in made.items():
        model.save_pretrained(root / name)
    return {name: root / name for name in made}


RELATIVES = [
    "base",
    "small-lr-1",
    "small-lr-2",
    "absurd-lr-1",
    "absurd-lr-2",
    "lora-1",
    "lora-2",
    "own-head-1",
    "own-head-2",
]
STRANGERS = ["second-pretraining", "random"]


def test_no_pair_of_relatives_is_called_strangers(models):
    for a, b in itertools.combinations(RELATIVES, 2):
        result = probed(models[a], models[b])
        assert result.problems == (), (a, b, result.problems)
        assert result.cosines[0, 1] > 0.8, (a, b)


def test_every_pair_with_a_stranger_is_found(models):
    for a, b in [*itertools.product(RELATIVES, STRANGERS), tuple(STRANGERS)]:
        result = probed(models[a], models[b])
        assert "do not come from one pre-trained model" in result.problems[0], (a, b)
        assert abs(result.cosines[0, 1]) < 0.2, (a, b)


def test_heads_from_different_starts_are_a_warning_and_shared_starts_are_not(models):
    assert "heads did not start from one head" in probed(models["own-head-1"], models["own-head-2"]).warnings[0]
    assert probed(models["small-lr-1"], models["absurd-lr-1"]).warnings == ()


def test_one_stranger_among_many_is_named(models):
    result = probed(models["small-lr-1"], models["random"], models["small-lr-2"])
    groups = result.problems[0].split("): ")[1].split(". Their")[0].split(" | ")
    assert sorted(len(group.split(", ")) for group in groups) == [1, 2]
    assert next(group for group in groups if "," not in group).endswith("random")


def test_an_untrained_copy_of_the_base_is_a_warning(models, tmp_path):
    from safetensors.torch import load_file

    tensors = load_file(models["base"] / "model.safetensors")
    config = (models["base"] / "config.json").read_text()
    copy = write_checkpoint(tmp_path / "copy", tensors, shards=2)
    (copy / "config.json").write_text(config)
    result = probed(models["small-lr-1"], copy, base=models["base"])
    assert "is an untrained copy of the base" in result.warnings[0]


def test_duplicates_of_another_dtype_are_found(tmp_path):
    model = relatives(1, dtype=torch.bfloat16)[0]
    wide = {n: t.float() if t.is_floating_point() else t for n, t in model.items()}
    result = probed(write_checkpoint(tmp_path / "a", model), write_checkpoint(tmp_path / "b", wide))
    assert "holds the same weights as" in result.problems[0]


def test_models_that_differ_in_one_vector_only_are_no_duplicates(tmp_path):
    a = relatives(1)[0]
    b = {**a, "encoder.layer.0.norm.bias": a["encoder.layer.0.norm.bias"] + 0.1}
    assert probed(write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", b)).problems == ()


def test_nan_and_a_zeroed_matrix_are_found(tmp_path):
    a, b = relatives(2)
    a["encoder.layer.0.norm.bias"][0] = float("nan")
    b["encoder.layer.2.dense.weight"].zero_()
    problems = "\n".join(probed(write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", b)).problems)
    assert "'encoder.layer.0.norm.bias' holds NaN" in problems
    assert "'encoder.layer.2.dense.weight' is zero in" in problems


def test_the_probe_reads_at_most_its_budget_of_each_model(tmp_path, monkeypatch):
    big = {f"layer.{i}.weight": torch.randn(600, 500) for i in range(80)}
    folders = [write_checkpoint(tmp_path / f"m{i}", {n: t + 0.01 * i for n, t in big.items()}) for i in range(2)]
    read: dict[str, int] = {}
    real = SafetensorsCheckpoint.read_span

    def counted(self, name, start, stop, out=None):
        span = real(self, name, start, stop, out)
        read[self.label] = read.get(self.label, 0) + span.nbytes
        return span

    plan = make_plan(open_ingredients([str(f) for f in folders]))
    monkeypatch.setattr(SafetensorsCheckpoint, "read_span", counted)
    result = probe(plan)
    assert max(read.values()) == result.bytes_read <= MAX_BYTES
    assert result.bytes_read > 2**20


def test_the_order_of_the_models_does_not_change_what_is_found(tmp_path):
    folders = write_relatives(tmp_path, 3)
    first, second = probed(*folders), probed(*reversed(folders))
    assert first.problems == second.problems == ()
    assert first.cosines == pytest.approx(second.cosines)

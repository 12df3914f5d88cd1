"""What is wrong with adapters, bases and requests is said in one go, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from adapter_samples import loaded, logits, merged_by_peft, write_adapter, write_base
from safetensors.torch import load_file, save_file
from tiny_models import read_json, untrained_classifier
from transformers import BertForSequenceClassification

from hf_soup.adapters import combine_adapters, extract_adapter
from hf_soup.errors import InputError, NonFiniteWeights


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


def edit_tensors(adapter: Path, change) -> Path:
    """`change` gets the tensors by name and alters them in place."""
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return adapter


def edit_config(adapter: Path, **fields: object) -> Path:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(read_json(path) | fields))
    return adapter


def with_nan(tensors: dict[str, torch.Tensor]) -> None:
    next(t for name, t in sorted(tensors.items()) if "lora_A" in name)[0, 0] = float("nan")


def untrained(tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.zero_()


def said(error: pytest.ExceptionInfo[InputError], *words: str) -> bool:
    return any(all(word in problem for word in words) for problem in error.value.problems)


def test_everything_that_is_wrong_is_said_at_once(base, tmp_path):
    damaged = edit_tensors(write_adapter(tmp_path / "damaged", base, 1), with_nan)
    empty = edit_tensors(write_adapter(tmp_path / "empty", base, 2), untrained)
    loud = write_adapter(tmp_path / "loud", base, 3, lora_alpha=40_000)
    dora = write_adapter(tmp_path / "dora", base, 4, use_dora=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    with pytest.raises(InputError) as error:
        combine_adapters(
            [damaged, empty, loud, dora, tmp_path / "lost"], [1, 2], as_="svd", rank=0, out=tmp_path / "out"
        )
    assert said(error, str(damaged), "NaN")
    assert said(error, str(empty), "not trained")
    assert said(error, str(loud), "10000")
    assert said(error, str(dora), "DoRA", "--as model", "adapters extract")
    assert said(error, "lost", "does not exist")
    assert said(error, "5 adapters and 2 weights")
    assert said(error, "rank=0")
    assert said(error, "exists", "--overwrite")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_force_goes_on_with_an_untrained_adapter_and_never_with_nan(base, tmp_path):
    trained = write_adapter(tmp_path / "trained", base, 1, task_type=None)
    empty = edit_tensors(write_adapter(tmp_path / "empty", base, 2, task_type=None), untrained)
    made = combine_adapters([trained, empty], force=True, out=tmp_path / "out")
    assert any("not trained" in warning for warning in made.warnings)
    start = logits(BertForSequenceClassification.from_pretrained(base))
    assert not torch.equal(logits(loaded(base, tmp_path / "out")), start)
    edit_tensors(empty, with_nan)
    with pytest.raises(NonFiniteWeights, match="lora_A"):
        combine_adapters([trained, empty], force=True, out=tmp_path / "nan")
    assert not (tmp_path / "nan").exists()


def test_one_module_with_a_zero_b_is_no_problem(base, tmp_path):
    def one(tensors: dict[str, torch.Tensor]) -> None:
        next(t for name, t in sorted(tensors.items()) if "lora_B" in name).zero_()

    combine_adapters([edit_tensors(write_adapter(tmp_path / "a", base, 1), one)], out=tmp_path / "out")


def test_modules_that_the_base_lacks_and_shapes_that_do_not_fit_it(base, tmp_path):
    def elsewhere(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if "layer.1." in name]:
            tensors[name.replace("layer.1.", "layer.7.")] = tensors.pop(name)

    lost = edit_tensors(write_adapter(tmp_path / "lost", base, 1), elsewhere)
    wider = BertForSequenceClassification.from_pretrained(base).config
    wider.hidden_size = 64
    BertForSequenceClassification(wider).save_pretrained(tmp_path / "wide")
    wide = edit_config(write_adapter(tmp_path / "a", tmp_path / "wide", 2), base_model_name_or_path=str(base))
    with pytest.raises(InputError) as error:
        combine_adapters([lost], out=tmp_path / "out")
    assert said(error, "encoder.layer.7.attention.self.query", str(base), "does not have")
    with pytest.raises(InputError) as error:
        combine_adapters([wide], out=tmp_path / "out")
    assert said(error, "query.weight", "[64, 64]", "[32, 32]")
    with pytest.raises(InputError) as error:
        combine_adapters([write_adapter(tmp_path / "fits", base, 3), wide], out=tmp_path / "out")
    assert said(error, "were they made for one base?")
    assert not (tmp_path / "out").exists()


def test_a_new_head_that_the_base_does_not_have_is_no_misfit(base, tmp_path):
    """Trained as a classifier on a masked language model, whose file has neither pooler nor classifier."""
    from transformers import BertForMaskedLM

    masked = tmp_path / "masked"
    BertForMaskedLM(BertForSequenceClassification.from_pretrained(base).config).save_pretrained(masked)
    adapters = [
        write_adapter(tmp_path / str(seed), masked, seed, target_modules=["query", "classifier"], task_type=None)
        for seed in range(2)
    ]
    made = combine_adapters([edit_config(one, task_type="SEQ_CLS") for one in adapters], out=tmp_path / "out")
    assert "classifier" in made.record.modules


def test_a_quantised_base_is_only_asked_for_names(base, tmp_path):
    """Packed weights have other shapes; an adapter that was trained on them (QLoRA) can be combined all the same."""
    packed = tmp_path / "packed"
    packed.mkdir()
    tensors = load_file(base / "model.safetensors")
    save_file(
        {
            n: torch.zeros(t.numel() // 2, 1, dtype=torch.uint8) if "query" in n or "value" in n else t
            for n, t in tensors.items()
        },
        packed / "model.safetensors",
    )
    config = read_json(base / "config.json") | {"quantization_config": {"quant_method": "bitsandbytes"}}
    (packed / "config.json").write_text(json.dumps(config))
    adapter = edit_config(write_adapter(tmp_path / "a", base, 1), base_model_name_or_path=str(packed))
    assert len(combine_adapters([adapter], out=tmp_path / "out").record.modules) == 4
    with pytest.raises(InputError, match="quantised"):
        extract_adapter(base, packed, rank=1, out=tmp_path / "extracted")


def test_adapters_that_only_replace_tensors_make_no_lora(base, tmp_path):
    def head_only(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if "lora" in name]:
            del tensors[name]

    only = edit_tensors(write_adapter(tmp_path / "a", base, 1), head_only)
    with pytest.raises(InputError, match="no LoRA without one"):
        combine_adapters([only], out=tmp_path / "out")
    nothing = edit_tensors(write_adapter(tmp_path / "b", base, 1), dict.clear)
    with pytest.raises(InputError, match="holds no tensors"):
        combine_adapters([nothing], out=tmp_path / "out")
    made = combine_adapters([only, write_adapter(tmp_path / "c", base, 2)], out=tmp_path / "out")
    assert made.record.modules


def test_a_config_whose_rank_is_not_that_of_the_tensors(base, tmp_path):
    adapter = edit_config(write_adapter(tmp_path / "a", base, 1), r=5)
    with pytest.raises(InputError, match=r"factors of rank 4, adapter_config\.json says 5"):
        combine_adapters([adapter], out=tmp_path / "out")


def test_a_rank_above_the_smaller_side_is_refused_and_never_the_default(base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed, r=40, task_type=None) for seed in range(2)]
    with pytest.raises(InputError, match="rank=33: the exact sum of these adapters has rank 32"):
        combine_adapters(adapters, as_="svd", rank=33, out=tmp_path / "out")
    made = combine_adapters(adapters, as_="svd", out=tmp_path / "out")
    assert made.record.asked_rank == 32
    assert made.record.energy == pytest.approx(1)


def test_the_card_says_that_weights_are_negative(base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(2)]
    combine_adapters(adapters, [2, -1], out=tmp_path / "out")
    assert "Negative weights subtract" in (tmp_path / "out" / "README.md").read_text()


def test_folders_of_one_name_and_patterns_are_told_apart(base, tmp_path):
    for run in ("a", "b"):
        write_adapter(tmp_path / run / "adapter", base, ord(run))
    made = combine_adapters([tmp_path / "a" / "adapter", tmp_path / "b" / "adapter"], out=tmp_path / "out")
    assert [one.name for one in made.record.ingredients] == ["adapter", "adapter-2"]
    for step in (9, 10):
        write_adapter(tmp_path / "run" / f"checkpoint-{step}", base, step)
    made = combine_adapters([f"{tmp_path / 'run'}:checkpoint-*"], [3, 1], out=tmp_path / "steps")
    assert [one.name for one in made.record.ingredients] == ["checkpoint-9", "checkpoint-10"]


def test_factors_of_one_module_at_a_time_are_in_memory(base, tmp_path, monkeypatch):
    """Beside the result: tensors that were read before are gone when those of the next module are read."""
    import weakref

    from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint

    adapters = [
        write_adapter(
            tmp_path / str(seed), base, seed, task_type=None, target_modules=["query", "key", "value", "dense"]
        )
        for seed in range(3)
    ]
    read = SafetensorsCheckpoint.read
    alive: list[weakref.ref] = []
    most = 0

    def watched(self, name):
        nonlocal most
        tensor = read(self, name)
        alive[:] = [each for each in alive if each() is not None]
        alive.append(weakref.ref(tensor))
        most = max(most, len(alive))
        return tensor

    monkeypatch.setattr(SafetensorsCheckpoint, "read", watched)
    for form in ("concat", "svd"):
        combine_adapters(adapters, as_=form, out=tmp_path / form)
    assert most == 2 * len(adapters)


def test_nan_in_a_fine_tune_and_its_base_is_listed_tensor_by_tensor(base, tmp_path):
    model = BertForSequenceClassification.from_pretrained(base)
    for parameter in model.parameters():
        parameter.data += 0.1
    model.save_pretrained(tmp_path / "tuned")
    broken = tmp_path / "broken"
    model = BertForSequenceClassification.from_pretrained(base)
    model.bert.encoder.layer[0].output.dense.weight.data[0, 0] = float("inf")
    model.save_pretrained(broken)
    tuned = load_file(tmp_path / "tuned" / "model.safetensors")
    for name in ("bert.encoder.layer.1.attention.self.query.weight", "bert.pooler.dense.bias"):
        tuned[name].flatten()[0] = float("nan")
    save_file(tuned, tmp_path / "tuned" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError) as error:
        extract_adapter(tmp_path / "tuned", broken, rank=2, out=tmp_path / "out")
    assert len(error.value.problems) == 3
    assert said(error, "tuned", "layer.1.attention.self.query.weight")
    assert said(error, "tuned", "pooler.dense.bias")
    assert said(error, "broken", "layer.0.output.dense.weight")
    assert not (tmp_path / "out").exists()


def test_wrong_requests_to_extract_are_said_together(base, tmp_path):
    with pytest.raises(InputError) as error:
        extract_adapter(base, tmp_path / "lost", rank=2, out=tmp_path / "out")
    assert said(error, "lost")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError) as error:
        extract_adapter(base, base, rank=0, energy=2.0, license="no-such", out=tmp_path / "out")
    for words in (["is a file"], ["one of the two"], ["rank=0"], ["energy=2.0"], ["no-such"]):
        assert said(error, *words)


def test_the_nearest_lora_of_a_dora(base, tmp_path):
    """What the refusal of DoRA offers: all of its rank-4 part would not be enough, all ranks are."""
    dora = write_adapter(tmp_path / "dora", base, 1, use_dora=True)
    made = extract_adapter(dora, base, energy=1.0, full=True, out=tmp_path / "out")
    assert made.record.ingredients[0].adapter_of is not None
    expected = logits(merged_by_peft(base, dora))
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), expected, atol=2e-5, rtol=2e-5)
    small = extract_adapter(dora, base, rank=4, out=tmp_path / "small")
    assert 0.3 < small.record.energy < 1


def test_heads_of_other_shapes_are_named_beside_other_problems(base, tmp_path):
    other = tmp_path / "three-labels"
    untrained_classifier(labels=("a", "b", "c")).save_pretrained(other)
    two = edit_tensors(write_adapter(tmp_path / "two", base, 1), with_nan)
    with pytest.raises(InputError) as error:
        combine_adapters([two, write_adapter(tmp_path / "three", other, 2)], base=base, out=tmp_path / "out")
    assert said(error, "different tasks", "classifier.weight")
    assert said(error, "NaN")

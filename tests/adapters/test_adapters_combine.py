"""Adapters combined into one that PEFT loads, against the full weights that PEFT merges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from adapter_samples import loaded, logits, merged_by_peft, weighted_full_model, write_adapter, write_base
from safetensors.torch import load_file, save_file
from tiny_models import read_json

from hf_soup.adapters import combine_adapters
from hf_soup.errors import InputError

ALL_LINEAR = ["query", "key", "value", "dense"]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def three(base, tmp_path_factory) -> list[Path]:
    """Adapters of one base that differ in rank, scaling, and modules."""
    root = tmp_path_factory.mktemp("adapters")
    return [
        write_adapter(root / "one", base, 1),
        write_adapter(root / "two", base, 2, r=6, lora_alpha=6, use_rslora=True, target_modules=ALL_LINEAR),
        write_adapter(
            root / "three", base, 3, r=2, rank_pattern={"layer.0.attention.self.query": 5}, alpha_pattern={"value": 3}
        ),
    ]


def assert_same_logits(model, expected) -> None:
    torch.testing.assert_close(logits(model), logits(expected), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("weights", [None, [3, 1, 1], [2, -1.5, 0.5]])
def test_concat_equals_the_weighted_sum_of_what_peft_merges(base, three, tmp_path, weights):
    made = combine_adapters(three, weights, out=tmp_path / "out")
    shares = [w / sum(weights) for w in weights] if weights else [1 / 3] * 3
    expected = weighted_full_model(base, three, shares)
    assert_same_logits(loaded(base, tmp_path / "out"), expected)
    assert_same_logits(merged_by_peft(base, tmp_path / "out"), expected)
    assert made.record.weights == pytest.approx(shares)
    assert made.record.energy == 1.0


def test_weights_that_do_not_sum_to_one_are_taken_as_they_are_on_request(base, three, tmp_path):
    combine_adapters(three, [1, 1, -0.5], normalize=False, out=tmp_path / "out")
    assert_same_logits(loaded(base, tmp_path / "out"), weighted_full_model(base, three, [1, 1, -0.5]))


def test_one_adapter_of_weight_one_is_that_adapter(base, three, tmp_path):
    combine_adapters([three[0]], out=tmp_path / "out")
    assert torch.equal(logits(merged_by_peft(base, tmp_path / "out")), logits(merged_by_peft(base, three[0])))


def test_transformers_loads_the_result_with_its_base(base, three, tmp_path):
    from transformers import AutoModelForSequenceClassification

    combine_adapters(three, out=tmp_path / "out")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert_same_logits(model, loaded(base, tmp_path / "out"))


def test_the_config_scales_by_exactly_one_and_lists_modules_of_other_ranks(base, three, tmp_path):
    combine_adapters(three, out=tmp_path / "out")
    model = loaded(base, tmp_path / "out")
    scales = {m.scaling["default"] for m in model.modules() if hasattr(m, "lora_A")}
    ranks = {name: m.r["default"] for name, m in model.named_modules() if hasattr(m, "lora_A")}
    assert scales == {1.0}
    assert ranks["base_model.model.bert.encoder.layer.0.attention.self.query"] == 4 + 6 + 5
    assert ranks["base_model.model.bert.encoder.layer.1.attention.self.query"] == 4 + 6 + 2
    assert ranks["base_model.model.bert.encoder.layer.1.attention.self.key"] == 6


def test_adapters_of_one_layout_keep_their_short_list_of_modules(base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(2)]
    combine_adapters(adapters, out=tmp_path / "out")
    config = read_json(tmp_path / "out" / "adapter_config.json")
    assert sorted(config["target_modules"]) == ["query", "value"]
    assert (config["r"], config["lora_alpha"], config["rank_pattern"]) == (8, 8, {})


def test_no_weight_of_the_base_is_read_when_every_adapter_replaces_the_head(base, tmp_path):
    away = tmp_path / "away"
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(3)]
    for adapter in adapters:
        config = read_json(adapter / "adapter_config.json")
        (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(away)}))
    combine_adapters(adapters, [3, 2, -1], out=tmp_path / "out")
    assert not away.exists()
    expected = weighted_full_model(base, adapters, [0.75, 0.5, -0.25])
    assert_same_logits(loaded(base, tmp_path / "out"), expected)


def test_heads_that_only_some_adapters_have_are_mixed_with_the_base(base, tmp_path):
    with_head = write_adapter(tmp_path / "head", base, 1)
    without = write_adapter(tmp_path / "no-head", base, 2, task_type=None)
    combine_adapters([with_head, without], [1, 3], out=tmp_path / "out")
    expected = weighted_full_model(base, [with_head, without], [0.25, 0.75])
    assert_same_logits(loaded(base, tmp_path / "out"), expected)


def test_a_head_that_one_adapter_replaces_and_another_updates(base, tmp_path):
    replacing = write_adapter(tmp_path / "head", base, 1, modules_to_save=["classifier"])
    updating = write_adapter(tmp_path / "lora", base, 2, task_type=None, target_modules=["query", "classifier"], r=2)
    combine_adapters([replacing, updating], out=tmp_path / "out")
    expected = weighted_full_model(base, [replacing, updating], [0.5, 0.5])
    assert_same_logits(loaded(base, tmp_path / "out"), expected)


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_are_averaged_as_weights(base, tmp_path, bias):
    adapters = [write_adapter(tmp_path / str(seed), base, seed, bias=bias) for seed in range(2)]
    combine_adapters(adapters, out=tmp_path / "out")
    expected = weighted_full_model(base, adapters, [0.5, 0.5])
    assert_same_logits(loaded(base, tmp_path / "out"), expected)


@pytest.mark.parametrize("form", ["concat", "svd"])
def test_embeddings_that_are_adapted(base, tmp_path, form):
    adapters = [
        write_adapter(tmp_path / str(seed), base, seed, target_modules=["word_embeddings", "value"])
        for seed in range(2)
    ]
    rank = {"rank": 8} if form == "svd" else {}
    combine_adapters(adapters, [1, 2], as_=form, **rank, out=tmp_path / "out")
    expected = weighted_full_model(base, adapters, [1 / 3, 2 / 3])
    assert_same_logits(loaded(base, tmp_path / "out"), expected)


def test_half_precision_adapters_are_summed_in_float32(base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(2)]
    for adapter in adapters:
        file = adapter / "adapter_model.safetensors"
        save_file({k: v.bfloat16() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    combine_adapters(adapters, out=tmp_path / "out")
    assert {t.dtype for n, t in load_file(tmp_path / "out/adapter_model.safetensors").items() if "lora" in n} == {
        torch.float32
    }
    expected = weighted_full_model(base, adapters, [0.5, 0.5])
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), logits(expected), atol=2e-3, rtol=2e-3)


def test_svd_is_no_further_from_the_sum_than_peft_s_own(base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed, task_type=None) for seed in range(3)]
    made = combine_adapters(adapters, as_="svd", rank=4, out=tmp_path / "out")
    theirs = loaded(base, adapters[0])
    theirs.load_adapter(adapters[1], "one")
    theirs.load_adapter(adapters[2], "two")
    theirs.add_weighted_adapter(["default", "one", "two"], [1 / 3] * 3, "sum", combination_type="svd", svd_rank=4)
    ours = loaded(base, tmp_path / "out")
    for name, module in theirs.named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        whole = sum(module.get_delta_weight(each).double() for each in ("default", "one", "two")) / 3
        error = torch.linalg.norm(ours.get_submodule(name).get_delta_weight("default").double() - whole)
        assert error <= torch.linalg.norm(module.get_delta_weight("sum").double() - whole) + 1e-6
        stated = made.record.modules[name.removeprefix("base_model.model.")]
        assert stated.error == pytest.approx(float(error), rel=1e-4)
        assert stated.norm == pytest.approx(float(torch.linalg.norm(whole)), rel=1e-5)


def test_the_naive_average_of_the_factors_is_another_model(base, tmp_path):
    """The control: what averaging the files of adapters, or PEFT's `linear`, gives."""
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(3)]
    expected = logits(weighted_full_model(base, adapters, [1 / 3] * 3))
    files = [load_file(adapter / "adapter_model.safetensors") for adapter in adapters]
    naive = tmp_path / "naive"
    naive.mkdir()
    save_file({n: sum(f[n] for f in files) / 3 for n in files[0]}, naive / "adapter_model.safetensors")
    (naive / "adapter_config.json").write_bytes((adapters[0] / "adapter_config.json").read_bytes())
    combine_adapters(adapters, out=tmp_path / "out")
    far = (logits(loaded(base, naive)) - expected).abs().max()
    near = (logits(loaded(base, tmp_path / "out")) - expected).abs().max()
    assert near < 1e-5
    assert far > 1_000 * near


def test_rank_auto_keeps_the_energy_that_is_asked_for(base, three, tmp_path):
    made = combine_adapters(three, as_="svd", rank="auto", energy=0.9, out=tmp_path / "out")
    assert all(module.energy >= 0.9 for module in made.record.modules.values())
    assert 0.9 <= made.record.energy < 1
    assert len({module.rank for module in made.record.modules.values()}) > 1
    loaded(base, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{made.record.energy:.2%}" in card


def test_dora_and_lora_bias_are_refused_with_the_full_model_offered(base, tmp_path):
    plain = write_adapter(tmp_path / "plain", base, 1)
    dora = write_adapter(tmp_path / "dora", base, 2, use_dora=True)
    bias = write_adapter(tmp_path / "bias", base, 3, lora_bias=True)
    with pytest.raises(InputError) as error:
        combine_adapters([plain, dora, bias], out=tmp_path / "out")
    assert [problem.split(":")[0] for problem in error.value.problems] == [str(dora), str(bias)]
    assert all("--as model" in problem for problem in error.value.problems)
    assert not (tmp_path / "out").exists()


def test_other_bases_are_refused_unless_one_is_named(base, three, tmp_path):
    config = read_json(three[0] / "adapter_config.json")
    other = write_adapter(tmp_path / "other", base, 9)
    (other / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "me/other"}))
    with pytest.raises(InputError, match="different base models") as error:
        combine_adapters([three[0], other], out=tmp_path / "out")
    assert len(error.value.problems) == 4  # the two names, and why they could not be compared
    assert "me/other" in error.value.problems[-1]
    combine_adapters([three[0], other], base="me/base@v1", out=tmp_path / "out")
    config = read_json(tmp_path / "out" / "adapter_config.json")
    assert (config["base_model_name_or_path"], config["revision"]) == ("me/base", "v1")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weights": [1, 2]}, "There are 3 adapters and 2 weights"),
        ({"weights": [1, -1, 0]}, "sum to 0"),
        ({"weights": [1, float("nan"), 0]}, "not a finite number"),
        ({"as_": "svd", "rank": 1_000}, "the exact sum of these adapters has rank"),
        ({"as_": "svd", "rank": 0}, "ask for 1 to"),
        ({"as_": "svd", "energy": 1.5}, "above 0 and at most 1"),
        ({"as_": "svd", "rank": 2, "energy": 0.5}, "not both"),
        ({"rank": 2}, "concat keeps everything"),
        ({"as_": "ties"}, "'concat' or 'svd'"),
    ],
)
def test_wrong_settings_are_said_before_any_work(three, tmp_path, settings, said):
    weights = settings.pop("weights", None)
    with pytest.raises(InputError, match=said):
        combine_adapters(three, weights, **settings, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_named(base, tmp_path):
    adapters = [write_adapter(tmp_path / str(seed), base, seed) for seed in range(2)]
    tensors = load_file(adapters[1] / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_B" in name)
    tensors[name][0, 0] = float("nan")
    save_file(tensors, adapters[1] / "adapter_model.safetensors")
    with pytest.raises(InputError, match=f"'{name}' holds NaN"):
        combine_adapters(adapters, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_heads_of_other_shapes_are_refused(base, tmp_path):
    from tiny_models import untrained_classifier

    other = tmp_path / "three-labels"
    untrained_classifier(labels=("a", "b", "c")).save_pretrained(other)
    adapters = [write_adapter(tmp_path / "two", base, 1), write_adapter(tmp_path / "three", other, 2)]
    with pytest.raises(InputError, match="different tasks"):
        combine_adapters(adapters, base=base, out=tmp_path / "out")


def test_the_folder_says_what_it_is(base, three, tmp_path):
    combine_adapters(three, [3, 1, -1], base="me/base@v2", out=tmp_path / "out")
    from huggingface_hub import ModelCard

    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.library_name == "peft"
    assert card.data.base_model == ["me/base"]
    assert card.data.to_dict()["base_model_relation"] == "merge"
    assert card.data.license == "mit"
    assert "exactly" in card.text
    assert "−0.3333" in card.text
    record = read_json(tmp_path / "out" / "soup.json")
    assert record["format"] == "hf-soup-adapter"
    assert [one["name"] for one in record["ingredients"]] == ["one", "two", "three"]
    assert str(tmp_path.parent) not in json.dumps(record)
    assert set(record["outputs"]) == {"adapter_config.json", "adapter_model.safetensors"}

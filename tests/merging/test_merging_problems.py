"""Everything that must not be merged is found before any work, all of it at once, and nothing is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from tiny_checkpoints import CONFIG, relatives, write_checkpoint, write_relatives

from hf_soup.errors import InputError, NonFiniteWeights, SoupError
from hf_soup.merging import make_plan, merge, open_ingredients, probe
from hf_soup.merging.output import output_problems


def plan_of(*folders, **options):
    return make_plan(open_ingredients([str(folder) for folder in folders]), **options)


def problem_of(*folders, **options) -> str:
    return "\n".join(plan_of(*folders, **options).problems)


def test_all_problems_of_a_plan_are_listed_together(tmp_path):
    a, b = relatives(2)
    del b["classifier.bias"]
    b["extra.weight"] = torch.zeros(3)
    b["classifier.weight"] = torch.zeros(3, 24)
    config = CONFIG | {
        "architectures": ["RobertaForMaskedLM"],
        "hidden_act": "relu",
        "id2label": {"0": "positive", "1": "negative"},
    }
    one = write_checkpoint(tmp_path / "one", a, CONFIG | {"hidden_act": "gelu"})
    two = write_checkpoint(tmp_path / "two", b, config)
    (two / "vocab.txt").write_text("b\na\nc\n")
    problems = problem_of(one, two, parameters={"weight": [0, 0]})
    for sentence in (
        "all weights are zero",
        "architecture differs",
        "hidden_act differs",
        "label orders differ",
        "negative, positive",
        "vocabularies differ (vocab.txt)",
        "lacks tensors: 'classifier.bias'",
        "has tensors that",
        "'extra.weight'",
        "Tensor 'classifier.weight' is [3, 24]",
    ):
        assert sentence in problems, sentence
    with pytest.raises(InputError) as error:
        merge(plan_of(one, two), tmp_path / "out")
    assert len(error.value.problems) >= 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "is quantised.*bitsandbytes"),
        ({"num_attention_heads": 8}, "num_attention_heads differs"),
        ({"rope_theta": 1e6}, "rope_theta differs"),
    ],
)
def test_a_configuration_that_computes_something_else_is_refused(tmp_path, change, sentence):
    a, b = relatives(2)
    one = write_checkpoint(tmp_path / "one", a, CONFIG | {"num_attention_heads": 4, "rope_theta": 1e4})
    two = write_checkpoint(tmp_path / "two", b, CONFIG | {"num_attention_heads": 4, "rope_theta": 1e4} | change)
    with pytest.raises(InputError, match=sentence):
        plan_of(one, two).raise_problems()


def test_float8_tensors_are_refused_by_name(tmp_path):
    a, b = relatives(2)
    b["classifier.weight"] = b["classifier.weight"].to(torch.float8_e4m3fn)
    problems = problem_of(write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", b))
    assert "Tensor 'classifier.weight' of" in problems
    assert "is F8_E4M3" in problems


def test_settings_in_a_tokenizer_file_are_not_vocabulary(tmp_path):
    folders = write_relatives(tmp_path, 2)
    for number, folder in enumerate(folders):
        tokenizer = {
            "truncation": {"max_length": 100 + number},
            "model": {"vocab": {"a": 0, "b": 1}},
            "added_tokens": [],
        }
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert problem_of(*folders) == ""
    tokenizer["model"]["vocab"] = {"a": 1, "b": 0}
    (folders[1] / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "vocabularies differ (tokenizer.json)" in problem_of(*folders)


def test_the_same_weights_twice_are_refused_by_digest(tmp_path):
    a, _ = relatives(2)
    problems = problem_of(write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", a, shards=2))
    assert "holds the same weights as" in problems


def test_a_tied_model_saved_with_and_without_its_output_matrix_is_one_model(tmp_path):
    a, b = relatives(2)
    for model in (a, b):
        model["model.embed_tokens.weight"] = model.pop("embeddings.word_embeddings.weight")
    b["lm_head.weight"] = b["model.embed_tokens.weight"].clone()
    one, two = write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", b)
    without = plan_of(one, two)
    assert without.problems == ()
    assert "lm_head.weight" not in {tensor.info.name for tensor in without.tensors}
    with_head = plan_of(two, one)
    assert with_head.problems == ()
    virtual = with_head.virtual()
    assert torch.equal(virtual.read("lm_head.weight"), virtual.read("model.embed_tokens.weight"))
    for folder in (one, two):
        (folder / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": False}))
    assert "'lm_head.weight'" in problem_of(one, two)


def test_integer_tensors_that_differ_stop_the_merge_but_batchnorm_counters_do_not(tmp_path):
    a, b = relatives(2)
    a["bn.num_batches_tracked"], b["bn.num_batches_tracked"] = torch.tensor(5), torch.tensor(9)
    plan = plan_of(write_checkpoint(tmp_path / "a", a), write_checkpoint(tmp_path / "b", b))
    assert probe(plan).problems == ()
    assert plan.virtual().read("bn.num_batches_tracked") == 5
    b["embeddings.position_ids"] = b["embeddings.position_ids"] + 1
    plan = plan_of(tmp_path / "a", write_checkpoint(tmp_path / "c", b))
    assert "'embeddings.position_ids' (I64) differs" in "\n".join(probe(plan).problems)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_name_model_and_tensor_and_leave_nothing(tmp_path, value):
    folders = write_relatives(tmp_path / "in", 3)
    tensors = relatives(3)[1]
    tensors["encoder.layer.2.dense.weight"][40, 3] = value
    write_checkpoint(folders[1], tensors)
    with pytest.raises(
        NonFiniteWeights, match=r"run-1: tensor 'encoder\.layer\.2\.dense\.weight' holds -?(nan|inf) at position 963"
    ):
        merge(plan_of(*folders), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_result_that_does_not_fit_the_output_dtype_says_so(tmp_path):
    models = relatives(2)
    for model in models:
        model["classifier.weight"] += 70_000
    folders = [write_checkpoint(tmp_path / f"m{i}", model) for i, model in enumerate(models)]
    with pytest.raises(NonFiniteWeights, match=r"'classifier.weight'.*does not fit F16.*wider --dtype"):
        merge(plan_of(*folders, dtype="float16"), tmp_path / "out")


def test_an_existing_folder_is_never_overwritten_unasked(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match=r"exists; name another one or pass --overwrite"):
        merge(plan_of(*folders), tmp_path / "out")
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"
    merge(plan_of(*folders), tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "precious.txt").exists()
    assert (tmp_path / "out" / "soup.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_an_output_that_is_an_ingredient_or_a_file_or_unwritable_is_refused(tmp_path):
    folder = write_relatives(tmp_path, 1)[0]
    (tmp_path / "file").write_text("x")
    assert "is one of the ingredients" in output_problems(folder, True, [folder])[0]
    assert "is a file" in output_problems(tmp_path / "file", True, [])[0]
    foreign = tmp_path / "new.partial"
    foreign.mkdir()
    assert "was not made by a merge" in output_problems(tmp_path / "new", False, [])[0]


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a POSIX feature")
def test_a_full_disk_ends_with_one_sentence_and_leaves_nothing(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    program = (
        "import resource, sys; from pathlib import Path; from hf_soup.merging import *\n"
        "plan = make_plan(open_ingredients(sys.argv[2:]))\n"
        "for source in plan.sources: source.fetch()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "merge(plan, Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out"), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "SoupError: Writing" in done.stderr
    assert "nothing of it was kept" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_too_little_disk_is_a_problem_of_the_plan(tmp_path, monkeypatch):
    import shutil

    folders = write_relatives(tmp_path, 2)
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=100))
    assert "has 100 bytes free" in problem_of(*folders, out=tmp_path / "out")


def test_an_interrupt_leaves_nothing(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)

    def interrupt(nbytes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(plan_of(*folders), tmp_path / "out", progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_memory_budget_that_is_too_small_says_how_much_is_needed(tmp_path):
    folders = write_relatives(tmp_path, 2)
    assert "is too small for 2 models; give at least" in problem_of(*folders, memory_bytes=1000)


def test_a_file_that_shrinks_after_its_header_was_read_is_noticed(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    plan = plan_of(*folders)
    file = folders[1] / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(SoupError, match=r"model\.safetensors of .*run-1: ends inside tensor"):
        merge(plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_method_and_dtype_list_what_there_is(tmp_path):
    folders = write_relatives(tmp_path, 2)
    with pytest.raises(InputError, match=r"no merge method 'lineer'; known methods: .*linear"):
        plan_of(*folders, method="lineer")
    with pytest.raises(InputError, match=r"'int8' is not one of float64, float32"):
        plan_of(*folders, dtype="int8")


def test_an_adapter_alone_is_named_as_such(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file({"lora_A": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="is a LoRA adapter"):
        open_ingredients([str(folder)])

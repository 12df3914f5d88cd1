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
    merge(plan_of(*folders), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("of the first soup")
    with pytest.raises(InputError, match=r"exists; name another one or pass --overwrite"):
        merge(plan_of(*folders), tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").exists()
    merge(plan_of(*folders), tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "notes.txt").exists()
    assert (tmp_path / "out" / "soup.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_what_is_no_result_of_a_merge_is_not_overwritten_even_when_asked(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds no soup.json.*--overwrite does not replace it"):
        merge(plan_of(*folders), tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "precious.txt").read_text() == "mine"


def test_a_folder_of_the_users_that_is_called_like_ours_is_left_alone(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    (tmp_path / "out.replaced").mkdir()
    (tmp_path / "out.replaced" / "precious.txt").write_text("mine")
    for _ in range(2):
        merge(plan_of(*folders), tmp_path / "out", overwrite=True)
    assert (tmp_path / "out.replaced" / "precious.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out", "out.replaced"]


@pytest.mark.skipif(os.name == "nt", reason="making symbolic links needs a privilege there")
def test_an_output_behind_a_link_is_replaced_where_it_lies(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk", target_is_directory=True)
    for _ in range(2):
        merge(plan_of(*folders), tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "soup.json").exists()


def test_an_output_around_or_inside_an_input_is_refused(tmp_path, monkeypatch):
    folder = write_relatives(tmp_path / "runs", 1)[0]
    (tmp_path / "runs" / "soup.json").write_text("{}")
    data = tmp_path / "runs" / "held_out.csv"
    data.write_text("text,label")
    for out in (folder, tmp_path / "runs", folder / "soup"):
        assert "lie in each other" in output_problems(out, True, [folder])[0]
    assert "lie in each other" in output_problems(tmp_path / "runs", True, [data])[0]
    monkeypatch.chdir(tmp_path / "runs")
    assert "the folder you are in" in output_problems(tmp_path / "runs", True)[0]


def test_an_output_that_is_a_file_or_beside_a_foreign_partial_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a file" in output_problems(tmp_path / "file", True)[0]
    assert "cannot be made" in output_problems(tmp_path / "file" / "soup", True)[0]
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "notes.txt").write_text("mine")
    assert "was not made by a merge" in output_problems(tmp_path / "new", False)[0]


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
    assert "nothing is kept" in done.stderr
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


def test_what_a_method_cannot_do_is_a_problem_of_the_plan(tmp_path):
    folders = write_relatives(tmp_path, 3)
    assert "The method ties needs a base model; name the pre-trained one with --base." in problem_of(
        *folders, method="ties"
    )
    assert "slerp: takes exactly 2 models, there are 3" in problem_of(*folders, method="slerp")
    given = {"density": {None: 0.5, 7: 0.1}, "weight": 1.0}
    assert "density[7]: there are models 0 to 2" in problem_of(*folders, method="ties", parameters=given)
    said = problem_of(*folders, method="ties", parameters={"density": [0.5, 1.5, 0.5], "sharpness": 3})
    assert "density[1] = 1.5: input should be less than or equal to 1" in said
    assert "has no parameter 'sharpness'; it has: density, weight, scale, normalize" in said


def test_a_memory_budget_that_is_too_small_says_how_much_is_needed(tmp_path):
    folders = write_relatives(tmp_path, 2)
    assert "is too small for one block; give at least" in problem_of(*folders, memory_bytes=1000)


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


def test_an_adapter_without_its_config_is_named_as_such(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file({"lora_A": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"weights of an adapter and no adapter_config\.json"):
        open_ingredients([str(folder)])
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="names no peft_type"):
        open_ingredients([str(folder)])


def test_names_in_the_record_are_unique_over_ingredients_and_base(tmp_path):
    models = relatives(4)
    folders = [
        write_checkpoint(tmp_path / place, model)
        for place, model in zip(("a/run", "b/run", "c/run-2", "d/run"), models, strict=True)
    ]
    record = merge(plan_of(*folders), tmp_path / "out")
    names = [ingredient.name for ingredient in record.ingredients]
    assert sorted(set(names)) == sorted(names)
    assert "run-2" in names


def test_a_base_that_the_method_does_not_need_lends_nothing_and_may_lack_the_head(tmp_path):
    base, a, b = relatives(3)
    for name in ("classifier.weight", "classifier.bias"):
        del base[name]
    config = CONFIG | {"architectures": ["BertModel"], "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    write_checkpoint(tmp_path / "base", base, config)
    folders = [write_checkpoint(tmp_path / name, model) for name, model in (("a", a), ("b", b))]
    ingredients = open_ingredients([str(folder) for folder in folders], base=str(tmp_path / "base"))
    plan = make_plan(ingredients)
    found = probe(plan, ingredients.base)
    assert plan.problems == found.problems == found.warnings == ()
    assert found.cosines.shape == (3, 3)
    merge(plan, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["id2label"] == CONFIG["id2label"]


def test_where_the_donor_once_lay_is_not_copied_into_the_config(tmp_path):
    config = CONFIG | {"_name_or_path": "/home/somebody/secret"}
    folders = [write_checkpoint(tmp_path / f"m{i}", model, config) for i, model in enumerate(relatives(2))]
    merge(plan_of(*folders), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == CONFIG


def test_a_pickle_of_parameters_can_be_merged(tmp_path):
    folders = []
    for number, model in enumerate(relatives(2)):
        folder = tmp_path / f"m{number}"
        folder.mkdir()
        parameters = {n: torch.nn.Parameter(t) if t.is_floating_point() else t for n, t in model.items()}
        torch.save(parameters, folder / "pytorch_model.bin")
        (folder / "config.json").write_text(json.dumps(CONFIG))
        folders.append(folder)
    merge(plan_of(*folders), tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").exists()
